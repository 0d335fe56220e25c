"""A power source has to cover what the networks run on."""

from types import SimpleNamespace

import pytest
import torch

from cs3d_ros import device_power as power
from cs3d_ros.device_power import open_power
from cs3d_ros.energy import PowerSourceError

CPU, GPU = torch.device("cpu"), torch.device("cuda:1")
NAMES = ("auto", "module-one", "gpu-one", "package-one")
SCOPES = {"module-one": "module", "gpu-one": "gpu", "package-one": "cpu_package"}


class Opened:
    def __init__(self, name):
        self.name, self.scope, self.stopped = name, SCOPES[name], False

    def stop(self):
        self.stopped = True


@pytest.fixture
def machine(monkeypatch):
    """Its sources are those of `present`; `opened` has all that were started."""
    found = SimpleNamespace(present=[], opened=[], indices=[])

    def open_source(name, interval_ms, *, gpu_index):
        found.indices.append(gpu_index)
        wanted = NAMES[1:] if name == "auto" else (name,)
        for candidate in wanted:
            if candidate in found.present:
                found.opened.append(Opened(candidate))
                return found.opened[-1]
        raise PowerSourceError(f"{name}: none")

    monkeypatch.setattr(power, "SOURCE_NAMES", NAMES)
    monkeypatch.setattr(power, "open_source", open_source)
    return found


@pytest.fixture
def gpus(monkeypatch):
    """Two GPUs, which torch numbers the other way round than nvidia-smi."""
    listed = {"aa": 0, "bb": 1}
    uuids = {0: "bb", 1: "GPU-aa"}
    monkeypatch.setattr(power, "_listed_gpus", lambda: dict(listed))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda d: SimpleNamespace(uuid=uuids[d.index])
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return listed


@pytest.mark.parametrize(
    ("device", "present", "taken"),
    [
        (CPU, ["module-one", "gpu-one", "package-one"], "module-one"),
        (CPU, ["gpu-one", "package-one"], "package-one"),
        (GPU, ["module-one", "gpu-one", "package-one"], "module-one"),
        (GPU, ["gpu-one", "package-one"], "gpu-one"),
    ],
)
def test_the_first_that_covers_the_device_is_taken(machine, gpus, device, present, taken):
    machine.present = present
    source = open_power("auto", 100, device)
    assert source.name == taken
    assert [other.stopped for other in machine.opened] == [
        other is not source for other in machine.opened
    ]


@pytest.mark.parametrize(
    ("device", "present"), [(CPU, "gpu-one"), (GPU, "package-one")], ids=["cpu", "gpu"]
)
@pytest.mark.parametrize("by_name", [False, True])
def test_power_of_something_else_is_no_measurement(machine, gpus, device, present, by_name):
    machine.present = [present]
    with pytest.raises(PowerSourceError, match=f"{present} measures the .*run on {device}"):
        open_power(present if by_name else "auto", 100, device)
    assert all(source.stopped for source in machine.opened)


def test_the_gpu_is_that_of_the_same_unique_name(machine, gpus):
    machine.present = ["gpu-one"]
    open_power("auto", 100, torch.device("cuda:1"))
    open_power("auto", 100, torch.device("cuda:0"))
    assert machine.indices == [0, 1]


def test_of_several_gpus_none_is_guessed(machine, gpus):
    machine.present = ["gpu-one"]
    gpus.clear()
    with pytest.raises(PowerSourceError, match=r"which of several GPUs cuda:1 is cannot be told"):
        open_power("auto", 100, GPU)
    assert machine.opened == []


def test_the_only_gpu_needs_no_name(machine, monkeypatch):
    machine.present = ["gpu-one"]
    monkeypatch.setattr(power, "_listed_gpus", dict)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda d: SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert open_power("auto", 100, torch.device("cuda:0")).name == "gpu-one"
    assert machine.indices == [0]


@pytest.mark.parametrize(
    ("output", "found"),
    [
        ("0, GPU-aa\n1, GPU-bb\n", {"aa": 0, "bb": 1}),
        ("0, GPU-aa\n[N/A], [N/A]\nno devices were found\n99999999, GPU-x\n", {"aa": 0}),
        ("", {}),
    ],
)
def test_what_nvidia_smi_lists_is_read(output, found, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '%b' '{output.encode('unicode_escape').decode()}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power._listed_gpus() == found


def test_without_nvidia_smi_nothing_is_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power._listed_gpus() == {}
