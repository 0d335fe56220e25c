"""A stand-in for NVIDIA's module `tensorrt`: its calls, executed by ONNX Runtime on the CPU.

What it takes and answers is as in NVIDIA's documentation of 8.6, 10 and 11. A plan is the word
PLAN, the version, the builder's flags and the ONNX file.
"""

import ctypes
import types

import numpy as np

from cs3d_ros.network.engines.libraries import load_onnxruntime
from cs3d_ros.network.engines.onnxruntime_engine import open_session

_FLAGS = {8: {"TF32", "FP16"}, 10: {"TF32", "FP16", "BF16"}, 11: {"TF32"}}


def fake_tensorrt(version="10.3.0"):
    """Return a module of a version; its attribute `faults` names what is to fail."""
    major = int(version.split(".")[0])
    trt = types.ModuleType("tensorrt")
    trt.__version__ = version
    trt.faults = set()
    trt.builds = []
    trt.creation_flags = []

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self):
            self.initialized = True

    class BuilderFlag:
        pass

    for flag in _FLAGS[major]:
        setattr(BuilderFlag, flag, flag)

    class NetworkDefinitionCreationFlag:
        pass

    if major < 11:
        NetworkDefinitionCreationFlag.EXPLICIT_BATCH = 0

    class MemoryPoolType:
        WORKSPACE = "WORKSPACE"

    class Config:
        def __init__(self):
            self.flags, self.limits = {"TF32"}, {}

        def set_flag(self, flag):
            self.flags.add(flag)

        def clear_flag(self, flag):
            self.flags.discard(flag)

        def set_memory_pool_limit(self, pool, size):
            self.limits[pool] = size

    class Network:
        content = None

    class Builder:
        def __init__(self, logger):
            assert logger.initialized
            self.logger = logger

        def create_network(self, flags=0):
            trt.creation_flags.append(flags)
            return Network()

        def create_builder_config(self):
            return Config()

        def build_serialized_network(self, network, config):
            trt.builds.append(config)
            if "build" in trt.faults:
                self.logger.log(ILogger.WARNING, "never mind")
                self.logger.log(ILogger.ERROR, "Error Code 10: no implementation\nfor a node")
                return None
            flags = ",".join(sorted(config.flags))
            return memoryview(f"PLAN {version} {flags}\n".encode() + network.content)

    class OnnxParser:
        def __init__(self, network, logger):
            self.network = network

        num_errors = 1

        def get_error(self, index):
            return types.SimpleNamespace(desc=lambda: "no such operator")

        def parse(self, content):
            self.network.content = content
            return "parse" not in trt.faults

    class Context:
        def __init__(self, session):
            self.session, self.addresses = session, {}

        def set_tensor_address(self, name, address):
            self.addresses[name] = address
            return name in ("windows", "logits")

        def execute_async_v3(self, stream_handle):
            if "execute" in trt.faults:
                return False
            window = _at(self.addresses["windows"], self.session.get_inputs()[0].shape)
            logits = _at(self.addresses["logits"], self.session.get_outputs()[0].shape)
            logits[:] = self.session.run(None, {"windows": window})[0]
            return True

    class Plan:
        def __init__(self, content):
            self.session = open_session(load_onnxruntime(), content, 1)

        def create_execution_context(self):
            return None if "context" in trt.faults else Context(self.session)

    class Runtime:
        def __init__(self, logger):
            self.logger = logger

        def deserialize_cuda_engine(self, plan):
            head, _, content = plan.partition(b"\n")
            if "load" in trt.faults or head.split()[:2] != [b"PLAN", version.encode()]:
                self.logger.log(ILogger.ERROR, "plan of another version")
                return None
            return Plan(content)

    for kind in (
        ILogger,
        BuilderFlag,
        NetworkDefinitionCreationFlag,
        MemoryPoolType,
        Builder,
        OnnxParser,
        Runtime,
    ):
        setattr(trt, kind.__name__, kind)
    return trt


def _at(address, shape):
    """The float32 array at an address."""
    pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(pointer, tuple(shape))
