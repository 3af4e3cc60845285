"""LSTM, GRU and RNN against PyTorch (stored and live) and ONNX; parameters, copies, threads."""

import copy
import pickle
import threading

import numpy as np
import pytest

import fastrnn as fr
from cases import VECTOR_CASES, network, state_of, vectors
from fastrnn import ops
from fastrnn.testing import assert_near, assert_same_bits, leaves

# ---- PyTorch ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", VECTOR_CASES)
def test_agrees_with_stored_pytorch_vectors(name, dtype):
    case, arrays = VECTOR_CASES[name], vectors(name)
    cell, given = case["cell"], {k: v.astype(dtype) for k, v in arrays.items() if k != "lengths"}
    layer = network(
        cell,
        arrays["x"].shape[2],
        arrays["h0"].shape[2],
        case["num_layers"],
        bias=case["bias"],
        bidirectional=case["bidirectional"],
        dtype=dtype,
    )
    for key, view in layer.parameters.items():
        view[...] = given[key]
    lengths = arrays["lengths"] if case["ragged"] else None
    state = state_of(cell, given["h0"], given.get("c0"))
    dstate = state_of(cell, given["dh_n"], given.get("dc_n"))
    y, final, tape = layer.forward(given["x"], state, lengths=lengths)
    dx, dinitial = layer.backward(tape, given["dy"], dstate)
    assert_near(y, arrays["y"], "y")
    assert_near(dx, arrays["dx"], "dx")
    for key, got in zip(("h_n", "c_n"), leaves(final), strict=False):
        assert_near(got, arrays[key], key)
    for key, got in zip(("dh0", "dc0"), leaves(dinitial), strict=False):
        assert_near(got, arrays[key], key)
    for key, got in layer.gradients.items():
        assert_near(got, arrays[f"d{key}"], f"d{key}")


@pytest.mark.parametrize("seed", range(24))
def test_agrees_with_live_pytorch(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    cell = ("lstm", "gru", "rnn_tanh", "rnn_relu")[seed % 4]
    dtype = ("float32", "float64")[seed // 4 % 2]
    batch, steps, inputs, hidden, levels = rng.integers(1, (9, 9, 12, 40, 4))
    options = {
        "bias": bool(rng.integers(2)),
        "bidirectional": bool(rng.integers(2)),
        "batch_first": bool(rng.integers(2)),
    }
    layer = network(cell, int(inputs), int(hidden), int(levels), dtype=dtype, seed=seed, **options)
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    extra = {} if cell in kinds else {"nonlinearity": cell[4:]}
    peer = kinds.get(cell, torch.nn.RNN)(
        int(inputs), int(hidden), int(levels), dtype=getattr(torch, dtype), **options, **extra
    )
    assert list(layer.parameters) == [name for name, _ in peer.named_parameters()]
    with torch.no_grad():
        for name, tensor in peer.named_parameters():
            tensor.copy_(torch.from_numpy(layer.parameters[name]))
    ragged = bool(rng.integers(2))
    lengths = rng.integers(1, steps + 1, batch) if ragged else None
    shape = (batch, steps) if options["batch_first"] else (steps, batch)
    x = rng.standard_normal((*shape, inputs)).astype(dtype)
    directions = layer.num_directions
    h, c, dh, dc = rng.standard_normal((4, levels * directions, batch, hidden)).astype(dtype)
    dy = rng.standard_normal((*shape, directions * hidden)).astype(dtype)

    def tensors(*arrays):
        return [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]

    x_t, h_t, c_t = tensors(x, h, c)
    source = x_t
    if ragged:
        source = torch.nn.utils.rnn.pack_padded_sequence(
            x_t, lengths, batch_first=options["batch_first"], enforce_sorted=False
        )
    y_t, final_t = peer(source, state_of(cell, h_t, c_t))
    if ragged:
        y_t, _ = torch.nn.utils.rnn.pad_packed_sequence(
            y_t, batch_first=options["batch_first"], total_length=int(steps)
        )
    loss = (y_t * torch.from_numpy(dy)).sum()
    for part, weight in zip(leaves(final_t), (dh, dc), strict=False):
        loss = loss + (part * torch.from_numpy(weight)).sum()
    loss.backward()

    y, final, tape = layer.forward(x, state_of(cell, h, c), lengths=lengths)
    dx, dinitial = layer.backward(tape, dy, state_of(cell, dh, dc))
    assert_near(y, y_t.detach().numpy(), "y")
    for got, expected in zip(leaves(final), leaves(final_t), strict=True):
        assert_near(got, expected.detach().numpy(), "final state")
    assert_near(dx, x_t.grad.numpy(), "dx")
    for got, expected in zip(leaves(dinitial), (h_t, c_t), strict=False):
        assert_near(got, expected.grad.numpy(), "gradient of the initial state")
    for name, tensor in peer.named_parameters():
        assert_near(layer.gradients[name], tensor.grad.numpy(), f"d{name}")


# ---- ONNX ----

#: ONNX's operator, activation, place of each of our gates among ONNX's (i o f c; z r h).
ONNX_CELLS = {
    "lstm": ("LSTM", {}, [0, 3, 1, 2]),
    "lstm_peephole": ("LSTM", {}, [0, 3, 1, 2]),
    "gru": ("GRU", {"linear_before_reset": 1}, [1, 0, 2]),
    "gru_reset_before": ("GRU", {"linear_before_reset": 0}, [1, 0, 2]),
    "rnn_tanh": ("RNN", {}, [0]),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ONNX_CELLS)
def test_agrees_with_onnx(cell, reverse):
    onnx = pytest.importorskip("onnx")
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator
    operator, attributes, order = ONNX_CELLS[cell]
    rng = np.random.default_rng(0)
    layer = network(cell, 3, 17, dtype="float32", seed=0, reverse=reverse)
    x = rng.standard_normal((6, 5, 3)).astype(np.float32)  # (T, N, I)
    h0, c0 = rng.standard_normal((2, 1, 5, 17)).astype(np.float32)

    def permuted(name):
        blocks = np.split(layer.parameters[name], len(order))
        return np.concatenate([blocks[gate] for gate in order])

    bias = np.concatenate([permuted("bias_ih_l0"), permuted("bias_hh_l0")])
    inputs = {
        "X": x,
        "W": permuted("weight_ih_l0")[None],
        "R": permuted("weight_hh_l0")[None],
        "B": bias[None],
        "initial_h": h0,
    }
    names = ["X", "W", "R", "B", "", "initial_h"]
    outputs = ["Y", "Y_h"]
    if ops.CELLS[cell].has_cell_state:
        inputs["initial_c"] = c0
        names.append("initial_c")
        outputs.append("Y_c")
    if "weight_peephole_l0" in layer.parameters:
        p_i, p_f, p_o = np.split(layer.parameters["weight_peephole_l0"], 3)
        inputs["P"] = np.concatenate([p_i, p_o, p_f])[None]
        names.append("P")
    node = onnx.helper.make_node(
        operator,
        names,
        outputs,
        hidden_size=17,
        direction="reverse" if reverse else "forward",
        **attributes,
    )
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node],
        "cell",
        [onnx.helper.make_tensor_value_info(k, kind, v.shape) for k, v in inputs.items()],
        [onnx.helper.make_tensor_value_info(k, kind, None) for k in outputs],
    )
    opset = onnx.helper.make_opsetid("", 14)
    model = onnx.helper.make_model(graph, opset_imports=[opset])
    expected = evaluator(model).run(None, inputs)
    y, final = layer(x.swapaxes(0, 1), state_of(cell, h0, c0))
    assert_near(y.swapaxes(0, 1), expected[0][:, 0], "Y")
    for got, part in zip(leaves(final), expected[1:], strict=True):
        assert_near(got, part, "final state")


# ---- parameters and objects ----


@pytest.mark.parametrize("cell", ops.CELLS)
def test_parameters_are_views_of_one_vector(cell):
    layer = network(cell, 3, 5, 2, bidirectional=True, seed=0)
    model = fr.Sequential([layer, fr.Linear(10, 2, seed=1)])
    for named, vector in (
        (model.parameters, model.parameter_vector),
        (model.gradients, model.gradient_vector),
    ):
        assert sum(view.size for view in named.values()) == vector.size
        vector[...] = np.arange(vector.size)
        joined = np.concatenate([view.ravel() for view in named.values()])
        assert_same_bits(joined, vector, "views in order")
    assert np.shares_memory(layer.parameters["weight_ih_l0"], model.parameter_vector)
    assert_same_bits(
        model.parameters["0.weight_hh_l1_reverse"],
        layer.parameters["weight_hh_l1_reverse"],
        "one place",
    )
    with pytest.raises(TypeError):
        layer.parameters["weight_ih_l0"] = 0


@pytest.mark.parametrize("cell", ops.CELLS)
def test_writing_parameters_in_place_takes_effect_at_the_next_call(cell):
    layer, other = network(cell, 3, 17, seed=0), network(cell, 3, 17, seed=1)
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    layer(x)
    weight = layer.parameters["weight_hh_l0"]
    for name, view in layer.parameters.items():
        if name != "weight_hh_l0":
            view[...] = other.parameters[name]
    weight[...] = other.parameters["weight_hh_l0"]
    y, _, tape = layer.forward(x)
    y_other, _, tape_other = other.forward(x)
    assert_same_bits(y, y_other, "y")
    dx, dx_other = layer.backward(tape, y)[0], other.backward(tape_other, y)[0]
    assert_same_bits(dx, dx_other, "dx")
    layer.parameters["weight_ih_l0"][3, 1] += 0.1  # a single number
    assert (layer(x)[0] != y).any()


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_independent(clone):
    model = fr.Sequential(
        [fr.GRU(3, 5, 2, bidirectional=True, dropout=0.2, seed=0), fr.Last(), fr.Linear(10, 2)]
    )
    twin = clone(model)
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    assert_same_bits(twin(x)[0], model(x)[0], "outputs")
    twin.parameters["2.bias"][...] += 1
    assert_near(twin(x)[0], model(x)[0] + 1, "outputs after writing into the copy")


def test_the_same_seed_gives_the_same_parameters():
    first, second, third = (fr.LSTM(3, 5, 2, bidirectional=True, seed=s) for s in (7, 7, 8))
    assert_same_bits(first.parameter_vector, second.parameter_vector, "parameters")
    assert (first.parameter_vector != third.parameter_vector).any()
    assert np.abs(first.parameter_vector).max() <= 5**-0.5
    assert len(np.unique(first.parameter_vector)) == first.parameter_vector.size


def test_lengths_are_the_callers_to_write_over_after_forward():
    layer, lengths = fr.LSTM(3, 4, seed=0), np.array([2, 5, 0, 3])
    x = np.random.default_rng(0).standard_normal((4, 5, 3)).astype(np.float32)
    y, _, tape = layer.forward(x, lengths=lengths.copy())
    expected, _ = layer.backward(tape, y)
    y, _, tape = layer.forward(x, lengths=lengths)
    lengths[:] = 1
    assert_same_bits(layer.backward(tape, y)[0], expected, "dx")


def test_two_tapes_at_once_and_accumulated_gradients():
    layer = fr.LSTM(3, 5, seed=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 6, 3)).astype(np.float32)
    single = []
    for part in x:
        layer.zero_grad()
        y, _, tape = layer.forward(part)
        layer.backward(tape, y)
        single.append(layer.gradient_vector.copy())
    layer.zero_grad()
    (y0, _, tape0), (y1, _, tape1) = layer.forward(x[0]), layer.forward(x[1])
    layer.backward(tape1, y1)
    layer.backward(tape0, y0)
    assert_near(layer.gradient_vector, single[0] + single[1], "sum of gradients")


def test_inference_from_several_threads_at_once():
    layer = fr.GRU(8, 64, 2, bidirectional=True, seed=0)
    x = np.random.default_rng(0).standard_normal((8, 16, 30, 8)).astype(np.float32)
    expected = [layer(part)[0] for part in x]
    fresh = copy.deepcopy(layer)  # nothing is packed yet
    results = [None] * len(x)

    def work(i):
        for _ in range(5):
            results[i] = fresh(x[i])[0]

    workers = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for got, y in zip(results, expected, strict=True):
        assert_same_bits(got, y, "y")


def test_dropout_between_layers_acts_in_training_only():
    layer = fr.LSTM(3, 16, 2, dropout=0.5, seed=0)
    x = np.ones((2, 4, 3), np.float32)
    inference = layer(x)[0]
    assert_same_bits(layer(x)[0], inference, "inference twice")
    masks = [layer.forward(x)[0] for _ in range(2)]
    assert (masks[0] != masks[1]).any()
    assert (masks[0] != inference).any()
    repeated = []
    for _ in range(2):
        layer.reseed(np.random.default_rng(5))
        repeated.append(layer.forward(x)[0])
    assert_same_bits(repeated[0], repeated[1], "the same masks")
    with pytest.warns(UserWarning, match="num_layers = 1"):
        fr.LSTM(3, 4, dropout=0.5)


def test_out_receives_the_output():
    layer = fr.LSTM(3, 5, bidirectional=True, seed=0)
    x = np.ones((2, 4, 3), np.float32)
    wide = np.full((2, 4, 12), 7, np.float32)
    y, _ = layer(x, out=wide[..., 1:-1])
    assert np.shares_memory(y, wide)
    assert_same_bits(wide[..., 1:-1], layer(x)[0], "y")
    assert (wide[..., [0, -1]] == 7).all()
    assert sum(1 for _ in leaves(layer(x)[1])) == 2
