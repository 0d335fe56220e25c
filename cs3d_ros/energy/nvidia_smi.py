"""Power of an NVIDIA graphics board from `nvidia-smi`, which comes with the driver."""

import re

from cs3d_ros.energy.process import ProcessPowerSource
from cs3d_ros.energy.source import PowerReading

_ROW = re.compile(r"\s*(\d{1,4})\s*,\s*(\d{1,5}(?:\.\d{1,6})?)\s*", re.ASCII)


class NvidiaSmi(ProcessPowerSource):
    """The board power of one GPU, of all processes together.

    `power.draw` is a mean over the last second since Ampere (except GA100), and the instantaneous
    power before. The mean delays what it shows but keeps the energy of anything longer.
    """

    name = "nvidia-smi"
    scope = "gpu"
    averaging_s = 1.0
    hint = (
        "Jetson modules, GPUs in MIG mode and some laptop GPUs report no power: compare with "
        "`nvidia-smi --query-gpu=index,power.draw --format=csv`."
    )

    def __init__(self, interval_ms: int, gpu_index: int = 0) -> None:
        """Sample every `interval_ms` milliseconds.

        Args:
            interval_ms: Sampling interval in milliseconds.
            gpu_index: Which GPU, in the numbering of `nvidia-smi -L`, which does not follow
                CUDA_VISIBLE_DEVICES.
        """
        super().__init__(
            (
                "nvidia-smi",
                f"--id={gpu_index}",
                "--query-gpu=index,power.draw",
                "--format=csv,noheader,nounits",
                f"--loop-ms={interval_ms}",
            )
        )
        self._gpu_index = gpu_index

    def parse(self, line: str, t_ns: int) -> PowerReading | None:
        """Return the reading on a row about this GPU; see `parse_row`."""
        return parse_row(line, t_ns, self._gpu_index)


def parse_row(row: str, t_ns: int, gpu_index: int) -> PowerReading | None:
    """Read the board power from a row of `index, power.draw` without header and units.

    Args:
        row: The row, such as `0, 68.32`.
        t_ns: When it arrived, in nanoseconds of `time.monotonic_ns`.
        gpu_index: The GPU that is wanted.

    Returns:
        The reading in watts, or None if the row is about another GPU, has a placeholder such as
        `[N/A]`, `[Not Supported]` or `[Unknown Error]` for the power, or is no such row at all.
    """
    match = _ROW.fullmatch(row)
    if match is None or int(match[1]) != gpu_index:
        return None
    power_w = float(match[2])
    return PowerReading(t_ns, (f"gpu{gpu_index}",), (power_w,), power_w, estimated=False)
