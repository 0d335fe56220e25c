"""Times, memory and energy of engines whose times, memory and power are known."""

import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from cs3d_ros.benchmark import engines, peak_memory
from cs3d_ros.benchmark.engines import MIN_TURNS, EngineRow, Results, measure
from cs3d_ros.benchmark.peak_memory import peak_memory_bytes
from cs3d_ros.benchmark.subject import Subject
from cs3d_ros.cli import main
from cs3d_ros.energy import EnergyWindow, PowerSourceError
from cs3d_ros.network.engines import ENGINES
from cs3d_ros.network.engines.engine import EngineError, EngineUnavailableError
from cs3d_ros.network.engines.torch_engine import TorchEngine
from cs3d_ros.network.errors import NetworkError


class Known(TorchEngine):
    """Takes its time."""

    name = "known"
    seconds = 0.0
    closed = 0
    refusal = None

    def __init__(self, request):
        if self.refusal:
            raise self.refusal
        super().__init__(request)

    def infer(self, windows, shift=None):
        began = time.perf_counter()
        answer = super().infer(windows)
        time.sleep(max(0.0, began + self.seconds - time.perf_counter()))
        return answer

    def close(self):
        type(self).closed += 1
        super().close()


class Meter:
    """Idling draws 1 W, all else 5 W; a window is half a second long whatever the clock says."""

    source = SimpleNamespace(averaging_s=0.0)

    def __init__(self, lost=False):
        self.ends, self.lost = [], lost

    def begin(self, synchronize=None):
        return len(self.ends)

    def end(self, mark, synchronize=None):
        if self.lost:
            raise PowerSourceError("torn out")
        self.ends.append(mark)
        joules = 2.5 if synchronize else 0.5
        return EnergyWindow(joules, 0.03 if synchronize else 0.04, 0.5, 10, "trapezoid")


@pytest.fixture
def put(monkeypatch):
    def put(name, **changes):
        kind = type(name, (Known,), {"name": name, "closed": 0, **changes})
        monkeypatch.setitem(ENGINES, name, kind)
        return kind

    return put


def subject(engine, network="rnn", **changes):
    values = {"device": "cpu", "threads": 0, "precision": "float32", "size": 32}
    return Subject(network, engine, **(values | changes))


def test_times_are_those_of_the_engines_and_all_are_closed(put):
    kinds = put("slow", seconds=0.08), put("slower", seconds=0.12)
    results = measure([subject("slow"), subject("slower")], 0.01, memory=False)
    slow, slower = results.rows
    assert (slow.network, slow.engine, slow.version) == (
        "rnn",
        "slow",
        ENGINES["torch"].version.fget(None),
    )
    assert slow.windows == slower.windows == MIN_TURNS
    assert 80 <= slow.median_ms <= slow.p99_ms
    assert 120 <= slower.median_ms <= slower.p99_ms
    assert results.best("rnn") is min(results.rows, key=lambda row: row.median_ms)
    assert results.best("c3d") is None
    assert [kind.closed for kind in kinds] == [1, 1]
    assert (slow.peak_mb, slow.energy_mj) == (None, None)


def test_what_cannot_run_is_told_and_the_rest_is_measured(put):
    put("absent", refusal=EngineUnavailableError("install it; with pip"))
    put("broken", refusal=EngineError("no such node"))
    put("works")
    results = measure([subject(name) for name in ("absent", "broken", "works")], 0.01, memory=False)
    assert [row.engine for row in results.rows] == ["works"]
    assert results.absent == (
        ("rnn", "absent", "install it; with pip"),
        ("rnn", "broken", "no such node"),
    )


def test_an_unknown_engine_is_named_among_those_that_are_absent(put):
    results = measure([subject("warp-drive")], 0.01, memory=False)
    assert results.rows == ()
    assert "unknown engine 'warp-drive'" in results.absent[0][2]


@pytest.mark.parametrize("changes", [{"network": "vgg"}, {"threads": -1}])
def test_what_nobody_can_measure_is_refused(put, changes):
    with pytest.raises(NetworkError):
        measure([subject("torch", **changes)], 0.01, memory=False)


def test_energy_of_a_window_is_that_above_idle(put, monkeypatch):
    monkeypatch.setattr(engines, "ENERGY_S", 0.05)
    meter, seen = Meter(), []

    def infer(self, windows, shift=None):
        seen.append(len(meter.ends))
        return TorchEngine.infer(self, windows)

    put("hungry", infer=infer)
    results = measure([subject("hungry")], 0.01, meter, memory=False)
    (row,) = results.rows
    # Those of the lead-in do not count, and there was at least one.
    lead_in = next(
        n for n in range(1, 9999) if row.energy_mj == pytest.approx(2000 / (seen.count(1) - n))
    )
    assert 0 < lead_in < seen.count(1)
    assert row.energy_uncertainty_mj == pytest.approx(row.energy_mj * 0.05 / 2)
    assert results.no_energy == ""


def test_a_source_that_is_lost_costs_the_energy_and_not_the_times(put, monkeypatch):
    monkeypatch.setattr(engines, "ENERGY_S", 0.05)
    put("works")
    results = measure([subject("works")], 0.01, Meter(lost=True), memory=False)
    assert results.rows[0].median_ms > 0
    assert results.rows[0].energy_mj is None
    assert results.no_energy == "torn out"


def test_memory_has_the_weights_and_is_measured_in_another_process():
    # C3D's last layers alone are 62 million parameters.
    c3d = peak_memory_bytes(subject("torch", "c3d", threads=1))
    rnn = peak_memory_bytes(subject("torch", "rnn", threads=1))
    assert 4 * 62e6 < c3d < 1e9
    assert 0 < rnn < c3d / 2


def test_memory_that_cannot_be_measured_is_not_known(monkeypatch):
    assert peak_memory_bytes(subject("warp-drive")) is None
    monkeypatch.setattr(peak_memory, "_TIMEOUT_S", 0.0)
    assert peak_memory_bytes(subject("torch")) is None


def test_the_command_gives_rows_of_what_runs_here(capsys):
    what = "--networks rnn,lstm --engines torch,warp-drive --device cpu --size 32 --seconds 0.1"
    status = main(["bench", "engines", *what.split(), "--json"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert status == 0
    assert [(row["network"], row["engine"]) for row in found["rows"]] == [
        ("rnn", "torch"),
        ("lstm", "torch"),
    ]
    for row in found["rows"]:
        assert 0 < row["median_ms"] <= row["p99_ms"]
        assert row["peak_mb"] > 0
        assert row["ratio_to_c3d"] is None
    assert [row["engine"] for row in found["absent"]] == ["warp-drive"] * 2
    assert "rnn in torch" in err


def test_the_table_has_the_ratio_to_the_best_of_c3d(capsys, monkeypatch):
    rows = (
        EngineRow("c3d", "torch", "torch 2", 400.0, 450.0, 50, 300.0, 4000.0, 200.0),
        EngineRow("c3d", "openvino", "OpenVINO 1", 200.0, 210.0, 50),
        EngineRow("cs3d", "openvino", "OpenVINO 1", 50.0, 51.25, 50, 99.6),
    )
    absent = (("cs3d", "tensorrt", "runs on cuda only"),)
    monkeypatch.setattr(
        engines, "measure", lambda *_, **__: Results(rows, absent, "none gives a reading")
    )
    assert main(["bench", "engines", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert cells[2:] == [
        ["c3d", "torch", "torch 2", "400.0", "450.0", "2.00", "300", "4e+03 ± 2e+02"],
        ["c3d", "**openvino**", "OpenVINO 1", "200.0", "210.0", "1.00", "–", "–"],
        ["cs3d", "**openvino**", "OpenVINO 1", "50.0", "51.2", "0.25", "100", "–"],
    ]
    assert lines[-2:] == [
        "cs3d in tensorrt: runs on cuda only",
        "Energy was not measured: none gives a reading",
    ]


def test_a_device_that_does_not_exist_is_refused(capsys):
    assert main(["bench", "engines", "--device", "cuda:77"]) == 1
    assert "device 'cuda:77' does not exist here" in capsys.readouterr().err


def test_percentiles_are_of_the_measured_times():
    one = engines._Running(subject("torch"), _Named(), np.zeros(1), [0.001] * 98 + [0.5, 1.0])
    row = engines._row(one, None)
    assert row.median_ms == 1.0
    assert 500 <= row.p99_ms <= 1000


class _Named:
    version = "none"
