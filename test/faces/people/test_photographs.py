import json

import cv2
import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.people.photographs import load_photographs
from faces_data import photographs_path

LANDMARKS = [[100.0 + i, 200.0] for i in range(68)]


def write_picture(path, shape=(448, 448)):
    gray = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    cv2.imwrite(str(path), gray)


@pytest.fixture
def folder(tmp_path):
    write_picture(tmp_path / "ann.jpg")
    write_list(tmp_path)
    return tmp_path


def write_list(folder, name="ann", **stated):
    face = {"landmarks68": LANDMARKS, "age": "24", "gender": "female", **stated}
    (folder / "faces.json").write_text(json.dumps({name: face}))


def test_a_photograph_has_what_the_list_states(folder):
    (photograph,) = load_photographs(folder)
    assert photograph.name == "ann"
    assert photograph.gray.shape == (448, 448)
    assert photograph.gray.dtype == np.uint8
    assert photograph.landmarks.tolist() == LANDMARKS
    assert photograph.landmarks.dtype == np.float32
    assert (photograph.age, photograph.gender, photograph.ethnicity) == (24, "female", "")


@pytest.mark.parametrize("age", ["NA", "", None, "-3", "24.5", [24]])
def test_an_age_that_is_no_number_is_unknown(folder, age):
    write_list(folder, age=age)
    assert load_photographs(folder)[0].age is None


def test_photographs_come_in_the_order_of_their_names(folder):
    face = {"landmarks68": LANDMARKS}
    (folder / "faces.json").write_text(json.dumps({"b": face, "ann": face}))
    write_picture(folder / "b.jpg")
    assert [p.name for p in load_photographs(folder)] == ["ann", "b"]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FaceError, match=r"faces\.json: cannot be read"):
        load_photographs(tmp_path)


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "7", "null", '{"a": 3}', "[" * 100_000])
def test_a_list_that_is_none_is_refused(folder, text):
    (folder / "faces.json").write_text(text)
    with pytest.raises(FaceError, match=r"faces\.json"):
        load_photographs(folder)


def test_a_list_that_is_no_text_is_refused(folder):
    (folder / "faces.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(FaceError, match="is not JSON"):
        load_photographs(folder)


@pytest.mark.parametrize("name", ["../ann", "/etc/passwd", "a.b", "", "a" * 65, "a\n"])
def test_a_name_that_could_lead_elsewhere_is_refused(folder, name):
    write_list(folder, name=name)
    with pytest.raises(FaceError, match="is not an object under a name of letters"):
        load_photographs(folder)


def test_a_missing_picture_is_refused(folder):
    (folder / "ann.jpg").unlink()
    with pytest.raises(FaceError, match=r"ann\.jpg: cannot be read"):
        load_photographs(folder)


def test_a_folder_in_place_of_a_picture_is_refused(folder):
    (folder / "ann.jpg").unlink()
    (folder / "ann.jpg").mkdir()
    with pytest.raises(FaceError, match=r"ann\.jpg: cannot be read"):
        load_photographs(folder)


def test_a_truncated_picture_is_refused(folder):
    path = folder / "ann.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FaceError, match=r"ann\.jpg: is no whole JPEG"):
        load_photographs(folder)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"GIF89a", b"\xff\xd8nonsense\xff\xd9"])
def test_a_picture_that_is_no_jpeg_is_refused(folder, data):
    (folder / "ann.jpg").write_bytes(data)
    with pytest.raises(FaceError, match=r"ann\.jpg: is no whole JPEG"):
        load_photographs(folder)


def test_a_picture_of_another_size_is_refused(folder):
    write_picture(folder / "ann.jpg", (300, 448))
    with pytest.raises(FaceError, match="448x300 pixels, expected 448x448"):
        load_photographs(folder)


@pytest.mark.parametrize(
    "landmarks",
    [None, [], LANDMARKS[:67], LANDMARKS * 2, [[1, 2, 3]] * 68, "x" * 68, [["a", 1]] * 68, {}],
)
def test_landmarks_that_are_not_68_pairs_are_refused(folder, landmarks):
    write_list(folder, landmarks68=landmarks)
    with pytest.raises(FaceError, match="not 68 pairs"):
        load_photographs(folder)


@pytest.mark.parametrize("value", [-1, 448, 1e9, float("nan"), float("inf")])
def test_a_landmark_outside_of_the_picture_is_refused(folder, value):
    write_list(folder, landmarks68=[*LANDMARKS[:67], [100, value]])
    with pytest.raises(FaceError, match="a landmark lies outside"):
        load_photographs(folder)


def test_the_london_set_is_read():
    photographs = load_photographs(photographs_path())
    assert len(photographs) == 68
    assert photographs[0].name == "001"
    assert photographs[0].age == 24
    assert photographs[0].landmarks[0] == pytest.approx([92.22, 163.34], abs=0.01)
    assert sum(p.age is None for p in photographs) == 2
    assert {p.gender for p in photographs} == {"female", "male"}
