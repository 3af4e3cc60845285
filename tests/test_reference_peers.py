"""The specification against PyTorch (stored and live), its own cells in disguise, and ONNX."""

import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

from cases import VECTOR_CASES, VECTORS, vectors
from fastrnn.reference import CELLS, Weights, bptt, run
from reference_cases import (
    RAGGED,
    assert_close,
    bptt_on,
    draw,
    given,
    public_name,
    run_on,
    tied,
    weights_of,
)


def compose(case, arrays):
    """Stack layers and directions by hand: outputs and gradients under PyTorch's names."""
    suffixes = ["", "_reverse"][: 1 + case["bidirectional"]]
    pairs = [[f"_l{layer}{suffix}" for suffix in suffixes] for layer in range(case["num_layers"])]
    order = [name for pair in pairs for name in pair]

    def arguments(name):
        states = {s: arrays[s][order.index(name)] for s in ("h0", "c0") if s in arrays}
        options = {"lengths": arrays["lengths"], "reverse": name.endswith("_reverse")}
        cell = case["cell"]
        absent = set() if CELLS[cell].has_recurrent_matrix else {"weight_hh"}
        absent |= set() if CELLS[cell].unit_weights else {"unit_weights"}
        names = {field.name for field in dataclasses.fields(Weights)} - absent
        weights = weights_of({key: arrays.get(public_name(cell, key) + name) for key in names})
        return {"weights": weights, **states, **options}

    inputs, results = [arrays["x"]], {}
    for pair in pairs:
        for name in pair:
            results[name] = run(case["cell"], inputs[-1], **arguments(name))
        inputs.append(np.concatenate([results[name].y for name in pair], axis=2))
    got = {"y": inputs[-1], "h_n": np.stack([results[name].h_n for name in order])}

    dy, gradients = arrays["dy"], {}
    for x, pair in reversed(list(zip(inputs[:-1], pairs, strict=True))):
        for name, dy_part in zip(pair, np.split(dy, len(pair), axis=2), strict=True):
            names = ("dh_n", "dc_n")
            dstate = {d: arrays[d][order.index(name)] for d in names if d in arrays}
            gradients[name] = bptt(case["cell"], x, dy=dy_part, **dstate, **arguments(name))
        dy = sum(gradients[name].dx for name in pair)
    got |= {"dx": dy, "dh0": np.stack([gradients[name].dh0 for name in order])}
    if CELLS[case["cell"]].has_cell_state:
        got["c_n"] = np.stack([results[name].c_n for name in order])
        got["dc0"] = np.stack([gradients[name].dc0 for name in order])
    for name in order:
        parameters = {k: v for k, v in given(gradients[name]).items() if k[1] in "wbu"}
        got |= {public_name(case["cell"], k) + name: value for k, value in parameters.items()}
    return got


def assert_agrees_with_pytorch(case, arrays):
    given_names = {"x", "h0", "c0", "lengths", "dy", "dh_n", "dc_n"}
    expected = {k: v for k, v in arrays.items() if k not in given_names and k[0] in "yhcd"}
    got = compose(case, arrays)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].shape == array.shape
        assert_close(got[name], array, f"{case['name']}/{name}")


# ---- PyTorch ----


def test_the_vectors_cover_every_cell_and_option():
    assert {case["cell"] for case in VECTOR_CASES.values()} == set(CELLS)
    for cell in CELLS:
        cases = [case for case in VECTOR_CASES.values() if case["cell"] == cell]
        assert {case["num_layers"] for case in cases} == {1, 2}
        for option in ("bidirectional", "bias", "ragged"):
            assert {case[option] for case in cases} == {False, True}


@pytest.mark.parametrize("name", VECTOR_CASES)
def test_agrees_with_stored_pytorch_vectors(name):
    assert_agrees_with_pytorch(VECTOR_CASES[name], vectors(name))


@pytest.fixture
def vectors_tool(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    return importlib.import_module("make_reference_vectors")


def test_the_stored_vectors_are_what_the_tool_makes(vectors_tool):
    arrays = vectors_tool.compute_all()
    assert arrays.keys() == VECTORS.keys()
    assert arrays.pop("index").tolist() == VECTORS["index"].tolist()
    for name, array in arrays.items():
        assert_close(VECTORS[name], array, name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cell", CELLS)
def test_agrees_with_live_pytorch(vectors_tool, cell, seed):
    rng = np.random.default_rng([seed, len(cell)])
    bidirectional, bias, ragged = (bool(rng.integers(2)) for _ in range(3))
    layers = int(rng.integers(1, 4))
    case = vectors_tool.Case(f"{cell} {seed}", cell, layers, bidirectional, bias, ragged)
    sizes = tuple(int(rng.integers(1, limit)) for limit in (6, 8, 7, 9))
    arrays = vectors_tool.compute_case(case, sizes, rng)
    assert_agrees_with_pytorch(dataclasses.asdict(case), arrays)


# ---- cells in disguise ----


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ["independent_rnn_tanh", "independent_rnn_relu"])
def test_an_independent_rnn_is_an_rnn_with_a_diagonal_matrix(cell, reverse):
    arrays = draw(cell, np.random.default_rng(9))
    dense_cell, dense = tied(cell, arrays)
    options = {"lengths": RAGGED, "reverse": reverse}
    assert dense_cell != cell
    for name, array in given(run_on(cell, arrays, **options)).items():
        expected = getattr(run_on(dense_cell, dense, **options), name)
        np.testing.assert_array_equal(array, expected, err_msg=name)
    got, expected = bptt_on(cell, arrays, **options), bptt_on(dense_cell, dense, **options)
    np.testing.assert_array_equal(got.dunit_weights, np.diag(expected.dweight_hh))
    for name in ("dx", "dh0", "dweight_ih", "dbias_ih"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    assert got.dweight_hh is None
    assert got.dbias_hh is None


@pytest.mark.parametrize("cell", ["lstm_coupled", "lstm_coupled_peephole"])
def test_coupled_gates_are_a_forget_gate_with_the_input_gates_weights_negated(cell):
    arrays = draw(cell, np.random.default_rng(9))
    wide_cell, wide = tied(cell, arrays)
    for name, array in given(run_on(cell, arrays)).items():
        assert_close(array, getattr(run_on(wide_cell, wide), name), name)
    expected = bptt_on(wide_cell, wide)
    for name, array in given(bptt_on(cell, arrays)).items():
        other = getattr(expected, name)
        if name[1] in "wbu":
            i, f, *rest = np.split(other, 3 if name == "dunit_weights" else 4)
            other = np.concatenate([i - f, *rest])
        assert_close(array, other, name)


def test_peepholes_of_zero_are_none():
    arrays = draw("lstm_peephole", np.random.default_rng(9))
    arrays["unit_weights"][...] = 0
    without = arrays | {"unit_weights": None}
    for function in (run_on, bptt_on):
        got = given(function("lstm_peephole", arrays))
        for name, expected in given(function("lstm", without)).items():
            np.testing.assert_array_equal(got[name], expected, err_msg=name)


# ---- ONNX ----

ONNX_OPERATORS = {
    "lstm": ("LSTM", [0, 3, 1, 2], {}),  # i f g o -> i o f c
    "lstm_peephole": ("LSTM", [0, 3, 1, 2], {}),  # p_i p_f p_o -> p_i p_o p_f
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),  # r z n -> z r h
    "gru_reset_before": ("GRU", [1, 0, 2], {"linear_before_reset": 0}),
    "rnn_tanh": ("RNN", [0], {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", [0], {"activations": ["Relu"]}),
}


def onnx_run(cell, arrays, direction):
    """Evaluate one ONNX node; returns y, h_n and, for LSTMs, c_n.

    Coupled gates go in as a forget gate with tied weights: onnx's evaluator reads peepholes, but
    takes no notice of input_forget = 1.
    """
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.ops.op_rnn import CommonRNN

    class RNN(CommonRNN):
        # onnx's own RNN evaluates tanh and affine activations only; the recurrence stays onnx's.
        op_domain = ""

        def choose_act(self, name, alpha, beta):
            if name == "Relu":
                return lambda x: x * (x > 0)
            return super().choose_act(name, alpha, beta)

    cell, arrays = tied(cell, arrays)
    operator, gates, attributes = ONNX_OPERATORS[cell]

    def permuted(array):
        return np.concatenate([np.split(array, len(gates))[k] for k in gates])

    feeds = {
        "X": arrays["x"].swapaxes(0, 1),
        "W": permuted(arrays["weight_ih"])[None],
        "R": permuted(arrays["weight_hh"])[None],
        "B": np.concatenate([permuted(arrays["bias_ih"]), permuted(arrays["bias_hh"])])[None],
        "initial_h": arrays["h0"][None],
        "initial_c": None if arrays["c0"] is None else arrays["c0"][None],
        "P": None,
    }
    if arrays["unit_weights"] is not None:
        p_i, p_f, p_o = np.split(arrays["unit_weights"], 3)
        feeds["P"] = np.concatenate([p_i, p_o, p_f])[None]
    feeds = {name: array for name, array in feeds.items() if array is not None}
    outputs = ["Y", "Y_h", "Y_c"][: 2 + CELLS[cell].has_cell_state]
    inputs = ["X", "W", "R", "B", "", "initial_h", "initial_c", "P"][: len(feeds) + 1]
    attributes = {"direction": direction, "hidden_size": arrays["h0"].shape[1], **attributes}
    node = onnx.helper.make_node(operator, inputs, outputs, **attributes)

    def declared(name, shape):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, shape)

    inputs = [declared(name, array.shape) for name, array in feeds.items()]
    results = [declared(name, [None] * (4 if name == "Y" else 3)) for name in outputs]
    graph = onnx.helper.make_graph([node], "one_node", inputs, results)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    onnx.checker.check_model(model)
    y, *state_n = ReferenceEvaluator(model, new_ops=[RNN]).run(None, feeds)
    return [y[:, 0].swapaxes(0, 1), *(state[0] for state in state_n)]


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_agrees_with_onnx(cell, direction):
    arrays = draw(cell, np.random.default_rng(7), (3, 5, 4, 6))
    expected = onnx_run(cell, arrays, direction)
    got = run_on(cell, arrays, reverse=direction == "reverse")
    for (name, array), other in zip(given(got).items(), expected, strict=True):
        assert_close(array, other, name)
