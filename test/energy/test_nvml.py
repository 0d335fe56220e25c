"""NVML as it is on desktop boards, servers, Jetson modules and broken machines."""

import ctypes
import importlib
import inspect
import math
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.energy import PowerSourceError
from cs3d_ros.energy import nvml as module
from cs3d_ros.energy.nvml import Nvml
from fake_nvml import ERRORS, TEXTS, FakeNvml, FieldValue, Value


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def test_a_reading_has_the_power_of_the_board_and_what_it_counted(driver: FakeNvml) -> None:
    driver.instant_mw, driver.total_mj = 123_456, 98_765_432_100
    source = Nvml(10)
    before_ns = time.monotonic_ns()
    source.start()
    reading = source.read(5)
    source.stop()
    assert before_ns <= reading.t_ns <= time.monotonic_ns()
    assert (reading.rails, reading.rail_power_w) == (("gpu0",), (123.456,))
    assert reading.power_w == 123.456
    assert reading.energy_j == 98_765_432.1
    assert not reading.estimated
    assert (source.name, source.scope, source.averaging_s) == ("nvml", "gpu", 0.0)


def test_the_gpu_that_is_asked_for_is_read(driver: FakeNvml) -> None:
    driver.count = 3
    source = Nvml(10, 2)
    source.start()
    assert source.read(5).rails == ("gpu2",)
    source.stop()


@pytest.mark.parametrize("kind", range(7))
def test_instantaneous_power_is_read_in_whichever_type_it_comes(
    driver: FakeNvml, kind: int
) -> None:
    driver.instant_type, driver.instant_mw = kind, 54_321
    source = Nvml(10)
    source.start()
    assert source.read(5).power_w == 54.321
    source.stop()


@pytest.mark.parametrize("missing", [-3, -13, -2, 0])
@pytest.mark.parametrize(
    ("capability", "averaging_s"),
    [
        ((6, 1), 0.0),
        ((7, 5), 0.0),
        ((8, 0), 0.0),
        ((8, 6), 1.0),
        ((9, 0), 1.0),
        ((12, 0), 1.0),
        (-999, 1.0),
    ],
)
def test_without_instantaneous_power_it_is_said_what_the_power_is_a_mean_of(
    driver: FakeNvml, missing: int, capability: tuple[int, int] | int, averaging_s: float
) -> None:
    driver.instant_mw, driver.capability, driver.usage_mw = missing, capability, 87_650
    source = Nvml(10)
    source.start()
    assert source.read(5).power_w == 87.65
    assert source.averaging_s == averaging_s
    source.stop()


def test_an_unknown_type_of_value_is_passed_over(driver: FakeNvml) -> None:
    driver.instant_type = 7
    source = Nvml(10)
    source.start()
    assert source.read(5).power_w == 90.0
    source.stop()


def test_each_start_finds_out_anew_what_there_is(driver: FakeNvml) -> None:
    source = Nvml(10)
    driver.instant_mw, driver.total_mj = -3, -3
    source.start()
    assert source.read(5).energy_j is None
    assert source.averaging_s == 1.0
    source.stop()
    driver.instant_mw, driver.total_mj = 50_000, 7_000
    source.start()
    assert source.read(5).energy_j == 7.0
    assert source.averaging_s == 0.0
    source.stop()


@pytest.mark.parametrize("error", ["NotSupported", "FunctionNotFound", "Unknown"])
def test_a_board_that_does_not_count_still_gives_power(driver: FakeNvml, error: str) -> None:
    driver.total_mj = -ERRORS[error]
    source = Nvml(10)
    source.start()
    reading = source.read(5)
    source.stop()
    assert reading.power_w == 100.0
    assert reading.energy_j is None


def test_a_jetson_has_nvml_and_a_gpu_but_no_power(driver: FakeNvml) -> None:
    driver.instant_mw = driver.usage_mw = driver.total_mj = -3
    source = Nvml(10)
    with pytest.raises(PowerSourceError, match=r"GPU 0 gives no power: Not Supported.*tegrastats"):
        source.start()
    assert driver.users == 0


def test_a_part_of_a_gpu_is_told_from_a_jetson(driver: FakeNvml) -> None:
    driver.instant_mw = driver.usage_mw = -3
    driver.mig = 1
    with pytest.raises(PowerSourceError, match="split by MIG") as caught:
        Nvml(10).start()
    assert "tegrastats" not in str(caught.value)


def test_a_split_gpu_that_gives_its_power_is_read(driver: FakeNvml) -> None:
    driver.mig = 1
    source = Nvml(10)
    source.start()
    assert source.read(5).power_w == 100.0
    source.stop()


@pytest.mark.parametrize("index", [1, 8, -1])
def test_a_gpu_that_is_not_there_is_told_with_how_many_are(driver: FakeNvml, index: int) -> None:
    with pytest.raises(PowerSourceError, match=rf"GPU {index} \(NVML knows 1, .*nvidia-smi -L"):
        Nvml(10, index).start()
    assert driver.users == 0


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        ("LibraryNotFound", "no NVIDIA driver.*--gpus all"),
        ("DriverNotLoaded", "kernel module"),
        ("LibRmVersionMismatch", "updated.*reboot"),
        ("NoPermission", "/dev/nvidia"),
        ("Unknown", "dmesg"),
    ],
)
def test_a_driver_that_does_not_start_is_explained(
    driver: FakeNvml, error: str, advice: str
) -> None:
    driver.init_error = -ERRORS[error]
    with pytest.raises(PowerSourceError, match=f"nvml: NVML does not start: .*{advice}"):
        Nvml(10).start()
    assert driver.users == 0


@pytest.mark.parametrize("error", ["GpuIsLost", "NoPermission", "ResetRequired"])
def test_a_gpu_that_may_not_be_opened_is_explained(driver: FakeNvml, error: str) -> None:
    driver.handle_error = -ERRORS[error]
    with pytest.raises(PowerSourceError, match=rf"{TEXTS[ERRORS[error]]}\. \w+"):
        Nvml(10).start()
    assert driver.users == 0


@pytest.mark.parametrize("quantity", ["instant_mw", "total_mj"])
@pytest.mark.parametrize("error", ["GpuIsLost", "Unknown", "Uninitialized", "NotSupported"])
def test_a_gpu_lost_while_running_stops_the_source_which_can_start_again(
    driver: FakeNvml, quantity: str, error: str
) -> None:
    source = Nvml(10)
    source.start()
    source.read(5)
    before = getattr(driver, quantity)
    setattr(driver, quantity, -ERRORS[error])
    with pytest.raises(PowerSourceError, match=f"no longer be read: {TEXTS[ERRORS[error]]}"):
        source.read(5)
    assert driver.users == 0
    with pytest.raises(PowerSourceError, match="not started"):
        source.read(5)
    setattr(driver, quantity, before)
    source.start()
    assert source.read(5).power_w == 100.0
    source.stop()


def test_the_library_is_given_back_as_often_as_it_was_taken(driver: FakeNvml) -> None:
    driver.nvmlInit()
    source = Nvml(10)
    for _ in range(3):
        source.start()
        source.start()
        assert driver.users == 2
        source.stop()
        source.stop()
        assert driver.users == 1


def test_a_failing_shutdown_is_no_error(driver: FakeNvml) -> None:
    source = Nvml(10)
    source.start()
    driver.users = 0
    source.stop()


@pytest.mark.parametrize("to_mj", [0, 4_999_999, 5_000_000 + 100_000_000_000, 2**64 - 1])
def test_a_counter_that_was_set_back_or_leaps_loses_the_source(
    driver: FakeNvml, to_mj: int
) -> None:
    source = Nvml(10)
    source.start()
    source.read(5)
    driver.total_mj = to_mj
    with pytest.raises(PowerSourceError, match=r"GPU 0 leapt from 5000 J.*reloaded"):
        source.read(5)
    source.start()
    assert source.read(5).energy_j == to_mj / 1000
    source.stop()


def test_a_counter_that_rests_between_its_ticks_keeps_counting(driver: FakeNvml) -> None:
    source = Nvml(10)
    source.start()
    counted = []
    for step_mj in (0, 0, 1500, 0, 9000):
        driver.total_mj += step_mj
        counted.append(source.read(5).energy_j)
    source.stop()
    assert counted == [5000.0, 5000.0, 5001.5, 5001.5, 5010.5]


def test_a_counter_that_never_moves_is_no_counter(
    driver: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STUCK_S", 0.05)
    source = Nvml(10)
    source.start()
    assert source.read(5).energy_j == 5000.0
    time.sleep(0.1)
    driver.total_mj += 1
    assert source.read(5).energy_j == 5000.001
    time.sleep(0.1)
    assert source.read(5).energy_j is None
    assert source.read(5).power_w == 100.0
    source.stop()


@pytest.mark.parametrize("milliwatts", [0, 10_000_001, 2**32 - 1, math.nan, math.inf, -1.0])
def test_power_that_cannot_be_is_refused(driver: FakeNvml, milliwatts: float) -> None:
    driver.instant_type = 0
    source = Nvml(10)
    source.start()
    source.read(5)
    driver.instant_mw = float(milliwatts)
    with pytest.raises(PowerSourceError, match=r"GPU 0 reports .* W, which cannot be"):
        source.read(5)
    assert driver.users == 0


@settings(deadline=None)
@given(st.integers(0, 7), st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1))
def test_any_value_gives_possible_power_or_an_explanation(
    kind: int, value: int, usage_mw: int
) -> None:
    fake = FakeNvml()
    fake.instant_type, fake.usage_mw = kind, usage_mw
    fake.instant_mw = float(value) if kind == 0 else value
    source = Nvml(10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pynvml", fake)
        with suppress(PowerSourceError):
            source.start()
            assert 0 < source.read(5).power_w <= 10_000
        source.stop()
    assert fake.users == 0


def test_stopping_wakes_a_reader_that_waits(driver: FakeNvml) -> None:
    source = Nvml(1000)
    source.start()
    source.read(5)
    threading.Timer(0.1, source.stop).start()
    with pytest.raises(PowerSourceError, match="not started"):
        source.read(5)
    assert driver.users == 0


def test_a_missing_library_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(PowerSourceError, match=r"nvml: .*pynvml.*pip install 'cs3d_ros\[energy\]'"):
        Nvml(10).start()


def test_a_library_of_long_ago_is_told_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("pynvml")
    old.nvmlInit = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pynvml", old)
    with pytest.raises(PowerSourceError, match=r"lacks nvmlDeviceGetCount; .*cs3d_ros\[energy\]"):
        Nvml(10).start()


def test_the_real_library_is_as_the_source_and_the_fake_take_it() -> None:
    real = pytest.importorskip("pynvml")
    assert [name for name in module._NEEDED if not hasattr(real, name)] == []
    fake = FakeNvml()
    for name in module._NEEDED:
        ours, theirs = getattr(fake, name), getattr(real, name)
        if name.startswith("NVML_"):
            assert ours == theirs, name
        elif name != "NVMLError":
            names = list(inspect.signature(theirs).parameters)
            assert list(inspect.signature(ours).parameters) == names, name
    for error, number in ERRORS.items():
        raised = real.NVMLError(number)
        assert type(raised) is getattr(real, f"NVMLError_{error}")
        assert raised.value == number
        assert str(raised) == TEXTS[number]
    assert set(module._ADVICE) <= set(TEXTS)
    for ours, theirs in ((Value, real.c_nvmlValue_t), (FieldValue, real.c_nvmlFieldValue_t)):
        assert [name for name, *_ in theirs._fields_] == [name for name, *_ in ours._fields_]
        assert ctypes.sizeof(theirs) == ctypes.sizeof(ours)
    assert tuple(name for name, *_ in real.c_nvmlValue_t._fields_) == module._MEMBERS
    kinds = ("DOUBLE", "UNSIGNED_INT", "UNSIGNED_LONG", "UNSIGNED_LONG_LONG", "SIGNED_LONG_LONG")
    kinds += ("SIGNED_INT", "UNSIGNED_SHORT")
    assert [getattr(real, f"NVML_VALUE_TYPE_{kind}") for kind in kinds] == list(range(7))


def test_without_a_driver_the_real_library_says_so() -> None:
    real = pytest.importorskip("pynvml")
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    importlib.reload(real)
    with pytest.raises(PowerSourceError, match=r"Shared Library Not Found\. There is no NVIDIA"):
        Nvml(10).start()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_real_board_at_work_agrees_with_nvidia_smi() -> None:
    pytest.importorskip("pynvml")
    query = ["nvidia-smi", "--id=0", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    if shutil.which("nvidia-smi") is None or not power_rows(subprocess.check_output(query)):
        pytest.skip("nvidia-smi gives no power here")
    idle = threading.Event()
    worker = threading.Thread(target=work_until, args=(idle,))
    source = Nvml(100)
    worker.start()
    try:
        source.start()
        time.sleep(3)  # nvidia-smi shows the mean of the last second
        with subprocess.Popen([*query, "--loop-ms=100"], stdout=subprocess.PIPE) as smi:
            readings = [source.read(5) for _ in range(80)]
            smi.terminate()
            assert smi.stdout is not None
            smi_w = power_rows(smi.stdout.read())
    finally:
        idle.set()
        worker.join()
        source.stop()
    assert len(smi_w) > 20
    expected_w = pytest.approx(sum(smi_w) / len(smi_w), rel=0.1)
    assert sum(reading.power_w for reading in readings) / len(readings) == expected_w
    first, last = readings[0], readings[-1]
    assert (first.energy_j is None) == (torch.cuda.get_device_capability(0) < (7, 0))
    if first.energy_j is not None and last.energy_j is not None:
        seconds = (last.t_ns - first.t_ns) * 1e-9
        assert (last.energy_j - first.energy_j) / seconds == expected_w


def power_rows(output: bytes) -> list[float]:
    rows = output.decode().split()
    return [float(row) for row in rows if row.replace(".", "", 1).isdigit()]


def work_until(idle: threading.Event) -> None:
    matrix = torch.ones(4096, 4096, device="cuda:0")
    while not idle.is_set():
        for _ in range(20):
            torch.mm(matrix, matrix)
        torch.cuda.synchronize()
