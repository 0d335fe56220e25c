"""Finds the power source of this machine by what it delivers, not by what is installed."""

from collections.abc import Callable

from cs3d_ros.energy.ina3221 import Ina3221
from cs3d_ros.energy.jtop import Jtop
from cs3d_ros.energy.nvidia_smi import NvidiaSmi
from cs3d_ros.energy.nvml import Nvml
from cs3d_ros.energy.rapl import Rapl
from cs3d_ros.energy.source import PowerSource, PowerSourceError
from cs3d_ros.energy.tegrastats import Tegrastats

# In the order in which `auto` tries them: a Jetson has NVML and nvidia-smi as well, without power,
# and with a GPU the processor's package is not what is asked for.
_FACTORIES: dict[str, Callable[[int, int], PowerSource]] = {
    "tegrastats": lambda interval_ms, gpu_index: Tegrastats(interval_ms),
    "ina3221": lambda interval_ms, gpu_index: Ina3221(interval_ms),
    "jtop": lambda interval_ms, gpu_index: Jtop(interval_ms),
    "nvml": Nvml,
    "nvidia-smi": NvidiaSmi,
    "rapl": lambda interval_ms, gpu_index: Rapl(interval_ms),
}

SOURCE_NAMES = ("auto", *_FACTORIES)
INTERVAL_MS_RANGE = (10, 1000)


def open_source(
    name: str = "auto", interval_ms: int = 100, *, gpu_index: int = 0, timeout_s: float = 5.0
) -> PowerSource:
    """Start a power source and make sure that it gives readings.

    Args:
        name: One of `SOURCE_NAMES`; `auto` takes the first that gives a reading.
        interval_ms: Sampling interval in milliseconds, within `INTERVAL_MS_RANGE`.
        gpu_index: Which GPU, for sources that know several; numbered as by `nvidia-smi -L`.
        timeout_s: How long each source may take for its first reading, in seconds.

    Returns:
        The source, started; the caller stops it.

    Raises:
        PowerSourceError: If an argument is out of range, or no source gives a reading. The
            message lists what was tried and why each failed.
    """
    shortest, longest = INTERVAL_MS_RANGE
    if not shortest <= interval_ms <= longest:
        raise PowerSourceError(
            f"sampling interval of {interval_ms} ms; expected {shortest} to {longest} ms"
        )
    if name not in SOURCE_NAMES:
        raise PowerSourceError(
            f"no power source is called {name!r}; expected one of {', '.join(SOURCE_NAMES)}"
        )
    failures = []
    for candidate in _FACTORIES if name == "auto" else (name,):
        source = _FACTORIES[candidate](interval_ms, gpu_index)
        try:
            source.start()
            source.read(timeout_s)
        except PowerSourceError as error:
            if name != "auto":
                raise
            failures.append(f"\n  {error}")
        except BaseException:
            # A signal ends the process: the child must not outlive it.
            source.stop()
            raise
        else:
            return source
    raise PowerSourceError(
        f"no power source gives a reading. Tried:{''.join(failures)}\n"
        "On a Jetson put tegrastats on PATH (in a container, mount the host's /usr/bin/tegrastats);"
        " with an NVIDIA GPU install its driver; of a processor, make its energy counter readable."
        " Without any of them, energy cannot be measured on this machine."
    )
