import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cs3d_ros.training.processes import start_fabric
from cs3d_ros.training.train import train
from training_helpers import QUICK, weights


def torchrun(data, out, changes):
    child = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    child += [Path(__file__).with_name("training_helpers.py"), data, out, json.dumps(changes)]
    return subprocess.run(
        [*map(str, child)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_come_to_what_one_comes_to(data, tmp_path):
    """Each takes half of each batch, in the micro batches that one process has as well."""
    changes = {
        "rnn": {"learning_rate": 1e-3},
        "cs3d": {"network": "cs3d", "clips": 8, "batch": 4, "micro_batch": 2, "epochs": 1},
    }
    done = torchrun(data, tmp_path / "two", changes)
    assert done.returncode == 0, done.stderr
    for name, change in changes.items():
        one = train(data, tmp_path / name, replace(QUICK, **change), progress=False)
        out = tmp_path / "two" / name
        two = train(data, out, replace(QUICK, **change), progress=False)
        assert two.machine.startswith("2 processes, ")
        assert (two.epochs, two.best_epoch) == (one.epochs, one.best_epoch)
        for mine, theirs in zip(metrics(tmp_path / name), metrics(out), strict=True):
            # Validation of CS3D uses running means, which are those of fewer micro batches each.
            n = len(mine) if name == "rnn" else len(mine) - 2
            assert theirs[:n] == pytest.approx(mine[:n], rel=1e-5)
        others = weights(out)
        for key, tensor in weights(tmp_path / name).items():
            if "running_" not in key and "num_batches" not in key:
                torch.testing.assert_close(others[key], tensor, rtol=1e-3, atol=1e-5, msg=key)


def metrics(out):
    """Epoch, size, learning rate, losses and accuracies of each epoch."""
    lines = (out / "metrics.csv").read_text().splitlines()[1:]
    return [[float(value) for value in line.split(",")[:-1]] for line in lines]


def test_a_batch_that_cannot_be_shared_is_refused(data, tmp_path):
    done = torchrun(data, tmp_path, {"odd": {"batch": 7}})
    assert done.returncode != 0
    assert "a batch of 7 windows cannot be shared by 2 processes" in done.stderr
    assert not (tmp_path / "odd").exists()


def test_one_process_opens_no_port(monkeypatch):
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    fabric = start_fabric(QUICK)
    assert (fabric.world_size, fabric.global_rank) == (1, 0)
    assert not torch.distributed.is_initialized()


def test_matrices_are_multiplied_in_bfloat16_while_a_run_asks_for_it(data, tmp_path):
    settings = replace(QUICK, network="cs3d", clips=8, batch=4, epochs=1)
    exact = train(data, tmp_path / "exact", settings, progress=False)
    during, before = [], torch.get_float32_matmul_precision()
    rounded = train(
        data,
        tmp_path / "rounded",
        replace(settings, precision="bf16-matmul"),
        report=lambda _: during.append(torch.get_float32_matmul_precision()),
    )
    assert during == ["medium"]
    assert torch.get_float32_matmul_precision() == before
    assert rounded.epochs == exact.epochs
    for one, other in zip(metrics(tmp_path / "exact"), metrics(tmp_path / "rounded"), strict=True):
        assert other[3] == pytest.approx(one[3], rel=0.02)
    assert all(tensor.dtype != torch.bfloat16 for tensor in weights(tmp_path / "rounded").values())
