"""How a GPU rounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
"""Of weights and maps, by precision."""


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Let convolutions and matrix products on a GPU round as the precision says, in this block.

    Torch lets convolutions round to TF32 unless it is told not to.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
