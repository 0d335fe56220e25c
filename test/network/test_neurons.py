"""The soft spiking neuron against its equations, evaluated here in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.network import NetworkError
from cs3d_ros.network.neurons import SoftSpikingNeuron

X = np.array([-3.0, -0.2, 0.0, 0.49, 0.5, 0.51, 1.0, 4.0, 60.0])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def gradient(neuron, values, upstream=None):
    x = torch.tensor(values, requires_grad=True)
    y = neuron(x)
    y.backward(torch.ones_like(y) if upstream is None else torch.tensor(upstream))
    return x.grad.numpy()


@pytest.mark.parametrize("grad", [False, True])
def test_forward_is_zero_up_to_the_threshold_and_linear_above(grad):
    x = torch.tensor(X, requires_grad=grad)
    y = SoftSpikingNeuron(threshold=0.5)(x)
    assert y.requires_grad is grad
    np.testing.assert_array_equal(y.detach().numpy(), np.maximum(0, X - 0.5))
    np.testing.assert_array_equal(x.detach().numpy(), X)  # the input is left as it was


def test_sigmoid_surrogate_is_the_closed_form():
    found = gradient(SoftSpikingNeuron(0.5, 3.0, "sigmoid"), X)
    np.testing.assert_allclose(found, sigmoid(3 * (X - 0.5)), rtol=1e-12)
    assert found[-1] == 1  # it does not vanish for strong inputs


def test_sigmoid_derivative_surrogate_is_the_closed_form():
    found = gradient(SoftSpikingNeuron(0.5, 3.0, "sigmoid_derivative"), X)
    s = sigmoid(3 * (X - 0.5))
    np.testing.assert_allclose(found, 3 * s * (1 - s), rtol=1e-9, atol=1e-15)
    assert found[4] == 3 / 4  # its peak, k/4, is at the threshold
    assert found[-1] < 1e-12


@pytest.mark.parametrize("surrogate", ["sigmoid", "sigmoid_derivative"])
def test_the_upstream_gradient_multiplies_the_surrogate(surrogate):
    neuron = SoftSpikingNeuron(0.2, 2.0, surrogate)
    upstream = np.linspace(-2, 2, X.size)
    np.testing.assert_allclose(
        gradient(neuron, X, upstream), upstream * gradient(neuron, X), rtol=1e-12
    )


@given(
    x=st.floats(-20, 20),
    threshold=st.floats(0, 5),
    steepness=st.floats(0.1, 20),
)
def test_sigmoid_derivative_is_the_slope_of_the_sigmoid(x, threshold, steepness):
    step = 1e-5
    slope = (
        sigmoid(steepness * (x + step - threshold)) - sigmoid(steepness * (x - step - threshold))
    ) / (2 * step)
    found = gradient(SoftSpikingNeuron(threshold, steepness, "sigmoid_derivative"), [x])
    np.testing.assert_allclose(found[0], slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_dtype_and_shape_are_kept(dtype):
    x = torch.ones(2, 3, 4, 5, 6, dtype=dtype, requires_grad=True)
    y = SoftSpikingNeuron()(x)
    y.sum().backward()
    assert (y.dtype, y.shape, x.grad.dtype) == (dtype, x.shape, dtype)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"threshold": float("inf")}, "threshold is inf"),
        ({"threshold": 10**400}, "threshold"),
        ({"threshold": "0.1"}, "threshold is '0.1'"),
        ({"threshold": True}, "threshold is True"),
        ({"steepness": 0}, "steepness is 0"),
        ({"steepness": float("inf")}, "steepness is inf"),
        ({"steepness": None}, "steepness is None"),
        ({"surrogate": "arctan"}, r"'arctan'.*sigmoid, sigmoid_derivative"),
        ({"surrogate": ["sigmoid"]}, "surrogate"),
    ],
)
def test_bad_settings_are_refused(arguments, what):
    with pytest.raises(NetworkError, match=what):
        SoftSpikingNeuron(**arguments)


def test_printing_shows_the_settings():
    text = repr(SoftSpikingNeuron(0.25, 8, "sigmoid_derivative"))
    assert text == (
        "SoftSpikingNeuron(threshold=0.25, steepness=8.0, surrogate='sigmoid_derivative')"
    )
