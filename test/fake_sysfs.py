"""Fake sysfs trees: power monitors of Jetson modules, and processors that count their energy."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

# Label, millivolts, milliamperes; None for a channel that the device tree does not describe.
Channel = tuple[str, int, int] | None


@dataclass(frozen=True)
class Module:
    """A Jetson module under one JetPack: its driver, and the channels of every chip."""

    driver: str
    chips: dict[str, tuple[Channel, Channel, Channel]]


NANO_JP4 = Module(
    "ina3221x",
    {"6-0040": (("POM_5V_IN", 5040, 347), ("POM_5V_GPU", 5032, 0), ("POM_5V_CPU", 5032, 73))},
)
TX2_JP4 = Module(
    "ina3221x",
    {
        "0-0040": (
            ("VDD_SYS_GPU", 19128, 8),
            ("VDD_SYS_SOC", 19120, 20),
            ("VDD_4V0_WIFI", 4792, 0),
        ),
        "0-0041": (("VDD_IN", 19136, 98), ("VDD_SYS_CPU", 19128, 12), ("VDD_SYS_DDR", 4776, 24)),
        "0-0042": (
            ("VDD_MUX", 19112, 180),
            ("VDD_5V0_IO_SYS", 4984, 112),
            ("VDD_3V3_SYS", 3312, 88),
        ),
        "0-0043": (
            ("VDD_3V3_IO_SLP", 3304, 4),
            ("VDD_1V8_IO", 1800, 36),
            ("VDD_3V3_SYS_M2", 3304, 0),
        ),
    },
)
AGX_XAVIER_JP4 = Module(
    "ina3221x",
    {
        "1-0040": (("GPU", 19152, 24), ("CPU", 19152, 32), ("SOC", 19144, 153)),
        "1-0041": (("CV", 19152, 0), ("VDDRQ", 19152, 16), ("SYS5V", 19136, 172)),
    },
)
XAVIER_NX_JP4 = Module(
    "ina3221x",
    {"7-0040": (("VDD_IN", 5000, 780), ("VDD_CPU_GPU_CV", 5000, 266), ("VDD_SOC", 5000, 199))},
)
XAVIER_NX_JP5 = Module("ina3221", XAVIER_NX_JP4.chips)
AGX_ORIN_JP5 = Module(
    "ina3221",
    {
        "1-0040": (
            ("VDD_GPU_SOC", 19000, 120),
            ("VDD_CPU_CV", 19000, 20),
            ("VIN_SYS_5V0", 5000, 800),
        ),
        "1-0041": (("NC", 0, 3), ("VDDQ_VDD2_1V8AO", 5000, 60), ("NC", 0, 0)),
    },
)
# The same without descriptions of what is not connected.
AGX_ORIN_JP6 = Module(
    "ina3221", {**AGX_ORIN_JP5.chips, "1-0041": (None, ("VDDQ_VDD2_1V8AO", 5000, 60), None)}
)
ORIN_NANO_JP6 = Module(
    "ina3221",
    {"1-0040": (("VDD_IN", 4968, 960), ("VDD_CPU_GPU_CV", 4960, 104), ("VDD_SOC", 4960, 288))},
)


class FakeJetson:
    """A folder that looks like the /sys of a module.

    Attributes:
        root: The folder.
        hwmon: Number of the first hardware monitor or industrial I/O device.
    """

    def __init__(self, root: Path, module: Module, *, hwmon: int = 3) -> None:
        self.root = root
        self._module = module
        self.boot(hwmon)

    def boot(self, hwmon: int) -> None:
        """Give every chip a new folder, numbered from `hwmon` on."""
        for number, (chip, channels) in enumerate(self._module.chips.items(), hwmon):
            device = self.root / "devices" / f"i2c-{chip.partition('-')[0]}" / chip
            link = self.root / "bus/i2c/drivers" / self._module.driver / chip
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                device.mkdir(parents=True)
                link.symlink_to(os.path.relpath(device, link.parent))
            if self._module.driver == "ina3221x":
                self._fill_iio(_fresh(device, "iio:device", number), channels)
                (device / "iio_device").unlink(missing_ok=True)
                (device / "iio_device").symlink_to(f"iio:device{number}")
            else:
                (device / "hwmon").mkdir(exist_ok=True)
                self._fill_hwmon(_fresh(device / "hwmon", "hwmon", number), channels)

    def file(self, name: str, chip: str = "") -> Path:
        """The file of that name on the chip of that bus and address."""
        (path,) = (self.root / "devices").glob(f"*/*{chip}/**/{name}")
        return path

    def files(self) -> list[Path]:
        return sorted(path for path in (self.root / "devices").rglob("*") if path.is_file())

    def _fill_iio(self, folder: Path, channels: tuple[Channel, ...]) -> None:
        for number, channel in enumerate(channels):
            label, millivolts, milliamperes = channel or ("", 0, 0)
            _write(folder / f"rail_name_{number}", label)
            _write(folder / f"in_voltage{number}_input", millivolts)
            _write(folder / f"in_current{number}_input", milliamperes)
            _write(folder / f"in_power{number}_input", millivolts * milliamperes // 1000)
            _write(folder / f"warn_current_limit_{number}", 32760)
            _write(folder / f"crit_current_limit_{number}", 32760)

    def _fill_hwmon(self, folder: Path, channels: tuple[Channel, ...]) -> None:
        _write(folder / "name", "ina3221")
        for number, channel in enumerate(channels, 1):
            if channel is not None:
                label, millivolts, milliamperes = channel
                _write(folder / f"in{number}_label", label)
                _write(folder / f"in{number}_input", millivolts)
                _write(folder / f"curr{number}_input", milliamperes)
                _write(folder / f"curr{number}_max", 32760)
            _write(folder / f"in{number + 3}_input", 40)
        _write(folder / "in7_label", "sum of shunt voltages")
        _write(folder / "in7_input", 12345)
        _write(folder / "curr4_input", 5432)


RANGE_UJ = 262_143_328_850


class FakeProcessors:
    """A folder that looks like the /sys of a desktop with two processors.

    Attributes:
        root: The folder.
        zones: The folder of each zone.
    """

    def __init__(self, root: Path, *, range_uj: int = RANGE_UJ, start_uj: int = 7_000_000) -> None:
        self.root = root
        self._range_uj = range_uj
        self.zones = {
            zone: self._add_zone(zone, name, start_uj)
            for zone, name in (
                ("intel-rapl:0", "package-0"),
                ("intel-rapl:0:0", "core"),
                ("intel-rapl:0:1", "dram"),
                ("intel-rapl:1", "psys"),
                ("intel-rapl:2", "package-1"),
                ("intel-rapl:2:0", "core"),
                ("intel-rapl:10", "package-2-die-1"),
                ("intel-rapl-mmio:0", "package-0"),
            )
        }

    def counter(self, zone: str) -> Path:
        return self.zones[zone] / "energy_uj"

    def spend(self, zone: str, microjoules: int) -> None:
        """Count on, with a wrap where it comes."""
        now_uj = (int(self.counter(zone).read_text()) + microjoules) % self._range_uj
        # In one go and never shorter than before, for a reader must not see half of it.
        with self.counter(zone).open("rb+", buffering=0) as file:
            file.write(b"%-20d\n" % now_uj)

    def _add_zone(self, zone: str, name: str, start_uj: int) -> Path:
        device = self.root / "devices/virtual/powercap" / zone
        device.mkdir(parents=True)
        _write(device / "name", name)
        _write(device / "max_energy_range_uj", self._range_uj)
        _write(device / "energy_uj", start_uj)
        link = self.root / "class/powercap" / zone
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(device, link.parent))
        return device


def deny(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let no file of that name be opened, for root neither."""
    really_open = os.open

    def denying_open(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(path, flags, mode)

    monkeypatch.setattr(os, "open", denying_open)


def unplug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files that are open answer as the kernel does once their device is gone."""

    def pread(file: int, length: int, offset: int) -> bytes:
        raise OSError(19, "No such device")

    monkeypatch.setattr(os, "pread", pread)


def open_files() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _fresh(parent: Path, stem: str, number: int) -> Path:
    for old in parent.glob(f"{stem}*"):
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    folder = parent / f"{stem}{number}"
    folder.mkdir()
    return folder


def _write(path: Path, content: str | int) -> None:
    path.write_text(f"{content}\n")
