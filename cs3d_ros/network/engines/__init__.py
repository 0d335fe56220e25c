"""Ways to execute a network, by name. They differ in speed; their answers are the same."""

from cs3d_ros.network.engines.compiled_engine import CompiledEngine
from cs3d_ros.network.engines.cuda_graph_engine import CudaGraphEngine
from cs3d_ros.network.engines.engine import Engine
from cs3d_ros.network.engines.numba_engine import NumbaEngine
from cs3d_ros.network.engines.onnxruntime_engine import OnnxRuntimeEngine
from cs3d_ros.network.engines.openvino_engine import OpenVinoEngine
from cs3d_ros.network.engines.tensorrt_engine import TensorRtEngine
from cs3d_ros.network.engines.torch_engine import TorchEngine

_KINDS: tuple[type[Engine], ...] = (
    TorchEngine,
    NumbaEngine,
    CompiledEngine,
    OpenVinoEngine,
    OnnxRuntimeEngine,
    CudaGraphEngine,
    TensorRtEngine,
)

ENGINES: dict[str, type[Engine]] = {kind.name: kind for kind in _KINDS}
"""The engines by name. None imports its library before it is made."""
