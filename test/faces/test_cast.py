import numpy as np
import pytest

from cs3d_ros.faces.cast import Cast
from cs3d_ros.faces.errors import FaceError
from faces_data import facekit_path, photographs_path


@pytest.fixture(scope="module")
def cast():
    return Cast(facekit_path(), photographs_path(), seed=3)


def same(a, b):
    return np.array_equal(a.vertices, b.vertices) and np.array_equal(a.albedo, b.albedo)


def test_every_photograph_is_a_subject(cast):
    assert len(cast.photographed) == 68
    assert cast.photographed[0] == "photo-001"
    assert cast.person("photo-001").subject == "photo-001"


def test_a_name_is_the_same_person_in_another_process(cast):
    again = Cast(facekit_path(), photographs_path(), seed=3)
    for subject in ("photo-002", "random-5"):
        assert same(cast.person(subject), again.person(subject))


def test_a_person_does_not_depend_on_who_was_made_before(cast):
    others = Cast(facekit_path(), None, seed=3)
    for number in range(3):
        others.person(f"random-{number}")
    assert same(others.person("random-7"), cast.person("random-7"))


def test_random_people_differ_by_number_and_by_seed(cast):
    other_seed = Cast(facekit_path(), None, seed=4)
    assert not same(cast.person("random-1"), cast.person("random-2"))
    assert not same(cast.person("random-1"), other_seed.person("random-1"))


def test_the_same_person_is_kept(cast):
    assert cast.person("random-1") is cast.person("random-1")


@pytest.mark.parametrize(
    "subject", ["photo-999", "random-", "random--1", "random-1e3", "nobody", ""]
)
def test_an_unknown_subject_is_refused(cast, subject):
    with pytest.raises(FaceError, match=r"random-N.*photo-001"):
        cast.person(subject)


def test_without_photographs_there_are_only_random_people():
    cast = Cast(facekit_path(), None, seed=0)
    assert cast.photographed == []
    with pytest.raises(FaceError, match="no folder of photographs is given"):
        cast.person("photo-001")
