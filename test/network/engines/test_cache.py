"""The cache of converted networks gives back what was put in, or nothing."""

import dataclasses
import errno
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cs3d_ros.network import build
from cs3d_ros.network.engines import cache
from cs3d_ros.network.engines.cache import cache_folder, entry_name, opened
from cs3d_ros.network.engines.engine import EngineError
from engine_helpers import request_of

NAME = "onnx-0.cs3dcache"
CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    folder = tmp_path / "cache"
    monkeypatch.setenv("CS3D_CACHE", str(folder))
    return folder


class Maker:
    """Makes contents and counts."""

    def __init__(self, content=CONTENT):
        self.content, self.made = content, 0

    def __call__(self):
        self.made += 1
        return self.content


def take(make, name=NAME, open_=bytes):
    return opened(name, make, open_)


def test_a_content_is_made_once(folder):
    make = Maker()
    assert [take(make) for _ in range(3)] == [CONTENT] * 3
    assert make.made == 1
    assert [p.name for p in folder.iterdir()] == [NAME]


def test_the_folder_and_its_files_are_the_users_alone(folder):
    take(Maker())
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / NAME).stat().st_mode & 0o077 == 0


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.integers(0, len(CONTENT) + 31),
    damage=st.sampled_from(["flip", "cut", "zeros", "longer"]),
)
def test_a_damaged_file_is_replaced(folder, place, damage):
    take(Maker())
    whole = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(
        {
            "flip": whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
            "cut": whole[:place],
            "zeros": bytes(len(whole)),
            "longer": whole + whole[:place] + b"x",
        }[damage]
    )
    make = Maker()
    assert take(make) == CONTENT
    assert make.made == 1
    assert (folder / NAME).read_bytes() == whole


def test_what_does_not_open_is_made_again(folder):
    take(Maker(b"of another driver"))

    def open_(content):
        if content != CONTENT:
            raise RuntimeError("another driver")
        return content

    make = Maker()
    assert take(make, open_=open_) == CONTENT
    assert take(make, open_=open_) == CONTENT
    assert make.made == 1


def test_what_does_not_open_when_new_is_the_callers_error_and_not_kept(folder):
    def open_(content):
        raise EngineError("no")

    with pytest.raises(EngineError, match="no"):
        take(Maker(), open_=open_)
    assert not folder.exists()


def test_an_error_while_making_is_the_callers(folder):
    def make():
        raise EngineError("cannot be converted")

    with pytest.raises(EngineError, match="cannot be converted"):
        take(make)
    assert not folder.exists()


def test_a_file_in_place_of_the_folder_means_no_cache(folder):
    folder.write_text("mine")
    make = Maker()
    assert [take(make), take(make)] == [CONTENT] * 2
    assert make.made == 2
    assert folder.read_text() == "mine"


def test_a_folder_that_cannot_be_written_means_no_cache(monkeypatch):
    # Not even root can make a folder there.
    monkeypatch.setenv("CS3D_CACHE", "/proc/self/cs3d")
    make = Maker()
    assert [take(make), take(make)] == [CONTENT] * 2
    assert make.made == 2


def test_a_full_disk_means_no_cache_and_leaves_nothing(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert take(Maker()) == CONTENT
    assert list(folder.iterdir()) == []


def test_an_interruption_leaves_nothing_half_written(folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        take(Maker())
    assert list(folder.iterdir()) == []


def test_no_home_means_no_cache(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CS3D_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder() is None
    make = Maker()
    assert [take(make), take(make)] == [CONTENT] * 2
    assert make.made == 2


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CS3D_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"CS3D_CACHE": "~/a"}, "/home/me/a"),
        ({"CS3D_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/cs3d_ros"),
        ({"XDG_CACHE_HOME": "b"}, "/home/me/.cache/cs3d_ros"),
        ({}, "/home/me/.cache/cs3d_ros"),
    ],
)
def test_the_folder_follows_the_environment(environment, expected, monkeypatch):
    for variable in ("CS3D_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(variable, value)
    assert cache_folder() == Path(expected)


@pytest.mark.parametrize("what", ["fifo", "folder", "loop"])
def test_what_is_no_file_is_not_read(what, folder):
    folder.mkdir()
    path = folder / NAME
    {
        "fifo": os.mkfifo,
        "folder": os.mkdir,
        "loop": lambda p: p.symlink_to(p),
    }[what](path)
    make = Maker()
    # In a thread: a FIFO that is read waits for ever.
    answers = []
    thread = threading.Thread(target=lambda: answers.append(take(make)), daemon=True)
    thread.start()
    thread.join(30)
    assert answers == [CONTENT]


def test_what_another_user_has_put_there_is_not_opened(folder, monkeypatch):
    take(Maker(b"theirs"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert take(Maker()) == CONTENT


def test_only_the_files_used_last_are_kept(folder):
    names = [f"onnx-{i}.cs3dcache" for i in range(cache.KEPT_FILES)]
    for age, name in enumerate(names):
        take(Maker(), name)
        os.utime(folder / name, (1e9 - age, 1e9 - age))
    # Used, so that it is not the oldest any more.
    take(Maker(), names[-1])
    take(Maker(), NAME.replace("0", "new"))
    left = {p.name for p in folder.iterdir()}
    assert left == {*names, "onnx-new.cs3dcache"} - {names[-2]}


def test_files_of_more_bytes_than_allowed_are_not_kept(folder, monkeypatch):
    monkeypatch.setattr(cache, "KEPT_BYTES", 2 * len(CONTENT) + 100)
    for i in range(4):
        take(Maker(), f"onnx-{i}.cs3dcache")
        os.utime(folder / f"onnx-{i}.cs3dcache", (1e9 + i, 1e9 + i))
    assert {p.name for p in folder.iterdir()} == {"onnx-2.cs3dcache", "onnx-3.cs3dcache"}
    monkeypatch.setattr(cache, "KEPT_BYTES", 10)
    take(Maker(), "onnx-5.cs3dcache")
    assert {p.name for p in folder.iterdir()} == {"onnx-5.cs3dcache"}


def test_files_that_are_not_the_caches_are_left_alone(folder):
    folder.mkdir()
    for i in range(3 * cache.KEPT_FILES):
        (folder / f"holiday-{i}.jpg").touch()
    (folder / "notes.tmp").touch()
    os.utime(folder / "notes.tmp", (0, 0))
    take(Maker())
    assert len(list(folder.iterdir())) == 3 * cache.KEPT_FILES + 2


def test_what_was_left_half_written_goes_after_a_while(folder):
    folder.mkdir()
    old, new = (folder / f".onnx-{age}.cs3dcache.abc.tmp" for age in ("old", "new"))
    old.touch()
    new.touch()
    long_ago = time.time() - 86400
    os.utime(old, (long_ago, long_ago))
    take(Maker())
    assert {p.name for p in folder.iterdir()} == {NAME, new.name}


def _take_often(folder, begin, bad):
    os.environ["CS3D_CACHE"] = str(folder)
    begin.wait()
    for i in range(60):
        if take(Maker(), f"onnx-{i % 3}.cs3dcache") != CONTENT:
            bad.value += 1
        if i % 7 == 0:
            (folder / "onnx-1.cs3dcache").write_bytes(b"damaged")


def test_processes_at_once_do_not_harm_each_other(folder):
    context = multiprocessing.get_context("fork")
    begin, bad = context.Barrier(3), context.Value("i", 0)
    processes = [
        context.Process(target=_take_often, args=(folder, begin, bad), daemon=True)
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert bad.value == 0
    assert all(p.name.startswith("onnx-") for p in folder.iterdir())


def rnn(**options):
    torch.manual_seed(0)
    return request_of(build("rnn", **options).eval(), 32)


def test_equal_requests_have_one_name_and_others_another():
    request = rnn()
    name = entry_name("onnx", request, "torch 1")
    assert name == entry_name("onnx", rnn(), "torch 1")
    # How it is run does not change what it is converted to.
    assert name == entry_name("onnx", dataclasses.replace(request, threads=7), "torch 1")
    changed_weight, changed_buffer = rnn(), request_of(build("cs3d").eval(), 32)
    changed_weight.network.output.bias.data[0] += 1e-6
    before = entry_name("onnx", changed_buffer)
    changed_buffer.network.stages[0].convolution.spatial_norm.running_mean[3] += 1e-6
    others = [
        entry_name("onnx", request, "torch 2"),
        entry_name("onnx", request, "torch 1", "float16"),
        entry_name("tensorrt", request, "torch 1"),
        entry_name("onnx", dataclasses.replace(request, input_shape=(3, 16, 40, 40)), "torch 1"),
        entry_name("onnx", rnn(dropout=0.25), "torch 1"),
        entry_name("onnx", changed_weight, "torch 1"),
        before,
        entry_name("onnx", changed_buffer),
    ]
    assert len({name, *others}) == 1 + len(others)


def test_weights_that_change_places_change_the_name():
    first, second = rnn(), rnn()
    bias = second.network.output.bias.data
    bias.copy_(bias.flip(0))
    assert entry_name("onnx", first) != entry_name("onnx", second)
