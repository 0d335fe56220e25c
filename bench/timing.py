"""Measuring on a shared machine."""

import statistics
import time
from collections.abc import Callable

MIN_TURNS = 5


def interleaved(
    runs: dict[str, Callable[[], object]], seconds: float, pause_s: float = 0.0
) -> dict[str, float]:
    """Median seconds of each run, measured in turns for at least `seconds` and five turns.

    Whatever else the machine does slows all of them alike, so that their ratios can be compared.
    With a pause before each run, threads of torch that wait actively for some milliseconds after
    their work are not in the way of the next one.
    """
    samples: dict[str, list[float]] = {name: [] for name in runs}
    started = time.perf_counter()
    turns = 0
    while turns < MIN_TURNS or time.perf_counter() - started < seconds:
        for name, run in runs.items():
            time.sleep(pause_s)
            before = time.perf_counter()
            run()
            samples[name].append(time.perf_counter() - before)
        turns += 1
    return {name: statistics.median(values) for name, values in samples.items()}
