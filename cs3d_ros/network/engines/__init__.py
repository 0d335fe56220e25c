"""Ways to execute a network, by name. They differ in speed; their answers are the same."""

from cs3d_ros.network.engines.engine import Engine
from cs3d_ros.network.engines.torch_engine import TorchEngine

ENGINES: dict[str, type[Engine]] = {kind.name: kind for kind in (TorchEngine,)}
"""The engines by name. None imports its library before it is made."""
