import json
from dataclasses import replace

from cs3d_ros.reproduction.output import as_dict, as_markdown, write
from reproduction_helpers import study_of

TABLE2 = """\
# Table II: networks

## facekit-7

Clip accuracy on the test part in %: 20 clips of 2 people who are in no other part. Always naming \
the same expression would give 14.3.
"""


def hits_of_table2():
    return {
        "rnn": [(3, 3), (4, 4)],
        "transformer": [(5, 3), (5, 4)],
        "c3d": [(7, 8), (8, 8)],
        "cs3d": [(9, 8)],
    }


def rows(text):
    """The cells of the first table, without the rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line
    ]


def test_a_table_is_as_it_always_was():
    text = as_markdown(study_of("table2", hits_of_table2()))
    assert text.startswith(TABLE2)
    assert rows(text) == [
        ["network", "ours", "95 % over people", "paper, ADFES", "paper, CASME II",
         "paper, SZU-EmoDage", "training"],
        ["RNN", "35.0 ± 7.1 (n = 2)", "35.0 to 35.0", "40.54", "36.73", "33.33", "2 min"],
        ["Transformer", "42.5 ± 3.5 (n = 2)", "35.0 to 50.0", "51.35", "42.86", "28.03", "2 min"],
        ["LSTM", "not finished (0 of 2 seeds)", "–", "29.73", "40.82", "29.55", "–"],
        ["C3D", "77.5 ± 3.5 (n = 2)", "75.0 to 80.0", "70.27", "40.82", "79.45", "2 min"],
        ["CS3D", "not finished (1 of 2 seeds)", "–", "78.38", "54.79", "90.91", "–"],
    ]  # fmt: skip
    assert (
        "- c3d above rnn (so in the paper on 3 of 3 data sets): **holds**; +42.5 points, spread "
        "7.9, over people +40.0 to +45.0.\n"
    ) in text
    assert "- 5 orders cannot be told yet: not all runs are finished.\n" in text
    assert text.endswith("- Command: `cs3d reproduce table2`\n")


def test_columns_line_up_as_plain_text():
    text = as_markdown(study_of("table2", hits_of_table2()))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    places = [[i for i, letter in enumerate(line) if letter == "|"] for line in lines]
    assert all(place == places[0] for place in places)


def test_no_number_of_an_unfinished_row_is_anywhere():
    # 17 of 20 clips are 85 %.
    study = study_of("table2", hits_of_table2())
    assert "85" not in as_markdown(study).replace("ab" * 32, "")
    row = as_dict(study)["data"][0]["rows"][-1]
    assert (row["name"], row["finished"], row["seeds_finished"]) == ("cs3d", False, 1)
    assert not {"accuracy", "runs", "interval", "seconds"} & row.keys()


def test_only_the_column_of_the_same_data_set_is_shown():
    header = rows(as_markdown(study_of("table2", {}, data_set="casme2")))[0]
    assert header == ["network", "ours", "95 % over people", "paper, CASME II", "training"]


def test_table4_has_operations_beside():
    text = as_markdown(study_of("table4", {}))
    found = rows(text)
    assert found[0][3:7] == ["paper, SZU-EmoDage", "GMACs", "paper, GMACs", "parameters"]
    by_title = {row[0]: row[3:7] for row in found}
    assert by_title["C3D"] == ["79.45", "21.29", "21.29", "62.1 M"]
    assert by_title["C3D + factorized blocks"] == ["87.88", "4.26", "4.26", "51.6 M"]
    assert by_title["C3D + attention"][2] == "–"
    assert by_title["CS3D"] == ["90.91", "4.22", "4.68", "1.3 M"]
    assert "With the classifier of C3D, CS3D has 4.27 GMACs and 51." in text


def test_table3_has_a_row_of_ours_without_a_figure():
    found = {row[0]: row[3] for row in rows(as_markdown(study_of("table3", {})))}
    assert found == {
        "augmentation": "paper, ADFES",
        "none": "47.00",
        "mild (ours)": "–",
        "common event augmentations": "60.40",
        "+ EventDrop": "61.50",
        "+ EventDrop + mirror": "74.20",
    }


def test_forks_are_set_against_the_base():
    found = rows(as_markdown(study_of("forks", {"base": [(5, 5)] * 2, "pool=max": [(4, 5)] * 2})))
    assert found[0] == [
        "one change", "ours", "95 % over people", "against base, points (95 % over people)",
        "training",
    ]  # fmt: skip
    by_title = {row[0]: row for row in found}
    assert by_title["base"][1:4] == ["50.0 ± 0.0 (n = 2)", "50.0 to 50.0", "–"]
    assert by_title["pool max"][3] == "−5.0 (−10.0 to +0.0)"
    assert by_title["pool average"][3] == "–"


def test_one_seed_is_shown_without_a_spread():
    text = as_markdown(study_of("table2", {"rnn": [(3, 3)]}, wanted=1))
    assert rows(text)[1][1] == "30.0 (n = 1)"
    assert "not finished (0 of 1 seed)" in text
    assert "With one seed nothing is known about the spread" in text


def test_failures_are_listed():
    study = study_of("table2", {}, failures=("some, lstm, seed 0: no number",))
    assert as_markdown(study).endswith(
        "Runs that failed, and are tried again by the same command:\n\n"
        "- some, lstm, seed 0: no number\n"
    )


def test_json_has_all_runs_and_the_papers_figures():
    study = study_of("table2", hits_of_table2())
    content = json.loads(json.dumps(as_dict(study), allow_nan=False))
    assert (content["table"], content["finished"], content["seeds"]) == ("table2", False, [0, 1])
    assert content["settings"] == study.settings.to_dict()
    (data,) = content["data"]
    row = data["rows"][0]
    assert row["paper"] == {"adfes": 40.54, "casme2": 36.73, "szu-emodage": 33.33}
    assert [run["accuracy"] for run in row["runs"]] == [0.3, 0.4]
    assert row["runs"][1]["training"]["machine"] == "a machine"
    assert row["settings"]["network"] == "rnn"
    assert [(o["higher"], o["lower"], o["verdict"]) for o in data["orders"]] == [
        ("c3d", "rnn", "holds"),
        ("c3d", "transformer", "holds"),
    ]


def test_files_are_replaced_whole(tmp_path):
    study = study_of("table2", hits_of_table2())
    write(replace(study, command="another"), tmp_path)
    write(study, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"table2.md", "table2.json"}
    assert (tmp_path / "table2.md").read_text() == as_markdown(study)
    assert json.loads((tmp_path / "table2.json").read_text())["command"] == study.command
