"""One module per framework, each with the same three functions.

``version() -> str``
    The framework's version.
``set_num_threads(count)``
    Called once, before anything else of the framework.
``prepare(problem) -> Program``
    Build the framework's form of a point, all that a user would do once left out of the timing:
    weights in place, inputs in the framework's own arrays, code compiled.

Importing a module imports its framework and raises ImportError where that is not installed; only
worker processes do. Module names differ from the frameworks' own, so that no script in these
folders hides one.
"""

from bench.peers.frameworks.program import Arrays, Program, Unsupported

#: Column title of each framework and the module behind it. The first is always there.
MODULES = {
    "fastrnn": "layer_call",
    "fastrnn.Stream": "stream_step",
    "PyTorch": "pytorch_module",
    "ONNX Runtime": "onnx_session",
    "OpenVINO": "openvino_request",
    "JAX": "jax_scan",
}
OWN = ("fastrnn", "fastrnn.Stream")
#: What the command line calls the peers.
PEERS = {"torch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "jax": "JAX"}

__all__ = ["MODULES", "OWN", "PEERS", "Arrays", "Program", "Unsupported"]
