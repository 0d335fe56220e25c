import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from cs3d_ros.network import checkpoint
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.learner import Learner
from cs3d_ros.training.train import train
from training_helpers import GROWING, QUICK, SMALL, again, assert_same, copied, make_data, weights


class TestGoingOn:
    def test_a_killed_run_that_goes_on_gives_the_same_bits(self, data, tmp_path):
        """CS3D has all that could go astray: batch norm, dropout; and windows are augmented."""
        change = {
            **{"network": "cs3d", "clips": 8, "batch": 4, "micro_batch": 2, "epochs": 2},
            **{"schedule": "one-cycle", "augmentation": "eventdrop+mirror", "learning_rate": 1e-3},
        }
        settings = replace(QUICK, **change)
        helpers = Path(__file__).with_name("training_helpers.py")
        child = [sys.executable, helpers, data, tmp_path, json.dumps({"killed": change}), "3"]
        done = subprocess.run(
            [*map(str, child)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=300,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        train(data, tmp_path / "whole", settings, progress=False)
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
        _, card = checkpoint.load(tmp_path / "out" / "checkpoint.safetensors")
        assert card.provenance["finished"] is False
        result = train(data, tmp_path / "out", SMALL, progress=False)
        assert (len(steps), result.epochs) == (4 + 2, 2)
        train(data, tmp_path / "whole", SMALL, progress=False)
        assert_same(weights(tmp_path / "out"), weights(tmp_path / "whole"))

    def test_a_finished_run_says_so_and_does_nothing(self, run, data):
        out, result, _ = run
        before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
        lines = []
        settings = GROWING
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
