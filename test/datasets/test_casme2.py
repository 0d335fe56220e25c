import csv
import sys

import pytest

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import list_sources, make_clip
from cs3d_ros.errors import Cs3dError
from cs3d_ros.simulation.settings import PRESETS
from moving_faces import KnownFinder, expression_frames, face_in, picture_folder

# As in the set: columns without a title, an apex that was not found, numbers and text.
HEADER = (
    "Subject",
    "Filename",
    None,
    "OnsetFrame",
    "ApexFrame",
    "OffsetFrame",
    None,
    "Action Units",
    "Estimated Emotion",
)
ROWS = [
    (1, "EP02_01f", None, 46, 59, 86, None, "4+L10", "disgust"),
    (1, "EP03_02", None, 131, 161, 231, None, "12", "happiness"),
    (2, "EP01_11f", None, 46, "/", 96, None, "4", "repression"),
    (17, "EP05_09", None, 21, "/", 31, None, "1+2", "surprise"),
    (17, "EP11_01", None, 1, 5, 11, None, "4", "others"),
]


def write_xlsx(path, rows, header=HEADER):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(header)
    for row in rows:
        book.active.append(row)
    book.save(path)


def write_csv(path, rows, header=HEADER):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *rows])


def frames(folder, row, inside="CASME2_RAW_selected/CASME2_RAW_selected", name="img{}.jpg", more=0):
    clip = folder / inside / f"sub{row[0]:02d}" / row[1]
    clip.mkdir(parents=True)
    for number in range(max(row[3] - more, 1), row[5] + 1 + more):
        (clip / name.format(number)).touch()
    return clip


@pytest.fixture
def folder(tmp_path):
    write_csv(tmp_path / "CASME2-coding-20140508.csv", ROWS)
    for row in ROWS:
        frames(tmp_path, row)
    return tmp_path


def by_name(sources):
    return {clip.name: clip for clip in sources.items}


def test_rows_become_clips(folder):
    clips = by_name(list_sources("casme2", folder))
    assert list(clips) == ["casme2-sub01-EP02_01f", "casme2-sub01-EP03_02", "casme2-sub17-EP05_09"]
    disgust = clips["casme2-sub01-EP02_01f"]
    assert (disgust.expression, disgust.original_label) == ("disgusted", "disgust")
    assert disgust.subject == "casme2-sub01"
    assert disgust.frame_rate == 200.0
    assert disgust.path.name == "EP02_01f"
    assert disgust.provenance["action_units"] == "4+L10"


def test_times_are_counted_from_the_first_picture_that_is_there(folder):
    clip = by_name(list_sources("casme2", folder))["casme2-sub01-EP02_01f"]
    assert (clip.onset_s, clip.apex_s, clip.offset_s) == (0.0, 0.065, 0.2)


def test_in_whole_recordings_the_expression_begins_later(tmp_path):
    write_csv(tmp_path / "CASME2-coding-20190701.csv", ROWS)
    frames(tmp_path, ROWS[0], "CASME2-RAW", more=40)
    (clip,) = list_sources("casme2", tmp_path).items
    assert (clip.onset_s, clip.apex_s, clip.offset_s) == (0.2, 0.265, 0.4)


def test_an_apex_that_was_not_found_is_unknown(folder):
    clip = by_name(list_sources("casme2", folder))["casme2-sub17-EP05_09"]
    assert clip.apex_s is None
    assert clip.expression == "surprised"


def test_labels_that_fit_none_are_left_out_and_counted(folder):
    left_out = list_sources("casme2", folder).left_out
    assert [(reason.split()[0], n) for reason, n in left_out.items()] == [
        ("others", 1),
        ("repression", 1),
    ]


def test_every_label_can_be_had(folder):
    sources = list_sources("casme2", folder, every_label=True)
    assert {c.expression for c in sources.items} == {
        "disgusted",
        "happy",
        "repression",
        "surprised",
        "others",
    }


def test_the_table_is_read_as_a_spreadsheet(folder):
    table = folder / "CASME2-coding-20140508.csv"
    expected = [c.to_json() for c in list_sources("casme2", folder).items]
    write_xlsx(table.with_suffix(".xlsx"), ROWS)
    table.unlink()
    assert [c.to_json() for c in list_sources("casme2", folder).items] == expected


def test_without_openpyxl_it_says_what_to_install(folder, monkeypatch):
    (folder / "CASME2-coding-20140508.xlsx").touch()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(Cs3dError, match="needs openpyxl"):
        list_sources("casme2", folder)


def test_cropped_pictures_are_taken_where_there_are_no_others(folder):
    row = (3, "EP07_03", None, 10, 20, 30, None, "1", "fear")
    write_csv(folder / "CASME2-coding-20140508.csv", [*ROWS, row])
    frames(folder, row, "Cropped/Cropped", "reg_img{}.jpg")
    frames(folder, ROWS[0], "Cropped/Cropped", "reg_img{}.jpg")
    clips = by_name(list_sources("casme2", folder))
    assert "Cropped" in clips["casme2-sub03-EP07_03"].path.parts
    assert "Cropped" not in clips["casme2-sub01-EP02_01f"].path.parts


def test_rows_that_cannot_be_used_are_told(folder):
    bad = [
        (1, "EP02_01f", None, 46, 59, 86, None, "4", "disgust"),
        (9, "EP99_99", None, 1, 2, 3, None, "4", "fear"),
        ("x", "EP02_01f", None, 1, 2, 3, None, "4", "fear"),
        (1, "EP03_02", None, 1, 2, 3, None, "4", "boredom"),
        (2, "EP01_11f", None, "a", 2, 3, None, "4", "fear"),
        (2, "EP01_11f", None, 96, 50, 46, None, "4", "fear"),
        (2, "EP01_11f", None, 500, 510, 520, None, "4", "fear"),
        (None,) * 9,
    ]
    write_csv(folder / "CASME2-coding-20140508.csv", ROWS + bad)
    sources = list_sources("casme2", folder)
    assert len(sources.items) == 3
    reasons = {
        path.rpartition(" ")[2] if "row" in path else "same": r for path, r in sources.skipped
    }
    assert reasons == {
        "same": "the same as CASME2_RAW_selected/CASME2_RAW_selected/sub01/EP02_01f",
        "8": "no frames sub09/EP99_99/img….jpg",
        "9": "subject 'x' is no number",
        "10": "'boredom' is no label of the set",
        "11": "onset 'a' and offset '3' are no frames",
        "12": "onset '96' and offset '46' are no frames",
        "13": "frames 500 to 520 are not among its pictures, 46 to 96",
    }


def test_an_expression_that_is_cut_off_lasts_as_long_as_its_pictures(folder):
    clip = folder / "CASME2_RAW_selected/CASME2_RAW_selected/sub01/EP02_01f"
    for number in (46, 47, 85, 86):
        (clip / f"img{number}.jpg").unlink()
    disgust = by_name(list_sources("casme2", folder))["casme2-sub01-EP02_01f"]
    assert (disgust.onset_s, disgust.offset_s) == (0.0, 36 / 200)


def test_a_folder_without_the_table_is_refused(tmp_path):
    frames(tmp_path, ROWS[0])
    with pytest.raises(DatasetError, match=r"has no coding table; expected CASME2-coding"):
        list_sources("casme2", tmp_path)


def test_a_folder_without_frames_is_refused(tmp_path):
    write_csv(tmp_path / "CASME2-coding-20140508.csv", ROWS[:2])
    with pytest.raises(DatasetError, match="nothing in it is of casme2"):
        list_sources("casme2", tmp_path)


def test_a_table_without_its_columns_is_refused(folder):
    write_csv(folder / "CASME2-coding-20140508.csv", ROWS, ("Subject", "Filename", *"abcdefg"))
    with pytest.raises(DatasetError, match="lacks the columns OnsetFrame, ApexFrame"):
        list_sources("casme2", folder)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x00PK", bytes(1000)])
def test_a_damaged_table_is_refused(folder, suffix, content):
    if suffix == ".xlsx":
        pytest.importorskip("openpyxl")
    (folder / f"CASME2-coding-20140508{suffix}").write_bytes(content)
    with pytest.raises(DatasetError, match=r"CASME2-coding-20140508"):
        list_sources("casme2", folder)


def test_a_clip_of_it_becomes_events(tmp_path):
    write_csv(
        tmp_path / "CASME2-coding-20140508.csv",
        [(7, "EP06_01", "", 46, 56, 65, "", "12", "happiness")],
    )
    clip_folder = tmp_path / "CASME2_RAW_selected" / "sub07" / "EP06_01"
    picture_folder(clip_folder, expression_frames(20), first=46)
    (source,) = list_sources("casme2", tmp_path).items
    clip = make_clip(source, KnownFinder([face_in()]), PRESETS["clean"], 0, "sufficient")
    assert clip.duration_ns == 95_000_000
    assert (clip.course.onset_ns, clip.course.apex_ns, clip.course.offset_ns) == (
        0,
        50_000_000,
        95_000_000,
    )
    assert clip.expression == "happy"
    assert len(clip.events.t_ns) > 200
