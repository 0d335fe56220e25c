import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from training_helpers import QUICK, make_data, weights

from cs3d_ros.datasets import loading
from cs3d_ros.errors import Cs3dError
from cs3d_ros.network import checkpoint
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.learner import Learner
from cs3d_ros.training.train import train

SMALL = replace(QUICK, clips=8, batch=4, micro_batch=2)
"""Two steps an epoch."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A finished run of two epochs: its folder, its result, what it reported."""
    out, lines = tmp_path_factory.mktemp("runs") / "run", []
    settings = replace(QUICK, sizes=((0, 32), (1, 40)))
    command = "cs3d train data run"
    result = train(data, out, settings, progress=True, command=command, report=lines.append)
    return out, result, lines


def copied(run, tmp_path):
    return Path(shutil.copytree(run[0], tmp_path / "run"))


def again(data, out, **changes):
    settings = replace(QUICK, sizes=((0, 32), (1, 40)), **changes)
    return train(data, out, settings, progress=False)


def assert_same(one, other):
    assert one.keys() == other.keys()
    different = [key for key in one if not torch.equal(one[key], other[key])]
    assert different == []


class TestFiles:
    def test_the_checkpoint_is_one_that_a_robot_can_use(self, run):
        result = run[1]
        with Classifier.from_checkpoint(result.checkpoint, device="cpu") as classifier:
            probabilities = classifier.predict(np.zeros(classifier.input_shape, np.float32))
        assert probabilities.sum() == pytest.approx(1)
        assert classifier.input_shape == (3, 16, 40, 40)
        card = classifier.card
        assert (card.name, card.window_ms) == ("rnn-some", 500.0)
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


class TestLearning:
    def test_the_gradient_is_the_mean_over_the_batch_however_it_is_cut(self, data, tmp_path):
        whole = replace(QUICK, clips=8, epochs=1, options={"dropout": 0.0})
        for name, n in (("whole", 8), ("cut", 3)):
            train(data, tmp_path / name, replace(whole, micro_batch=n), progress=False)
        one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
        # After one step of Adam, its first moment is a tenth of the gradient.
        for key in (key for key in one if key.startswith("adam.exp_avg.")):
            torch.testing.assert_close(one[key], other[key], rtol=1e-4, atol=1e-7)

    def test_adam_does_what_torchs_adam_does_on_the_mean_loss(self, data, tmp_path, monkeypatch):
        seen = []
        step = Learner.step

        def noting(self, micros, rate, seeds):
            before = {k: v.clone() for k, v in self.network.state_dict().items()}
            seen.append((micros, before))
            return step(self, micros, rate, seeds)

        monkeypatch.setattr(Learner, "step", noting)
        settings = replace(QUICK, clips=8, epochs=1, options={"dropout": 0.0}, learning_rate=1e-3)
        out = train(data, tmp_path / "out", settings, progress=False)
        ((micros, before),) = seen
        network, _ = checkpoint.load(out.checkpoint)
        network.load_state_dict(before)
        network.train()
        adam = torch.optim.Adam(network.parameters(), lr=1e-3)
        windows, classes = (torch.cat(part) for part in zip(*micros, strict=True))
        torch.nn.functional.cross_entropy(network(windows), classes).backward()
        adam.step()
        state = weights(tmp_path / "out")
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(tensor, state[f"network.{key}"], rtol=1e-5, atol=2e-6)

    def test_it_learns_what_can_be_learned(self, tmp_path, monkeypatch):
        """Windows that are the class: nothing of each class but one bin of its own."""

        def shown(self, window, clip):
            tensor = torch.zeros(3, 16, self.size, self.size)
            tensor[:, clip.expression == "sad"] = 1.0
            return tensor

        monkeypatch.setattr(loading._Windows, "_tensor", shown)
        folder = make_data(tmp_path, expressions=("neutral", "sad"), train=16, validation=8)
        settings = replace(QUICK, epochs=6, learning_rate=1e-3, expression_share=1.0)
        result = train(folder, tmp_path / "out", settings, progress=False)
        assert result.validation_accuracy == 1.0

    def test_training_stops_when_validation_gets_no_better(self, data, tmp_path):
        settings = replace(SMALL, epochs=9, patience=1, learning_rate=1e-9)
        result = train(data, tmp_path / "out", settings, progress=False)
        assert result.epochs == result.best_epoch + 2 < 9
        assert result.finished

    def test_torchs_own_randomness_is_left_alone(self, data, tmp_path):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        train(data, tmp_path / "out", replace(SMALL, epochs=1), progress=False)
        assert torch.equal(torch.get_rng_state(), before)


class TestGoingOn:
    def test_a_killed_run_that_goes_on_gives_the_same_bits(self, data, tmp_path):
        """CS3D has all that could go astray: batch norm, dropout; and windows are augmented."""
        change = {
            **{"network": "cs3d", "clips": 8, "batch": 4, "micro_batch": 2, "epochs": 3},
            **{"schedule": "one-cycle", "augmentation": "eventdrop+mirror", "learning_rate": 1e-3},
        }
        settings = replace(QUICK, **change)
        for name, kill in (("whole", ()), ("killed", ("3",))):
            child = [sys.executable, Path(__file__).with_name("training_helpers.py"), data]
            child += [tmp_path, json.dumps({name: change}), *kill]
            done = subprocess.run(
                [*map(str, child)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                timeout=300, check=False,
            )  # fmt: skip
            assert done.returncode == (-signal.SIGKILL if kill else 0)
        lines = []
        train(data, tmp_path / "killed", settings, report=lines.append)
        # Killed in the second step of the second epoch.
        assert lines[0].endswith("going on after 1 epochs")
        assert_same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
        assert_same(
            load_file(tmp_path / "whole" / "checkpoint.safetensors"),
            load_file(tmp_path / "killed" / "checkpoint.safetensors"),
        )

    def test_ctrl_c_in_the_middle_of_an_epoch_loses_that_epoch_alone(
        self, data, tmp_path, monkeypatch
    ):
        steps, step = [], Learner.step

        def interrupted(self, *arguments):
            steps.append(1)
            if len(steps) == 4:
                raise KeyboardInterrupt
            return step(self, *arguments)

        monkeypatch.setattr(Learner, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "out", SMALL, progress=False)
        assert (
            checkpoint.load(tmp_path / "out" / "checkpoint.safetensors")[1].provenance["finished"]
            is False
        )
        result = train(data, tmp_path / "out", SMALL, progress=False)
        assert (len(steps), result.epochs) == (4 + 2, 2)
        train(data, tmp_path / "whole", SMALL, progress=False)
        assert_same(weights(tmp_path / "out"), weights(tmp_path / "whole"))

    def test_a_finished_run_says_so_and_does_nothing(self, run, data):
        out, result, _ = run
        before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        lines = []
        settings = replace(QUICK, sizes=((0, 32), (1, 40)))
        assert train(data, out, settings, report=lines.append) == result
        assert lines == [f"{out}: finished already after 2 epochs"]
        assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before

    def test_other_settings_are_refused_and_named(self, run, data, tmp_path):
        out = copied(run, tmp_path)
        with pytest.raises(TrainingError, match=r"settings.batch was 8, is 4; settings.seed was 0"):
            again(data, out, batch=4, seed=1)

    def test_another_machine_may_go_on(self, run, data, tmp_path):
        assert again(data, copied(run, tmp_path), threads=2, workers=1).finished

    def test_another_data_set_is_refused_with_both_label_sets(self, run, tmp_path):
        other = make_data(tmp_path)
        manifest = json.loads((other / "manifest.json").read_text())
        manifest["labels"].append("bored")
        (other / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(TrainingError) as error:
            again(other, copied(run, tmp_path))
        assert '"angry"], is ["neutral"' in str(error.value)
        assert '"angry", "bored"]' in str(error.value)

    def test_not_unless_it_may(self, run, data):
        with pytest.raises(TrainingError, match="holds a training run"):
            train(data, run[0], QUICK, resume=False, progress=False)


class TestDamaged:
    def test_a_flipped_bit_in_the_state_is_noticed(self, run, data, tmp_path):
        out = copied(run, tmp_path)
        content = bytearray((out / "state.safetensors").read_bytes())
        content[-5] ^= 1
        (out / "state.safetensors").write_bytes(content)
        with pytest.raises(TrainingError, match=r"state.safetensors: is damaged .its checksum"):
            again(data, out)

    @pytest.mark.parametrize("keep", [0, 7, 100, -1])
    def test_a_truncated_state_is_noticed(self, run, data, tmp_path, keep):
        out = copied(run, tmp_path)
        path = out / "state.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(TrainingError, match=r"state.safetensors: is damaged.*to begin again"):
            again(data, out)

    def test_the_state_of_another_run_is_noticed(self, run, data, tmp_path):
        out = copied(run, tmp_path)
        train(data, tmp_path / "other", replace(QUICK, clips=8, epochs=1), progress=False)
        shutil.copy(tmp_path / "other" / "state.safetensors", out)
        with pytest.raises(TrainingError, match=r"is of another run than settings.json"):
            again(data, out)

    def test_a_checkpoint_is_not_a_state(self, run, data, tmp_path):
        out = copied(run, tmp_path)
        shutil.copy(out / "checkpoint.safetensors", out / "state.safetensors")
        with pytest.raises(TrainingError, match="is not a training state"):
            again(data, out)

    @pytest.mark.parametrize("text", ["", "[]", "{"])
    def test_settings_that_are_none_are_noticed(self, run, data, tmp_path, text):
        out = copied(run, tmp_path)
        (out / "settings.json").write_text(text)
        with pytest.raises(TrainingError, match=r"settings.json: cannot be read"):
            again(data, out)

    def test_a_lost_checkpoint_is_noticed(self, run, data, tmp_path):
        out = copied(run, tmp_path)
        (out / "checkpoint.safetensors").unlink()
        with pytest.raises(TrainingError, match=r"its checkpoint.safetensors is missing"):
            again(data, out)


class TestRefused:
    def test_a_loss_that_is_no_number_stops_with_the_batch_saved(self, data, tmp_path, monkeypatch):
        tensor = loading._Windows._tensor

        def broken(self, window, clip):
            made = tensor(self, window, clip)
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
        settings = replace(QUICK, sizes=((0, 32), (1, 40)))
        with pytest.raises(TrainingError, match="initial_sha256 was null, is"):
            train(data, copied(run, tmp_path), settings, initial=run[1].checkpoint, progress=False)
