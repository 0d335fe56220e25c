"""The published files of the morphable face: what becomes of them, and what is refused."""

import argparse
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cs3d_ros.errors import Cs3dError
from cs3d_ros.facekit_cli import add_convert_facekit
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering import facekit_import
from cs3d_ros.faces.rendering.facekit import load_facekit
from cs3d_ros.faces.rendering.facekit_import import convert_facekit
from faces_data import facekit_path

PARTS = [(0, 17038), (17730, 18554), (19952, 20745), (21451, 22220), (23021, 23790)]
KEPT = np.concatenate([np.arange(first, last + 1) for first, last in PARTS])
NEUTRAL, INDICES = "generic_neutral_mesh.obj", "vertex_indices.json"
# Two triangles of the straddling face have the vertex 18555, which is left out.
TRIANGLE, STRADDLING = "f 1/3 2/2 3/1", "f 18553/1 18554/2 18555/3 18556/4"


def lines(key: str, numbers: np.ndarray, decimals: int = 6) -> str:
    line = f"{key} " + " ".join([f"%.{decimals}f"] * numbers.shape[1]) + "\n"
    return line * len(numbers) % tuple(numbers.ravel().tolist())


def full(kept: np.ndarray, others: float) -> np.ndarray:
    """Values of all published vertices."""
    values = np.full((26719, 3), others)
    values[KEPT] = kept
    return values


def write_indices(folder: Path, names: list[str], landmarks: list[int]) -> None:
    content = {"expressions": names, "idx_to_landmark_verts": landmarks, "incompatibilities": []}
    (folder / INDICES).write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def few_components(monkeypatch):
    monkeypatch.setattr(facekit_import, "COMPONENTS", 2)


@pytest.fixture(scope="module")
def made() -> dict[str, np.ndarray]:
    """What a made-up folder holds."""
    rng = np.random.default_rng(0)
    return {
        "neutral": rng.integers(-(10**6), 10**6, (26719, 3)) / 1e5,
        "quads": KEPT[rng.integers(0, len(KEPT), (20058, 4))],
        "quads_uv": rng.choice([0, 1, 2, 3, 7], (20058, 4)),
        "uv": rng.integers(0, 1000, (8, 2)) / 1000,
        "moves": rng.integers(-2000, 2001, (4, 26719, 3)),
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory, made) -> Path:
    """A clone with FaceXModel in it: two blendshapes and two components of identity."""
    clone = tmp_path_factory.mktemp("clone")
    folder = clone / "FaceXModel"
    folder.mkdir()
    neutral = made["neutral"]
    quads = [
        "f " + " ".join(f"{v + 1}/{t + 1}" for v, t in zip(*quad, strict=True))
        for quad in zip(made["quads"], made["quads_uv"], strict=True)
    ]
    dropped = ["f 18000/8 18001/8 19000/8 19001/6"] * 3
    faces = ["usemtl M_Face", *quads[:20000], "usemtl M_Iris", *dropped]
    faces += ["usemtl M_Teeth", TRIANGLE, STRADDLING, "usemtl M_Face", *quads[20000:]]
    head = "# a mesh\n\nmtllib some.mtl\n" + lines("v", neutral)
    (folder / NEUTRAL).write_text(head + lines("vt", made["uv"]) + "\n".join(faces) + "\n")
    names = ["jawOpen", "eyeBlink_L", "identity000", "identity001"]
    for name, moves in zip(names, made["moves"], strict=True):
        (folder / f"{name}.obj").write_text(lines("v", neutral + moves * 0.0005))
    write_indices(folder, names[:2], [17038, 17730, *range(66)])
    return clone


@pytest.fixture(scope="module")
def arrays(source) -> dict[str, np.ndarray]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facekit_import, "COMPONENTS", 2)
        return convert_facekit(source)


def changed(source: Path, folder: Path, name: str, content: bytes | str | None) -> Path:
    """A copy of the source with one file changed; None leaves it out."""
    for path in (source / "FaceXModel").iterdir():
        if path.name != name:
            (folder / path.name).symlink_to(path)
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    return folder


def text_of(source: Path, name: str) -> str:
    return (source / "FaceXModel" / name).read_text()


def test_the_parts_that_are_seen_are_kept_in_their_order(arrays, made):
    np.testing.assert_array_equal(arrays["vertices"], made["neutral"][KEPT].astype(np.float32))
    assert arrays["landmarks68"].tolist() == [17038, 17039, *range(66)]


def test_blendshapes_are_multiples_of_half_a_hundredth_of_a_millimetre(arrays, made):
    assert arrays["expression_names"].tolist() == ["jawOpen", "eyeBlink_L"]
    assert float(arrays["expression_scale"]) == pytest.approx(0.0005)
    assert arrays["expression_deltas"].dtype == np.int16
    np.testing.assert_array_equal(arrays["expression_deltas"], made["moves"][:2, KEPT])


def test_components_of_identity_use_the_whole_range_of_a_byte(arrays, made):
    deltas, scale = arrays["identity_deltas"].astype(int), arrays["identity_scale"]
    assert deltas.dtype == int
    assert arrays["identity_deltas"].dtype == np.int8
    assert np.abs(deltas).max(axis=(1, 2)).tolist() == [127, 127]
    back = deltas * scale[:, None, None]
    error = np.abs(back - made["moves"][2:, KEPT] * 0.0005)
    assert (error.max(axis=(1, 2)) <= 0.501 * scale).all()


def test_vertices_that_are_left_out_do_not_coarsen_a_component(source, arrays, made, tmp_path):
    moves = full(made["moves"][2, KEPT] * 0.0005, 15.0)
    other = changed(source, tmp_path, "identity000.obj", lines("v", made["neutral"] + moves))
    converted = convert_facekit(other)
    np.testing.assert_array_equal(converted["identity_deltas"], arrays["identity_deltas"])


def test_polygons_become_fans_of_triangles(arrays, made):
    place = {vertex: i for i, vertex in enumerate(KEPT.tolist())}
    first = [place[v] for v in made["quads"][0].tolist()]
    assert arrays["triangles"][:2].tolist() == [first[:3], [first[0], *first[2:]]]
    assert arrays["triangles"].shape == (40118, 3)
    assert arrays["triangles"][40000].tolist() == [0, 1, 2]
    names = arrays["material_names"]
    assert names.tolist() == ["M_Face", "M_Iris", "M_Teeth"]
    expected = np.zeros(40118, np.uint8)
    expected[40000:40002] = 2
    np.testing.assert_array_equal(arrays["triangle_material"], expected)


def test_a_face_that_reaches_what_is_left_out_keeps_its_other_triangle(arrays):
    place = np.searchsorted(KEPT, [18552, 18553, 18554])
    assert arrays["triangles"][40001].tolist() == place.tolist()


def test_every_corner_keeps_its_texture_coordinates_and_no_others_are_kept(arrays, made):
    assert len(arrays["uv"]) == 5
    corners = arrays["uv"][arrays["triangle_uv"]]
    quad = made["uv"][made["quads_uv"][0]].astype(np.float32)
    np.testing.assert_array_equal(corners[:2], quad[[[0, 1, 2], [0, 2, 3]]])
    np.testing.assert_array_equal(corners[40000], made["uv"][[2, 1, 0]].astype(np.float32))


def test_line_ends_of_another_system_change_nothing(source, arrays, tmp_path):
    data = text_of(source, NEUTRAL).replace("\n", "\r\n")
    other = convert_facekit(changed(source, tmp_path, NEUTRAL, data))
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, other[name])


def test_the_real_face_comes_back_from_its_files(tmp_path):
    names = ["jawOpen", "mouthSmile_L", "mouthRight", "eyeBlink_R"]
    with np.load(facekit_path(), allow_pickle=False) as file:
        real = {name: file[name] for name in file.files}
    neutral = full(real["vertices"], 0.0)
    chosen = [real["expression_names"].tolist().index(name) for name in names]
    faces, material = [], None
    for triangle, uv, m in zip(
        real["triangles"].tolist(),
        real["triangle_uv"].tolist(),
        real["triangle_material"].tolist(),
        strict=True,
    ):
        if m != material:
            faces.append(f"usemtl {real['material_names'][m]}")
            material = m
        faces.append("f " + " ".join(f"{KEPT[v] + 1}/{t + 1}" for v, t in zip(triangle, uv)))  # noqa: B905
    mesh = lines("v", neutral, 12) + lines("vt", real["uv"], 9) + "\n".join(faces)
    (tmp_path / NEUTRAL).write_text(mesh)
    for name, i in zip(names, chosen, strict=True):
        moves = full(real["expression_deltas"][i] * 0.0005, 0.0)
        (tmp_path / f"{name}.obj").write_text(lines("v", neutral + moves, 12))
    for i in range(2):
        moves = full(real["identity_deltas"][i] * float(real["identity_scale"][i]), 0.0)
        (tmp_path / f"identity{i:03d}.obj").write_text(lines("v", neutral + moves, 12))
    write_indices(tmp_path, names, KEPT[real["landmarks68"]].tolist())

    arrays = convert_facekit(tmp_path)
    for name in ("vertices", "triangles", "triangle_uv", "uv", "landmarks68", "expression_scale"):
        np.testing.assert_array_equal(arrays[name], real[name])
        assert arrays[name].dtype == real[name].dtype
    np.testing.assert_array_equal(arrays["expression_deltas"], real["expression_deltas"][chosen])
    np.testing.assert_array_equal(arrays["identity_deltas"], real["identity_deltas"][:2])
    np.testing.assert_allclose(arrays["identity_scale"], real["identity_scale"][:2], rtol=1e-6)
    of_triangles = arrays["material_names"][arrays["triangle_material"]]
    assert of_triangles.tolist() == real["material_names"][real["triangle_material"]].tolist()


@pytest.mark.parametrize(
    "name", [NEUTRAL, INDICES, "jawOpen.obj", "eyeBlink_L.obj", "identity001.obj"]
)
def test_a_missing_file_is_named(source, tmp_path, name):
    with pytest.raises(FaceError, match=rf"no file .*{name}; expected .*ICT-VGL/ICT-FaceKit"):
        convert_facekit(changed(source, tmp_path, name, None))


def test_what_is_no_file_is_not_read(source, tmp_path):
    os.mkfifo(changed(source, tmp_path, "jawOpen.obj", None) / "jawOpen.obj")
    with pytest.raises(FaceError, match="no file"):
        convert_facekit(tmp_path)
    with pytest.raises(FaceError, match="no file"):
        convert_facekit(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        (NEUTRAL, "", "26718 vertices, expected 26719"),
        (NEUTRAL, "v 1 2 3\nv 1 2 3\n", "26720 vertices, expected 26719"),
        (NEUTRAL, "v 1 2\n", "damaged"),
        (NEUTRAL, "v 1 2 x\n", "damaged"),
        (NEUTRAL, "v 1 2 3,\n", "damaged"),
        (NEUTRAL, "v 1 2 \xff\n", "damaged"),
        (NEUTRAL, "v \n", "empty"),
        (NEUTRAL, "v nan 1 2\n", "no number"),
        (NEUTRAL, "v 1 -inf 2\n", "no number"),
        (NEUTRAL, "v 1 1e400 2\n", "no number"),
        (NEUTRAL, "v 1 2 -2000\n", "beyond"),
        ("jawOpen.obj", "", "26718 vertices, expected 26719"),
        ("identity001.obj", "v nan 1 2\n", "no number"),
    ],
)
def test_a_damaged_vertex_is_refused_and_its_file_named(source, tmp_path, name, line, message):
    text = text_of(source, name)
    start = text.index("v ", len(text) // 10)
    start = text.index("\nv ", start) + 1
    end = text.index("\n", start) + 1
    damaged = (text[:start] + line + text[end:]).encode("latin-1")
    with pytest.raises(FaceError, match=rf"{name}: .*{message}"):
        convert_facekit(changed(source, tmp_path, name, damaged))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (TRIANGLE, "f 0/3 2/2 3/1", "beyond the 26719 vertices or the 8"),
        (TRIANGLE, "f 26720/3 2/2 3/1", "beyond"),
        (TRIANGLE, "f 1/9 2/2 3/1", "beyond"),
        (TRIANGLE, "f 1/0 2/2 3/1", "beyond"),
        (TRIANGLE, "f 99999999999999999999/1 2/2 3/1", "expected three or four"),
        (TRIANGLE, "f -1/3 2/2 3/1", "expected three or four"),
        (TRIANGLE, "f 1 2 3", "expected three or four"),
        (TRIANGLE, "f 1/3 2/2", "expected three or four"),
        (TRIANGLE, "f 1/3 2/2 3/1 4/1 5/1", "expected three or four"),
        (TRIANGLE, "f \xb2/3 2/2 3/1", "expected three or four"),
        (TRIANGLE, TRIANGLE.replace("3/1", "18556/1"), "40117 triangles, expected 40118"),
        (TRIANGLE, f"{TRIANGLE}\n{TRIANGLE}", "40119 triangles"),
        ("usemtl", "# usemtl", "before the first material"),
        ("\nf ", "\n# f ", "0 triangles"),
        ("vt ", "vn ", "no lines that begin with 'vt'"),
        ("vt 0", "vt x", "damaged"),
        ("M_Teeth", "M" * 65, "up to 64 letters"),
        (TRIANGLE, "\n".join(f"usemtl {i}" for i in range(256)), "expected 40118"),
        (TRIANGLE, "".join(f"usemtl {i}\n" for i in range(254)) + TRIANGLE, "257 materials"),
    ],
)
def test_a_damaged_mesh_is_refused_and_its_file_named(source, tmp_path, old, new, message):
    text = text_of(source, NEUTRAL)
    assert old in text
    with pytest.raises(FaceError, match=rf"{NEUTRAL}: .*{message}"):
        convert_facekit(changed(source, tmp_path, NEUTRAL, text.replace(old, new)))


@pytest.mark.parametrize("name", [NEUTRAL, INDICES, "identity000.obj"])
@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"v", b"v \n", b"version https://git-lfs"])
def test_what_is_something_else_is_refused_and_named(source, tmp_path, name, data):
    with pytest.raises(FaceError, match=name):
        convert_facekit(changed(source, tmp_path, name, data))


def test_a_file_that_is_far_too_large_is_not_read(source, tmp_path):
    os.truncate(changed(source, tmp_path, NEUTRAL, b"") / NEUTRAL, 10**12)
    with pytest.raises(FaceError, match=r"1000000000000 bytes, expected up to"):
        convert_facekit(tmp_path)


@pytest.mark.parametrize(
    ("names", "landmarks"),
    [
        ([], [0] * 68),
        ("jawOpen", [0] * 68),
        (["jawOpen", 1], [0] * 68),
        (["jawOpen", "jawOpen"], [0] * 68),
        (["../FaceXModel/jawOpen"], [0] * 68),
        (["jawOpen\n"], [0] * 68),
        (["x" * 65], [0] * 68),
        ([f"x{i}" for i in range(257)], [0] * 68),
        (["jawOpen"], [0] * 67),
        (["jawOpen"], {}),
        (["jawOpen"], [17039] * 68),
        (["jawOpen"], [26719] * 68),
        (["jawOpen"], [-1] * 68),
        (["jawOpen"], [1.0] * 68),
        (["jawOpen"], [10**30] * 68),
        (["jawOpen"], [None] * 68),
    ],
)
def test_names_and_landmarks_that_do_not_fit_are_refused(source, tmp_path, names, landmarks):
    write_indices(changed(source, tmp_path, INDICES, None), names, landmarks)
    with pytest.raises(FaceError, match=INDICES):
        convert_facekit(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", "null", "{", "[" * 100_000, '{"expressions": []}'])
def test_indices_that_are_not_what_they_should_be_are_refused(source, tmp_path, text):
    with pytest.raises(FaceError, match=rf"{INDICES}: is no JSON object"):
        convert_facekit(changed(source, tmp_path, INDICES, text))


@pytest.mark.parametrize(
    ("name", "by", "message"),
    [
        ("jawOpen", 16.5, "16.5 cm, expected up to 16"),
        ("identity001", 16.5, "16.5 cm, expected up to 16"),
        ("identity001", 0.0, "does not differ"),
    ],
)
def test_a_movement_that_cannot_be_is_refused(source, made, tmp_path, name, by, message):
    data = lines("v", made["neutral"] + by)
    with pytest.raises(FaceError, match=rf"{name}.obj: .*{message}"):
        convert_facekit(changed(source, tmp_path, f"{name}.obj", data))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from([NEUTRAL, INDICES, "jawOpen.obj", "identity001.obj"]),
    places=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3)), min_size=1, max_size=4),
)
def test_damage_anywhere_is_a_face_error_or_harmless(source, tmp_path_factory, name, places):
    data = (source / "FaceXModel" / name).read_bytes()
    for share, new in places:
        at = int(share * (len(data) - 1))
        data = data[:at] + new + data[at + 1 :]
    folder = changed(source, tmp_path_factory.mktemp("damaged"), name, data)
    try:
        arrays = convert_facekit(folder)
    except FaceError:
        return
    np.savez(folder / "kit.npz", **arrays)
    assert np.isfinite(load_facekit(folder / "kit.npz").vertices).all()


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_convert_facekit(parser.add_subparsers())
    parsed = parser.parse_args(["convert-facekit", *map(str, arguments)])
    code: int = parsed.run(parsed)
    return code


def test_the_command_writes_a_face_that_can_be_loaded(source, arrays, tmp_path, capsys):
    assert run(source, tmp_path / "kit.npz") == 0
    kit = load_facekit(tmp_path / "kit.npz")
    np.testing.assert_array_equal(kit.vertices, arrays["vertices"])
    np.testing.assert_array_equal(kit.identity_deltas, arrays["identity_deltas"])
    out = capsys.readouterr().out
    assert "20,198 vertices, 40,118 triangles, 2 blendshapes, 2 components" in out


def test_the_same_files_make_the_same_bytes_at_any_time(source, tmp_path):
    assert run(source, tmp_path / "a.npz") == 0
    assert run(source / "FaceXModel", tmp_path / "b.npz") == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_output_is_replaced_only_when_asked_to(source, tmp_path):
    target = tmp_path / "kit.npz"
    target.write_text("something else")
    with pytest.raises(Cs3dError, match="--overwrite"):
        run(source, target)
    assert target.read_text() == "something else"
    assert run(source, target, "--overwrite") == 0
    load_facekit(target)


@pytest.mark.parametrize(
    ("target", "message"),
    [("kit.txt", "ends in .npz"), ("none/kit.npz", "does not exist"), ("kit", "ends in .npz")],
)
def test_an_output_that_cannot_be_is_refused(source, tmp_path, target, message):
    with pytest.raises(Cs3dError, match=message):
        run(source, tmp_path / target)


def test_an_output_within_the_source_is_refused(source):
    with pytest.raises(Cs3dError, match="lies within"):
        run(source, source / "kit.npz")


def test_nothing_is_left_of_a_conversion_that_failed(source, tmp_path):
    (tmp_path / "source").mkdir()
    folder = changed(source, tmp_path / "source", "identity001.obj", b"")
    target = tmp_path / "kit.npz"
    target.write_text("something else")
    with pytest.raises(FaceError, match="identity001"):
        run(folder, target, "--overwrite")
    assert target.read_text() == "something else"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kit.npz", "source"]
