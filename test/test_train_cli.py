import json
import sys

import pytest

from cs3d_ros.cli import main
from cs3d_ros.training import train as training
from cs3d_ros.training.settings import PRESETS, TrainingSettings
from cs3d_ros.training.train import TrainingResult


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What the command asks `train` for, which does nothing."""
    calls = []

    def train(data, out, settings, **others):
        calls.append({"data": data, "out": out, "settings": settings, **others})
        others["report"]("epoch 0")
        return TrainingResult(out / "checkpoint.safetensors", 2, 1, 0.75, 90.0, True, "a machine")

    monkeypatch.setattr(training, "train", train)
    monkeypatch.chdir(tmp_path)
    return calls


def run(*arguments):
    return main(["train", *map(str, arguments)])


def test_the_papers_protocol_unless_told(asked, capsys):
    assert run("data", "out") == 0
    (call,) = asked
    assert call["settings"] == PRESETS["paper"]
    assert (call["resume"], call["initial"]) == (True, None)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "epoch 0"
    assert out[1].startswith("out/checkpoint.safetensors: 75.0% of the validation part, of epoch 1")


def test_arguments_change_the_preset(asked):
    changes = ["--size", "56,112@3", "--epochs", "5", "--option", "dropout=0.1"]
    changes += ["--option", "classifier=mlp", "--window-ms", "250", "--seed", "7"]
    changes += ["--background-activity-us", "0", "--rise-share", "0.25"]
    assert run("data", "out", "--preset", "tuned", *changes) == 0
    settings = asked[0]["settings"]
    assert settings.sizes == ((0, 56), (3, 112))
    assert settings.options == {"dropout": 0.1, "classifier": "mlp"}
    assert (settings.epochs, settings.window_ms, settings.seed) == (5, 250.0, 7)
    assert PRESETS["tuned"].background_activity_us > 0 == settings.background_activity_us
    assert settings.rise_share == 0.25 < PRESETS["tuned"].rise_share
    assert settings.learning_rate == PRESETS["tuned"].learning_rate


def test_the_settings_of_another_run(asked, tmp_path):
    before = TrainingSettings(network="cs3d", options={"dropout": 0.1}, epochs=4, moving=False)
    (tmp_path / "settings.json").write_text(json.dumps({"settings": before.to_dict(), "data": {}}))
    assert run("data", "out", "--settings", "settings.json") == 0
    assert asked[0]["settings"] == before
    # Another network has other options.
    assert run("data", "out", "--settings", "settings.json", "--network", "lstm") == 0
    assert asked[1]["settings"].options == {}


def test_json_is_all_that_stdout_gets(asked, capsys):
    assert run("data", "out", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["validation_accuracy"] == 0.75
    assert "epoch 0" in err


def test_weights_remember_the_command_without_folders_of_the_machine(asked, monkeypatch):
    arguments = ["train", "/home/me/data", "/home/me/runs/a b", "--seed", "1"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cs3d", *arguments])
    assert main(arguments) == 0
    assert asked[0]["command"] == "cs3d train data 'a b' --seed 1"


def test_an_interrupted_run_says_how_to_go_on(monkeypatch, capsys, tmp_path):
    def train(*arguments, **others):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", train)
    assert run("data", tmp_path / "out") == 130
    assert f"{tmp_path}/out: interrupted; what is finished is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "fast"], "unknown preset 'fast'; choose one of paper, tuned"),
        (["--network", "vgg"], "unknown network 'vgg'"),
        (["--precision", "fp8"], "unknown precision 'fp8'"),
        (["--background-activity-us", "-5"], "background_activity_us is -5; give a whole number"),
        (["--epochs", "0"], "epochs is 0"),
        (["--settings", "nowhere.json"], "nowhere.json: cannot be read as settings"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_one_line(asked, capsys, arguments, message):
    assert run("data", "out", *arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [["--size", "56,112"], ["--size", "big"], ["--option", "dropout"], ["--option", "=1"]],
)
def test_wrong_usage(asked, capsys, arguments):
    with pytest.raises(SystemExit) as end:
        run("data", "out", *arguments)
    assert end.value.code == 2
    assert "expected" in capsys.readouterr().err


def test_help_does_not_wait_for_torch():
    import subprocess

    code = "import sys; from cs3d_ros.cli import main\ntry: main(['train', '--help'])\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
