"""The inner loops of the emulator: what each pixel sees, and the events that it sends."""

import numpy as np

from cs3d_ros.kernels import kernel

RANDOM_STEP = 0x9E3779B97F4A7C15
"""From one pixel to the next, the state of the random numbers advances by this, modulo 2^64."""

# SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
_STEP = np.uint64(RANDOM_STEP)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)

# Of 64 random bits 12 choose the leak's jitter, the others are the uniform number of shot noise.
_JITTER_BITS = np.uint64(12)
_JITTER_MASK = np.uint64(4095)
_UNIT = 1 << 52

_ON, _OFF = 1, 2
_MAX_COUNT = float(1 << 30)

TABLE_STEPS = 16
"""Entries of the table of logarithms for each step of the intensity; between them it is linear."""

# So many pixels at a time stay in the cache from one step of the model to the next.
_BLOCK = 4096


@kernel
def sense(frame: np.ndarray, table: np.ndarray, light: np.ndarray, response: np.ndarray) -> None:
    """What comes in: intensity relative to full light, and its lin-log.

    Args:
        frame: Intensity, shape (n,), uint8 or float32; cut to 0…255.
        table: Lin-log of 0, 1/16, 2/16 … 255 and one value more, float32.
        light: (I + 20)/275, shape (n,), float32, written.
        response: Lin-log, shape (n,), float32, written.

    """
    for i in range(frame.size):
        intensity = min(max(np.float32(frame[i]), np.float32(0.0)), np.float32(255.0))
        place = intensity * np.float32(TABLE_STEPS)
        k = np.uintp(place)
        part = place - np.float32(k)
        response[i] = table[k] + (table[k + np.uintp(1)] - table[k]) * part
        light[i] = (intensity + np.float32(20.0)) * np.float32(1.0 / 275.0)


@kernel
def _low_pass(
    light: np.ndarray, response: np.ndarray, factor: float, low_passed: np.ndarray
) -> None:
    if factor == 0.0:
        low_passed[:] = response
        return
    for i in range(light.size):
        share = min(1.0, light[i] * factor)
        low_passed[i] += share * (response[i] - low_passed[i])


@kernel
def _draw(random: np.uint64, bits: np.ndarray) -> None:
    for i in range(bits.size):
        random += _STEP
        mixed = (random ^ (random >> _30)) * _MIX_1
        mixed = (mixed ^ (mixed >> _27)) * _MIX_2
        bits[i] = mixed ^ (mixed >> _31)


@kernel
def _leak(
    bits: np.ndarray,
    normal: np.ndarray,
    rate: np.ndarray,
    dt_s: float,
    jitter: float,
    base: np.ndarray,
) -> None:
    for i in range(base.size):
        base[i] -= dt_s * rate[i] * (1.0 - jitter * normal[bits[i] & _JITTER_MASK])


@kernel
def _compare(
    low_passed: np.ndarray,
    base: np.ndarray,
    on: np.ndarray,
    off: np.ndarray,
    first: int,
    active: np.ndarray,
    counts: np.ndarray,
) -> tuple[int, int]:
    """List the pixels, counted from `first` on, with events and how many; see `respond`."""
    n = np.uintp(0)
    total = 0
    for i in range(base.size):
        change = low_passed[i] - base[i]
        if -off[i] < change < on[i]:
            continue
        threshold = on[i] if change > 0.0 else off[i]
        count = int(min(abs(change) / threshold, _MAX_COUNT))
        active[n] = first + i
        counts[n] = count if change > 0.0 else -count
        n += np.uintp(1)
        total += count
    return int(n), total


@kernel
def _shoot(
    bits: np.ndarray,
    light: np.ndarray,
    on_chance: np.ndarray,
    off_chance: np.ndarray,
    factor: float,
    first: int,
    noise: np.ndarray,
) -> int:
    """List the pixels, counted from `first` on, with shot noise; see `respond`."""
    n = np.uintp(0)
    for i in range(bits.size):
        unit = np.int64(bits[i] >> _JITTER_BITS)
        chance = factor * (1.0 - 0.75 * light[i]) * _UNIT
        is_on = unit > _UNIT - chance * on_chance[i]
        is_off = unit < chance * off_chance[i]
        if is_on or is_off:
            noise[n] = (first + i) << 2 | is_on * _ON | is_off * _OFF
            n += np.uintp(1)
    return int(n)


@kernel
def respond(
    frame: np.ndarray,
    tables: tuple[np.ndarray, np.ndarray],
    state: tuple[np.ndarray, np.ndarray],
    pixels: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    factors: tuple[float, float, float, float],
    random: np.uint64,
    lists: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[int, int, int]:
    """Low-pass, leak and comparison of all pixels, and the draw of shot noise.

    Args:
        frame: Intensity, shape (n,), uint8 or float32.
        tables: The one for `sense`; 4096 equally probable values of the normal distribution.
        state: What is behind the low-pass, and the base that it is compared with, shape (n,),
            float64, changed in place.
        pixels: ON thresholds, OFF thresholds, leak per s, and the nominal thresholds relative to
            each pixel's, ON and OFF; shape (n,), float32.
        factors: dt·2π·cutoff (0: no low-pass), dt of the leak in s (0: none), jitter of the leak,
            dt·rate/2 of the shot noise (0: none).
        random: State of the random numbers.
        lists: Room for the results, each shape (n,), int32: pixels with events; how many, negative
            for OFF; pixels with shot noise, times 4, plus 1 for ON and 2 for OFF.

    Returns:
        Pixels with events, pixels with shot noise, and the events of the former.
    """
    table, normal = tables
    low_passed, base = state
    on, off, leak, on_chance, off_chance = pixels
    cutoff, leak_dt, jitter, shot = factors
    active, counts, noise = lists
    light = np.empty(_BLOCK, np.float32)
    response = np.empty(_BLOCK, np.float32)
    bits = np.zeros(_BLOCK, np.uint64)
    n_active = 0
    n_noise = 0
    total = 0
    for a in range(0, frame.size, _BLOCK):
        b = min(a + _BLOCK, frame.size)
        size = b - a
        sense(frame[a:b], table, light, response)
        _low_pass(light[:size], response[:size], cutoff, low_passed[a:b])
        if shot > 0.0 or (leak_dt > 0.0 and jitter > 0.0):
            _draw(random + np.uint64(a) * _STEP, bits[:size])
        if leak_dt > 0.0:
            _leak(bits, normal, leak[a:b], leak_dt, jitter, base[a:b])
        found, events = _compare(
            low_passed[a:b], base[a:b], on[a:b], off[a:b], a, active[n_active:], counts[n_active:]
        )
        n_active += found
        total += events
        if shot > 0.0:
            n_noise += _shoot(
                bits[:size], light, on_chance[a:b], off_chance[a:b], shot, a, noise[n_noise:]
            )
    return n_active, n_noise, total


@kernel
def emit(
    lists: tuple[np.ndarray, np.ndarray, np.ndarray],
    sizes: tuple[int, int],
    state: tuple[np.ndarray, np.ndarray],
    thresholds: tuple[np.ndarray, np.ndarray],
    last_ns: np.ndarray,
    times: tuple[int, int, int],
    limits: tuple[int, int],
    events: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> tuple[int, int]:
    """Write the events of one frame and move the pixels' base by what was sent.

    Args:
        lists: As `respond` has left them; used up.
        sizes: Pixels with events, pixels with shot noise.
        state: As for `respond`.
        thresholds: ON and OFF thresholds, shape (n,), float32.
        last_ns: Time of each pixel's last event that was no noise, shape (n,), int64, changed.
        times: The frame before, dt and the refractory period in ns.
        limits: Pixels in a row, and how many events without shot noise are written at most.
        events: Room for (t_ns, x, y, p).

    Returns:
        Events written, and those put off because of the limit.
    """
    active, counts, noise = lists
    n_active, n_noise = sizes
    low_passed, base = state
    on, off = thresholds
    begin_ns, dt_ns, refractory_ns = times
    width, most = limits
    t_ns, xs, ys, ps = events

    # Before the events move the base, as the model has it.
    for j in range(n_noise):
        i = noise[j] >> 2
        base[i] = low_passed[i]

    rounds = 0
    total = 0
    for j in range(n_active):
        rounds = max(rounds, abs(counts[j]))
        total += abs(counts[j])
    step_ns = dt_ns / max(rounds, 1)
    rests = refractory_ns > step_ns
    n = 0
    dropped = 0
    for k in range(rounds):
        if n >= most:
            break
        now_ns = begin_ns + int(np.rint((k + 1) * step_ns))
        left = 0
        for j in range(n_active):
            i = active[j]
            count = counts[j]
            if n >= most:
                break
            if rests and now_ns - last_ns[i] <= refractory_ns:
                dropped += 1
            else:
                last_ns[i] = now_ns
                t_ns[n] = now_ns
                ys[n] = i // width
                xs[n] = i % width
                ps[n] = count > 0
                n += 1
                if count > 0:
                    base[i] += on[i]
                else:
                    base[i] -= off[i]
            if abs(count) > k + 1:
                active[left] = i
                counts[left] = count
                left += 1
        n_active = left
    deferred = total - n - dropped

    now_ns = begin_ns + dt_ns
    for j in range(n_noise):
        i = noise[j] >> 2
        for polarity, bit in ((1, _ON), (0, _OFF)):
            if noise[j] & bit:
                t_ns[n] = now_ns
                ys[n] = i // width
                xs[n] = i % width
                ps[n] = polarity
                n += 1
    return n, deferred
