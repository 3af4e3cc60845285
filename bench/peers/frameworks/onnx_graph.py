"""A point as an ONNX model, for the frameworks that read one."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from bench.peers.problem import Array, Problem

#: ONNX's operator, its attributes, and where each of its gates is among ours (i o f c; z r h).
OPERATORS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "lstm": ("LSTM", {}, (0, 3, 1, 2)),
    "gru": ("GRU", {"linear_before_reset": 1}, (1, 0, 2)),
    "rnn": ("RNN", {}, (0,)),
}
OPSET, IR_VERSION = 14, 8


def state_names(problem: Problem) -> tuple[str, ...]:
    """Return the names of the parts of a state, as `initial_*` inputs and `final_*` outputs."""
    return ("h", "c") if problem.has_cell_state else ("h",)


def onnx_inputs(problem: Problem) -> dict[str, Array]:
    """Return what the model reads: x (T, N, I), lengths (N,), states (1, N, H), where it has them.

    Time comes first: the one order that ONNX Runtime has.
    """
    inputs: dict[str, Array] = {"x": np.ascontiguousarray(problem.x.swapaxes(0, 1))}
    if problem.lengths is not None:
        inputs["lengths"] = problem.lengths.astype(np.int32)
    if problem.point.carries_state:
        shape = (1, problem.point.case.batch, problem.point.case.hidden_size)
        for part in state_names(problem):
            inputs[f"initial_{part}"] = np.zeros(shape, problem.point.dtype)
    return inputs


def onnx_output_shapes(problem: Problem) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the outputs: y (T, 1, N, H) and states (1, N, H)."""
    case = problem.point.case
    shapes: dict[str, tuple[int, ...]] = {"y": (case.steps, 1, case.batch, case.hidden_size)}
    for part in state_names(problem):
        shapes[f"final_{part}"] = (1, case.batch, case.hidden_size)
    return shapes


def onnx_model(problem: Problem) -> bytes:
    """Return the serialized model: one node, weights as constants, all shapes fixed."""
    operator, attributes, order = OPERATORS[problem.point.cell]

    def permuted(name: str) -> Array:
        gates = np.split(problem.weights[name], len(order))
        return np.concatenate([gates[gate] for gate in order])

    constants = {
        "weight_ih": permuted("weight_ih_l0")[None],
        "weight_hh": permuted("weight_hh_l0")[None],
        "bias": np.concatenate([permuted("bias_ih_l0"), permuted("bias_hh_l0")])[None],
    }
    inputs, outputs = onnx_inputs(problem), onnx_output_shapes(problem)
    optional = ("lengths", "initial_h", "initial_c")
    names = ["x", *constants, *(name if name in inputs else "" for name in optional)]
    while not names[-1]:
        names.pop()
    node = onnx.helper.make_node(
        operator, names, list(outputs), hidden_size=problem.point.case.hidden_size, **attributes
    )
    kind = onnx.helper.np_dtype_to_tensor_dtype(problem.x.dtype)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [node],
        "layer",
        [
            value(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ],
        [value(name, kind, shape) for name, shape in outputs.items()],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return bytes(model.SerializeToString())


def onnx_arrays(problem: Problem, outputs: dict[str, Array]) -> dict[str, Array]:
    """Return the model's outputs under the names and in the order of axes of a comparison."""
    arrays = {"y": outputs["y"][:, 0].swapaxes(0, 1)}
    for part in state_names(problem):
        arrays[f"{part}_n"] = outputs[f"final_{part}"][0]
    return arrays
