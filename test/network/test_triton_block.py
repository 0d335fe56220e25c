"""The kernels of a factorized block: in Triton's interpreter, and compiled for GPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from cs3d_ros.network import build
from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.gpu_forms import folded_on, fused_on
from cs3d_ros.network.precision import arithmetic
from cs3d_ros.network.triton_block import Tiling, TritonBlock, kernels
from network_helpers import FIVE_STAGES, trained, windows

triton = pytest.importorskip("triton", "3.2")

HERE = Path(__file__).parent
CPU = torch.device("cpu")
TOLERANCES = {"float32": 1e-4, "float16": 5e-3, "bfloat16": 3e-2}
# (N, C, T, H, W), channels out, dtype, in one kernel.
CASES = [
    ([2, 3, 3, 7, 7], 16, "float32", True),
    ([2, 3, 3, 7, 7], 16, "float32", False),
    ([1, 16, 1, 14, 14], 32, "float32", True),
    ([1, 16, 1, 14, 14], 32, "float32", False),
    ([1, 32, 3, 13, 9], 32, "float32", True),
    ([1, 32, 3, 13, 9], 32, "float32", False),
    ([1, 3, 1, 15, 9], 64, "float32", True),
    ([1, 20, 2, 5, 19], 40, "float32", True),
    ([1, 20, 2, 5, 19], 40, "float32", False),
    ([1, 16, 1, 1, 1], 96, "float32", True),
    ([1, 8, 1, 6, 6], 160, "float32", True),
    ([1, 3, 2, 9, 7], 16, "float16", True),
    ([1, 3, 2, 9, 7], 16, "float16", False),
    ([1, 32, 2, 7, 7], 32, "bfloat16", True),
    ([1, 32, 2, 7, 7], 32, "bfloat16", False),
]


@pytest.fixture(scope="module")
def interpreted() -> dict:
    paths = (HERE, HERE.parent, HERE.parents[1])
    path = os.pathsep.join((*map(str, paths), os.environ.get("PYTHONPATH", "")))
    answer = subprocess.run(
        [sys.executable, HERE / "triton_interpreted.py", json.dumps(CASES)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, "TRITON_INTERPRET": "1", "PYTHONWARNINGS": "ignore"},
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.parametrize("index", range(len(CASES)), ids=lambda i: str(CASES[i]))
def test_the_kernels_answer_as_the_block_does(interpreted: dict, index: int) -> None:
    assert interpreted["errors"][index] < TOLERANCES[CASES[index][2]]


def test_what_is_not_a_number_reaches_the_same_outputs(interpreted: dict) -> None:
    block, one_kernel, two_kernels = interpreted["nan"]
    assert one_kernel == block
    assert two_kernels == block
    assert 0 < sum(block) < len(block)


def test_a_network_with_the_kernels_answers_alike(interpreted: dict) -> None:
    assert interpreted["network"] < 1e-4


def test_an_empty_batch_gives_an_empty_map() -> None:
    form = TritonBlock(FactorizedConv3d(3, 16).eval())
    assert form(torch.zeros(0, 2, 7, 7, 3)).shape == (0, 2, 7, 7, 16)


def compiled(name: str, arch: int, **constants: object) -> str:
    """PTX of a kernel for bfloat16; no GPU is needed."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel = getattr(kernels(), name)
    floats = ("in_time", "first_bias", "in_space", "second_bias")
    maps = ("x", "first", "second", "shortcut", "between", "out")
    signature = {
        argument: "constexpr"
        if argument in constants
        else "*fp32"
        if argument in floats
        else "*bf16"
        if argument in maps
        else "i32"
        for argument in kernel.arg_names
    }
    places = {(kernel.arg_names.index(key),): value for key, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=places)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32)).asm["ptx"]


@pytest.mark.parametrize(("arch", "channels_in"), [(87, 16), (90, 32)])
def test_the_kernels_compile_for_orin_and_hopper(arch: int, channels_in: int) -> None:
    sizes = {"C": channels_in, "D": 32, "PRECISION": "ieee"}
    has_matrix = {"HAS_MATRIX": channels_in != 32}
    tile = {"ROWS": 8, "COLUMNS": 8, "BLOCK_C": 16, "BLOCK_K": 16, "BLOCK_D": 32}
    block = {"BLOCK_P": 32, "BLOCK_C": 16, "BLOCK_D": 32}
    for ptx in (
        compiled("fused_block", arch, **sizes, **tile, **has_matrix),
        compiled("first_half", arch, **sizes, **block),
        compiled("second_half", arch, **sizes, **block, **has_matrix),
    ):
        # Products are made by the tensor cores.
        assert "mma" in ptx


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (13, 9), (14, 14), (28, 56), (112, 112)])
@pytest.mark.parametrize("channels", [16, 64, 128, 256])
def test_tiles_cover_the_picture_and_fit_the_registers(
    channels: int, size: tuple[int, int]
) -> None:
    tiling = Tiling.of(channels, *size)
    down, across = tiling.tiles(*size)
    assert (down - 1) * (tiling.rows - 2) < size[0] <= down * (tiling.rows - 2)
    assert (across - 1) * (tiling.columns - 2) < size[1] <= across * (tiling.columns - 2)
    assert tiling.rows * tiling.columns * max(channels, 64) <= 16384


@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [
        ((3, 16), {"dtype": torch.float64}, "do not take torch.float64; choose one of torch.flo"),
        ((3, 16), {"product": "exact"}, "unknown product 'exact'; choose one of ieee, tf32"),
        ((3, 512), {"is_fused": True}, "at most 256 channels, this block has 512; use two"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused(
    channels: tuple[int, int], arguments: dict, message: str
) -> None:
    with pytest.raises(NetworkError, match=message):
        TritonBlock(FactorizedConv3d(*channels).eval(), **arguments)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(1, 2, 7, 7, 4),
        torch.zeros(2, 7, 7, 3),
        torch.zeros(1, 2, 7, 7, 3, dtype=torch.float16),
    ],
    ids=["channels", "axes", "dtype"],
)
def test_another_map_is_refused(x: torch.Tensor) -> None:
    with pytest.raises(NetworkError, match=r"takes \(N, T, H, W, 3\) of torch.float32; given"):
        TritonBlock(FactorizedConv3d(3, 16).eval())(x)


def test_an_old_triton_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kernels().tl, "gather")
    with pytest.raises(NetworkError, match=r"is too old for the fused kernel; install 3\.2"):
        TritonBlock(FactorizedConv3d(3, 16).eval())


def test_without_triton_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(NetworkError, match="this needs triton"):
        TritonBlock(FactorizedConv3d(3, 16).eval())


def test_a_network_without_factorized_blocks_has_nothing_to_fuse() -> None:
    with pytest.raises(NetworkError, match="no factorized block"):
        fused_on(CPU, trained("c3d"))


@pytest.mark.parametrize("name", [*FIVE_STAGES, "lstm"])
def test_the_folded_form_of_a_device_answers_alike_and_leaves_the_network_alone(name: str) -> None:
    network = trained(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = windows(1, 3, 32)
    with torch.inference_mode():
        expected = network(x)
        found = folded_on(CPU, network)(x)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert all(value.dtype == before[key].dtype for key, value in network.state_dict().items())


@pytest.mark.parametrize(("precision", "limit"), [("bfloat16", 5e-2), ("float16", 1e-2)])
def test_half_precisions_stay_within_their_tolerance(precision: str, limit: float) -> None:
    network = trained("cs3d")
    x = windows(1, 3, 32)
    with torch.inference_mode():
        expected = network(x)
        found = folded_on(CPU, network, precision)(x)
    assert found.dtype == torch.float32
    error = (found - expected).abs().max() / expected.abs().max()
    # Were it not rounded, there would be no error to speak of.
    assert 1e-5 < error < limit


def test_a_network_in_training_is_refused_by_both_forms() -> None:
    for form in (folded_on, fused_on):
        with pytest.raises(NetworkError, match="training mode cannot be folded"):
            form(CPU, build("cs3d"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16", "float16"])
@pytest.mark.parametrize("size", [112, 90, 33])
def test_on_a_gpu_both_forms_answer_alike(precision: str, size: int) -> None:
    device = torch.device("cuda:0")
    network = trained("cs3d")
    x = windows(2, 3, size)
    limit = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2, "float16": 1e-2}[precision]
    with torch.inference_mode(), arithmetic(precision):
        expected = network(x)
        for form in (folded_on, fused_on):
            found = form(device, network, precision)(x.to(device)).cpu()
            assert (found - expected).abs().max() < limit * expected.abs().max()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("is_fused", [True, False])
@pytest.mark.parametrize("channels", [(3, 64), (64, 128), (128, 256), (64, 64), (256, 256)])
@pytest.mark.parametrize("shape", [(1, 4, 14, 14), (2, 3, 13, 9), (1, 1, 7, 7), (2, 2, 57, 31)])
def test_on_a_gpu_the_kernels_answer_as_the_block_does(
    shape: tuple[int, ...], channels: tuple[int, int], is_fused: bool
) -> None:
    torch.manual_seed(0)
    block = FactorizedConv3d(*channels).eval().requires_grad_(False)
    nn.init.normal_(block.temporal_norm.bias, std=0.5)
    n, t, h, w = shape
    x = torch.randn(n, channels[0], t, h, w)
    expected = block(x)
    for dtype, limit in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 5e-3)):
        form = TritonBlock(block.cuda(), dtype, is_fused=is_fused)
        found = form(x.cuda().permute(0, 2, 3, 4, 1).to(dtype)).permute(0, 4, 1, 2, 3)
        error = (found.float().cpu() - expected).abs().max() / expected.abs().max()
        assert error < limit
