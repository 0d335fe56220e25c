import dataclasses
from collections import Counter

import pytest

from cs3d_ros.datasets import facekit7
from cs3d_ros.datasets.build import ShardPlan, build
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.engines import choose_engine
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.facekit7 import CONDITIONS, PARTS, Facekit7, make_context, make_plan
from cs3d_ros.events.packets import Events
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.recordings import read_labels
from faces_data import facekit_path, photographs_path


def choices(**changes):
    return Facekit7(**{"facekit": facekit_path(), "photographs": photographs_path(), **changes})


def specs(plan, part):
    return [spec for shard in plan.shards if shard.part == part for spec in shard.specs]


def subjects(plan, part):
    return {spec["subject"] for spec in specs(plan, part)}


@pytest.fixture(scope="module")
def plan():
    return make_plan(choices())


def small(plan, clips=3, stream_s=None):
    """The same plan with the first clips of the train and the test part only."""
    streams = [
        dataclasses.replace(r, spec={**r.spec, "duration_s": stream_s}) for r in plan.recordings[:1]
    ]
    shards = [ShardPlan(part, 0, specs(plan, part)[:clips]) for part in ("train", "test")]
    return dataclasses.replace(plan, shards=shards, recordings=streams if stream_s else [])


def test_no_person_is_in_two_parts(plan):
    people = {part: subjects(plan, part) for part in PARTS}
    for part, own in people.items():
        others = set.union(*(theirs for name, theirs in people.items() if name != part))
        assert own
        assert not own & others
    streamed = {recording.spec["subject"] for recording in plan.recordings}
    assert not streamed & people["train"]


def test_each_part_has_photographed_and_random_people_half_of_the_time(plan):
    for part in PARTS:
        kinds = Counter(spec["subject"].split("-")[0] for spec in specs(plan, part))
        assert abs(kinds["photo"] - kinds["random"]) <= 1


def test_classes_and_light_are_balanced_in_each_part(plan):
    for part in PARTS:
        cells = Counter((spec["expression"], spec["light"]) for spec in specs(plan, part))
        assert set(cells) == {(e, light) for e in EXPRESSIONS for light in CONDITIONS}
        assert len(set(cells.values())) == 1


@pytest.mark.parametrize("clips", [42, 126, 2100, 3500])
def test_kinds_of_people_are_balanced_over_classes_and_light(clips):
    plan = make_plan(choices(clips=clips))
    for part in PARTS:
        of = {kind: Counter() for kind in ("photo", "random")}
        for spec in specs(plan, part):
            cell = (spec["expression"], spec["light"])
            of[spec["subject"].split("-")[0]].update([cell, *cell])
        for cell in of["photo"] | of["random"]:
            most = 0 if cell in EXPRESSIONS else 1
            assert abs(of["photo"][cell] - of["random"][cell]) <= most, (part, cell)


def test_everybody_shows_every_class_about_equally_often(plan):
    for part in PARTS:
        shown = Counter((spec["subject"], spec["expression"]) for spec in specs(plan, part))
        for kind, least, most in (("photo", 1, 6), ("random", 0, 4)):
            people = {who for who, _ in shown if who.startswith(kind)}
            counts = {shown[who, e] for who in people for e in EXPRESSIONS}
            assert least <= min(counts) <= max(counts) <= most


def test_the_number_of_clips_is_about_the_one_asked_for(plan):
    assert sum(len(specs(plan, part)) for part in PARTS) == pytest.approx(3500, abs=42)


def test_another_seed_gives_other_people_to_the_parts():
    first, second = (subjects(make_plan(choices(seed=seed)), "test") for seed in (0, 1))
    assert first != second


def test_more_clips_and_people_are_for_training_alone(plan):
    more = make_plan(choices(more_clips=2800, more_people=500))
    assert len(specs(more, "train")) == len(specs(plan, "train")) + 2800
    assert len(subjects(more, "train")) == len(subjects(plan, "train")) + 500
    for part in ("validation", "test"):
        assert specs(more, part) == specs(plan, part)
        assert not subjects(more, part) & subjects(more, "train")
    assert more.recordings == plan.recordings


def test_nobody_trains_on_who_shows_the_embedded_recording():
    most = make_plan(choices(more_clips=100_000, more_people=8000))
    assert "random-9001" not in set.union(*(subjects(most, part) for part in PARTS))


def test_other_photographs_make_another_data_set(plan):
    without = make_plan(choices(photographs=None))
    assert without.identity() != plan.identity()
    assert {spec["subject"].split("-")[0] for spec in specs(without, "test")} == {"random"}


def test_another_venue_makes_another_data_set(plan):
    robot = make_plan(choices(venue="robot"))
    assert robot.identity() != plan.identity()
    assert (plan.name, robot.name) == ("facekit-7", "facekit-7-robot")
    with pytest.raises(FaceError, match="unknown venue 'street'"):
        make_plan(choices(venue="street"))


def test_where_the_inputs_lie_does_not_matter(plan, tmp_path):
    (tmp_path / "kit").symlink_to(facekit_path())
    # The name is part of the checksum, the folder is not.
    (tmp_path / "facekit.npz").symlink_to(facekit_path())
    again = make_plan(choices(facekit=tmp_path / "facekit.npz"))
    assert again.identity() == plan.identity()


def test_what_else_lies_beside_the_photographs_does_not_matter(plan, tmp_path):
    for path in photographs_path().iterdir():
        if path.suffix in (".jpg", ".json"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "Thumbs.db").touch()
    assert make_plan(choices(photographs=tmp_path)).identity() == plan.identity()


def test_clips_and_a_stream_are_the_same_from_one_process_and_from_two(tmp_path):
    little = small(make_plan(choices(clip_s=0.5)), clips=2, stream_s=3.0)
    for name, workers in (("one", 1), ("two", 2)):
        build(little, tmp_path / name, choose_engine(workers), progress=False)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*"))
    for file in files:
        if (tmp_path / "one" / file).is_file() and file.name != "build.log.json":
            one, two = ((tmp_path / name / file).read_bytes() for name in ("one", "two"))
            assert one == two, file
    dataset = open_dataset(tmp_path / "two")
    dataset.verify()
    for part in ("train", "test"):
        for clip, spec in zip(dataset.part(part), specs(little, part), strict=True):
            assert (clip.expression, clip.subject) == (spec["expression"], spec["subject"])
            assert clip.light == spec["light"]
            assert (clip.course is None) == (clip.expression == "neutral")
            assert len(clip.events) > 100
            assert clip.provenance
    [stream] = dataset.recordings.values()
    labels = read_labels(stream)
    assert labels[-1].end_ns - labels[0].start_ns == 3 * 10**9
    info = dataset.manifest.recordings[0].info
    shown = [label.expression for label in labels if label.expression != "neutral"]
    assert info["expressions"] == Counter(shown)
    assert len(info["intensities"]) == len(shown)


@pytest.mark.parametrize(("venue", "gamma"), [("robot", 1.0626), ("lab", 1.0179)])
def test_what_is_drawn_for_a_clip_stays_what_it_was(venue, gamma):
    """A published set has to come out again; these are its first clips."""
    expected = [
        ("surprised", "photo-025", "surprised-brows", 0.848, 5139190502183883336),
        ("happy", "photo-068", "happy-laughing", 0.246, 1604704194828695446),
        ("neutral", "photo-024", None, None, 4622016334308166581),
        ("angry", "photo-021", "angry-pressed", 0.88, 6545919199159550643),
    ]
    plan = make_plan(choices(venue=venue))
    context = make_context(plan.settings, plan.sources)
    with pytest.MonkeyPatch.context() as patch:
        # What is drawn comes before what is seen.
        patch.setattr(facekit7, "simulate_frames", lambda *_: Events.empty())
        clips = [plan.make_clip(context, spec) for spec in specs(plan, "test")[:4]]
    drawn = [
        (
            clip.expression,
            clip.subject,
            clip.provenance.get("recipe"),
            clip.provenance.get("strength"),
            clip.provenance["camera_seed"],
        )
        for clip in clips
    ]
    assert drawn == expected
    assert clips[0].provenance["look"]["gamma"] == pytest.approx(gamma, abs=1e-3)


def test_insufficient_light_is_noisier_and_slower(plan):
    context = make_context({**plan.settings, "clip_s": 0.5}, plan.sources)
    spec = {**specs(plan, "train")[0], "expression": "neutral"}
    counts = {
        light: len(plan.make_clip(context, {**spec, "light": light}).events) for light in CONDITIONS
    }
    # 5 Hz of noise on each of 112x112 pixels for 0.5 s are some 30,000 events.
    assert counts["insufficient"] > 20_000 > counts["sufficient"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_s": 0.0}, "0.5 to 60"),
        ({"seed": -1}, "seed"),
        ({"more_people": -1}, "-1 further people"),
        ({"more_people": 10**12}, "at most 8000"),
        ({"more_clips": 10**12}, "at most 100000"),
        ({"clips": 41}, "at least 42"),
        ({"clips": 10**12}, "at most 100000"),
        ({"streams": 10**12}, "1 to 1000"),
        ({"stream_s": 5.0}, "10 to 3600"),
        ({"stream_s": float("nan")}, "10 to 3600"),
        ({"streams": 0}, "1 to 1000"),
    ],
)
def test_impossible_choices_are_refused(changes, message):
    with pytest.raises(DatasetError, match=message):
        make_plan(choices(**changes))


def test_a_damaged_facekit_is_refused_before_anything_is_built(tmp_path):
    (tmp_path / "facekit.npz").write_bytes(facekit_path().read_bytes()[:100_000])
    with pytest.raises(FaceError, match="facekit"):
        make_plan(choices(facekit=tmp_path / "facekit.npz"))
