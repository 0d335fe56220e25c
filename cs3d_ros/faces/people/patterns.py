"""Smooth chance on surfaces: what skin and hair are never without."""

from __future__ import annotations

import numpy as np


def waves(points: np.ndarray, rng: np.random.Generator, lengths: tuple[float, float]) -> np.ndarray:
    """A smooth random field with mean about 0 and standard deviation about 1, shape (n,), float64.

    A sum of plane waves of random directions and phases.

    Args:
        points: Where, shape (n, d).
        rng: Where all chance comes from.
        lengths: Shortest and longest wave, in units of the points.
    """
    count = 24
    directions = rng.standard_normal((count, points.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shortest, longest = np.log(lengths)
    numbers = 2 * np.pi / np.exp(rng.uniform(shortest, longest, count))
    phases = rng.uniform(0, 2 * np.pi, count)
    field = np.zeros(len(points))
    for direction, number, phase in zip(directions, numbers, phases, strict=True):
        field += np.sin(points @ (direction * number) + phase)
    return field * np.sqrt(2 / count)


def step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 up to `low`, 1 from `high` on, smooth between; falling where `high` is the smaller."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def distance_to_line(points: np.ndarray, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of points from a polyline, and where along it the nearest place is.

    Args:
        points: Shape (n, d).
        line: Its corners, shape (m, d), m ≥ 2.

    Returns:
        Distances, shape (n,), and places, shape (n,), from 0 to m − 1.
    """
    nearest = np.full(len(points), np.inf)
    place = np.zeros(len(points))
    for i in range(len(line) - 1):
        along = line[i + 1] - line[i]
        t = np.clip((points - line[i]) @ along / (along @ along + 1e-12), 0, 1)
        distance = np.linalg.norm(points - line[i] - t[:, None] * along, axis=1)
        closer = distance < nearest
        nearest[closer], place[closer] = distance[closer], i + t[closer]
    return nearest, place
