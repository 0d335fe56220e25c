"""What the supply rails of a Jetson module add up to."""

from collections.abc import Mapping

INPUT_RAILS = frozenset({"VDD_IN", "POM_5V_IN"})

# Not to be added to the others: the supply of Thor's whole carrier board, which feeds them all,
# and AGX Orin's memory, which is fed by VIN_SYS_5V0.
_OVERLAPPING_RAILS = frozenset({"VIN", "VDDQ_VDD2_1V8AO"})

# Parts the names of two rails with one label: "VDD_5V@1-0041:2".
PLACE_MARK = "@"


def is_connected(label: str) -> bool:
    """Whether a sensor's channel measures a rail; `NC` is the label of one that is left open."""
    return label != "NC"


def total_of(rails: Mapping[str, float]) -> tuple[float, bool]:
    """Return the power of a module from the power of its rails, in watts.

    The total is the module's input rail where there is one (`VDD_IN`, `POM_5V_IN`: Nano, TX2,
    Xavier NX, Orin Nano and NX). The AGX modules measure none: there it is the sum of the rails
    that do not feed each other.

    Args:
        rails: Power by name of rail, at least one. What follows `PLACE_MARK` in a name is no part
            of the label.

    Returns:
        The total, and whether it is an estimate: True but where one input rail measures it.
    """
    by_label = [(name.partition(PLACE_MARK)[0], power_w) for name, power_w in rails.items()]
    inputs = [power_w for label, power_w in by_label if label in INPUT_RAILS]
    if inputs:
        return sum(inputs), len(inputs) > 1
    parts = [power_w for label, power_w in by_label if label not in _OVERLAPPING_RAILS]
    return sum(parts or rails.values()), True
