"""Fused blocks compute what plain ones do, and plain ones serve where there are none."""

import types

import pytest
import torch

from cs3d_ros.network import fused_products
from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.folded import Factorized
from cs3d_ros.network.fused_products import FusedFactorized, fastest_block


def block(in_channels: int = 3, out_channels: int = 16) -> FactorizedConv3d:
    torch.manual_seed(0)
    return FactorizedConv3d(in_channels, out_channels).eval()


@pytest.mark.parametrize("channels", [(3, 16), (1, 64), (16, 32), (8, 8)])
@pytest.mark.parametrize("shape", [(1, 4, 9, 9), (2, 16, 5, 7), (0, 16, 4, 4), (1, 1, 1, 1)])
def test_the_block_that_is_used_computes_what_the_plain_one_does(
    channels: tuple[int, int], shape: tuple[int, ...]
) -> None:
    x = torch.randn(*shape, channels[0])
    given = x.clone()
    with torch.inference_mode():
        found, expected = fastest_block(block(*channels))(x), Factorized(block(*channels))(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.is_contiguous()
    assert x.equal(given)


def test_without_the_operators_the_plain_block_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ops", types.SimpleNamespace())
    assert type(fastest_block(block())) is Factorized


@pytest.mark.parametrize("wrong", [lambda y: y + 1e-3, lambda y: y * float("nan")])
def test_a_fused_block_that_is_wrong_is_not_used(wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(FusedFactorized):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return wrong(Factorized(block())(x))

    monkeypatch.setattr(fused_products, "FusedFactorized", Wrong)
    assert type(fastest_block(block())) is Factorized
