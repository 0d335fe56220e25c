"""The file of the morphable face: what is in it, and what is refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import FaceKit, load_facekit
from faces_data import facekit_arrays, facekit_path


@pytest.fixture(scope="module")
def kit() -> FaceKit:
    return load_facekit(facekit_path())


def saved(folder: Path, **changed: object) -> Path:
    """A file with some arrays changed; None leaves one out."""
    arrays = {**facekit_arrays(), **changed}
    path = folder / "kit.npz"
    np.savez_compressed(path, **{name: a for name, a in arrays.items() if a is not None})
    return path


def test_the_real_file_has_what_its_description_says(kit):
    assert kit.vertices.shape == (20198, 3)
    assert kit.triangles.shape == (40118, 3)
    assert len(kit.expression_names) == 53
    assert kit.identity_scale.shape == (100,)
    assert kit.vertices[kit.landmarks68[8], 1] < kit.vertices[kit.landmarks68[30], 1]


def test_the_parts_of_the_mesh_are_where_they_belong(kit):
    def middle(part):
        return kit.vertices[part].mean(axis=0)

    assert middle(kit.left_eye)[0] > 2 > -2 > middle(kit.right_eye)[0]
    assert middle(kit.teeth)[1] < middle(kit.left_eye)[1]
    assert middle(kit.mouth_socket)[2] < middle(kit.teeth)[2]
    parts = [kit.face, kit.head, kit.mouth_socket, kit.eye_sockets, kit.gums, kit.teeth]
    parts += [kit.left_eye, kit.right_eye]
    assert [p.start for p in parts] == [0, *(p.stop for p in parts[:-1])]
    assert parts[-1].stop == len(kit.vertices)


def test_each_blendshape_displaces_as_the_file_says(kit):
    with np.load(facekit_path(), allow_pickle=False) as arrays:
        deltas, scale = arrays["expression_deltas"], arrays["expression_scale"]
    for i in range(len(deltas)):
        np.testing.assert_allclose(kit.displacement(i), deltas[i] * scale, atol=1e-6)


def test_a_pose_adds_weighted_blendshapes(tmp_path):
    kit = load_facekit(saved(tmp_path))
    posed = kit.posed(kit.vertices, kit.weights({"jawOpen": 0.5, "eyeBlink_L": 1.0}))
    np.testing.assert_allclose((posed - kit.vertices)[5], [0.05, 0.9, 0.15], atol=1e-5)
    np.testing.assert_allclose((posed - kit.vertices)[3], [0, 1, 0], atol=1e-5)
    assert not (posed - kit.vertices)[6:].any()


def test_identity_adds_scaled_components(tmp_path):
    kit = load_facekit(saved(tmp_path))
    np.testing.assert_allclose(kit.identity(np.array([2.0])), kit.vertices + 1, atol=1e-5)
    np.testing.assert_array_equal(kit.identity(np.zeros(0)), kit.vertices)
    with pytest.raises(FaceError, match="up to 1 finite"):
        kit.identity(np.zeros(2))
    with pytest.raises(FaceError, match="finite"):
        kit.identity(np.array([np.nan]))


def test_an_unknown_blendshape_is_named_with_those_there_are(tmp_path):
    kit = load_facekit(saved(tmp_path))
    assert kit.index("eyeBlink_L") == 1
    with pytest.raises(FaceError, match=r"'eyeBlink'.*jawOpen, eyeBlink_L"):
        kit.weights({"eyeBlink": 1.0})


def test_the_arrays_cannot_be_changed_by_accident(tmp_path):
    kit = load_facekit(saved(tmp_path))
    with pytest.raises(ValueError, match="read-only"):
        kit.vertices[0] = 0


@pytest.mark.parametrize("name", list(facekit_arrays()))
def test_a_missing_array_is_named(tmp_path, name):
    with pytest.raises(FaceError, match=rf"{name}' is missing.*docs/faces.md"):
        load_facekit(saved(tmp_path, **{name: None}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vertices", np.zeros((20198, 2), np.float32)),
        ("vertices", np.zeros((26719, 3), np.float32)),
        ("vertices", np.zeros((20198, 3), np.int32)),
        ("vertices", np.full((20198, 3), np.nan, np.float32)),
        ("vertices", np.full((20198, 3), 1e9, np.float32)),
        ("triangles", np.full((9, 3), 20198, np.uint16)),
        ("triangles", np.full((9, 3), -1, np.int32)),
        ("triangles", np.zeros((0, 3), np.uint16)),
        ("triangles", np.zeros((9, 4), np.uint16)),
        ("triangle_material", np.ones(100, np.uint8)),
        ("triangle_material", np.zeros(99, np.uint8)),
        ("material_names", np.array([1, 2])),
        ("expression_names", np.array(["jawOpen", "jawOpen"])),
        ("expression_names", np.array(["jawOpen"])),
        ("expression_names", np.array(["jawOpen", None])),
        ("expression_deltas", np.zeros((2, 20198, 3), np.float32)),
        ("expression_scale", np.float32(np.inf)),
        ("expression_scale", np.ones(2, np.float32)),
        ("identity_deltas", np.zeros((300, 2, 3), np.int8)),
        ("identity_scale", np.ones(2, np.float32)),
        ("landmarks68", np.zeros(67, np.uint16)),
        ("landmarks68", np.full(68, 30000, np.uint16)),
        ("landmarks68", np.zeros(68, np.float32)),
    ],
)
def test_an_array_that_is_not_what_it_should_be_is_refused(tmp_path, name, value):
    with pytest.raises(FaceError, match=r"docs/faces.md"):
        load_facekit(saved(tmp_path, **{name: value}))


def test_no_memory_is_taken_for_an_array_that_only_claims_to_be_huge(tmp_path):
    path = saved(tmp_path, triangles=None)
    header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000, 3), }\n"
    with zipfile.ZipFile(path, "a") as archive:
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        archive.writestr("triangles.npy", data)
    with pytest.raises(FaceError, match="1000000000000"):
        load_facekit(path)


def test_what_is_no_such_file_is_refused(tmp_path):
    with pytest.raises(FaceError, match="no morphable face at"):
        load_facekit(tmp_path / "none.npz")
    with pytest.raises(FaceError, match="damaged"):
        load_facekit(tmp_path)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(FaceError, match="damaged"):
        load_facekit(tmp_path / "text.npz")


def test_a_truncated_file_is_refused(tmp_path):
    path = saved(tmp_path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FaceError, match="damaged"):
            load_facekit(path)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_anywhere_is_a_face_error_or_harmless(tmp_path, places):
    path = saved(tmp_path)
    data = bytearray(path.read_bytes())
    for share, value in places:
        data[int(share * (len(data) - 1))] = value
    path.write_bytes(data)
    try:
        kit = load_facekit(path)
    except FaceError:
        return
    assert np.isfinite(kit.posed(kit.vertices, np.ones(2, np.float32))).all()
