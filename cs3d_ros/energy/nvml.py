"""Power and energy of an NVIDIA graphics board from NVML, the driver's own library."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from cs3d_ros.energy.polled import PolledPowerSource
from cs3d_ros.energy.source import PowerReading, PowerSourceError
from cs3d_ros.errors import Cs3dError
from cs3d_ros.extras import load_extra

_NEEDED = (
    "nvmlDeviceGetCount",
    "nvmlDeviceGetCudaComputeCapability",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlInit",
    "nvmlShutdown",
    "NVMLError",
    "NVML_DEVICE_MIG_ENABLE",
    "NVML_FI_DEV_POWER_INSTANT",
    "NVML_SUCCESS",
)

# Which member of nvmlValue_t holds the value, by nvmlValueType_t.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")

_GA100 = (8, 0)
_MEAN_S = 1.0
_MAX_POWER_W = 10_000.0
_LATE_S = 1.0
_STUCK_S = 10.0

# By nvmlReturn_t.
_ADVICE = {
    4: "This user may not ask the driver: look at the permissions of /dev/nvidia*.",
    9: "The kernel module is not loaded: try `nvidia-smi`, reinstall the driver, or reboot.",
    12: "There is no NVIDIA driver; a container gets the host's when it is started with "
    "`--gpus all` and NVIDIA_DRIVER_CAPABILITIES=compute,utility.",
    15: "The GPU has fallen off its bus; `dmesg` says more, and it takes a reboot.",
    16: "The GPU waits for a reset: `sudo nvidia-smi --gpu-reset`, or reboot.",
    18: "The driver was updated while its old kernel module is still loaded: reboot.",
    999: "`dmesg` and `nvidia-smi` may say more.",
}


class Nvml(PolledPowerSource):
    """The board power of one GPU, of all processes together, and the energy the board has counted.

    The counter (millijoules since the driver was loaded; Volta and newer) knows what happened
    between two readings; it moves in steps of up to 100 ms. One that does not move at all for ten
    seconds is not used.

    The power is the instantaneous one where the driver has it: it belongs to the moment at which
    it is read, so that a stretch of work begins and ends where it does. On A100 and H100 the sensor
    looks at 25 ms of every 100 ms only (arXiv:2312.02741). Elsewhere it is what
    `nvmlDeviceGetPowerUsage` gives: a mean over the last second on GPUs newer than GA100, the
    instantaneous power on GA100 and before (NVML API reference, Device Queries).
    """

    name = "nvml"
    scope = "gpu"

    def __init__(self, interval_ms: int, gpu_index: int = 0) -> None:
        """Sample every `interval_ms` milliseconds.

        Args:
            interval_ms: Sampling interval in milliseconds.
            gpu_index: Which GPU, in the numbering of `nvidia-smi -L`, which does not follow
                CUDA_VISIBLE_DEVICES.
        """
        super().__init__(interval_ms)
        self._gpu_index = gpu_index
        self._nvml: Any = None
        self._gpu: Any = None
        self._read_mw: Callable[[], float] = self._usage_mw
        self._counts = False
        self._counted_j = 0.0
        self._counted_ns: int | None = None
        self._moved_ns = 0

    def open(self) -> None:
        """Initialise NVML, find the GPU, and find out what it measures.

        Raises:
            PowerSourceError: pynvml, the driver or the GPU is missing, or gives no power.
        """
        nvml = _load_pynvml()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise _failure("NVML does not start", error) from None
        self._nvml = nvml
        try:
            self._gpu = nvml.nvmlDeviceGetHandleByIndex(self._gpu_index)
        except nvml.NVMLError as error:
            raise _failure(
                f"no access to GPU {self._gpu_index} ({self._census()})", error
            ) from None
        self._choose_power()
        self._counted_ns = None
        try:
            self._total_j()
            self._counts = True
        except nvml.NVMLError:
            self._counts = False

    def sample(self) -> PowerReading:
        """Return the power of this moment, with the counter where there is one.

        Raises:
            PowerSourceError: The GPU or the driver is gone, the counter was set back, or a value
                cannot be.
        """
        try:
            power_w = self._power_w()
            energy_j = self._total_j() if self._counts else None
        except self._nvml.NVMLError as error:
            raise _failure(f"GPU {self._gpu_index} can no longer be read", error) from None
        t_ns = time.monotonic_ns()
        if energy_j is not None:
            self._check_counter(energy_j, t_ns)
        return PowerReading(
            t_ns=t_ns,
            rails=(f"gpu{self._gpu_index}",),
            rail_power_w=(power_w,),
            power_w=power_w,
            estimated=False,
            energy_j=energy_j if self._counts else None,
        )

    def close(self) -> None:
        """Give NVML back, as often as it was taken."""
        nvml, self._nvml, self._gpu = self._nvml, None, None
        if nvml is not None:
            with suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def _choose_power(self) -> None:
        """Find out by a reading which power there is.

        That NVML starts and lists a GPU says nothing: it does so on a Jetson, without any power.
        """
        nvml = self._nvml
        # Some drivers know the field without giving it a value.
        with suppress(nvml.NVMLError, PowerSourceError):
            self._read_mw = self._instant_mw
            self._power_w()
            self.averaging_s = 0.0
            return
        self._read_mw = self._usage_mw
        try:
            self._power_w()
        except nvml.NVMLError as error:
            why = (
                "It is split by MIG: measure where the whole GPU can be seen."
                if self._is_split()
                else "NVML measures nothing on Jetson modules, use the source tegrastats there; "
                "virtual GPUs and some laptop GPUs measure no power at all."
            )
            raise _failure(f"GPU {self._gpu_index} gives no power", error, why) from None
        self.averaging_s = _MEAN_S
        with suppress(nvml.NVMLError):
            if nvml.nvmlDeviceGetCudaComputeCapability(self._gpu) <= _GA100:
                self.averaging_s = 0.0

    def _power_w(self) -> float:
        power_w = self._read_mw() / 1000.0
        # Also false for NaN. A board that answers draws something.
        if not 0.0 < power_w <= _MAX_POWER_W:
            raise PowerSourceError(
                f"nvml: GPU {self._gpu_index} reports {power_w:g} W, which cannot be"
            )
        return power_w

    def _instant_mw(self) -> float:
        nvml = self._nvml
        field = nvml.nvmlDeviceGetFieldValues(self._gpu, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
        if field.nvmlReturn != nvml.NVML_SUCCESS:
            raise nvml.NVMLError(field.nvmlReturn)
        if field.valueType >= len(_MEMBERS):
            raise PowerSourceError(f"nvml: power in a format of unknown number {field.valueType}")
        return float(getattr(field.value, _MEMBERS[field.valueType]))

    def _usage_mw(self) -> float:
        return float(self._nvml.nvmlDeviceGetPowerUsage(self._gpu))

    def _total_j(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1000.0

    def _check_counter(self, energy_j: float, t_ns: int) -> None:
        if self._counted_ns is None:
            self._moved_ns = t_ns
        else:
            step_j = energy_j - self._counted_j
            seconds = (t_ns - self._counted_ns) * 1e-9
            if not 0.0 <= step_j <= _MAX_POWER_W * (seconds + _LATE_S):
                raise PowerSourceError(
                    f"nvml: the energy counter of GPU {self._gpu_index} leapt from "
                    f"{self._counted_j:g} J to {energy_j:g} J: the driver was reloaded or the GPU "
                    "reset"
                )
            if step_j > 0.0:
                self._moved_ns = t_ns
        self._counted_j, self._counted_ns = energy_j, t_ns
        # It would pass for a board that draws nothing.
        self._counts = t_ns - self._moved_ns < _STUCK_S * 1e9

    def _census(self) -> str:
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError:
            return "compare with `nvidia-smi -L`"
        return f"NVML knows {count}, numbered from 0 as by `nvidia-smi -L`"

    def _is_split(self) -> bool:
        try:
            mode, _ = self._nvml.nvmlDeviceGetMigMode(self._gpu)
        except self._nvml.NVMLError:
            return False
        return bool(mode == self._nvml.NVML_DEVICE_MIG_ENABLE)


def _load_pynvml() -> Any:
    try:
        nvml = load_extra("pynvml", "energy")
    except Cs3dError as error:
        raise PowerSourceError(f"nvml: {error}") from None
    missing = [name for name in _NEEDED if not hasattr(nvml, name)]
    if missing:
        raise PowerSourceError(
            f"nvml: the module pynvml that is installed lacks {missing[0]}; replace it by: "
            "pip install 'cs3d_ros[energy]'"
        )
    return nvml


def _failure(what: str, error: Any, why: str = "") -> PowerSourceError:
    advice = why or _ADVICE.get(error.value, "")
    return PowerSourceError(f"nvml: {what}: {str(error).rstrip('.')}. {advice}".rstrip())
