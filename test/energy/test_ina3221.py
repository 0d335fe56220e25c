"""The power monitors of Jetson modules, in the trees of both drivers."""

import math
import re
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_sysfs as fake
from cs3d_ros.energy import PowerReading, PowerSourceError
from cs3d_ros.energy.ina3221 import Ina3221
from fake_sysfs import FakeJetson, Module


def read_once(root: Path) -> PowerReading:
    source = Ina3221(10, root)
    source.start()
    try:
        return source.read(5)
    finally:
        source.stop()


@pytest.mark.parametrize(
    ("module", "power_w", "rails"),
    [
        (fake.NANO_JP4, 1.748, {"POM_5V_IN": 1.748, "POM_5V_GPU": 0.0, "POM_5V_CPU": 0.367}),
        (
            fake.TX2_JP4,
            1.875,
            {
                "VDD_SYS_GPU": 0.153,
                "VDD_SYS_SOC": 0.382,
                "VDD_4V0_WIFI": 0.0,
                "VDD_IN": 1.875,
                "VDD_SYS_CPU": 0.229,
                "VDD_SYS_DDR": 0.114,
                "VDD_MUX": 3.440,
                "VDD_5V0_IO_SYS": 0.558,
                "VDD_3V3_SYS": 0.291,
                "VDD_3V3_IO_SLP": 0.013,
                "VDD_1V8_IO": 0.064,
                "VDD_3V3_SYS_M2": 0.0,
            },
        ),
        (
            fake.XAVIER_NX_JP4,
            3.900,
            {"VDD_IN": 3.900, "VDD_CPU_GPU_CV": 1.330, "VDD_SOC": 0.995},
        ),
        (
            fake.XAVIER_NX_JP5,
            3.900,
            {"VDD_IN": 3.900, "VDD_CPU_GPU_CV": 1.330, "VDD_SOC": 0.995},
        ),
        (
            fake.ORIN_NANO_JP6,
            4.76928,
            {"VDD_IN": 4.76928, "VDD_CPU_GPU_CV": 0.51584, "VDD_SOC": 1.42848},
        ),
    ],
)
def test_a_measured_input_is_the_total(
    tmp_path: Path, module: Module, power_w: float, rails: dict[str, float]
) -> None:
    FakeJetson(tmp_path, module)
    before_ns = time.monotonic_ns()
    reading = read_once(tmp_path)
    assert before_ns <= reading.t_ns <= time.monotonic_ns()
    assert reading.rails == tuple(rails)
    assert reading.rail_power_w == pytest.approx(tuple(rails.values()))
    assert reading.power_w == pytest.approx(power_w)
    assert not reading.estimated
    assert reading.energy_j is None


ORIN_RAILS = {
    "VDD_GPU_SOC": 2.280,
    "VDD_CPU_CV": 0.380,
    "VIN_SYS_5V0": 4.000,
    "VDDQ_VDD2_1V8AO": 0.300,
}


@pytest.mark.parametrize(
    ("module", "power_w", "rails"),
    [
        (fake.AGX_ORIN_JP5, 6.660, ORIN_RAILS),
        (fake.AGX_ORIN_JP6, 6.660, ORIN_RAILS),
        (
            fake.AGX_XAVIER_JP4,
            7.594,
            {"GPU": 0.459, "CPU": 0.612, "SOC": 2.929, "CV": 0.0, "VDDRQ": 0.306, "SYS5V": 3.291},
        ),
    ],
)
def test_two_chips_without_an_input_are_an_estimate(
    tmp_path: Path, module: Module, power_w: float, rails: dict[str, float]
) -> None:
    FakeJetson(tmp_path, module)
    reading = read_once(tmp_path)
    assert dict(zip(reading.rails, reading.rail_power_w, strict=True)) == pytest.approx(rails)
    assert reading.power_w == pytest.approx(power_w, abs=0.004)
    assert reading.power_w == pytest.approx(
        sum(watts for rail, watts in rails.items() if rail != "VDDQ_VDD2_1V8AO")
    )
    assert reading.estimated


def test_power_is_voltage_times_current_where_it_has_no_file(tmp_path: Path) -> None:
    jetson = FakeJetson(tmp_path, fake.NANO_JP4)
    jetson.file("in_power0_input").unlink()
    reading = read_once(tmp_path)
    assert reading.power_w == pytest.approx(5.040 * 0.347)
    assert reading.rail_power_w[2] == 0.367


def test_the_power_of_now_is_read(tmp_path: Path) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    source = Ina3221(10, tmp_path)
    source.start()
    for milliamperes in (1000, 12, 0, 5000):
        jetson.file("curr1_input").write_text(f"{milliamperes}\n")
        reading = source.read(5)
        assert reading.power_w == pytest.approx(4.968 * milliamperes / 1000)
        assert reading.rail_power_w[0] == reading.power_w
    source.stop()


def test_an_unloaded_rail_may_be_slightly_negative(tmp_path: Path) -> None:
    jetson = FakeJetson(tmp_path, fake.AGX_ORIN_JP6)
    jetson.file("curr2_input", "1-0040").write_text("-16\n")
    reading = read_once(tmp_path)
    assert reading.rail_power_w[1] == pytest.approx(-0.304)
    assert reading.power_w == pytest.approx(2.280 - 0.304 + 4.000)


def test_rails_of_one_label_are_told_apart(tmp_path: Path) -> None:
    channels = (("SYS", 5000, 100), ("SYS", 5000, 200), ("VDD_CPU", 5000, 300))
    FakeJetson(
        tmp_path,
        Module("ina3221", {"1-0040": channels, "1-0041": (("SYS", 5000, 400), None, None)}),
    )
    reading = read_once(tmp_path)
    assert reading.rails == ("SYS@1-0040:1", "SYS@1-0040:2", "VDD_CPU", "SYS@1-0041:1")
    assert reading.rail_power_w == pytest.approx((0.5, 1.0, 1.5, 2.0))
    assert reading.power_w == pytest.approx(5.0)


def test_rails_without_files_are_left_out(tmp_path: Path) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    jetson.file("curr2_input").unlink()
    jetson.file("in3_label").unlink()
    reading = read_once(tmp_path)
    assert reading.rails == ("VDD_IN",)
    assert reading.power_w == pytest.approx(4.76928)


@pytest.mark.parametrize("content", ["", "\n", "busy\n", "nan\n", "1e3\n", "99999999999999\n"])
def test_rails_without_a_number_are_left_out(tmp_path: Path, content: str) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    jetson.file("in2_input").write_text(content)
    assert read_once(tmp_path).rails == ("VDD_IN", "VDD_SOC")


@pytest.mark.parametrize("label", [b"", b"\n", b"\xff\xfe\n", b"VDD\x1b[2J\n", b"V" * 5000])
def test_rails_without_a_name_are_left_out(tmp_path: Path, label: bytes) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    jetson.file("in2_label").write_bytes(label)
    assert read_once(tmp_path).rails == ("VDD_IN", "VDD_SOC")


def test_a_module_is_not_the_sum_of_the_rest_where_its_input_cannot_be_read(
    tmp_path: Path,
) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    jetson.file("curr1_input").write_text("busy\n")
    with pytest.raises(PowerSourceError, match=r"ina3221: gives no power: .*curr1_input holds"):
        read_once(tmp_path)


@pytest.mark.parametrize(
    ("module", "name"),
    [(fake.XAVIER_NX_JP4, "in_current0_input"), (fake.AGX_ORIN_JP6, "curr1_input")],
)
def test_one_rail_that_may_not_be_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Module, name: str
) -> None:
    FakeJetson(tmp_path, module)
    fake.deny(monkeypatch, name)
    reading = read_once(tmp_path)
    # With a file for its power the rail does not need the current.
    assert ("VDD_IN" in reading.rails) == (module is fake.XAVIER_NX_JP4)
    assert "VDD_GPU_SOC" not in reading.rails


def test_missing_permission_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson = FakeJetson(tmp_path, fake.ORIN_NANO_JP6)
    for name in ("curr1_input", "curr2_input", "curr3_input"):
        fake.deny(monkeypatch, name)
    folder = re.escape(str(tmp_path / "bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"))
    explained = rf"{folder}/curr1_input may not be read by this user: `sudo chmod a\+r {folder}/\*`"
    with pytest.raises(PowerSourceError, match=explained):
        read_once(tmp_path)
    jetson.file("in1_label").write_text("\n")
    with pytest.raises(PowerSourceError, match="curr2_input may not be read"):
        read_once(tmp_path)


@pytest.mark.parametrize("folder", ["", "bus/i2c/drivers", "bus/i2c/drivers/ina3221"])
def test_a_machine_without_monitors_is_told(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    with pytest.raises(PowerSourceError, match=r"ina3221: no power monitor .* host's /sys"):
        read_once(tmp_path)


def test_monitors_without_labels_are_told(tmp_path: Path) -> None:
    FakeJetson(tmp_path, Module("ina3221", {"1-0040": (None, None, None)}))
    with pytest.raises(PowerSourceError, match=r"ina3221: gives no power: .*No such file.*label"):
        read_once(tmp_path)


def test_monitors_with_nothing_connected_are_told(tmp_path: Path) -> None:
    channel = ("NC", 5000, 0)
    FakeJetson(tmp_path, Module("ina3221", {"1-0041": (channel, channel, channel)}))
    with pytest.raises(PowerSourceError, match="ina3221: no power monitor"):
        read_once(tmp_path)


def test_a_chip_that_goes_ends_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeJetson(tmp_path, fake.AGX_ORIN_JP6)
    before = fake.open_files()
    source = Ina3221(10, tmp_path)
    source.start()
    source.read(5)
    with monkeypatch.context() as patch:
        fake.unplug(patch)
        lost = r"ina3221: lost while running: .*No such device: .*/1-0040/hwmon/hwmon3/in1_input"
        with pytest.raises(PowerSourceError, match=lost):
            source.read(5)
    assert fake.open_files() == before
    with pytest.raises(PowerSourceError, match="not started"):
        source.read(5)


@pytest.mark.parametrize("content", ["", "garbage\n", "1e9\n", "999999999999\n"])
def test_a_number_that_turns_to_garbage_ends_the_source(tmp_path: Path, content: str) -> None:
    jetson = FakeJetson(tmp_path, fake.AGX_XAVIER_JP4)
    source = Ina3221(10, tmp_path)
    source.start()
    source.read(5)
    jetson.file("in_power1_input", "1-0041").write_text(content)
    with pytest.raises(PowerSourceError, match=r"ina3221: lost while running: .*(VDDRQ|in_power1)"):
        source.read(5)


@pytest.mark.parametrize("module", [fake.AGX_ORIN_JP5, fake.TX2_JP4])
def test_a_restart_finds_devices_of_other_numbers(tmp_path: Path, module: Module) -> None:
    jetson = FakeJetson(tmp_path, module, hwmon=9)
    source = Ina3221(10, tmp_path)
    source.start()
    earlier = source.read(5)
    source.stop()
    jetson.boot(0)
    source.start()
    later = source.read(5)
    source.stop()
    assert (later.rails, later.rail_power_w) == (earlier.rails, earlier.rail_power_w)


def test_starting_twice_is_harmless_and_stopping_closes_everything(tmp_path: Path) -> None:
    FakeJetson(tmp_path, fake.TX2_JP4)
    before = fake.open_files()
    source = Ina3221(10, tmp_path)
    for _ in range(20):
        source.start()
        source.start()
        assert fake.open_files() == before + 12
        source.read(5)
        source.stop()
        source.stop()
        assert fake.open_files() == before


def test_a_start_that_fails_closes_everything(tmp_path: Path) -> None:
    jetson = FakeJetson(tmp_path, fake.TX2_JP4)
    for name in ("in_power0_input", "in_voltage0_input"):
        jetson.file(name, "0-0041").unlink()
    before = fake.open_files()
    source = Ina3221(10, tmp_path)
    for _ in range(20):
        with pytest.raises(PowerSourceError, match="in_voltage0_input"):
            source.start()
        assert fake.open_files() == before


def test_sampling_opens_nothing(tmp_path: Path) -> None:
    FakeJetson(tmp_path, fake.AGX_ORIN_JP5)
    source = Ina3221(10, tmp_path)
    source.start()
    opened = fake.open_files()
    for _ in range(1000):
        source.sample()
    assert fake.open_files() == opened
    source.stop()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([fake.AGX_ORIN_JP5, fake.NANO_JP4]),
    st.lists(
        st.tuples(st.integers(0, 99), st.binary() | st.integers().map(lambda n: b"%d\n" % n)),
        max_size=6,
    ),
)
def test_any_content_gives_finite_power_or_an_error(
    module: Module, changes: list[tuple[int, bytes]]
) -> None:
    before = fake.open_files()
    with tempfile.TemporaryDirectory() as folder:
        jetson = FakeJetson(Path(folder), module)
        files = jetson.files()
        for index, content in changes:
            files[index % len(files)].write_bytes(content)
        try:
            reading = read_once(Path(folder))
        except PowerSourceError:
            pass
        else:
            assert len(reading.rails) == len(reading.rail_power_w) == len(set(reading.rails)) >= 1
            assert all(abs(power_w) < 10_000 for power_w in reading.rail_power_w)
            assert math.isfinite(reading.power_w)
    assert fake.open_files() == before
