"""ONNX Runtime: a session whose inputs and outputs are bound to arrays that stay."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnxruntime

from bench.peers.frameworks.onnx_graph import (
    onnx_arrays,
    onnx_inputs,
    onnx_model,
    onnx_output_shapes,
)
from bench.peers.frameworks.program import Arrays, Program, Unsupported
from bench.peers.problem import Problem

_threads = 1


def version() -> str:
    """Return ONNX Runtime's version."""
    return str(onnxruntime.__version__)


def set_num_threads(count: int) -> None:
    """Keep the number: ONNX Runtime takes it with each session."""
    global _threads
    _threads = count


def prepare(problem: Problem) -> Program:
    """Build a session.

    Bound arrays take 6 instead of 11 microseconds for a single step at H = 16 (Zen 4), where
    `run` makes new ones each time. For a single step, two bindings take turns: each writes the
    states that the other reads.
    """
    if problem.point.mode == "training":
        raise Unsupported("inference only")
    if problem.point.dtype != "float32":
        raise Unsupported("its recurrent operators are float32 only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        onnx_model(problem), options, providers=["CPUExecutionProvider"]
    )

    def value(array: Any) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(array)

    inputs = {name: value(array) for name, array in onnx_inputs(problem).items()}
    shapes = onnx_output_shapes(problem)

    def bind(sources: dict[str, Any], targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        binding = session.io_binding()
        for name, source in sources.items():
            binding.bind_ortvalue_input(name, source)
        for name, target in targets.items():
            binding.bind_ortvalue_output(name, target)
        return binding, targets

    def empty() -> dict[str, Any]:
        return {k: value(np.zeros(v, problem.point.dtype)) for k, v in shapes.items()}

    def after(outputs: dict[str, Any]) -> dict[str, Any]:
        states = {k.replace("final", "initial"): v for k, v in outputs.items() if k != "y"}
        return inputs | states

    if problem.point.carries_state:
        # The second writes where the first reads, which is zero at the start.
        even, odd = empty(), empty()
        bindings = [bind(after(odd), even), bind(after(even), odd)]
    else:
        bindings = [bind(inputs, empty())]
    turn = itertools.cycle(bindings)

    def run() -> Any:
        binding, outputs = next(turn)
        session.run_with_iobinding(binding)
        return outputs

    def result(outputs: Any) -> Arrays:
        return onnx_arrays(problem, {name: v.numpy().copy() for name, v in outputs.items()})

    return Program(run, result)
