"""Lines of numbers to events, as fast as the disk."""

from __future__ import annotations

import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE
from cs3d_ros.kernels import kernel
from cs3d_ros.recordings.columns import P, T, X, Y
from cs3d_ros.recordings.event_packets import MAX_DISORDER_NS
from cs3d_ros.recordings.recording import LAST_ROS_TIME_NS

# Why a line cannot be read.
NO_NUMBER, WRONG_COUNT, BAD_PLACE, BAD_POLARITY, BAD_TIME, BAD_FRACTION, BAD_ORDER = range(1, 8)

# What outlasts a block of lines: indices into one int64 array.
LINE, NEWEST_NS, REASON, BEGIN, END, STATE_SIZE = range(6)
"""Lines begun, the newest time; the reason of an error and the bytes that it is about."""

_SHORTEST_LINE = len(b"0,0,0,0\n")
# Beyond this another digit does not fit into int64.
_MAX_MANTISSA = ((1 << 63) - 10) // 10
_MAX_EXPONENT = 10_000
_EXACT, _ROUNDED, _TOO_LARGE = range(3)
_TAB, _NEWLINE, _RETURN, _SPACE, _HASH, _PERCENT, _PLUS = b"\t\n\r #%+"
_COMMA, _MINUS, _POINT, _SEMICOLON = b",-.;"
_0, _9, _E_LARGE, _E_SMALL = b"09Ee"
_NO_ROLE = -1


@kernel
def _is_blank(byte: int) -> bool:
    return byte in (_SPACE, _TAB, _RETURN)


@kernel
def _is_separator(byte: int) -> bool:
    return byte in (_COMMA, _SEMICOLON)


@kernel
def _number(data: np.ndarray, begin: int) -> tuple[int, int, int]:
    """A decimal number as (end, mantissa, exponent); end is `begin` where there is none."""
    i = begin
    is_negative = False
    if i < data.size and (data[i] == _MINUS or data[i] == _PLUS):
        is_negative = data[i] == _MINUS
        i += 1
    mantissa = 0
    exponent = 0
    digits = 0
    is_fraction = False
    while i < data.size:
        if _0 <= data[i] <= _9:
            digits += 1
            # Further digits of a fraction are beyond what int64, and any clock, tells.
            if mantissa <= _MAX_MANTISSA:
                mantissa = mantissa * 10 + (int(data[i]) - _0)
                exponent -= is_fraction
            else:
                exponent += not is_fraction
        elif data[i] == _POINT and not is_fraction:
            is_fraction = True
        else:
            break
        i += 1
    if digits == 0:
        return begin, mantissa, exponent
    if i < data.size and (data[i] == _E_LARGE or data[i] == _E_SMALL):
        i += 1
        falls = i < data.size and data[i] == _MINUS
        if i < data.size and (data[i] == _MINUS or data[i] == _PLUS):
            i += 1
        first = i
        power = 0
        while i < data.size and _0 <= data[i] <= _9:
            power = min(power * 10 + (int(data[i]) - _0), _MAX_EXPONENT)
            i += 1
        if i == first:
            return begin, mantissa, exponent
        exponent += -power if falls else power
    return i, -mantissa if is_negative else mantissa, exponent


@kernel
def _scaled(mantissa: int, exponent: int) -> tuple[int, int]:
    """An integer from mantissa · 10^exponent, and whether it is exact, rounded or too large."""
    if mantissa == 0:
        return 0, _EXACT
    while exponent > 0:
        if abs(mantissa) > _MAX_MANTISSA:
            return mantissa, _TOO_LARGE
        mantissa *= 10
        exponent -= 1
    if exponent == 0:
        return mantissa, _EXACT
    if exponent < -18:
        return 0, _ROUNDED
    divisor = 1
    while exponent < 0:
        divisor *= 10
        exponent += 1
    value = mantissa // divisor
    rest = mantissa - value * divisor
    return value + (2 * rest >= divisor), _ROUNDED if rest else _EXACT


@kernel
def _parse(
    data: np.ndarray,
    roles: np.ndarray,
    exponent_ns: int,
    is_whole: bool,
    state: np.ndarray,
    events: tuple[np.ndarray, ...],
) -> int:
    """Write the events of whole lines into (t_ns, x, y, p), return how many; see `parse_lines`."""
    t_ns, xs, ys, ps = events
    newest = state[NEWEST_NS]
    n = 0
    i = 0
    begin = 0
    reason = 0
    while i < data.size:
        state[LINE] += 1
        while i < data.size and _is_blank(data[i]):
            i += 1
        if i >= data.size or data[i] in (_NEWLINE, _HASH, _PERCENT):
            while i < data.size and data[i] != _NEWLINE:
                i += 1
            i += 1
            continue

        first = i
        column = 0
        while True:
            begin = i
            role = roles[column] if column < roles.size else _NO_ROLE
            if role == _NO_ROLE:
                while i < data.size and not (
                    _is_blank(data[i]) or data[i] == _NEWLINE or _is_separator(data[i])
                ):
                    i += 1
            else:
                i, mantissa, exponent = _number(data, i)
                if i == begin:
                    reason = NO_NUMBER
                    break
                value, how = _scaled(mantissa, exponent + (exponent_ns if role == T else 0))
                if role == T:
                    if how == _TOO_LARGE or not 0 <= value <= LAST_ROS_TIME_NS:
                        reason = BAD_TIME
                    elif is_whole and exponent < 0 and _scaled(mantissa, exponent)[1] != _EXACT:
                        reason = BAD_FRACTION
                    elif value < newest - MAX_DISORDER_NS:
                        reason = BAD_ORDER
                    newest = max(newest, value)
                    t_ns[n] = value
                elif role == P:
                    if how != _EXACT or not -1 <= value <= 1:
                        reason = BAD_POLARITY
                    ps[n] = value > 0
                else:
                    if how != _EXACT or not 0 <= value < MAX_SENSOR_SIDE:
                        reason = BAD_PLACE
                    if role == X:
                        xs[n] = value
                    else:
                        ys[n] = value
                if reason:
                    break
            column += 1
            end = i
            while i < data.size and _is_blank(data[i]):
                i += 1
            if i >= data.size or data[i] == _NEWLINE:
                break
            if _is_separator(data[i]):
                i += 1
                while i < data.size and _is_blank(data[i]):
                    i += 1
            elif i == end:
                reason = NO_NUMBER
                break

        if reason == 0 and column != roles.size:
            reason = WRONG_COUNT
            begin = first
        if reason:
            break
        n += 1
        i += 1

    state[NEWEST_NS] = newest
    state[REASON] = reason
    state[BEGIN] = begin
    # What is wrong: one cell, or the whole line where its number of cells is.
    end = begin
    while end < data.size and data[end] != _NEWLINE:
        if reason != WRONG_COUNT and (_is_separator(data[end]) or _is_blank(data[end])):
            break
        end += 1
    state[END] = end
    return n


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    parse_lines(b"0,0,0,0", (X, Y, T, P), 0, False, new_state())


def new_state() -> np.ndarray:
    """What `parse_lines` keeps from block to block, at the beginning of a file."""
    return np.zeros(STATE_SIZE, np.int64)


def parse_lines(
    text: bytes,
    roles: tuple[int | None, ...],
    exponent_ns: int,
    is_whole: bool,
    state: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Parse whole lines of numbers, separated by commas, semicolons, spaces or tabs.

    Empty lines and those that begin with # or % are skipped. Numbers may have a fraction and an
    exponent; times are exact to the ns.

    Args:
        text: Whole lines; the last may lack its newline.
        roles: What each column is; see `columns.Columns`.
        exponent_ns: Power of ten from the unit of t to ns.
        is_whole: Whether a t that is not a whole number is an error.
        state: As of `new_state`, or as the block before has left it; `state[REASON]` is not 0
            where a line cannot be read.

    Returns:
        (t_ns, x, y, p) of the lines before that one, columns of `Events`. Coordinates are below
        `MAX_SENSOR_SIDE`, times not negative and behind the newest by `MAX_DISORDER_NS` at most.
    """
    room = len(text) // _SHORTEST_LINE + 2
    events = tuple(np.empty(room, d) for d in (np.int64, np.uint16, np.uint16, np.uint8))
    columns = np.array([_NO_ROLE if role is None else role for role in roles], np.int64)
    data = np.frombuffer(text, np.uint8)
    n = _parse(data, columns, exponent_ns, is_whole, state, events)
    return tuple(column[:n] for column in events)
