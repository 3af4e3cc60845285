"""OpenVINO: the ONNX model, compiled for latency; one request with bound inputs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import openvino

from bench.peers.frameworks.onnx_graph import onnx_arrays, onnx_inputs, onnx_model, state_names
from bench.peers.frameworks.program import Arrays, Program, Unsupported
from bench.peers.problem import Problem

_core = openvino.Core()
_threads = 1


def version() -> str:
    """Return OpenVINO's version without its build number."""
    return str(openvino.__version__).split("-")[0]


def set_num_threads(count: int) -> None:
    """Keep the number: OpenVINO takes it with each compiled model."""
    global _threads
    _threads = count


def prepare(problem: Problem) -> Program:
    """Build a request."""
    if problem.point.mode == "training":
        raise Unsupported("inference only")
    if problem.point.dtype != "float32":
        raise Unsupported("computes float64 models in float32 on processors")
    compiled = _core.compile_model(
        _core.read_model(io.BytesIO(onnx_model(problem))),
        "CPU",
        {
            "INFERENCE_NUM_THREADS": _threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Without it, OpenVINO computes in bfloat16 where the processor has it.
            "INFERENCE_PRECISION_HINT": "f32",
        },
    )
    request = compiled.create_infer_request()
    inputs = onnx_inputs(problem)
    for name, array in inputs.items():
        request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
    # `run` refers to the arrays, which the tensors do not keep alive.
    parts = state_names(problem)
    carried = [(f"final_{part}", f"initial_{part}") for part in parts]
    if not problem.point.carries_state:
        carried = []

    def outputs() -> dict[str, Any]:
        names = ("y", *(f"final_{part}" for part in parts))
        return {name: request.get_tensor(name).data for name in names}

    def run() -> Any:
        request.infer()
        computed = outputs()
        for source, target in carried:
            np.copyto(inputs[target], computed[source])
        return computed

    def result(arrays: Any) -> Arrays:
        return onnx_arrays(problem, {name: array.copy() for name, array in arrays.items()})

    return Program(run, result)
