import pytest
import torch

from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction.table1.settings import settings


def test_on_a_cpu_it_is_one_input_at_a_time_in_float32():
    found = settings(device="cpu")
    assert (found.networks, found.precisions, found.batches) == (
        ("c3d", "cs3d"),
        ("float32",),
        (1,),
    )
    assert (found.device, found.size, found.repeats, found.seconds) == ("cpu", 112, 5, 10.0)
    assert found.lead_in_s == 2.0
    assert settings(device="cpu", seconds=0.5).lead_in_s == 0.5


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"networks": ("c3d", "c4d")}, "unknown network 'c4d'"),
        ({"networks": ("c3d", "c3d")}, "each network is to be given once"),
        ({"networks": ()}, "and one at least: none"),
        ({"precisions": ("float16",)}, "unknown precision 'float16'; choose of float32, tf32"),
        ({"precisions": ("tf32",)}, "tf32 needs an NVIDIA GPU, and the networks run on cpu"),
        ({"precisions": ("float32", "bfloat16")}, "bfloat16 needs an NVIDIA GPU"),
        ({"batches": (1, 1)}, "each batch is to be given once"),
        ({"batches": (0,)}, "the batch is 0; give a whole number from 1 to 1024"),
        ({"batches": (10**30,)}, "give a whole number from 1 to 1024"),
        ({"size": 31}, "the size is 31; give a whole number from 32 to 224"),
        ({"repeats": 0}, "the number of repeats is 0"),
        ({"repeats": 101}, "from 1 to 100"),
        ({"seconds": 0.0}, "0 seconds for a turn"),
        ({"seconds": float("nan")}, "nan seconds for a turn"),
        ({"seconds": 1e9}, "at most 3600"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": "cuda:99"}, "'cuda:99' does not exist here"),
    ],
)
def test_what_cannot_be_measured_is_one_line(given, reason):
    with pytest.raises(Cs3dError, match=reason) as error:
        settings(**{"device": "cpu", **given})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_an_old_gpu_has_float32_only(precision, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 2))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Xavier")
    assert settings(device="cuda").batches == (1, 32)
    with pytest.raises(Cs3dError, match=r"capability 8.0 or later, and Xavier has 7.2"):
        settings(device="cuda", precisions=(precision,))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 7))
    assert settings(device="cuda", precisions=(precision,)).precisions == (precision,)
