import dataclasses
from collections import Counter

import numpy as np
import pytest

from cs3d_ros.datasets import facekit7
from cs3d_ros.datasets.beyond import CHANGES, Beyond, make_context, make_plan
from cs3d_ros.datasets.build import ShardPlan, build
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.engines import choose_engine
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.facekit7 import CONDITIONS, Facekit7
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.acting.recipes import HELD_OUT, RECIPES
from cs3d_ros.faces.errors import FaceError
from faces_data import facekit_path, photographs_path


def choices(**changes):
    return Beyond(**{"facekit": facekit_path(), "photographs": photographs_path(), **changes})


def specs(plan, part):
    return [spec for shard in plan.shards if shard.part == part for spec in shard.specs]


def subjects(plan, part):
    return {spec["subject"] for spec in specs(plan, part)}


@pytest.fixture(scope="module")
def plan():
    return make_plan(choices())


@pytest.fixture(scope="module")
def little():
    """One clip of each part, half a second each, two of which show the same."""
    whole = make_plan(choices(clip_s=0.5))
    shards = [
        ShardPlan(part, 0, [next(s for s in specs(whole, part) if s["expression"] == "angry")])
        for part in CHANGES
    ]
    return dataclasses.replace(whole, shards=shards)


def test_the_parts_are_one_change_each_and_all_of_them(plan):
    assert plan.parts == ["style", "recipe", "camera", "all"]
    changed = [
        {name for name, value in dataclasses.asdict(change).items() if value}
        for change in CHANGES.values()
    ]
    assert changed == [{"style"}, {"recipe"}, {"camera"}, {"style", "recipe", "camera"}]


@pytest.mark.parametrize("seed", [0, 3])
def test_everybody_is_of_the_test_part_of_the_same_facekit7(seed):
    inputs = {"facekit": facekit_path(), "photographs": photographs_path(), "seed": seed}
    trained = facekit7.make_plan(Facekit7(**inputs))
    beyond = make_plan(Beyond(**inputs))
    people = set.union(*(subjects(beyond, part) for part in beyond.parts))
    assert people == subjects(trained, "test")
    assert not people & (subjects(trained, "train") | subjects(trained, "validation"))


def test_nobody_is_in_two_parts_and_each_has_people_of_both_kinds(plan):
    people = [subjects(plan, part) for part in plan.parts]
    assert sum(map(len, people)) == len(set.union(*people))
    for own in people:
        kinds = Counter(subject.split("-")[0] for subject in own)
        assert kinds["photo"] in (3, 4)
        assert kinds["random"] in (7, 8)


@pytest.mark.parametrize("clips", [56, 560])
def test_classes_and_light_are_balanced_in_each_part(clips):
    plan = make_plan(choices(clips=clips))
    for part in plan.parts:
        cells = Counter((spec["expression"], spec["light"]) for spec in specs(plan, part))
        assert set(cells) == {(e, light) for e in EXPRESSIONS for light in CONDITIONS}
        assert set(cells.values()) == {clips // 56}


def test_clips_are_the_same_from_one_process_and_from_two(little, tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        build(little, tmp_path / name, choose_engine(workers), progress=False)
    for file in ("manifest.json", *(f"parts/{part}-00000.arrow" for part in CHANGES)):
        one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
        assert one == two, file
    dataset = open_dataset(tmp_path / "two")
    dataset.verify()
    for part, change in CHANGES.items():
        [clip] = dataset.part(part)
        assert clip.course is not None
        assert clip.provenance.get("style") == change.style
        recipes = [HELD_OUT["angry"]] if change.recipe else RECIPES["angry"]
        assert clip.provenance["recipe"] in {recipe.name for recipe in recipes}
        # Frames come every 10 ms, or with the other camera every 6.7 ms.
        frames_per_s = 150 if change.camera else 100
        assert dataset.manifest.settings["frames_per_s"][part] == frames_per_s
        last = clip.events.t_ns[-1] * 1e-9 * frames_per_s
        assert last == pytest.approx(round(last), abs=1e-3)


def test_the_other_camera_sends_more_off_than_on_events(little):
    context = make_context(little.settings, little.sources)
    [spec] = specs(little, "camera")
    clip = little.make_clip(context, {**spec, "light": "sufficient"})
    rising = np.count_nonzero(clip.events.p)
    assert 0 < rising < 0.9 * (len(clip.events) - rising)


def test_without_photographs_all_people_are_random():
    plan = make_plan(choices(photographs=None))
    for part in plan.parts:
        assert {s.split("-")[0] for s in subjects(plan, part)} == {"random"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_s": 0.0}, "0.5 to 60"),
        ({"clip_s": float("nan")}, "0.5 to 60"),
        ({"seed": -1}, "seed"),
        ({"clips": 55}, "expected 56"),
        ({"clips": 10**12}, "to 100000"),
    ],
)
def test_impossible_choices_are_refused(changes, message):
    with pytest.raises(DatasetError, match=message):
        make_plan(choices(**changes))


def test_a_missing_facekit_is_refused(tmp_path):
    with pytest.raises(FaceError, match=r"none\.npz"):
        make_plan(choices(facekit=tmp_path / "none.npz"))
