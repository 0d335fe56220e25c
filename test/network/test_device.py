"""Devices by name, on a machine with and without CUDA."""

import pytest
import torch

from cs3d_ros.network import DeviceError
from cs3d_ros.network.device import available_devices, move, resolve_device


@pytest.fixture(params=[0, 2])
def cuda_devices(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


def test_available_devices(cuda_devices):
    assert available_devices() == ("cpu", "cuda:0", "cuda:1")[: 1 + cuda_devices]


def test_auto_prefers_cuda(cuda_devices):
    assert resolve_device("auto") == torch.device("cuda:0" if cuda_devices else "cpu")


def test_cpu_is_always_there(cuda_devices):
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize(("text", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_cuda(cuda_devices, text, index):
    if cuda_devices:
        assert resolve_device(text) == torch.device("cuda", index)
    else:
        with pytest.raises(DeviceError, match=f"'{text}' does not exist here; available: cpu$"):
            resolve_device(text)


@pytest.mark.parametrize("text", ["cuda:2", "cuda:01", "cuda:999"])
def test_a_device_that_does_not_exist_names_those_that_do(cuda_devices, text):
    with pytest.raises(DeviceError, match=f"available: {', '.join(available_devices())}$"):
        resolve_device(text)


@pytest.mark.parametrize("text", ["", "gpu", "mps", "CPU", "cuda:", "cuda:-1", "cuda:1e9", "cpu:0"])
def test_an_unknown_word_is_refused(cuda_devices, text):
    with pytest.raises(DeviceError, match="give auto, cpu, cuda or cuda:N"):
        resolve_device(text)


def test_a_device_that_does_not_take_the_network_is_explained():
    class Stubborn(torch.nn.Module):
        def to(self, *_):
            raise torch.cuda.OutOfMemoryError("no room")

    with pytest.raises(DeviceError, match="could not be moved to cpu: no room"):
        move(Stubborn(), torch.device("cpu"))
