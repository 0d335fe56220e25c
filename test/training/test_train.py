import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from cs3d_ros.datasets import loading
from cs3d_ros.errors import Cs3dError
from cs3d_ros.network import checkpoint
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.learner import Learner
from cs3d_ros.training.train import train
from training_helpers import GROWING, QUICK, SMALL, copied, weights


class TestFiles:
    def test_the_checkpoint_is_one_that_a_robot_can_use(self, run):
        result = run[1]
        with Classifier.from_checkpoint(result.checkpoint, device="cpu") as classifier:
            probabilities = classifier.predict(np.zeros(classifier.input_shape, np.float32))
        assert probabilities.sum() == pytest.approx(1)
        assert classifier.input_shape == (3, 16, 40, 40)
        card = classifier.card
        assert (card.name, card.window_ms) == ("rnn-some", 500.0)
        assert card.background_activity_us == 0
        provenance = card.provenance
        assert provenance["data"]["name"] == "some"
        assert len(provenance["data"]["manifest_sha256"]) == 64
        assert provenance["command"] == "cs3d train data run"
        assert provenance["settings"]["seed"] == 0
        assert provenance["metrics"]["validation_accuracy"] == result.validation_accuracy
        assert provenance["metrics"]["epoch"] == result.best_epoch
        assert "torch" in provenance["machine"]
        assert (provenance["finished"], provenance["epochs"]) == (True, 2)

    def test_metrics_have_a_row_an_epoch(self, run):
        out, result, lines = run
        with (out / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [(row["epoch"], row["size"]) for row in rows] == [("0", "32"), ("1", "40")]
        assert {float(row["learning_rate"]) for row in rows} == {1e-4}
        assert all(float(row["seconds"]) > 0 for row in rows)
        assert result.seconds == sum(float(row["seconds"]) for row in rows)
        assert len(lines) == 2
        assert f"loss {float(rows[0]['train_loss']):.4f}" in lines[0]

    def test_an_epoch_at_the_last_size_is_better_than_any_before(self, run):
        _, result, _ = run
        assert result.best_epoch == 1

    def test_tensorboard_has_the_same_numbers(self, run):
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        curves = EventAccumulator(str(run[0] / "logs"))
        curves.Reload()
        accuracies = [(e.step, e.value) for e in curves.Scalars("validation/accuracy")]
        assert [step for step, _ in accuracies] == [0, 1]
        assert accuracies[1][1] == pytest.approx(run[1].validation_accuracy)

    def test_nothing_half_written_is_left(self, run):
        names = {path.name for path in run[0].iterdir()}
        assert names == {
            "settings.json", "state.safetensors", "checkpoint.safetensors", "metrics.csv", "logs",
        }  # fmt: skip

    def test_the_best_weights_are_those_of_the_best_epoch(self, run):
        out, result, _ = run
        network, _ = checkpoint.load(result.checkpoint)
        state = weights(out)
        assert result.best_epoch == 1
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, state[f"network.{key}"])


class TestRefused:
    def test_a_loss_that_is_no_number_stops_with_the_batch_saved(self, data, tmp_path, monkeypatch):
        tensor = loading._Windows._tensor

        def broken(self, events, clip):
            made = tensor(self, events, clip)
            return made * np.inf if clip.name == "train-3" else made

        monkeypatch.setattr(loading._Windows, "_tensor", broken)
        out = tmp_path / "out"
        with pytest.raises(TrainingError) as error:
            train(data, out, replace(QUICK, learning_rate=3e-4), progress=False)
        assert "in epoch 0, step " in str(error.value)
        assert "learning rate of 0.0003" in str(error.value)
        path = out / "failed-batch.safetensors"
        assert str(path) in str(error.value)
        batch = load_file(path)
        assert batch["windows"].shape == (8, 3, 16, 32, 32)
        assert batch["classes"].shape == (8,)
        with safe_open(path, framework="pt") as file:
            failure = json.loads(file.metadata()["failure"])
        bad = [i for i, window in enumerate(batch["windows"]) if not window.isfinite().all()]
        assert [failure["clips"][i] for i in bad] == ["train-3"]
        assert failure["learning_rate"] == 3e-4

    def test_an_out_folder_that_is_a_file(self, data, tmp_path):
        (tmp_path / "file").write_text("")
        for out in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(TrainingError, match=r"cannot be used .*a folder that can be"):
                train(data, out, QUICK, progress=False)

    def test_an_out_folder_with_something_else(self, data, tmp_path):
        (tmp_path / "thesis.tex").write_text("")
        with pytest.raises(TrainingError, match=r"holds something else \(thesis.tex\)"):
            train(data, tmp_path, QUICK, progress=False)

    def test_two_runs_in_one_folder(self, data, tmp_path, monkeypatch):
        step = Learner.step

        def nested(self, *arguments):
            with pytest.raises(TrainingError, match="another training is at work"):
                train(data, tmp_path / "out", SMALL, progress=False)
            monkeypatch.setattr(Learner, "step", step)
            return step(self, *arguments)

        monkeypatch.setattr(Learner, "step", nested)
        assert train(data, tmp_path / "out", SMALL, progress=False).finished

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"device": "tpu"}, "unknown device 'tpu'"),
            ({"device": "cuda:99"}, "'cuda:99' does not exist here"),
            ({"options": {"heads": 4}}, "rnn has no option heads"),
        ],
    )
    def test_what_cannot_be_built_leaves_no_folder(self, data, tmp_path, change, message):
        with pytest.raises(Cs3dError, match=message):
            train(data, tmp_path / "out", replace(QUICK, **change), progress=False)
        assert not (tmp_path / "out").exists()


class TestInitial:
    def test_training_begins_with_the_weights_of_a_checkpoint(self, run, data, tmp_path):
        first = run[1].checkpoint
        settings = replace(SMALL, epochs=1, learning_rate=1e-9)
        train(data, tmp_path / "out", settings, initial=first, progress=False)
        state = weights(tmp_path / "out")
        for key, tensor in load_file(first).items():
            torch.testing.assert_close(state[f"network.{key}"], tensor, atol=1e-7, rtol=0)

    @pytest.mark.parametrize(
        ("made", "named"),
        [
            ({"labels": ("sad", "happy")}, ["classes", "['sad', 'happy']", "'neutral', 'happy'"]),
            (
                {"representation": "time_surface", "in_channels": 2},
                ["representation", "time_surface", "on_off_recency"],
            ),
            ({"name": "lstm"}, ["network", "name='lstm'", "name='rnn'"]),
        ],
    )
    def test_a_checkpoint_of_another_kind_is_refused_with_both_named(
        self, data, tmp_path, made, named
    ):
        network, card = checkpoint.untrained(**{"name": "rnn", **made})
        checkpoint.save(tmp_path / "first.safetensors", network, card)
        with pytest.raises(TrainingError) as error:
            train(data, tmp_path / "out", QUICK, initial=tmp_path / "first.safetensors")
        assert [text for text in named if text not in str(error.value)] == []
        assert not (tmp_path / "out").exists()

    def test_it_is_part_of_what_the_run_is(self, run, data, tmp_path):
        settings = GROWING
        with pytest.raises(TrainingError, match="initial_sha256 was null, is"):
            train(data, copied(run, tmp_path), settings, initial=run[1].checkpoint, progress=False)
