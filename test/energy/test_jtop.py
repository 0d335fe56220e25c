"""The service of jetson-stats: its dictionaries, and a library that stalls, hangs and dies."""

import inspect
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.energy import PowerSourceError
from cs3d_ros.energy.jtop import Jtop, parse_power
from fake_jtop import FakeJetsonStats
from fake_tools import is_alive, wait_until

# Of a real Orin NX.
ORIN_NX = {
    "rail": {
        "VDD_CPU_GPU_CV": {
            "volt": 4928,
            "curr": 216,
            "warn": 32760,
            "crit": 32760,
            "power": 1064,
            "online": True,
            "avg": 806,
        },
        "VDD_SOC": {
            "volt": 4936,
            "curr": 312,
            "warn": 32760,
            "crit": 32760,
            "power": 1540,
            "online": True,
            "avg": 1524,
        },
    },
    "tot": {
        "volt": 4936,
        "curr": 1040,
        "warn": 5232,
        "crit": 5232,
        "power": 5133,
        "online": True,
        "avg": 4800,
        "name": "VDD_IN",
    },
}


def rail(milliwatts: Any, **more: Any) -> dict[str, Any]:
    return {"volt": 5000, "curr": 1, "power": milliwatts, "avg": 7, "online": True, **more}


NANO = {
    "rail": {"POM_5V_GPU": rail(0), "POM_5V_CPU": rail(366)},
    "tot": rail(1750, name="POM_5V_IN"),
}
AGX_ORIN = {
    "rail": {
        "VDD_GPU_SOC": rail(2340),
        "VDD_CPU_CV": rail(-390),
        "VIN_SYS_5V0": rail(4025),
        "VDDQ_VDD2_1V8AO": rail(301),
    },
    "tot": {"power": 6276, "avg": 6276},
}
# jetson-stats 7.2 takes the supply of the carrier board for the total of a Thor.
THOR = {
    "rail": {"VDD_GPU": rail(3561), "VDD_CPU_SOC_MSS": rail(7910), "VIN_SYS_5V0": rail(7620)},
    "tot": rail(26686, name="VIN"),
}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJetsonStats]:
    monkeypatch.syspath_prepend(tmp_path)
    fake = FakeJetsonStats(tmp_path)
    yield fake
    leftovers = [pid for pid in fake.pids() if is_alive(pid)]
    for pid in leftovers:
        os.kill(pid, signal.SIGKILL)
    assert not leftovers, "the test left child processes behind"


@pytest.mark.parametrize(
    ("power", "power_w", "estimated", "rails"),
    [
        (
            ORIN_NX,
            5.133,
            False,
            {"VDD_CPU_GPU_CV": 1.064, "VDD_SOC": 1.540, "VDD_IN": 5.133},
        ),
        (NANO, 1.750, False, {"POM_5V_GPU": 0.0, "POM_5V_CPU": 0.366, "POM_5V_IN": 1.750}),
        (
            AGX_ORIN,
            5.975,
            True,
            {
                "VDD_GPU_SOC": 2.340,
                "VDD_CPU_CV": -0.390,
                "VIN_SYS_5V0": 4.025,
                "VDDQ_VDD2_1V8AO": 0.301,
            },
        ),
        (
            THOR,
            19.091,
            True,
            {"VDD_GPU": 3.561, "VDD_CPU_SOC_MSS": 7.910, "VIN_SYS_5V0": 7.620, "VIN": 26.686},
        ),
    ],
)
def test_the_total_is_that_of_the_module(
    power: object, power_w: float, estimated: bool, rails: dict[str, float]
) -> None:
    reading = parse_power(json.dumps(power), 7)
    assert reading is not None
    assert reading.t_ns == 7
    assert reading.power_w == pytest.approx(power_w)
    assert reading.estimated is estimated
    assert dict(zip(reading.rails, reading.rail_power_w, strict=True)) == rails
    assert reading.energy_j is None


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("1-00081", rail(9000)),
        ("ucsi-source-psy-1-00081", rail(9000)),
        ("battery", rail(9000, status="Discharging")),
        ("usb", rail(9000, online=False)),
        ("NC", rail(9000)),
        ("VDD_BAD", rail(None)),
        ("VDD_BAD", rail("9000")),
        ("VDD_BAD", rail(True)),
        ("VDD_BAD", rail(math.nan)),
        ("VDD_BAD", rail(math.inf)),
        ("VDD_BAD", rail(10_000_001)),
        ("VDD_BAD", rail(10**4000)),
        ("VDD_BAD", {}),
        ("VDD_BAD", 9000),
    ],
)
def test_what_is_no_rail_with_a_power_is_left_out(name: str, other: object) -> None:
    power = {"rail": {"VDD_SOC": rail(1500), name: other}, "tot": {"power": 10_500, "avg": 1}}
    reading = parse_power(json.dumps(power), 0)
    assert reading is not None
    assert (reading.rails, reading.power_w, reading.estimated) == (("VDD_SOC",), 1.5, True)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "null",
        "[1, 2]",
        '"rail"',
        '{"rail": []}',
        '{"rail": {}, "tot": {"power": 5000, "avg": 5000}}',
        '{"rail": {}, "tot": {"power": 5000, "name": 5}}',
        '{"rail": {"VDD_IN": {"power": 5000}}',
        "JtopException: The jtop.service is not active.",
        "[" * 16_000,
        '{"rail": {"VDD_IN": {"power": ' + "9" * 10_000 + "}}}",
    ],
)
def test_lines_without_power_hold_no_reading(line: str) -> None:
    assert parse_power(line, 0) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rail", "tot", "power", "name", "online", "VDD_IN", "VIN", "NC"]),
            inner,
            max_size=4,
        )
    ),
)


@settings(deadline=None)
@given(st.text() | VALUES.map(json.dumps))
def test_anything_gives_finite_power_or_nothing(line: str) -> None:
    reading = parse_power(line, 0)
    if reading is not None:
        assert len(reading.rails) == len(reading.rail_power_w) >= 1
        assert math.isfinite(reading.power_w)


def test_each_reading_is_new_and_the_data_of_long_ago_are_none(library: FakeJetsonStats) -> None:
    library.install(
        """
def service(interval):
    yield {"uptime": 10.0, "power": vdd_in(99000)}
    for n in range(1000):
        time.sleep(0.05)
        for again in range(3):
            yield {"uptime": 20.0 + n, "power": vdd_in(5000 + n)}
"""
    )
    source = Jtop(10)
    source.start()
    try:
        power_w = [source.read(20).power_w for _ in range(3)]
    finally:
        source.stop()
    assert power_w == sorted(set(power_w))
    assert 5.0 <= power_w[0] < 6.0
    assert (source.name, source.scope, source.averaging_s) == ("jtop", "module", 0.0)


@pytest.mark.parametrize(("interval_ms", "asked_mw"), [(10, 500), (500, 500), (1000, 1000)])
def test_the_service_is_asked_for_no_more_than_it_can_do(
    library: FakeJetsonStats, interval_ms: int, asked_mw: int
) -> None:
    library.install(
        """
def service(interval):
    while True:
        yield {"uptime": time.time(), "power": vdd_in(round(1000 * interval))}
        time.sleep(0.02)
"""
    )
    source = Jtop(interval_ms)
    source.start()
    try:
        assert source.read(20).power_w == asked_mw / 1000
    finally:
        source.stop()


def test_a_service_that_gives_the_same_again_and_again_counts_as_stalled(
    library: FakeJetsonStats,
) -> None:
    library.install(
        """
def service(interval):
    yield {"uptime": 1.0, "power": vdd_in(5000)}
    while True:
        yield {"uptime": 2.0, "power": vdd_in(5000)}
        time.sleep(0.02)
"""
    )
    source = Jtop(500)
    source.start()
    assert source.read(20).power_w == 5.0
    with pytest.raises(PowerSourceError, match=r"no power reading within 0\.5 s.*restart"):
        source.read(0.5)


@pytest.mark.parametrize("error", ["JtopException", "ConnectionResetError", "KeyError"])
def test_a_service_that_goes_away_is_noticed_with_what_the_library_says(
    library: FakeJetsonStats, error: str
) -> None:
    library.install(
        f"""
def service(interval):
    for n in range(3):
        yield {{"uptime": n, "power": vdd_in(5000)}}
    time.sleep(0.2)
    raise {error}("Lost connection\\nwith jtop server")
"""
    )
    source = Jtop(500)
    source.start()
    source.read(20)
    with pytest.raises(PowerSourceError, match=rf"exit status 1; .*{error}: .*Lost connection"):
        read_to_the_end(source)


def read_to_the_end(source: Jtop) -> None:
    while True:
        source.read(20)


def test_a_service_that_is_not_there_is_explained(library: FakeJetsonStats) -> None:
    library.install(
        """
def service(interval):
    raise JtopException("The jtop.service is not active. Please run:\\nsudo jtop --install")
    yield
"""
    )
    source = Jtop(500)
    source.start()
    expected = r"not active\. Please run: sudo jtop --install.*jtop\.sock"
    with pytest.raises(PowerSourceError, match=expected):
        source.read(20)


def test_a_board_without_power_monitor_is_explained(library: FakeJetsonStats) -> None:
    library.install(
        """
def service(interval):
    while True:
        time.sleep(0.02)
        yield {"uptime": time.time(), "power": {}}
"""
    )
    source = Jtop(500)
    source.start()
    with pytest.raises(PowerSourceError, match=r"no power reading.*no power monitor"):
        source.read(2)


@pytest.mark.parametrize("hang", ["time.sleep(600)", "while True: pass"])
def test_a_connection_that_hangs_is_ended(library: FakeJetsonStats, hang: str) -> None:
    library.install(
        f"""
signal.signal(signal.SIGTERM, signal.SIG_IGN)

def service(interval):
    {hang}
    yield
"""
    )
    source = Jtop(500)
    source.start()
    wait_until(lambda: library.pids() != [])
    with pytest.raises(PowerSourceError, match="no power reading within"):
        source.read(0.2)
    wait_until(lambda: not any(is_alive(pid) for pid in library.pids()))


def test_a_connection_that_hangs_does_not_outlive_the_interpreter(
    library: FakeJetsonStats, tmp_path: Path
) -> None:
    library.install("def service(interval):\n    time.sleep(600)\n    yield\n")
    program = f"""
        import os, signal, sys, time
        sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parents[2])!r}]
        from cs3d_ros.energy.jtop import Jtop
        Jtop(500).start()
        while not open({str(tmp_path / "pids")!r}).read():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=30, check=False)
    assert len(library.pids()) == 1
    wait_until(lambda: not is_alive(library.pids()[0]))


def test_stopping_and_starting_again_makes_a_new_connection(library: FakeJetsonStats) -> None:
    library.install(
        """
def service(interval):
    while True:
        yield {"uptime": time.time(), "power": vdd_in(5000)}
        time.sleep(0.02)
"""
    )
    source = Jtop(500)
    for runs in (1, 2):
        source.start()
        source.start()
        assert source.read(20).power_w == 5.0
        began = time.monotonic()
        source.stop()
        source.stop()
        assert time.monotonic() - began < 5
        assert len(library.pids()) == runs


def test_a_missing_library_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "-packages" not in path])
    monkeypatch.delitem(sys.modules, "jtop", raising=False)
    with pytest.raises(PowerSourceError, match=r"jetson-stats is not installed.*cs3d_ros\[jetson"):
        Jtop(500).start()


def test_the_real_library_is_as_the_source_takes_it() -> None:
    real = pytest.importorskip("jtop")
    assert next(iter(inspect.signature(real.jtop).parameters)) == "interval"
    assert next(iter(inspect.signature(real.jtop.ok).parameters.values())).name == "self"
    assert "spin" in inspect.signature(real.jtop.ok).parameters
    assert len(inspect.signature(real.jtop.attach).parameters) == 2
    assert len(inspect.signature(real.jtop.start).parameters) == 1
    assert isinstance(real.jtop.power, property)
    assert isinstance(real.jtop.uptime, property)
    if Path("/run/jtop.sock").exists():
        pytest.skip("this machine has a jtop.service")
    source = Jtop(500)
    source.start()
    with pytest.raises(PowerSourceError, match=r"JtopException: The jtop\.service is not active"):
        source.read(20)
