from dataclasses import replace

import torch

from cs3d_ros.datasets import loading
from cs3d_ros.network import checkpoint
from cs3d_ros.training.learner import Learner
from cs3d_ros.training.train import train
from training_helpers import QUICK, SMALL, make_data, weights


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

    def test_one_cycle_runs_to_its_end(self, data, tmp_path):
        settings = replace(SMALL, epochs=4, patience=1, learning_rate=1e-9, schedule="one-cycle")
        result = train(data, tmp_path / "out", settings, progress=False)
        assert result.epochs == 4 > result.best_epoch + 2

    def test_torchs_own_randomness_is_left_alone(self, data, tmp_path):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        train(data, tmp_path / "out", replace(SMALL, epochs=1), progress=False)
        assert torch.equal(torch.get_rng_state(), before)
