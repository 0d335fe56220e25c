"""The base of every error that this package raises on purpose."""


class Cs3dError(Exception):
    """Bad input or an unusable environment, as opposed to a bug.

    The message says what was given, what was expected and what to do about it. Each room derives
    its own class from this one, so that callers can tell a bad packet from a bad checkpoint.
    """
