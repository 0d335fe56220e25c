"""Curves over time that movements are made of: transitions, pulses, swings and sway."""

from __future__ import annotations

import numpy as np


def minimum_jerk(share: np.ndarray) -> np.ndarray:
    """The smoothest way from 0 to 1: 10 s³ − 15 s⁴ + 6 s⁵, held before 0 and after 1.

    The profile of human point-to-point movements (Flash and Hogan 1985, "The coordination of arm
    movements").

    Args:
        share: Share s of the movement's time that has passed, any shape.

    Returns:
        Share of the way, same shape, 0…1.
    """
    s = np.clip(share, 0.0, 1.0)
    # Rounding alone goes beyond 1.
    return np.minimum(s**3 * (10.0 + s * (6.0 * s - 15.0)), 1.0)


def through_keys(
    time_s: np.ndarray, start_s: np.ndarray, move_s: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Move from value to value by minimum jerk, and hold each until the next movement.

    A movement that is not over when the next starts is made quicker, so that nothing jumps.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        start_s: When each movement starts, shape (k,), ascending.
        move_s: How long each movement takes, shape (k,).
        values: Where each movement ends, shape (k,) or (k, d). The first is also held before it.

    Returns:
        Values at the times, shape (n,) or (n, d), float64.
    """
    values = np.asarray(values, np.float64)
    gap = np.append(np.diff(start_s), np.inf)
    move = np.maximum(np.minimum(move_s, gap), 1e-9)
    at = np.clip(np.searchsorted(start_s, time_s, side="right") - 1, 0, None)
    share = minimum_jerk((time_s - start_s[at]) / move[at])
    before = values[np.maximum(at - 1, 0)]
    return before + (values[at] - before) * share.reshape(-1, *(1,) * (values.ndim - 1))


def pulse(
    time_s: np.ndarray, start_s: float, rise_s: float, hold_s: float, fall_s: float
) -> tuple[slice, np.ndarray]:
    """One rise from 0 to 1 and the fall back to 0.

    Returns:
        The times that it covers, and its height there, 0…1; 0 everywhere else.
    """
    end_s = start_s + rise_s + hold_s + fall_s
    where = slice(*np.searchsorted(time_s, (start_s, end_s)))
    since = time_s[where] - start_s
    up = minimum_jerk(since / max(rise_s, 1e-9))
    down = minimum_jerk((since - rise_s - hold_s) / max(fall_s, 1e-9))
    return where, up * (1.0 - down)


def swing(
    time_s: np.ndarray, start_s: float, frequency_hz: float, cycles: float, phase: float = 0.0
) -> tuple[slice, np.ndarray]:
    """A sine that swells from rest and dies down again, as in nodding.

    Returns:
        The times that it covers, and its value there, −1…1; 0 everywhere else.
    """
    length_s = cycles / frequency_hz
    where = slice(*np.searchsorted(time_s, (start_s, start_s + length_s)))
    since = time_s[where] - start_s
    swell = np.sin(np.pi * since / length_s) ** 2
    return where, swell * np.sin(2 * np.pi * (frequency_hz * since + phase))


def sway(
    time_s: np.ndarray, rng: np.random.Generator, low_hz: float, high_hz: float, width: int
) -> np.ndarray:
    """Random motion within a band of frequencies, the slower the wider.

    Sixteen sines, their frequencies evenly spread over the band's octaves at random places, so
    that the course does not depend on the times it is asked for and repeats only after minutes.

    Returns:
        Shape (n, width), float64, zero mean and unit standard deviation in the long run.
    """
    sines = 16
    octaves = np.log(high_hz / low_hz)
    place = (np.arange(sines)[:, None] + rng.random((sines, width))) / sines
    frequency = low_hz * np.exp(octaves * place)
    amplitude = frequency**-0.5
    amplitude *= np.sqrt(2.0 / (amplitude**2).sum(axis=0))
    phase = 2 * np.pi * rng.random((sines, width))
    total = np.zeros((len(time_s), width))
    for sine in range(sines):
        angle = 2 * np.pi * time_s[:, None] * frequency[sine] + phase[sine]
        total += amplitude[sine] * np.sin(angle)
    return total


def soft_limit(values: np.ndarray, limit: float | np.ndarray) -> np.ndarray:
    """Keep values within ±limit without a corner: nearly unchanged up to half of it."""
    return limit * np.tanh(values / limit)


def united(*weights: np.ndarray) -> np.ndarray:
    """Several causes of one thing: 1 − (1 − a)(1 − b)…, which stays within 0…1 without a corner."""
    rest = 1.0 - weights[0]
    for weight in weights[1:]:
        rest = rest * (1.0 - weight)
    return 1.0 - rest
