"""The specification against PyTorch (stored and live), ONNX, central differences and hand work."""

import dataclasses
import doctest
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from fastrnn import reference
from fastrnn.reference import CELLS, Weights, bptt, run

TESTS = Path(__file__).parent
VECTORS = dict(np.load(TESTS / "data" / "reference_vectors.npz"))
CASES = {case["name"]: case for case in map(json.loads, VECTORS["index"].tolist())}


def assert_close(actual, expected, what):
    """Two float64 implementations of one formula: rounding only."""
    np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12, err_msg=what)


def draw(cell, rng, sizes=(3, 4, 2, 3), *, bias=True):
    """Draw inputs, weights, states and upstream derivatives under the names of the API."""
    batch_size, steps, input_size, hidden_size = sizes
    rows = CELLS[cell].num_gates * hidden_size
    shapes = dict.fromkeys(("h0", "c0", "dh_n", "dc_n"), (batch_size, hidden_size))
    shapes |= {"x": (batch_size, steps, input_size), "dy": (batch_size, steps, hidden_size)}
    shapes |= {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
    arrays = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}
    absent = set() if CELLS[cell].has_cell_state else {"c0", "dc_n"}
    absent |= set() if bias else {"bias_ih", "bias_hh"}
    return {name: None if name in absent else array for name, array in arrays.items()}


def weights_of(arrays, suffix=""):
    names = [field.name for field in dataclasses.fields(Weights)]
    return Weights(**{name: arrays.get(name + suffix) for name in names})


def run_on(cell, arrays, **options):
    return run(cell, arrays["x"], weights_of(arrays), arrays["h0"], arrays["c0"], **options)


def bptt_on(cell, arrays, **options):
    rest = {name: arrays[name] for name in ("dy", "dh_n", "dc_n", "h0", "c0")}
    return bptt(cell, arrays["x"], weights_of(arrays), **rest, **options)


def given(result):
    """Name the arrays of a Result or Gradients that are not None."""
    return {name: array for name, array in vars(result).items() if array is not None}


def compose(case, arrays):
    """Stack layers and directions by hand: outputs and gradients under PyTorch's names."""
    suffixes = ["", "_reverse"][: 1 + case["bidirectional"]]
    pairs = [[f"_l{layer}{suffix}" for suffix in suffixes] for layer in range(case["num_layers"])]
    order = [name for pair in pairs for name in pair]

    def arguments(name):
        states = {s: arrays[s][order.index(name)] for s in ("h0", "c0") if s in arrays}
        options = {"lengths": arrays["lengths"], "reverse": name.endswith("_reverse")}
        return {"weights": weights_of(arrays, name), **states, **options}

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
        parameters = {k: v for k, v in given(gradients[name]).items() if k[1] in "wb"}
        got |= {key + name: value for key, value in parameters.items()}
    return got


def assert_agrees_with_pytorch(case, arrays):
    given_names = {"x", "h0", "c0", "lengths", "dy", "dh_n", "dc_n"}
    expected = {k: v for k, v in arrays.items() if k not in given_names and k[0] in "yhcd"}
    got = compose(case, arrays)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].shape == array.shape
        assert_close(got[name], array, f"{case['name']}/{name}")


# PyTorch


def test_the_vectors_cover_every_cell_and_option():
    assert {case["cell"] for case in CASES.values()} == set(CELLS)
    for cell in CELLS:
        cases = [case for case in CASES.values() if case["cell"] == cell]
        assert {case["num_layers"] for case in cases} == {1, 2}
        for option in ("bidirectional", "bias", "ragged"):
            assert {case[option] for case in cases} == {False, True}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_stored_pytorch_vectors(name):
    prefix = f"{name}/"
    arrays = {k.removeprefix(prefix): v for k, v in VECTORS.items() if k.startswith(prefix)}
    assert_agrees_with_pytorch(CASES[name], arrays)


@pytest.fixture
def vectors_tool(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(TESTS.parent / "tools")
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


# ONNX

ONNX_OPERATORS = {
    "lstm": ("LSTM", [0, 3, 1, 2], {}),  # i f g o -> i o f c
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),  # r z n -> z r h
    "gru_reset_before": ("GRU", [1, 0, 2], {"linear_before_reset": 0}),
    "rnn_tanh": ("RNN", [0], {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", [0], {"activations": ["Relu"]}),
}


def onnx_run(cell, arrays, direction):
    """Evaluate one ONNX node; returns y, h_n and, for the LSTM, c_n."""
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
    }
    feeds = {name: array for name, array in feeds.items() if array is not None}
    outputs = ["Y", "Y_h", "Y_c"][: 2 + CELLS[cell].has_cell_state]
    inputs = ["X", "W", "R", "B", "", "initial_h", "initial_c"][: len(feeds) + 1]
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


# Central differences

RAGGED = [4, 0, 2]


def relu_pre_activations(arrays, reverse):
    """All a of a ragged relu RNN: a difference across a kink is no derivative."""
    found = []
    for x, h, length in zip(arrays["x"], arrays["h0"], RAGGED, strict=True):
        for t in range(length)[:: -1 if reverse else 1]:
            a = arrays["weight_ih"] @ x[t] + arrays["weight_hh"] @ h
            a = a + sum(arrays[name] for name in ("bias_ih", "bias_hh") if arrays[name] is not None)
            h = np.maximum(a, 0)
            found.append(a)
    return np.concatenate(found)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_agree_with_central_differences(cell, reverse, bias):
    arrays = draw(cell, np.random.default_rng(11), bias=bias)
    options = {"lengths": RAGGED, "reverse": reverse}
    if cell == "rnn_relu":
        a = relu_pre_activations(arrays, reverse)
        assert (a > 0).any()
        assert (a < 0).any()
        assert np.abs(a).min() > 1e-3

    def loss():
        result = given(run_on(cell, arrays, **options))
        return sum(np.sum(array * arrays[f"d{name}"]) for name, array in result.items())

    def difference(array, index, step=1e-5):
        kept = array[index]
        array[index] = kept + step
        above = loss()
        array[index] = kept - step
        below = loss()
        array[index] = kept
        return (above - below) / (2 * step)

    gradients = given(bptt_on(cell, arrays, **options))
    inputs = {k: v for k, v in arrays.items() if v is not None and not k.startswith("d")}
    assert gradients.keys() == {f"d{name}" for name in inputs}
    for name, array in inputs.items():
        expected = np.array([difference(array, index) for index in np.ndindex(array.shape)])
        error = np.linalg.norm(gradients[f"d{name}"].ravel() - expected)
        assert error < 1e-7 * np.linalg.norm(expected), name


# By hand


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_padding_content_changes_nothing(cell, reverse):
    arrays = draw(cell, np.random.default_rng(3))
    options = {"lengths": RAGGED, "reverse": reverse}
    poisoned = arrays | {"x": arrays["x"].copy(), "dy": arrays["dy"].copy()}
    for n, length in enumerate(RAGGED):
        poisoned["x"][n, length:] = np.nan
        poisoned["dy"][n, length:] = np.nan
    for function in (run_on, bptt_on):
        clean = given(function(cell, arrays, **options))
        got = given(function(cell, poisoned, **options))
        for name, array in clean.items():
            np.testing.assert_array_equal(got[name], array, err_msg=name)
        for n, length in enumerate(RAGGED):
            assert not got["y" if function is run_on else "dx"][n, length:].any()


@pytest.mark.parametrize("cell", CELLS)
def test_reverse_with_lengths_is_flips_by_hand(cell):
    arrays = draw(cell, np.random.default_rng(5))
    result = run_on(cell, arrays, lengths=RAGGED, reverse=True)
    gradients = bptt_on(cell, arrays, lengths=RAGGED, reverse=True)
    by_row = ("x", "h0", "c0", "dy", "dh_n", "dc_n")
    total = 0
    for n, length in enumerate(RAGGED):
        row = arrays | {k: arrays[k][n : n + 1] for k in by_row if arrays[k] is not None}
        row["x"], row["dy"] = row["x"][:, :length][:, ::-1], row["dy"][:, :length][:, ::-1]
        row_result, row_gradients = run_on(cell, row), bptt_on(cell, row)
        assert_close(result.y[n, :length], row_result.y[0, ::-1], "y")
        assert_close(gradients.dx[n, :length], row_gradients.dx[0, ::-1], "dx")
        for got, expected in ((result, row_result), (gradients, row_gradients)):
            for name in given(got).keys() & {"h_n", "c_n", "dh0", "dc0"}:
                assert_close(getattr(got, name)[n], getattr(expected, name)[0], name)
        total = total + row_gradients.dweight_hh
    assert_close(gradients.dweight_hh, total, "dweight_hh")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_rows_of_length_zero_keep_their_state(cell, reverse):
    arrays = draw(cell, np.random.default_rng(2))
    result = run_on(cell, arrays, lengths=[0, 0, 0], reverse=reverse)
    gradients = given(bptt_on(cell, arrays, lengths=[0, 0, 0], reverse=reverse))
    np.testing.assert_array_equal(result.h_n, arrays["h0"])
    np.testing.assert_array_equal(gradients.pop("dh0"), arrays["dh_n"])
    if CELLS[cell].has_cell_state:
        np.testing.assert_array_equal(result.c_n, arrays["c0"])
        np.testing.assert_array_equal(gradients.pop("dc0"), arrays["dc_n"])
    assert not result.y.any()
    assert not any(array.any() for array in gradients.values())


@pytest.mark.parametrize("cell", CELLS)
def test_missing_states_are_zeros(cell):
    arrays = draw(cell, np.random.default_rng(6))
    states = ("h0", "c0", "dh_n", "dc_n")
    missing = arrays | dict.fromkeys(states)
    zeros = arrays | {k: 0 * arrays[k] for k in states if arrays[k] is not None}
    for function in (run_on, bptt_on):
        expected = given(function(cell, zeros))
        got = given(function(cell, missing))
        assert got.keys() == expected.keys()
        for name, array in got.items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_stays_float32(cell):
    arrays = draw(cell, np.random.default_rng(4))
    single = {k: None if v is None else v.astype(np.float32) for k, v in arrays.items()}
    double = {k: None if v is None else v.astype(np.float64) for k, v in single.items()}
    for function in (run_on, bptt_on):
        expected = given(function(cell, double))
        for name, array in given(function(cell, single)).items():
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_relu_has_derivative_zero_at_zero():
    zero, one = np.zeros((1, 1)), np.ones((1, 1))
    gradients = bptt("rnn_relu", np.ones((1, 1, 1)), Weights(zero, one), dy=np.ones((1, 1, 1)))
    assert not gradients.dweight_ih.any()
    assert not gradients.dh0.any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("cell", CELLS)
def test_large_pre_activations_saturate_without_warning(cell):
    arrays = draw(cell, np.random.default_rng(8))
    arrays["x"] = (arrays["x"] * 1e4).astype(np.float32)
    for function in (run_on, bptt_on):
        assert all(np.isfinite(array).all() for array in given(function(cell, arrays)).values())


WRONG = [
    ({"x": np.zeros((3, 4, 2), int)}, TypeError, "x: expected float32 or float64, got int64"),
    ({"x": np.zeros((4, 2))}, ValueError, "x: expected shape (N, T, I), got (4, 2)"),
    ({"h0": np.zeros((1, 3))}, ValueError, "h0: expected shape (N, H) = (3, 3), got (1, 3)"),
    ({"c0": np.zeros((3, 3))}, ValueError, "c0: expected None for gru, got shape (3, 3)"),
    ({"dy": np.zeros(3)}, ValueError, "dy: expected shape (N, T, H) = (3, 4, 3), got (3,)"),
    ({"bias_hh": np.zeros(1)}, ValueError, "bias_hh: expected shape (3*H,) = (9,), got (1,)"),
    ({"lengths": [4, 0, 5]}, ValueError, "lengths[2]: expected 0..T = 0..4, got 5"),
    ({"lengths": [4, -1, 2]}, ValueError, "lengths[1]: expected 0..T = 0..4, got -1"),
    ({"lengths": [4.0, 0, 5]}, TypeError, "lengths: expected integers, got float64"),
    ({"lengths": [4]}, ValueError, "lengths: expected shape (N,) = (3,), got (1,)"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_a_bad_argument_is_named(change, error, message):
    arrays = draw("gru", np.random.default_rng(0)) | change
    with pytest.raises(error) as caught:
        bptt_on("gru", arrays, lengths=arrays.get("lengths"))
    assert str(caught.value) == message


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match=r"cell: expected one of rnn_tanh, .*, got 'peephole'"):
        run("peephole", np.zeros((1, 1, 1)), Weights(np.zeros((1, 1)), np.zeros((1, 1))))


def test_the_examples_run():
    results = doctest.testmod(reference)
    assert results.attempted
    assert not results.failed
