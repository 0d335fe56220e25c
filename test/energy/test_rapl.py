"""The energy counters of processors, with everything that a counter can do."""

import re
import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_sysfs as fake
from cs3d_ros.energy import PowerSourceError
from cs3d_ros.energy.rapl import Rapl
from fake_sysfs import RANGE_UJ, FakeProcessors

FIRST, SECOND, DIE = "intel-rapl:0", "intel-rapl:2", "intel-rapl:10"


def test_power_is_the_energy_between_two_readings(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(10, tmp_path)
    assert (source.scope, source.averaging_s) == ("cpu_package", 0.01)
    source.start()
    processors.spend(FIRST, 50_000)
    first = source.read(5)
    processors.spend(FIRST, 200_000)
    processors.spend(SECOND, 50_000)
    processors.spend(DIE, 25_000)
    second = source.read(5)
    source.stop()
    assert first.rails == second.rails == ("package-0", "package-1", "package-2-die-1")
    assert first.energy_j == pytest.approx(0.05)
    assert second.energy_j == pytest.approx(0.325)
    elapsed_s = (second.t_ns - first.t_ns) * 1e-9
    assert second.rail_power_w == pytest.approx(
        (0.2 / elapsed_s, 0.05 / elapsed_s, 0.025 / elapsed_s)
    )
    assert second.power_w == pytest.approx(0.275 / elapsed_s)
    assert not second.estimated


def test_no_power_is_that_of_an_instant(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(200, tmp_path)
    source.start()
    for pause_s in (0, 0.5, 0):
        # After a pause the next reading is late, and the one after that is due at once.
        time.sleep(pause_s)
        processors.spend(FIRST, 100_000)
        assert 0 < source.read(5).power_w <= 0.1 / 0.09
    source.stop()


def test_only_packages_count(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(10, tmp_path)
    source.start()
    for zone in processors.zones:
        processors.spend(zone, 1_000)
    assert source.read(5).energy_j == pytest.approx(0.003)
    source.stop()


def test_a_counter_that_wraps_counts_on(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path, start_uj=RANGE_UJ - 30_000)
    source = Rapl(10, tmp_path)
    source.start()
    energies_j = []
    for _ in range(3):
        processors.spend(FIRST, 20_000)
        reading = source.read(5)
        assert reading.power_w > 0
        energies_j.append(reading.energy_j)
    source.stop()
    assert int(processors.counter(FIRST).read_text()) == 30_000
    assert energies_j == pytest.approx([0.02, 0.04, 0.06])


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, RANGE_UJ - 1) | st.integers(RANGE_UJ - 5_000_000, RANGE_UJ - 1),
    st.lists(st.tuples(st.integers(1, 1_000_000), st.integers(0, 1_000_000)), max_size=12),
)
def test_energy_never_falls_and_misses_nothing(start_uj: int, steps: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        processors = FakeProcessors(Path(folder), start_uj=start_uj)
        source = Rapl(2, Path(folder))
        source.start()
        spent_uj = 0
        for first_uj, second_uj in steps:
            processors.spend(FIRST, first_uj)
            processors.spend(SECOND, second_uj)
            spent_uj += first_uj + second_uj
            reading = source.read(5)
            assert reading.energy_j == pytest.approx(spent_uj * 1e-6)
            assert all(power_w >= 0 for power_w in reading.rail_power_w)
        source.stop()


@pytest.mark.parametrize("step_uj", [-1_000_000, -1, 100_000_000_000])
def test_a_counter_that_jumps_is_not_believed(tmp_path: Path, step_uj: int) -> None:
    processors = FakeProcessors(tmp_path, start_uj=5_000_000_000)
    before = fake.open_files()
    source = Rapl(10, tmp_path)
    source.start()
    processors.spend(SECOND, step_uj)
    jumped = (
        rf"rapl: lost while running: .*{SECOND} jumped from 5000000000 to {5 * 10**9 + step_uj}"
    )
    with pytest.raises(PowerSourceError, match=jumped):
        source.read(5)
    assert fake.open_files() == before
    source.start()
    processors.spend(SECOND, 7)
    assert source.read(5).energy_j == pytest.approx(7e-6)
    source.stop()


def test_a_gap_in_which_it_may_have_wrapped_unseen_is_told(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path, range_uj=100_000_000, start_uj=0)
    source = Rapl(10, tmp_path)
    source.start()
    time.sleep(0.06)
    processors.spend(FIRST, 1_000)
    with pytest.raises(PowerSourceError, match="may have wrapped more than once"):
        source.read(5)


def test_a_counter_that_stands_still_is_no_source(tmp_path: Path) -> None:
    FakeProcessors(tmp_path, start_uj=0)
    before = fake.open_files()
    source = Rapl(100, tmp_path)
    source.start()
    with pytest.raises(PowerSourceError, match="rapl: the counters stand still"):
        source.read(5)
    assert fake.open_files() == before


def test_a_counter_that_moves_late_is_waited_for(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(10, tmp_path)
    source.start()
    later = threading.Timer(0.1, processors.spend, (FIRST, 4_000))
    later.start()
    reading = source.read(5)
    later.join()
    source.stop()
    assert reading.energy_j == pytest.approx(0.004)
    assert 0 < reading.power_w < 0.004 / 0.09


def test_stopping_wakes_the_reader(tmp_path: Path) -> None:
    FakeProcessors(tmp_path)
    source = Rapl(1000, tmp_path)
    source.start()
    said = []

    def read() -> None:
        try:
            source.read(5)
        except PowerSourceError as error:
            said.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    source.stop()
    reader.join(5)
    assert said in (["rapl: stopped"], ["rapl: not started"])


@pytest.mark.parametrize("name", ["energy_uj", "max_energy_range_uj"])
@pytest.mark.parametrize("content", ["", "none\n", "-5\n", "1e9\n", f"{10**19}\n"])
def test_garbage_is_refused_at_the_start(tmp_path: Path, name: str, content: str) -> None:
    processors = FakeProcessors(tmp_path)
    (processors.zones[SECOND] / name).write_text(content)
    before = fake.open_files()
    with pytest.raises(PowerSourceError, match=r"rapl: cannot be read: .*intel-rapl:2"):
        Rapl(10, tmp_path).start()
    assert fake.open_files() == before


@pytest.mark.parametrize("content", ["", "none\n", "-5\n", f"{RANGE_UJ + 1}\n"])
def test_garbage_ends_a_source_that_runs(tmp_path: Path, content: str) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(10, tmp_path)
    source.start()
    processors.counter(SECOND).write_text(content)
    with pytest.raises(PowerSourceError, match=r"rapl: lost while running: .*intel-rapl:2"):
        source.read(5)


def test_a_zone_without_its_counter_is_told(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    processors.counter(SECOND).unlink()
    with pytest.raises(PowerSourceError, match=r"cannot be read: .*No such file.*rapl:2/energy_uj"):
        Rapl(10, tmp_path).start()


def test_a_zone_that_goes_ends_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProcessors(tmp_path)
    source = Rapl(10, tmp_path)
    source.start()
    fake.unplug(monkeypatch)
    with pytest.raises(PowerSourceError, match=r"lost while running: .*No such device.*energy_uj"):
        source.read(5)


def test_missing_permission_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeProcessors(tmp_path)
    fake.deny(monkeypatch, "energy_uj")
    with pytest.raises(PowerSourceError) as caught:
        Rapl(10, tmp_path).start()
    message = str(caught.value)
    assert f"{tmp_path}/class/powercap/intel-rapl:0/energy_uj may be read by root only" in message
    assert f"`sudo chmod a+r {tmp_path}/class/powercap/intel-rapl:*/energy_uj`" in message
    assert 'SUBSYSTEM=="powercap", ACTION=="add", KERNEL=="intel-rapl:*", RUN+=' in message


@pytest.mark.parametrize("folder", ["", "class/powercap", "class/powercap/intel-rapl"])
def test_a_machine_without_packages_is_told(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    nothing = re.escape(f"rapl: no processor package in {tmp_path}/class/powercap. ARM")
    with pytest.raises(PowerSourceError, match=nothing):
        Rapl(10, tmp_path).start()


def test_zones_that_a_container_hides_are_told(tmp_path: Path) -> None:
    FakeProcessors(tmp_path)
    shutil.rmtree(tmp_path / "devices/virtual/powercap")
    with pytest.raises(PowerSourceError, match=r"no processor package .*No such file.*Docker"):
        Rapl(10, tmp_path).start()


def test_starting_twice_is_harmless_and_stopping_closes_everything(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    before = fake.open_files()
    source = Rapl(10, tmp_path)
    for _ in range(20):
        source.start()
        source.start()
        assert fake.open_files() == before + 3
        processors.spend(FIRST, 3_000)
        assert source.read(5).energy_j == pytest.approx(0.003)
        source.stop()
        source.stop()
        assert fake.open_files() == before


def test_sampling_opens_nothing(tmp_path: Path) -> None:
    processors = FakeProcessors(tmp_path)
    source = Rapl(1, tmp_path)
    source.start()
    opened = fake.open_files()
    for _ in range(1000):
        processors.spend(FIRST, 1_000)
        reading = source.sample()
    assert fake.open_files() == opened
    assert reading.energy_j == pytest.approx(1.0)
    source.stop()
