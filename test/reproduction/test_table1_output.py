import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction.table1.numbers import scaled, watts
from cs3d_ros.reproduction.table1.output import as_dict, as_markdown, new_folder, write
from cs3d_ros.reproduction.table1.plot import write_plot
from reproduction_helpers import table1_of, turns

C3D, CS3D = ("c3d", "float32", 1), ("cs3d", "float32", 1)
# 40 J, 42 J and 12 J, 13 J above idle for 100 inferences.
ROWS = {C3D: turns(60.0, 62.0), CS3D: turns(32.0, 33.0)}
# BGR.
C3D_BAR, CS3D_BAR, PAPER_LINE, TIME = (92, 92, 92), (178, 114, 0), (0, 94, 213), (115, 158, 0)


def rows_of(text):
    """The cells of the tables, without their headers and rules."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_has_operations_time_and_energy_with_their_spread():
    _, _, c3d, cs3d, _, _, ratio = rows_of(as_markdown(table1_of(ROWS)))
    assert c3d == [
        "C3D", "float32", "1", "21.29", "21.29", "100 ± 0", "410 ± 14", "± 0.141", "6.10 ± 0.14",
        "2.00 ± 0.00",
    ]  # fmt: skip
    assert cs3d[6] == "125 ± 7"
    # 12/40 and 13/42.
    assert ratio == ["CS3D / C3D", "float32", "1", "20.05", "100 ± 0", "30.5 ± 0.7", "21.97"]


def test_a_ratio_above_the_papers_is_called_so():
    text = as_markdown(table1_of(ROWS))
    assert "float32, batch 1: CS3D takes 30.48 % of C3D's energy, **above** the paper's" in text
    lower = {C3D: turns(60.0, 62.0), CS3D: turns(26.0, 26.2)}
    text = as_markdown(table1_of(lower))
    assert "**below** the paper's 21.97 %; it takes 100.00 %" in text
    # 20 %, 24 %.
    near = {C3D: turns(70.0, 70.0), CS3D: turns(30.0, 32.0)}
    assert "**above** the paper's 21.97 %, by less than the standard dev" in as_markdown(
        table1_of(near)
    )


def test_without_a_source_the_reason_stands_there_and_no_energy():
    results = table1_of(
        {C3D: turns(None, None), CS3D: turns(None, None)}, power=False, no_power="none was found"
    )
    text = as_markdown(results)
    assert "**Energy: not measured**: none was found." in text
    assert "mJ" not in text
    assert "Idle power" not in text
    header = rows_of(text)[0]
    assert header == ["network", "precision", "batch", "GMACs", "paper, GMACs", "time, ms"]
    content = as_dict(results)
    assert (content["power"], content["no_power"]) == (None, "none was found")
    assert [row["energy_j"] for row in content["rows"]] == [None, None]
    assert content["ratios"][0]["energy"] is None
    assert content["ratios"][0]["time"]["mean"] == pytest.approx(1.0)


def test_energy_that_is_not_clear_of_idling_gives_no_ratio():
    text = as_markdown(table1_of({C3D: turns(60.0, 60.0), CS3D: turns(20.01, 19.0)}))
    assert rows_of(text)[-1][-2:] == ["–", "21.97"]
    assert "no ratio of energies" in text
    assert "--seconds" in text


def test_a_total_that_no_sensor_measures_is_called_an_estimate():
    text = as_markdown(table1_of(ROWS, estimated=True))
    assert "estimated energy, mJ" in rows_of(text)[0]
    assert "**The total is an estimate**" in text
    assert "estimate" not in as_markdown(table1_of(ROWS))


@pytest.mark.parametrize(
    ("power", "said"),
    [
        ({"source": "nvml", "scope": "gpu"}, "the whole graphics board"),
        ({"source": "rapl", "scope": "cpu_package"}, "not memory and board"),
        ({"averaging_s": 1.0}, "Each reading is a mean over 1 s."),
        ({"sample_period_s": 0.104}, "read every 104 ms on average (100 ms asked for)"),
        ({}, "Idle power of 2.00 W, measured for 10 s before each repeat with the networks"),
        ({}, "trapezoidal rule"),
    ],
)
def test_the_notes_say_how_energy_was_measured(power, said):
    assert said in as_markdown(table1_of(ROWS, **power))


def test_what_is_not_finished_says_so():
    assert "**Not finished**" in as_markdown(table1_of(ROWS, repeats=3))
    assert "Not finished" not in as_markdown(table1_of(ROWS))
    assert as_dict(table1_of(ROWS, repeats=3))["finished"] is False


def test_one_repeat_has_no_spread():
    text = as_markdown(table1_of({C3D: turns(60.0), CS3D: turns(32.0)}, repeats=1))
    assert "Of one repeat, so that nothing is known about the spread." in text
    assert rows_of(text)[2][6] == "400"


def test_peak_memory_stands_there_where_it_is_known():
    one = tuple(replace(turn, peak_memory_bytes=300 << 20) for turn in turns(60.0, 62.0))
    text = as_markdown(table1_of({C3D: one, CS3D: turns(32.0, 33.0)}))
    assert [row[-1] for row in rows_of(text)[:4:2]] == ["peak memory, MiB", "300"]
    assert rows_of(text)[3][-1] == "–"


def test_json_has_every_turn_in_si_units(tmp_path):
    write(table1_of(ROWS), tmp_path)
    content = json.loads((tmp_path / "table1.json").read_text())
    row = content["rows"][1]
    assert row["energy_j"]["mean"] == pytest.approx(0.125)
    assert row["energy_j"]["deviation"] == pytest.approx(0.005 * 2**0.5)
    assert row["energy_j"]["each"] == pytest.approx([0.12, 0.13])
    turn = row["turns"][0]
    assert (turn["inferences"], turn["energy_j"]) == (100, pytest.approx(0.12))
    assert turn["energy"]["energy_j"] == 32.0
    assert turn["idle"]["method"] == "trapezoid"
    assert content["paper"]["energy_cs3d_by_c3d"] == 0.2197
    assert content["operations"]["c3d"]["macs"] == 21_291_466_752
    assert content["power"]["source"] == "tegrastats"
    assert (tmp_path / "table1.md").read_text() == as_markdown(table1_of(ROWS))
    assert {path.name for path in tmp_path.iterdir()} == {"table1.md", "table1.json"}


def test_only_a_new_or_empty_folder_is_taken(tmp_path):
    new_folder(tmp_path / "a/b")
    new_folder(tmp_path / "a/b")
    assert (tmp_path / "a/b").is_dir()
    with pytest.raises(Cs3dError, match=r"holds b already, and no measurement is replaced"):
        new_folder(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(Cs3dError, match=r"file: cannot be used for the results"):
        new_folder(tmp_path / "file")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.0123], "12.3"),
        ([0.0009126], "0.913"),
        ([2.5, 3.5], "3000 ± 707"),
        ([0.0], "0"),
        ([-0.0123], "-12.3"),
        ([-2e-14], "0.0000"),
    ],
)
def test_numbers_have_three_digits(values, text):
    assert scaled(values, 1e3) == text


def test_a_range_of_powers_that_looks_the_same_is_one():
    assert watts(2.001, 2.002) == "2.00 W"
    assert watts(68.21, 70.9) == "68.2 to 70.9 W"


def picture(results, path):
    write_plot(results, path)
    return cv2.imread(str(path)).astype(int)


def count(pixels, colour):
    return int((np.abs(pixels - np.array(colour)).max(axis=2) < 12).sum())


def test_energies_and_ratios_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    pixels = picture(table1_of(ROWS), tmp_path / "x.png")
    left = pixels[:, : pixels.shape[1] // 2]
    # Bars of 410 and 125 mJ.
    assert count(left, C3D_BAR) > 2.5 * count(left, CS3D_BAR) > 1000
    assert count(pixels, PAPER_LINE) > 100
    assert count(pixels, TIME) > 20


def test_without_energy_times_are_drawn_and_no_energy_of_the_paper(tmp_path):
    pytest.importorskip("matplotlib")
    times = {C3D: turns(None, None), CS3D: turns(None, None, n=400)}
    pixels = picture(table1_of(times, power=False), tmp_path / "x.png")
    left = pixels[:, : pixels.shape[1] // 2]
    assert count(left, C3D_BAR) > 2.5 * count(left, CS3D_BAR) > 1000
    assert count(pixels, PAPER_LINE) == 0


def test_more_rows_make_a_taller_picture(tmp_path):
    pytest.importorskip("matplotlib")
    rows = {
        (network, precision, batch): turns(joules, joules + 1)
        for precision in ("float32", "tf32", "bfloat16")
        for batch in (1, 32)
        for network, joules in (("c3d", 60.0), ("cs3d", 32.0))
    }
    few = picture(table1_of(ROWS), tmp_path / "few.png").shape[0]
    assert picture(table1_of(rows), tmp_path / "many.png").shape[0] > 1.5 * few
