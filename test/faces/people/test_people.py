import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.people.people import photographed_person, random_person
from cs3d_ros.faces.people.photographs import Photograph, load_photographs
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path, photographs_path


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def photographs():
    return load_photographs(photographs_path())


@pytest.fixture(scope="module")
def random_people(kit):
    return [random_person(kit, np.random.default_rng(i), f"random-{i}") for i in range(10)]


@pytest.fixture(scope="module")
def photographed_people(kit, photographs):
    return [photographed_person(kit, p, np.random.default_rng(0)) for p in photographs[::9]]


def content(person):
    """All the bytes of a person."""
    meshes = [(m.vertices, m.triangles, m.albedo, [m.follows_head]) for m in person.worn]
    arrays = [person.vertices, person.albedo, *(a for mesh in meshes for a in mesh)]
    return b"".join(np.asarray(a).tobytes() for a in arrays)


def test_people_are_complete(random_people, photographed_people):
    for person in [*random_people, *photographed_people]:
        assert person.vertices.shape == (20198, 3)
        assert person.vertices.dtype == person.albedo.dtype == np.float32
        assert person.albedo.shape == (20198,)
        assert np.isfinite(person.vertices).all()
        assert person.albedo.min() >= 0
        assert person.albedo.max() <= 1
        for mesh in person.worn:
            n = len(mesh.vertices)
            assert mesh.vertices.dtype == mesh.albedo.dtype == np.float32
            assert mesh.triangles.dtype == np.int32
            assert mesh.albedo.shape == (n,)
            assert np.isfinite(mesh.vertices).all()
            assert len(mesh.triangles) > 0
            assert mesh.triangles.min() >= 0
            assert mesh.triangles.max() < n
            assert mesh.albedo.min() >= 0
            assert mesh.albedo.max() <= 1


def test_everybody_has_shoulders_that_stay(random_people, photographed_people):
    for person in [*random_people, *photographed_people]:
        widest = max(np.ptp(mesh.vertices[:, 0]) for mesh in person.worn if not mesh.follows_head)
        assert 30 < widest < 55


def test_a_subject_is_named_after_the_photograph(photographed_people):
    assert photographed_people[0].subject == "photo-001"


def test_the_same_state_gives_the_same_person(kit, photographs):
    for make in (
        lambda seed: random_person(kit, np.random.default_rng(seed), "random-1"),
        lambda seed: photographed_person(kit, photographs[7], np.random.default_rng(seed)),
    ):
        assert content(make(5)) == content(make(5))
        assert content(make(5)) != content(make(6))


def test_a_photographed_face_is_the_same_whatever_the_chance(kit, photographs):
    a, b = (photographed_person(kit, photographs[7], np.random.default_rng(s)) for s in (1, 2))
    face = slice(0, kit.face.stop)
    assert np.array_equal(a.vertices, b.vertices)
    above_the_neck = a.vertices[face, 1] > -9
    assert np.array_equal(a.albedo[face][above_the_neck], b.albedo[face][above_the_neck])


def test_random_people_differ_in_shape_and_tone(kit, random_people):
    tones = [float(np.median(p.albedo[kit.face])) for p in random_people]
    assert min(tones) < 0.1
    assert max(tones) > 0.25
    shapes = np.stack([p.vertices[kit.landmarks68] for p in random_people])
    spread = shapes.std(axis=0).mean()
    assert 0.15 < spread < 1.0


def test_no_random_face_is_monstrous(kit):
    """Landmarks stay within a few standard deviations of what faces of adults have."""
    for i in range(8):
        marks = random_person(kit, np.random.default_rng([1, i]), "x").vertices[kit.landmarks68]
        assert 5.0 < np.linalg.norm(marks[45] - marks[36]) < 11.0
        assert 3.5 < marks[27, 1] - marks[33, 1] < 6.5
        assert 0.25 < marks[[37, 38], 1].mean() - marks[[40, 41], 1].mean() < 1.1
        assert 3.5 < marks[54, 0] - marks[48, 0] < 7.0
        assert 9.0 < marks[27, 1] - marks[8, 1] < 14.5


def test_brows_lips_and_irises_are_darker_than_the_skin_around(kit, random_people):
    brows = kit.landmarks68[[18, 19, 20, 23, 24, 25]]
    darker = [p.albedo[brows].mean() < 0.9 * np.median(p.albedo[kit.face]) for p in random_people]
    assert sum(darker) >= 8
    for person in random_people:
        for part in (kit.left_eye, kit.right_eye):
            ball, tones = kit.vertices[part], person.albedo[part]
            apex = ball[ball[:, 2].argmax()]
            away = np.linalg.norm((ball - apex)[:, :2], axis=1)
            front = ball[:, 2] > apex[2] - 1.2
            pupil = tones[front & (away < 0.12)]
            iris = tones[front & (away > 0.3) & (away < 0.5)]
            white = tones[front & (away > 0.75)]
            assert pupil.max() < iris.max() < white.mean()


def test_the_inside_of_the_mouth_is_dark_and_the_front_teeth_are_bright(kit, random_people):
    front = np.flatnonzero(kit.vertices[:, 2] > kit.vertices[kit.teeth, 2].max() - 0.4)
    front = front[(front >= kit.teeth.start) & (front < kit.teeth.stop)]
    for person in random_people:
        assert person.albedo[kit.mouth_socket].max() < 0.05
        assert person.albedo[front].min() > 0.25


def test_some_wear_glasses_and_some_have_no_hair(kit):
    people = [random_person(kit, np.random.default_rng([2, i]), "x") for i in range(16)]
    worn = [len(p.worn) for p in people]
    # Shoulders alone; shoulders and hair; with glasses or long hair.
    assert set(worn) >= {1, 2, 3}


def gap_between_closed_lids(kit, person):
    closed = kit.posed(person.vertices, kit.weights({"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}))
    marks = closed[kit.landmarks68]
    return np.mean([marks[a, 1] - marks[b, 1] for a, b in ((37, 41), (38, 40), (43, 47), (44, 46))])


def test_a_blink_closes_the_eyes_of_everybody(kit, random_people, photographed_people):
    for person in [*random_people, *photographed_people]:
        assert gap_between_closed_lids(kit, person) < 0.12


def test_a_photograph_without_a_face_where_it_says_is_refused(kit, photographs):
    given = photographs[0]
    wrong = Photograph("x", given.gray, np.full((68, 2), 200, np.float32))
    with pytest.raises(FaceError, match="give iBUG landmarks"):
        photographed_person(kit, wrong, np.random.default_rng(0))


def test_a_black_photograph_is_refused(kit, photographs):
    black = Photograph("x", np.zeros((448, 448), np.uint8), photographs[0].landmarks)
    with pytest.raises(FaceError, match="x: there is no light on the face"):
        photographed_person(kit, black, np.random.default_rng(0))


@pytest.mark.parametrize("level", [40, 128, 255])
def test_a_photograph_of_one_tone_gives_a_person_all_the_same(kit, photographs, level):
    blank = np.full((448, 448), level, np.uint8)
    photograph = Photograph("x", blank, photographs[0].landmarks)
    person = photographed_person(kit, photograph, np.random.default_rng(0))
    assert np.isfinite(person.albedo).all()
    assert all(np.isfinite(m.vertices).all() for m in person.worn)


def test_a_photograph_of_noise_gives_a_person_all_the_same(kit, photographs):
    noise = np.random.default_rng(0).integers(0, 255, (448, 448), dtype=np.uint8)
    photograph = Photograph("x", noise, photographs[0].landmarks)
    person = photographed_person(kit, photograph, np.random.default_rng(0))
    assert np.isfinite(person.albedo).all()
    assert all(np.isfinite(m.vertices).all() for m in person.worn)
