"""Run by test_triton_block.py: the kernels in Triton's interpreter, on the CPU.

Triton decides at its import whether it interprets (TRITON_INTERPRET=1), so that this is a process
of its own. Prints one JSON object: what came out, by case.
"""

import json
import sys

import numpy as np
import torch
from torch import nn
from triton.runtime import interpreter

from cs3d_ros.network import gpu_forms, stages
from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.triton_block import TritonBlock
from network_helpers import trained, windows

CASES = json.loads(sys.argv[1])
torch.set_num_threads(1)
# The interpreter is slow.
stages.CHANNELS = (8, 16, 16, 24, 24)


def as_float32(handle: interpreter.TensorHandle) -> interpreter.TensorHandle:
    if handle.dtype.scalar != interpreter.tl.bfloat16:
        return handle
    bits = handle.data.astype(np.uint32) << 16
    return interpreter.TensorHandle(bits.view(np.float32), interpreter.tl.float32)


create_dot = interpreter.InterpreterBuilder.create_dot


def dot_of_bfloat16(self, a, b, *arguments):
    # The interpreter keeps bfloat16 as its bits, and multiplies these as if they were numbers.
    return create_dot(self, as_float32(a), as_float32(b), *arguments)


interpreter.InterpreterBuilder.create_dot = dot_of_bfloat16


def block_of(channels_in: int, channels_out: int) -> FactorizedConv3d:
    torch.manual_seed(channels_in + channels_out)
    block = FactorizedConv3d(channels_in, channels_out)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.5)
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.2, 3.0)
    return block.eval()


def error_of(shape: list[int], channels_out: int, dtype: str, is_fused: bool) -> float:
    """Largest error as a share of the largest value."""
    block = block_of(shape[1], channels_out)
    x = torch.randn(shape).to(getattr(torch, dtype))
    form = TritonBlock(block, x.dtype, is_fused=is_fused)
    expected = block(x.float())
    found = form(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
    assert found.dtype == x.dtype
    return float((found.float() - expected).abs().max() / expected.abs().max())


def what_is_not_a_number() -> list[list[bool]]:
    """Where the block and its forms say NaN, given one."""
    block = block_of(3, 16)
    x = torch.randn(1, 3, 3, 7, 7)
    x[0, 1, 1, 3, 3] = float("nan")
    answers = [block(x).isnan().flatten().tolist()]
    for is_fused in (True, False):
        form = TritonBlock(block, is_fused=is_fused)
        found = form(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)
        answers.append(found.isnan().flatten().tolist())
    return answers


def network_error() -> float:
    network = trained("cs3d", reduction=4)
    x = windows(1, 3, 32)
    expected = network(x)
    found = gpu_forms.fused_on(torch.device("cpu"), network)(x)
    return float((found - expected).abs().max() / expected.abs().max())


with torch.inference_mode():
    print(
        json.dumps(
            {
                "errors": [error_of(*case) for case in CASES],
                "nan": what_is_not_a_number(),
                "network": network_error(),
            }
        )
    )
