import json

import pytest

from cs3d_ros.cli import main
from cs3d_ros.datasets import beyond, engines, facekit7
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.events.packets import Events
from faces_data import facekit_path


def run(*arguments):
    return main(["dataset", *map(str, arguments)])


def make(out, *more):
    arguments = ["--clips", "42", "--clip-s", "0.5", "--stream-s", "0", "--workers", "1"]
    return run("make", "facekit-7", out, "--facekit", facekit_path(), *arguments, *more)


def empty_clip(studio, spec):
    """What stands for rendering, which takes its time; by the name that the plan knows it by."""
    values = {key: spec[key] for key in ("name", "expression", "subject", "light")}
    return Clip(events=Events.empty(), width=112, height=112, duration_ns=500_000_000, **values)


empty_clip.__module__, empty_clip.__qualname__ = facekit7.__name__, "make_clip"


def beyond_clip(studio, spec):
    return empty_clip(studio, spec)


beyond_clip.__module__, beyond_clip.__qualname__ = beyond.__name__, "make_clip"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The smallest facekit-7 there is, of clips without events."""
    folder = tmp_path_factory.mktemp("sets") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facekit7, "make_clip", empty_clip)
        assert make(folder) == 0
    return folder


def test_the_smallest_facekit7_has_each_class_in_each_light_and_part(made, capsys):
    assert run("summary", made, "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert manifest["totals"]["clips"] == 42
    assert manifest["totals"]["skipped"] == 0
    for part in ("train", "validation", "test"):
        assert set(manifest["parts"][part]["expressions"].values()) == {2}


def test_the_summary_says_what_is_in_it(made, capsys):
    assert run("summary", made) == 0
    out = capsys.readouterr().out
    assert "facekit-7, seed 0: 42 clips, 21 s" in out
    assert "disgusted 2" in out


def test_making_it_again_leaves_it_as_it_is(made):
    before = {p: p.stat().st_mtime_ns for p in made.rglob("*")}
    assert make(made) == 0
    assert {p: p.stat().st_mtime_ns for p in made.rglob("*")} == before


def test_another_set_does_not_go_into_its_folder(made, capsys):
    assert make(made, "--seed", 1) == 1
    assert "seed" in capsys.readouterr().err


def test_check_finds_a_flipped_bit(made, capsys):
    assert run("check", made) == 0
    shard = made / "parts" / "test-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    whole = shard.read_bytes()
    shard.write_bytes(content)
    assert run("check", made) == 1
    shard.write_bytes(whole)
    assert "test-00000.arrow" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["summary", "check"])
def test_a_folder_without_a_data_set_is_refused(tmp_path, capsys, command):
    assert run(command, tmp_path) == 1
    assert "manifest.json" in capsys.readouterr().err


def test_what_lies_beyond_has_test_parts_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(beyond, "make_clip", beyond_clip)
    arguments = ["--clips", "56", "--clip-s", "0.5", "--workers", "1", "--facekit", facekit_path()]
    assert run("make", "facekit-7-beyond", tmp_path / "out", *arguments) == 0
    capsys.readouterr()
    assert run("summary", tmp_path / "out", "--json") == 0
    manifest = json.loads(capsys.readouterr().out)
    assert set(manifest["parts"]) == {"style", "recipe", "camera", "all"}
    for part in manifest["parts"].values():
        assert set(part["expressions"].values()) == {2}
        assert set(part["lights"].values()) == {7}
    assert run("check", tmp_path / "out") == 0


def test_a_facekit_has_to_be_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        run("make", "facekit-7", tmp_path / "out")
    assert end.value.code == 2
    assert "--facekit" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["summary"], ["check"], ["make", "facekit-7"]])
def test_a_home_that_nobody_has_is_wrong_usage(capsys, command):
    with pytest.raises(SystemExit) as end:
        run(*command, "~nobody-of-this-name/out")
    assert end.value.code == 2
    assert "~nobody-of-this-name/out: Could not" in capsys.readouterr().err


def test_ctrl_c_tells_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("cs3d_ros.datasets.build.build", interrupted)
    assert make(tmp_path / "out") == 130
    assert "interrupted; what is finished is kept: run the same" in capsys.readouterr().err


def test_a_cluster_that_nobody_answers_for_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(engines, "_CONNECT_S", 1.0)
    assert make(tmp_path / "out", "--cluster", "tcp://127.0.0.1:9") == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
