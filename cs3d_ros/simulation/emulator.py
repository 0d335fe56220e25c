"""Frames to events by the pixel model of v2e."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE, Events
from cs3d_ros.simulation.errors import SimulationError
from cs3d_ros.simulation.pixels import RANDOM_STEP, TABLE_STEPS, emit, respond, sense
from cs3d_ros.simulation.settings import MIN_THRESHOLD, EmulatorSettings

MAX_EVENTS_PER_FRAME = 1 << 23
"""More events than these between two frames come out with the next frames."""

# The difference of any two times, and of one to that of no event at all, fits into int64 ns.
_MAX_TIME_S = 4e9
_NEVER_NS = np.iinfo(np.int64).min // 2
_LINEAR_UP_TO = 20.0

# The normal distribution as 4096 equally probable values, scaled to a variance of exactly 1.
_QUANTILES = np.array([NormalDist().inv_cdf((k + 0.5) / 4096) for k in range(4096)])
_NORMAL = (_QUANTILES / _QUANTILES.std()).astype(np.float32)


def lin_log(intensity: np.ndarray) -> np.ndarray:
    """Logarithm of the intensity, linear up to 20 so that noise in the dark is not blown up.

    Args:
        intensity: 0…255, any shape.

    Returns:
        I·ln(20)/20 up to 20 and ln(I) above, float32, the same shape.
    """
    intensity = np.asarray(intensity, np.float32)
    slope = np.float32(math.log(_LINEAR_UP_TO) / _LINEAR_UP_TO)
    logarithm = np.log(np.maximum(intensity, np.float32(_LINEAR_UP_TO)))
    return np.where(intensity <= _LINEAR_UP_TO, intensity * slope, logarithm)


# One entry more than needed, to interpolate towards.
_TABLE = lin_log(np.arange(255 * TABLE_STEPS + 2) / TABLE_STEPS)


class Emulator:
    """An event camera that looks at frames.

    Each pixel follows the model of v2e: lin-log response, low-pass with a cutoff in proportion to
    the intensity, leak, comparison with two thresholds, refractory period, shot noise. Of a frame
    in which some pixel has K events, all events lie at K evenly spaced times up to the frame's.

    Where the model leaves something open: the refractory period counts from the last event that
    was no shot noise; events of equal times are ordered by rows, then columns (v2e shuffles them),
    and shot noise comes after the others.

    The same settings, seed and frames give the same events.

    Args:
        settings: What the pixels are like.
        height: Height of the frames in pixels.
        width: Width of the frames in pixels.
        seed: Of all randomness, not negative.

    Attributes:
        deferred: Events that were put off to later frames, because one frame would have made more
            than `MAX_EVENTS_PER_FRAME`.

    Raises:
        SimulationError: A size that no sensor has, or a negative seed.
    """

    def __init__(self, settings: EmulatorSettings, height: int, width: int, seed: int) -> None:
        if not (0 < width <= MAX_SENSOR_SIDE and 0 < height <= MAX_SENSOR_SIDE):
            raise SimulationError(
                f"frames of {width}x{height} pixels, expected 1 to {MAX_SENSOR_SIDE} on each side"
            )
        if seed < 0:
            raise SimulationError(f"a seed of {seed}, expected a whole number from 0 on")
        self.settings = settings
        self.height = height
        self.width = width
        self.deferred = 0
        n = height * width
        rng = np.random.default_rng(seed)
        # Drawn also where they have no effect, so that one setting does not change another's noise.
        self._on = _thresholds(rng, settings.positive_threshold, settings.threshold_sigma, n)
        self._off = _thresholds(rng, settings.negative_threshold, settings.threshold_sigma, n)
        spread = np.exp(math.log(10) * settings.leak_decades * rng.standard_normal(n))
        self._leak = (settings.leak_rate_hz * spread * self._on).astype(np.float32)
        self._on_chance = (settings.positive_threshold / self._on).astype(np.float32)
        self._off_chance = (settings.negative_threshold / self._off).astype(np.float32)
        self._key = int(rng.integers(1 << 64, dtype=np.uint64))
        self._frames = 0
        self._t_ns = 0
        self._low_passed = np.empty(n)
        self._base = np.empty(n)
        self._last_ns = np.full(n, _NEVER_NS)
        self._active = np.empty(n, np.int32)
        self._counts = np.empty(n, np.int32)
        self._noise = np.empty(n, np.int32)

    @property
    def low_passed(self) -> np.ndarray:
        """The pixels' log intensity behind the low-pass, shape (H, W), float64, a copy."""
        return self._low_passed.reshape(self.height, self.width).copy()

    def feed(self, frame: np.ndarray, t_s: float) -> Events:
        """The events from the frame before up to this one; none for the first.

        Args:
            frame: Intensity 0…255 (gamma-encoded, as videos have it), shape (H, W), uint8 or a
                floating type. Values outside of 0…255 are cut to it.
            t_s: Time of the frame in s, later than the one before.

        Returns:
            Events in ascending order of time.

        Raises:
            SimulationError: A frame of another size or type or with values that are no numbers, or
                a time that is not after the one before. The emulator is as it was before.
        """
        frame = self._checked(frame, t_s)
        t_ns = round(t_s * 1e9)
        if self._frames and t_ns <= self._t_ns:
            raise SimulationError(
                f"a frame at {t_ns} ns after one at {self._t_ns} ns, expected ascending times"
            )
        if self._frames:
            events = self._events(frame, t_ns)
        else:
            response = np.empty(frame.size, np.float32)
            sense(frame, _TABLE, np.empty_like(response), response)
            self._low_passed[:] = response
            self._base[:] = response
            events = Events.empty()
        self._frames += 1
        self._t_ns = t_ns
        return events

    def _checked(self, frame: np.ndarray, t_s: float) -> np.ndarray:
        """The frame as a flat array, uint8 or float32 of 0…255."""
        expected = (self.height, self.width)
        if frame.shape != expected:
            raise SimulationError(
                f"a frame of the shape {frame.shape}, expected {expected} as the ones before"
            )
        if not (math.isfinite(t_s) and 0 <= t_s <= _MAX_TIME_S):
            raise SimulationError(f"a frame at {t_s} s, expected a time from 0 to {_MAX_TIME_S:g}")
        if frame.dtype == np.uint8:
            return np.ascontiguousarray(frame).reshape(-1)
        if not np.issubdtype(frame.dtype, np.floating):
            raise SimulationError(
                f"a frame of {frame.dtype}, expected uint8 or floating point with values 0 to 255"
            )
        with np.errstate(over="ignore"):
            frame = np.ascontiguousarray(frame, np.float32).reshape(-1)
        if not np.isfinite(frame).all():
            raise SimulationError(
                f"the frame at {t_s:g} s has {np.count_nonzero(~np.isfinite(frame))} values that "
                "are no finite numbers"
            )
        return frame

    def _events(self, frame: np.ndarray, t_ns: int) -> Events:
        settings = self.settings
        dt_ns = t_ns - self._t_ns
        dt_s = dt_ns * 1e-9
        n = frame.size
        n_active, n_noise, total = respond(
            frame,
            (_TABLE, _NORMAL),
            (self._low_passed, self._base),
            (self._on, self._off, self._leak, self._on_chance, self._off_chance),
            (
                dt_s * 2 * math.pi * settings.cutoff_hz,
                dt_s if settings.leak_rate_hz else 0.0,
                settings.leak_jitter,
                dt_s * settings.shot_noise_rate_hz / 2,
            ),
            np.uint64((self._key + self._frames * n * RANDOM_STEP) % (1 << 64)),
            (self._active, self._counts, self._noise),
        )
        room = min(total, MAX_EVENTS_PER_FRAME) + 2 * n_noise
        t = np.empty(room, np.int64)
        x, y = np.empty(room, np.uint16), np.empty(room, np.uint16)
        p = np.empty(room, np.uint8)
        written, deferred = emit(
            (self._active, self._counts, self._noise),
            (n_active, n_noise),
            (self._low_passed, self._base),
            (self._on, self._off),
            self._last_ns,
            (self._t_ns, dt_ns, round(settings.refractory_ms * 1e6)),
            (self.width, MAX_EVENTS_PER_FRAME),
            (t, x, y, p),
        )
        self.deferred += deferred
        return Events(t[:written], x[:written], y[:written], p[:written])


def simulate_frames(
    frames: Iterable[tuple[float, np.ndarray]], settings: EmulatorSettings, seed: int
) -> Events:
    """The events of a whole sequence of frames, all in memory.

    Args:
        frames: (time in s, frame), as for `Emulator.feed`; the first decides on the size.
        settings: What the pixels are like.
        seed: Of all randomness.

    Raises:
        SimulationError: There are no frames, or what `Emulator` raises.
    """
    emulator: Emulator | None = None
    parts = []
    for t_s, frame in frames:
        if emulator is None:
            if frame.ndim != 2:
                raise SimulationError(f"a frame of the shape {frame.shape}, expected (H, W)")
            emulator = Emulator(settings, frame.shape[0], frame.shape[1], seed)
        parts.append(emulator.feed(frame, t_s))
    if emulator is None:
        raise SimulationError("no frames to make events from")
    return Events(
        np.concatenate([part.t_ns for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.p for part in parts]),
    )


def warm_up() -> None:
    """Compile the kernels, so that no frame waits for the compiler."""
    for dtype in (np.uint8, np.float32):
        emulator = Emulator(EmulatorSettings(), 1, 1, 0)
        for t_s in (0.0, 1.0):
            emulator.feed(np.zeros((1, 1), dtype), t_s)


def _thresholds(rng: np.random.Generator, mean: float, sigma: float, n: int) -> np.ndarray:
    drawn = mean + sigma * rng.standard_normal(n)
    return np.maximum(drawn, MIN_THRESHOLD).astype(np.float32)
