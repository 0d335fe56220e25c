import pytest
import torch

from cs3d_ros.benchmark.subject import lively
from cs3d_ros.device_power import open_power
from cs3d_ros.energy import EnergyMeter, PowerSourceError
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.network.errors import DeviceError, NetworkError
from cs3d_ros.network.precision import arithmetic
from cs3d_ros.reproduction.table1.measure import measure
from cs3d_ros.reproduction.table1.networks import MeasuredNetwork
from cs3d_ros.reproduction.table1.settings import settings

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["c3d", "cs3d"])
def test_it_is_executed_as_a_classifier_executes_it(name):
    network = MeasuredNetwork(name, CPU, "float32", 32, 1)
    classifier = Classifier(*lively(name, 32), threads=1)
    assert type(network._network) is type(classifier._engine._module)
    network.prepare(2)
    answers = []
    network._network.register_forward_hook(lambda module, given, answer: answers.append(answer))
    network.infer()
    expected = classifier.predict(network._batch.numpy())
    assert torch.softmax(answers[0], dim=1).numpy() == pytest.approx(expected, abs=1e-6)
    assert answers[0].is_inference()


def test_the_inputs_are_the_same_each_time_and_about_as_full_as_those_of_a_camera():
    network = MeasuredNetwork("cs3d", CPU, "float32", 32, 1)
    network.prepare(3)
    first = network._batch.clone()
    assert first.shape == (3, 3, 16, 32, 32)
    network.prepare(3)
    assert torch.equal(network._batch, first)
    assert 0.02 < (first != 0).float().mean() < 0.04
    assert first.min() == 0
    assert 0.9 < first.max() < 1


def test_a_cpu_has_no_peak_of_gpu_memory():
    network = MeasuredNetwork("cs3d", CPU, "float32", 32, 1)
    network.prepare(1)
    network.begin_memory()
    network.infer()
    assert network.peak_memory_bytes() is None


def test_without_a_batch_or_when_closed_it_says_so():
    network = MeasuredNetwork("cs3d", CPU, "float32", 32, 1)
    with pytest.raises(NetworkError, match="closed or has no batch"):
        network.infer()
    network.prepare(1)
    network.close()
    with pytest.raises(NetworkError, match="closed or has no batch"):
        network.infer()


def test_a_batch_that_does_not_fit_is_told_with_what_to_do(monkeypatch):
    network = MeasuredNetwork("cs3d", CPU, "float32", 32, 1)
    network.prepare(2)

    def full(*arguments):
        raise torch.cuda.OutOfMemoryError("tried to allocate 1 GiB")

    monkeypatch.setattr(network, "_network", full)
    with pytest.raises(DeviceError, match=r"batch of 2 of .*1 GiB; give smaller ones with --batch"):
        network.infer()


def test_the_rounding_of_torch_is_as_before_afterwards():
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    with arithmetic("float32"):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (False, False)
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before
    with arithmetic("tf32"):
        assert (cudnn.allow_tf32, matmul.allow_tf32) == (True, True)
    assert (cudnn.allow_tf32, matmul.allow_tf32) == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_on_a_gpu_time_memory_and_energy_are_measured(precision):
    asked = settings(device="cuda", precisions=(precision,), batches=(1, 8), repeats=2, seconds=1.0)
    try:
        source = open_power("auto", 50, torch.device(asked.device))
    except PowerSourceError:
        results = measure(asked, None)
    else:
        with EnergyMeter(source) as meter:
            results = measure(asked, meter)
        for row in results.rows:
            assert min(row.energies_j) > 0
    assert results.is_finished
    c3d, cs3d = results.rows[:2]
    assert c3d.peak_memory_bytes > cs3d.peak_memory_bytes > 0
    # 62 million parameters.
    assert c3d.peak_memory_bytes > 62e6 * (2 if precision == "bfloat16" else 4)
    assert all(seconds > 0 for row in results.rows for seconds in row.times_s)
