import json
from dataclasses import replace

import numpy as np
import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.evaluation.predictions import Predictions
from cs3d_ros.reproduction import runs
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.runs import Job, measure, outcome_of
from reproduction_helpers import SETTINGS, Fake, measured


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path / "run", tmp_path / "data", "ab" * 32, "test", SETTINGS)


def do(job, fake):
    return runs.do(job, fake.train, fake.evaluate, command="", progress=False, report=print)


class TestStored:
    def test_before_it_is_done_there_is_nothing(self, job):
        assert outcome_of(job) is None

    def test_what_is_stored_is_what_was_done(self, job):
        done = do(job, Fake())
        assert done.measured == measured(5, 3)
        assert outcome_of(job) == done

    def test_the_state_to_go_on_from_is_removed_and_the_weights_are_kept(self, job):
        do(job, Fake())
        assert {path.name for path in job.out.iterdir()} == {
            "settings.json", "checkpoint.safetensors", "evaluation.json",
        }  # fmt: skip

    def test_nothing_is_stored_of_an_evaluation_that_failed(self, job):
        def failing(*arguments):
            raise Cs3dError("no such part")

        fake = Fake()
        fake.evaluate = failing
        with pytest.raises(Cs3dError, match="no such part"):
            do(job, fake)
        assert outcome_of(job) is None
        assert (job.out / "state.safetensors").exists()

    def test_a_training_that_is_not_finished_has_no_numbers(self, job):
        fake = Fake()
        train = fake.train
        fake.train = lambda *args, **named: replace(train(*args, **named), finished=False)
        with pytest.raises(ReproductionError, match="not finished"):
            do(job, fake)
        assert fake.evaluated == []
        assert outcome_of(job) is None

    def test_other_settings_data_or_defaults_are_refused(self, job, monkeypatch):
        do(job, Fake())
        for change, reason in (
            ({"settings": SETTINGS.__class__(clips=7)}, "settings.clips was 1400, is 7"),
            ({"checksum": "cd" * 32}, "data.manifest_sha256 was"),
            ({"part": "validation"}, 'part was "test", is "validation"'),
        ):
            with pytest.raises(ReproductionError, match=reason):
                outcome_of(Job(**{**vars(job), **change}))
        changed = {**runs.default_options("cs3d"), "threshold": 0.7}
        monkeypatch.setattr(runs, "default_options", lambda name: changed)
        with pytest.raises(ReproductionError, match=r"network.threshold was 0.1, is 0.7"):
            outcome_of(job)

    def test_where_it_ran_is_no_other_run(self, job):
        do(job, Fake())
        elsewhere = SETTINGS.from_dict({**SETTINGS.to_dict(), "device": "cpu", "threads": 1})
        assert outcome_of(Job(**{**vars(job), "settings": elsewhere})) is not None

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: "no JSON",
            lambda content: [],
            lambda content: {**content, "version": 2},
            lambda content: {key: content[key] for key in ("version", "run", "measured")},
            lambda content: {**content, "measured": {}},
            lambda content: content | {"measured": content["measured"] | {"accuracy": 0.9}},
            lambda content: content | {"measured": content["measured"] | {"accuracy": "0.4"}},
            lambda content: content | {"measured": content["measured"] | {"people": {"p0": [8]}}},
            lambda content: content | {"measured": content["measured"] | {"clips": 21}},
            lambda content: content | {"trained": content["trained"] | {"seconds": None}},
        ],
    )
    def test_a_damaged_file_is_refused_in_one_line(self, job, damage):
        do(job, Fake())
        path = job.out / "evaluation.json"
        content = damage(json.loads(path.read_text()))
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(ReproductionError, match=r"evaluation\.json: cannot be used") as error:
            outcome_of(job)
        assert "\n" not in str(error.value)


def test_measures_count_the_clips_of_each_person():
    # Right, wrong, right; the last light is the other.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], np.float32)
    found = measure(
        Predictions(
            ("happy", "sad"),
            np.array([0, 1, 1]),
            probabilities,
            ["ann", "ann", "bob"],
            ["sufficient", "sufficient", "insufficient"],
            ["a", "b", "c"],
        )
    )
    assert found.people == {"ann": (1, 2), "bob": (1, 1)}
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.chance == pytest.approx(2 / 3)
    assert found.lights == {"sufficient": 0.5, "insufficient": 1.0}
    assert found.confusion == [[1, 0], [1, 1]]
    json.dumps(vars(found))
