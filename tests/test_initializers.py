"""Initial values: each rule against its paper, which parameters it is for, seeds, bad input."""

import pickle

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import ops
from fastrnn.initializers import (
    Chrono,
    Constant,
    ForgetBias,
    GlorotNormal,
    GlorotUniform,
    Identity,
    Normal,
    Orthogonal,
    Uniform,
    initialize,
)
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import assert_near, assert_same_bits, leaves

#: Cells with a gate that a bias can open for the old state alone.
GATES = {"lstm": "ifgo", "lstm_peephole": "ifgo", "gru": "rzn", "gru_reset_before": "rzn"}


def gate_blocks(layer, name):
    """Return a parameter as one block per gate, cut by hand."""
    gates = ops.CELLS[layer._cell].gates
    return np.split(layer.parameters[name], gates)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_without_one_the_values_are_uniform_as_ever(cell, dtype):
    layer = network(cell, 3, 4, 2, dtype=dtype, seed=5)
    rng = np.random.default_rng(5)
    for level in range(2):
        names = [name for name in layer.parameters if name.endswith(f"_l{level}")]
        size = sum(layer.parameters[name].size for name in names)
        drawn = rng.uniform(-0.5, 0.5, size).astype(dtype)
        got = np.concatenate([layer.parameters[name].ravel() for name in names])
        assert_same_bits(got, drawn, f"level {level}")


def test_what_is_not_named_stays_as_it_is():
    plain = fr.LSTM(3, 4, 2, bidirectional=True, seed=0)
    layer = fr.LSTM(3, 4, 2, bidirectional=True, initializer={"weight_hh": "zeros"}, seed=0)
    for name, array in layer.parameters.items():
        if name.startswith("weight_hh"):
            assert not array.any()
        else:
            assert_same_bits(array, plain.parameters[name], name)


@pytest.mark.parametrize("inputs", [3, 5, 9])  # fewer columns than rows, as many, more
@pytest.mark.parametrize("cell", ops.CELLS)
def test_orthogonal_blocks(cell, inputs):
    layer = network(
        cell, inputs, 5, bidirectional=True, dtype="float64", initializer=Orthogonal(1.5), seed=0
    )
    blocks = []
    for name in layer.parameters:
        if layer.parameters[name].ndim == 2:
            blocks += gate_blocks(layer, name)
    for block in blocks:
        gram = block.T @ block if block.shape[0] >= block.shape[1] else block @ block.T
        assert_near(gram, 1.5**2 * np.eye(len(gram)), "gram matrix")
    assert len({block.tobytes() for block in blocks}) == len(blocks)  # drawn one by one


def test_orthogonal_matrices_have_no_preferred_sign():
    # Without the signs of R's diagonal, the first column of LAPACK's Q has a fixed sign pattern.
    layer = RecurrentLayer("rnn_tanh", 2, 2, dtype="float64", seed=0)
    rng, corners, determinants = np.random.default_rng(0), [], []
    for _ in range(400):
        initialize(layer, {"weight_hh": "orthogonal"}, seed=rng)
        corners.append(layer.parameters["weight_hh"][1, 1])
        determinants.append(np.linalg.det(layer.parameters["weight_hh"]))
    assert 0.4 < np.mean(np.array(corners) > 0) < 0.6
    assert 0.4 < np.mean(np.array(determinants) > 0) < 0.6
    assert abs(np.mean(np.square(corners)) - 0.5) < 0.05  # Haar: uniform over the circle


@pytest.mark.parametrize("kind", ["weight_ih", "weight_hh"])
def test_glorot_takes_the_fans_of_one_gate(kind):
    fan = {"weight_ih": 30 + 50, "weight_hh": 50 + 50}[kind]
    layer = fr.LSTM(30, 50, initializer={kind: GlorotUniform(2.0)}, seed=0)
    values, bound = layer.parameters[f"{kind}_l0"], 2 * np.sqrt(6 / fan)
    assert 0.99 * bound < np.abs(values).max() <= bound * (1 + 1e-6)
    assert abs(values.std() / (bound / np.sqrt(3)) - 1) < 0.02
    initialize(layer, {kind: GlorotNormal(2.0)}, seed=0)
    assert abs(layer.parameters[f"{kind}_l0"].std() / (2 * np.sqrt(2 / fan)) - 1) < 0.02
    assert np.abs(layer.parameters[f"{kind}_l0"]).max() > 2 * bound / 1.5  # with tails


@pytest.mark.parametrize(
    "cell", [cell for cell, kind in ops.CELLS.items() if kind.has_recurrent_matrix]
)
def test_identity_in_every_gate(cell):
    layer = network(cell, 3, 4, seed=0, initializer={"weight_hh": Identity(0.5)})
    for block in gate_blocks(layer, "weight_hh_l0"):
        assert_same_bits(block, 0.5 * np.eye(4, dtype=np.float32), "block")


def test_an_irnn_keeps_its_state_where_nothing_comes_in():
    layer = fr.RNN(
        2,
        3,
        nonlinearity="relu",
        initializer={"weight_hh": "identity", "weight_ih": Normal(0.001), "bias": "zeros"},
        seed=0,
    )
    assert 0 < np.abs(layer.parameters["weight_ih_l0"]).max() < 0.01
    h0 = np.array([[[1.0, 2.0, 3.0]]], np.float32)
    y, _ = layer(np.zeros((1, 50, 2), np.float32), h0)
    assert_same_bits(y[:, -1], h0[0], "state after 50 steps")


def test_constant_normal_uniform():
    layer = fr.GRU(30, 40, initializer={"weight_ih": Constant(0.25), "weight_hh": Uniform(2.0),
                                        "bias": Normal(3.0)}, seed=0)  # fmt: skip
    assert (layer.parameters["weight_ih_l0"] == 0.25).all()
    assert 1.9 < np.abs(layer.parameters["weight_hh_l0"]).max() <= 2.0
    both = np.concatenate([layer.parameters["bias_ih_l0"], layer.parameters["bias_hh_l0"]])
    assert 2.4 < both.std() < 3.6
    initialize(layer, "uniform", seed=1)
    assert 0.99 / np.sqrt(40) < np.abs(layer.parameter_vector).max() <= 1 / np.sqrt(40)


@pytest.mark.parametrize("cell", GATES)
def test_the_forget_bias_is_the_keeping_gates_and_counts_once(cell):
    layer = network(cell, 3, 4, 2, bidirectional=True, seed=0, initializer=ForgetBias(1.5))
    keeping = GATES[cell].index("f" if cell.startswith("lstm") else "z")
    for suffix in ("_l0", "_l0_reverse", "_l1", "_l1_reverse"):
        for gate, block in enumerate(gate_blocks(layer, f"bias_ih{suffix}")):
            assert (block == (1.5 if gate == keeping else 0.0)).all()
        assert not layer.parameters[f"bias_hh{suffix}"].any()


@pytest.mark.parametrize("cell", GATES)
def test_a_forget_bias_makes_the_cell_remember(cell):
    def kept(value):
        layer = network(cell, 3, 4, seed=0, dtype="float64", initializer="zeros")
        initialize(layer, {"bias": ForgetBias(value)})
        state, has_c = np.ones((1, 1, 4)), ops.CELLS[cell].has_cell_state
        _, final = layer(np.zeros((1, 10, 3)), (0 * state, state) if has_c else state)
        return list(leaves(final))[-1].max()

    # With all else zero the state is multiplied by sigmoid(value) at each step.
    for value in (-1.0, 0.0, 3.0):
        assert_near(kept(value), (1 / (1 + np.exp(-value))) ** 10, "what is left", "float64")


@pytest.mark.parametrize("cell", GATES)
def test_chrono_spreads_memory_over_times(cell):
    layer = network(cell, 3, 2000, seed=0, initializer={"bias": Chrono(50)})
    blocks = dict(zip(GATES[cell], gate_blocks(layer, "bias_ih_l0"), strict=True))
    keep = blocks.pop("f" if cell.startswith("lstm") else "z")
    times = np.exp(keep.astype(np.float64))
    assert 1 <= times.min() < 1.2
    assert 48.5 < times.max() <= 49 * (1 + 1e-6)
    assert abs(times.mean() - 25) < 1  # uniform over 1..49
    if cell.startswith("lstm"):
        assert_same_bits(blocks.pop("i"), -keep, "input gate")
    assert not any(block.any() for block in blocks.values())
    assert not layer.parameters["bias_hh_l0"].any()


def test_weights_per_unit_have_names_too():
    layer = fr.LSTM(3, 4, 2, peepholes=True, initializer={"weight_peephole": "zeros"}, seed=0)
    for level in range(2):
        assert not layer.parameters[f"weight_peephole_l{level}"].any()
        assert layer.parameters[f"weight_hh_l{level}"].all()
    layer = fr.RNN(3, 4, independent=True, initializer={"weight_hh": Constant(0.5)}, seed=0)
    assert (layer.parameters["weight_hh_l0"] == np.full(4, 0.5, np.float32)).all()
    for rule in ("orthogonal", "identity", "glorot_uniform"):
        with pytest.raises(ValueError, match=r"initializer\['weight_hh'\]: .* is for "):
            fr.RNN(3, 4, independent=True, initializer={"weight_hh": rule})
        with pytest.raises(ValueError, match=r"initializer\['weight_peephole'\]: .* is for "):
            fr.LSTM(3, 4, peepholes=True, initializer={"weight_peephole": rule})


@pytest.mark.parametrize("rule", [ForgetBias(), Chrono(9)])
def test_coupled_gates_have_no_forget_bias(rule):
    with pytest.raises(ValueError, match=r"initializer\['bias'\]: .* is for the biases"):
        fr.LSTM(3, 4, coupled_gates=True, initializer={"bias": rule})


def test_names_come_before_kinds_and_both_biases_before_one():
    layer = fr.LSTM(3, 4, 2, bidirectional=True, seed=0, initializer={
        "bias_ih_l1": Constant(4.0),
        "bias_l1": Constant(3.0),
        "bias_hh": Constant(2.0),
        "bias": Constant(1.0),
        "weight_hh_l0_reverse": "zeros",
    })  # fmt: skip
    values = {name: set(array.ravel().tolist()) for name, array in layer.parameters.items()}
    assert values["bias_ih_l0"] == values["bias_ih_l1_reverse"] == {1.0}
    assert values["bias_hh_l0"] == values["bias_hh_l1_reverse"] == {2.0}
    assert values["bias_hh_l1"] == {3.0}
    assert values["bias_ih_l1"] == {4.0}
    assert values["weight_hh_l0_reverse"] == {0.0}
    assert 0.0 not in values["weight_hh_l0"]


@pytest.mark.parametrize("rule", ["orthogonal", "glorot_uniform", "glorot_normal", Chrono(9)])
def test_seeds_and_dtypes(rule):
    def make(seed, dtype="float64"):
        return fr.LSTM(3, 4, 2, seed=seed, dtype=dtype, initializer=rule).parameter_vector

    assert_same_bits(make(1), make(1), "one seed")
    assert (make(1) != make(2)).any()
    assert_same_bits(make(1).astype(np.float32), make(1, "float32"), "dtypes")


def test_a_single_rule_is_for_what_it_suits():
    plain = fr.LSTM(3, 4, seed=0)
    for rule, changed in {
        "orthogonal": {"weight_ih_l0", "weight_hh_l0"},
        "identity": {"weight_hh_l0"},
        "forget_bias": {"bias_ih_l0", "bias_hh_l0"},
        "zeros": set(plain.parameters),
    }.items():
        layer = fr.LSTM(3, 4, seed=0, initializer=rule)
        differ = {n for n, a in layer.parameters.items() if (a != plain.parameters[n]).any()}
        assert differ == changed, rule


def test_an_existing_layer_notices():
    layer, x = fr.GRU(3, 4, seed=0), np.ones((2, 5, 3), np.float32)
    layer(x)  # packs the weights
    initialize(layer, "zeros")
    assert not layer(x)[0].any()
    single = RecurrentLayer("gru", 3, 4, seed=0)
    single(x)
    initialize(single, "zeros")
    assert not single(x)[0].any()


def test_twins_have_it_and_files_need_not(tmp_path):
    model = fr.Bidirectional(fr.RNN(3, 4, initializer={"weight_hh": "identity"}, seed=0), seed=1)
    for direction in ("forward", "reverse"):
        assert_same_bits(
            model.parameters[f"{direction}.weight_hh_l0"], np.eye(4, dtype=np.float32), direction
        )
    assert "initializer" not in model.layer.config()
    fr.save(model, tmp_path / "model.safetensors")
    loaded = fr.load(tmp_path / "model.safetensors")
    for copy in (loaded, pickle.loads(pickle.dumps(model))):
        assert_same_bits(copy.parameter_vector, model.parameter_vector, "parameters")


BAD = [
    ("glorot", ValueError, "initializer: expected one of uniform, .*, got 'glorot'"),
    (1.0, TypeError, "initializer: expected a name or an Initializer, got float"),
    ({"weight_hh": None}, TypeError, r"initializer\['weight_hh'\]: expected a name or an"),
    ({"weights": "zeros"}, ValueError, r"initializer\['weights'\]: expected a key among bias, "),
    ({"weight_hh_l2": "zeros"}, ValueError, r"initializer\['weight_hh_l2'\]: expected a key"),
    ({7: "zeros"}, ValueError, r"initializer\[7\]: expected a key"),
    ({"bias": "orthogonal"}, ValueError, r"initializer\['bias'\]: Orthogonal.* is for a matrix"),
    ({"weight_ih": "identity"}, ValueError, r"Identity\(gain=1.0\) is for weight_hh, \(G\*H, H\)"),
    ({"weight_hh": ForgetBias()}, ValueError, r"expected the key 'bias' for ForgetBias"),
    ({"bias_ih": Chrono(9)}, ValueError, "expected the key 'bias' for Chrono.* sets both biases"),
]


@pytest.mark.parametrize(("initializer", "error", "message"), BAD)
def test_bad_choices_change_nothing(initializer, error, message):
    with pytest.raises(error, match=message):
        fr.LSTM(3, 4, initializer=initializer)
    layer = fr.LSTM(3, 4, seed=0)
    before = layer.parameter_vector.copy()
    if isinstance(initializer, dict):
        initializer = {"weight_ih_l0": "zeros"} | initializer
    with pytest.raises(error, match=message):
        initialize(layer, initializer)
    assert_same_bits(layer.parameter_vector, before, "parameters")


def test_rules_that_suit_nothing_or_no_layer():
    with pytest.raises(ValueError, match="ForgetBias.* which is for the biases of a cell with"):
        fr.RNN(3, 4, initializer="forget_bias")
    with pytest.raises(ValueError, match="Chrono.* which is for the biases"):
        fr.LSTM(3, 4, bias=False, initializer=Chrono(9))
    with pytest.raises(ValueError, match=r"initializer\['bias'\]: expected a key among weight_hh"):
        fr.LSTM(3, 4, bias=False, initializer={"bias": "zeros"})
    with pytest.raises(TypeError, match="layer: expected an LSTM, GRU or RNN, got Linear"):
        initialize(fr.Linear(3, 4), "zeros")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Chrono(2), ValueError, "max_steps: expected more than 2, got 2"),
        (lambda: Uniform(0), ValueError, "bound: expected more than 0, got 0"),
        (lambda: Normal(-1.0), ValueError, "std: expected more than 0"),
        (lambda: Orthogonal(0.0), ValueError, "gain: expected more than 0"),
        (lambda: GlorotUniform("1"), TypeError, "gain: expected a number, got str"),
        (lambda: GlorotNormal(None), TypeError, "gain: expected a number, got NoneType"),
        (lambda: Constant(True), TypeError, "value: expected a number, got bool"),
        (lambda: ForgetBias([1.0]), TypeError, "value: expected a number, got list"),
        (lambda: Identity("1"), TypeError, "gain: expected a number, got str"),
    ],
)
def test_bad_rules(make, error, message):
    with pytest.raises(error, match=message):
        make()
