"""A fake `pynvml` with one board that draws what the test says.

It has the names, numbers, signatures and exceptions of nvidia-ml-py, as far as they are used;
`test_nvml.py` compares them with the real module where that is installed.
"""

import ctypes
from types import ModuleType
from typing import Any

ERRORS = {
    "Uninitialized": 1,
    "InvalidArgument": 2,
    "NotSupported": 3,
    "NoPermission": 4,
    "DriverNotLoaded": 9,
    "LibraryNotFound": 12,
    "FunctionNotFound": 13,
    "GpuIsLost": 15,
    "ResetRequired": 16,
    "LibRmVersionMismatch": 18,
    "Unknown": 999,
}
TEXTS = {
    1: "Uninitialized",
    2: "Invalid Argument",
    3: "Not Supported",
    4: "Insufficient Permissions",
    9: "Driver Not Loaded",
    12: "NVML Shared Library Not Found",
    13: "Function Not Found",
    15: "GPU is lost",
    16: "GPU requires restart",
    18: "RM has detected an NVML/RM version mismatch.",
    999: "Unknown Error",
}


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        self.value = value

    def __str__(self) -> str:
        return TEXTS.get(self.value, f"NVML Error with code {self.value}")


class Value(ctypes.Union):
    _fields_ = (
        ("dVal", ctypes.c_double),
        ("uiVal", ctypes.c_uint),
        ("ulVal", ctypes.c_ulong),
        ("ullVal", ctypes.c_ulonglong),
        ("sllVal", ctypes.c_longlong),
        ("siVal", ctypes.c_int),
        ("usVal", ctypes.c_ushort),
    )


class FieldValue(ctypes.Structure):
    _fields_ = (
        ("fieldId", ctypes.c_uint32),
        ("scopeId", ctypes.c_uint32),
        ("timestamp", ctypes.c_int64),
        ("latencyUsec", ctypes.c_int64),
        ("valueType", ctypes.c_uint),
        ("nvmlReturn", ctypes.c_uint),
        ("value", Value),
    )


class FakeNvml(ModuleType):
    """A machine with `count` GPUs; each of the `…_mw`, `…_mj` and modes may be an error number.

    Errors are given as `ERRORS` has them, negative, so that they differ from values.
    """

    NVMLError = NVMLError
    NVML_SUCCESS = 0
    NVML_DEVICE_MIG_ENABLE = 1
    NVML_FI_DEV_POWER_INSTANT = 186

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.users = 0
        self.count = 1
        self.init_error = 0
        self.handle_error = 0
        self.instant_mw: float = 100_000
        self.instant_type = 1
        self.usage_mw: int = 90_000
        self.total_mj: int = 5_000_000
        self.mig: int = -3
        self.capability: tuple[int, int] | int = (8, 9)

    def _answer(self, value: Any) -> Any:
        if self.users == 0:
            raise NVMLError(1)
        if isinstance(value, int) and value < 0:
            raise NVMLError(-value)
        return value

    def nvmlInit(self) -> None:
        if self.init_error:
            raise NVMLError(-self.init_error)
        self.users += 1

    def nvmlShutdown(self) -> None:
        self._answer(0)
        self.users -= 1

    def nvmlDeviceGetCount(self) -> int:
        return int(self._answer(self.count))

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        self._answer(self.handle_error)
        return int(self._answer(index if 0 <= index < self.count else -2))

    def nvmlDeviceGetFieldValues(self, handle: int, fieldIds: list[int]) -> Any:
        self._answer(handle)
        values = (FieldValue * len(fieldIds))()
        for value, field in zip(values, fieldIds, strict=True):
            value.fieldId = field
            value.valueType = self.instant_type
            if field != self.NVML_FI_DEV_POWER_INSTANT:
                value.nvmlReturn = 2
            elif isinstance(self.instant_mw, int) and self.instant_mw < 0:
                value.nvmlReturn = -self.instant_mw
            elif self.instant_type < len(Value._fields_):
                setattr(value.value, Value._fields_[self.instant_type][0], self.instant_mw)
        return values

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return int(self._answer(self.usage_mw))

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        return int(self._answer(self.total_mj))

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:
        return [self._answer(self.mig), self.mig]

    def nvmlDeviceGetCudaComputeCapability(self, handle: int) -> Any:
        return self._answer(self.capability)
