"""Options of recurrent layers: parameters, configurations, refusals."""

import inspect
import re
import typing

import numpy as np
import pytest

import fastrnn as fr
from cases import network
from fastrnn import ops
from fastrnn.cell_weights import json_options
from fastrnn.options import NetworkOptions, Options, own_options
from fastrnn.recurrent import RecurrentLayer
from fastrnn.serialization import from_config
from fastrnn.testing import assert_same_bits, leaves, like

LAYERS = (fr.LSTM, fr.GRU, fr.RNN)

#: Every option that is not on by itself, with a value other than its default.
COMMON = {
    "bias": False,
    "recurrent_bias": False,
    "batch_first": False,
    "dropout": 0.25,
    "input_dropout": 0.3,
    "recurrent_dropout": 0.2,
    "drop_connect": 0.4,
    "variational": True,
    "zoneout_h": 0.15,
    "bidirectional": True,
    "merge": "sum",
    "residual": True,
    "layer_norm": True,
    "activation_clip": 3.0,
    "gradient_clip_value": 1.5,
    "gradient_clip_norm": 2.5,
    "pad_output": "repeat",
    "learn_initial_state": True,
    "dtype": "float64",
    "reverse": True,
}
OWN = {
    fr.LSTM: {
        "peepholes": True,
        "coupled_gates": True,
        "proj_size": 2,
        "cell_clip": 5.0,
        "zoneout_c": 0.1,
        "gate_activation": "hard_sigmoid",
        "candidate_activation": "softsign",
        "output_activation": "identity",
    },
    fr.GRU: {
        "reset_after": False,
        "gate_activation": "hard_sigmoid",
        "candidate_activation": "hard_tanh",
    },
    fr.RNN: {"nonlinearity": "softsign", "independent": True},
}


# ---- signatures, configurations, files ----


@pytest.mark.parametrize("layer", LAYERS)
def test_signatures_and_docstrings_name_every_option(layer):
    names = list(own_options(layer)) + list(typing.get_type_hints(Options))
    assert set(OWN[layer]) == set(own_options(layer))
    parameters = inspect.signature(layer).parameters
    assert list(parameters) == ["input_size", "hidden_size", "num_layers", *names]
    assert parameters["dropout"].default == 0.0
    assert all(name in inspect.getdoc(layer) for name in names)


def test_options_are_documented_and_typed_once():
    names = list(inspect.signature(NetworkOptions).parameters)
    assert names == list(typing.get_type_hints(Options))
    assert set(COMMON) == set(names) - {"initializer", "seed"}
    text = inspect.getdoc(NetworkOptions).split("Raises")[0]
    described = re.findall(r"^(\w[\w, ]*) : ", text, re.MULTILINE)
    assert ", ".join(described).split(", ") == names


def test_configurations_of_plain_layers_are_as_ever():
    common = {
        "num_layers": 1, "bias": True, "batch_first": True, "dropout": 0.0,
        "bidirectional": False, "dtype": "float32",
    }  # fmt: skip
    sizes = {"input_size": 3, "hidden_size": 4}
    own = {
        fr.LSTM: {"peepholes": False, "coupled_gates": False},
        fr.GRU: {"reset_after": True},
        fr.RNN: {"nonlinearity": "tanh", "independent": False},
    }
    for layer, more in own.items():
        expected = {"type": layer.__name__} | sizes | common | more
        assert layer(3, 4).config() == expected
        assert from_config(expected).config() == expected
    assert RecurrentLayer("gru", 3, 4).config() == {
        "type": "RecurrentLayer", "cell": "gru", **sizes, "bias": True, "reverse": False,
        "dtype": "float32",
    }  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_options_come_back_from_files(layer, tmp_path):
    options = COMMON | OWN[layer]
    if layer is fr.RNN:  # independent units have no matrix
        del options["drop_connect"]
    if "proj_size" in options:
        del options["residual"]  # below: sizes differ
    made = layer(3, [4, 4], seed=0, **options)
    config = made.config()
    assert {name: config[name] for name in options} == options
    fr.save(made, tmp_path / "model.safetensors")
    loaded = fr.load(tmp_path / "model.safetensors")
    assert loaded.config() == config
    assert_same_bits(loaded.parameter_vector, made.parameter_vector, "parameters")
    assert made.reversed_twin(0).config() == {k: v for k, v in config.items() if k != "reverse"}
    for part, again in zip(made._places, loaded._places, strict=True):
        single, same = part.layer, again.layer
        assert single.config() == same.config()
        assert single.options == same.options
        assert (single.options.zoneout_h, single.options.activation_clip) == (0.15, 3.0)
        assert single.config()["recurrent_dropout"] == 0.2
        assert single.config().get("drop_connect", 0.0) == options.get("drop_connect", 0.0)
        assert from_config(single.config()).config() == single.config()
        twin = single.reversed_twin(1)
        assert (twin.options, twin.reverse) == (single.options, not single.reverse)


@pytest.mark.parametrize("layer", LAYERS)
def test_each_option_alone_is_all_that_is_written(layer):
    plain = layer(3, 4).config()
    for name, value in (COMMON | OWN[layer]).items():
        more = {"bidirectional": True} if name == "merge" else {}
        if name in ("dropout", "residual"):
            more = {"num_layers": 2}
        config = layer(3, 4, **{name: value}, **more).config()
        changed = {key for key, new in config.items() if plain.get(key) != new}
        assert changed == {name, *more}


def test_kernels_are_told_what_is_on():
    lstm = fr.LSTM(3, 4, seed=0, activation_clip=3, layer_norm=True, **OWN[fr.LSTM])
    (place,) = lstm._places
    assert (place.layer.cell, json_options(place.layer.options)) == (
        "lstm_coupled_peephole",
        {
            "gate_activation": "hard_sigmoid",
            "candidate_activation": "softsign",
            "output_activation": "identity",
            "activation_clip": 3.0,
            "cell_clip": 5.0,
            "projection_size": 2,
            "layer_norm": True,
            "zoneout_c": 0.1,
        },
    )
    for nonlinearity in ops.ACTIVATIONS:
        (place,) = fr.RNN(3, 4, nonlinearity=nonlinearity, independent=True)._places
        relu = nonlinearity == "relu"
        assert place.layer.cell == f"independent_rnn_{'relu' if relu else 'tanh'}"
        expected = "tanh" if relu else nonlinearity
        assert place.layer.options.candidate_activation == expected


# ---- parameters ----


def test_names_shapes_and_order_of_parameters():
    lstm = fr.LSTM(3, [5, 4], peepholes=True, proj_size=2, layer_norm=True, bidirectional=True)
    one = {
        "weight_ih": (20, 3), "weight_hh": (20, 2), "bias_ih": (20,), "bias_hh": (20,),
        "weight_peephole": (15,), "weight_hr": (2, 5),
        "norm_weight_ih": (20,), "norm_bias_ih": (20,), "norm_weight_hh": (20,),
        "norm_bias_hh": (20,), "norm_weight_c": (5,), "norm_bias_c": (5,),
    }  # fmt: skip
    shapes = list(lstm.shapes().items())
    assert shapes[: len(one)] == [(f"{name}_l0", shape) for name, shape in one.items()]
    assert lstm.shapes()["weight_ih_l1"] == (16, 4)  # both directions of the layer below
    assert (lstm.output_size, lstm.hidden_size) == (4, (5, 4))
    gru = fr.GRU(3, 4, recurrent_bias=False, layer_norm=True)
    assert list(gru.shapes()) == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "norm_weight_ih_l0", "norm_bias_ih_l0",
        "norm_weight_hh_l0", "norm_bias_hh_l0",
    ]  # fmt: skip
    independent = fr.RNN(3, 4, independent=True, layer_norm=True)
    assert list(independent.shapes().items())[1:] == [
        ("weight_hh_l0", (4,)), ("bias_ih_l0", (4,)), ("norm_weight_ih_l0", (4,)),
        ("norm_bias_ih_l0", (4,)),
    ]  # fmt: skip
    assert list(fr.LSTM(3, 4, bias=False, recurrent_bias=True).shapes()) == [
        "weight_ih_l0", "weight_hh_l0",
    ]  # fmt: skip


@pytest.mark.parametrize("cell", ops.CELLS)
def test_normalisation_is_one_vector_for_the_kernels(cell):
    layer = network(cell, 3, 4, 2, layer_norm=True, seed=0)
    table, hidden = ops.CELLS[cell], 4
    numbers = (4 if table.has_recurrent_matrix else 2) * table.gates * hidden
    numbers += 2 * hidden if table.has_cell_state else 0
    for place in layer._places:
        single = place.layer
        named = [name for name in single.parameters if name.startswith("norm_")]
        for k, name in enumerate(named):
            single.parameters[name][...] = k + 1
        for weights, arrays in (
            (single._weights, single.parameters),
            (single._weight_gradients, single.gradients),
        ):
            assert weights.layer_norm.shape == (numbers,)
            assert np.shares_memory(weights.layer_norm, arrays[named[0]])
        expected = np.concatenate([single.parameters[name] for name in named])
        assert_same_bits(single._weights.layer_norm, expected, "layer_norm")
        assert list(single.parameters)[-len(named) :] == named
    assert fr.LSTM(3, 4)._places[0].layer._weights.layer_norm is None


def test_gains_begin_at_one_and_shifts_at_zero_unless_named():
    def gains(layer):
        return [v for k, v in layer.parameters.items() if k.startswith("norm_weight")]

    def shifts(layer):
        return [v for k, v in layer.parameters.items() if k.startswith("norm_bias")]

    for initializer in (None, "uniform", "normal", "orthogonal", "forget_bias", "ones"):
        layer = fr.LSTM(3, 4, 2, layer_norm=True, initializer=initializer, seed=0)
        assert all((v == 1).all() for v in gains(layer))
        assert not any(v.any() for v in shifts(layer))
        assert layer.parameters["weight_hh_l1"].any()
    layer = fr.LSTM(
        3, 4, 2, layer_norm=True, seed=0, initializer={"norm_weight_c": "zeros",
        "norm_bias_ih_l1": "ones", "norm_weight_hh_l0": fr.initializers.Constant(0.1)},
    )  # fmt: skip
    assert [float(v.max()) for v in gains(layer)] == pytest.approx([1, 0.1, 0, 1, 1, 0])
    assert layer.parameters["norm_bias_ih_l1"].all()
    plain, normalised = fr.GRU(3, 4, seed=7), fr.GRU(3, 4, layer_norm=True, seed=7)
    for name, value in plain.parameters.items():
        assert_same_bits(normalised.parameters[name], value, name)


def test_projections_take_initial_values():
    layer = fr.LSTM(3, 6, proj_size=4, initializer="orthogonal", seed=0)
    for name in ("weight_hr_l0", "weight_hh_l0"):
        block = layer.parameters[name][-6:].astype(float)
        small = block @ block.T if name == "weight_hr_l0" else block.T @ block
        assert np.abs(small - np.eye(4)).max() < 1e-6
    with pytest.raises(ValueError, match=r"initializer: .* weight_hh, \(G\*H, H\)"):
        fr.LSTM(3, 6, proj_size=4, initializer="identity")


# ---- states with a projection ----


def test_states_of_projections_have_their_own_sizes():
    layer = fr.LSTM(3, 5, 2, proj_size=2, bidirectional=True, learn_initial_state=True, seed=0)
    assert layer.shapes()["h0_l1_reverse"] == (2,)
    assert layer.shapes()["c0_l1_reverse"] == (5,)
    single = RecurrentLayer("lstm", 3, 5, options={"projection_size": 2})
    assert (single.state_sizes, single.output_size) == ((2, 5), 2)
    x = np.zeros((4, 6, 3), np.float32)
    good, bad = np.zeros((4, 2), np.float32), np.zeros((4, 5), np.float32)
    for state, message in (
        ((bad, bad), r"state\[0\]: expected shape \(N, P\) = \(4, 2\), got \(4, 5\)"),
        ((good, good), r"state\[1\]: expected shape \(N, H\) = \(4, 5\), got \(4, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            single(x, state)
    with pytest.raises(ValueError, match=r"state\[0\]: .* = \(4, 4, 2\), got \(4, 4, 5\)"):
        layer(x, (np.zeros((4, 4, 5), np.float32),) * 2)
    assert layer.explain_plan(4, 6).layers[0].projection_size == 2
    assert ", H 5, P 2" in str(layer.explain_plan(4, 6))


# ---- refusals ----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fr.GRU(3, 4, peepholes=True), TypeError,
         r"peepholes: expected an option of GRU \(reset_after, .*zoneout_h.*\), got peephol"),
        (lambda: fr.GRU(3, 4, zoneout_c=0.1), TypeError, "zoneout_c: expected an option of GRU"),
        (lambda: fr.RNN(3, 4, cell_clip=1.0), TypeError, "cell_clip: expected an option of RNN"),
        (lambda: fr.RNN(3, 4, proj_size=2), TypeError, "proj_size: expected an option of RNN"),
        (lambda: fr.LSTM(3, 4, colour="red"), TypeError,
         "colour: expected an option of LSTM .*got colour='red'"),
        (lambda: fr.LSTM(3, 4, proj_size=4), ValueError,
         "proj_size: expected 0 for none, or 0 < proj_size < hidden_size = 4, got 4"),
        (lambda: fr.LSTM(3, [9, 4], proj_size=5), ValueError, "hidden_size = 4, got 5"),
        (lambda: fr.LSTM(3, 4, proj_size=-1), ValueError, "proj_size: .*, got -1"),
        (lambda: fr.LSTM(3, 4, proj_size=1.0), TypeError, "proj_size: expected an integer, got fl"),
        (lambda: fr.LSTM(3, 4, gate_activation="cos"), ValueError,
         "gate_activation: expected one of sigmoid, tanh, relu, hard_sigmoid, hard_tanh, softsign, "
         "identity, got 'cos'"),
        (lambda: fr.GRU(3, 4, candidate_activation=None), ValueError, "candidate_activation: exp"),
        (lambda: fr.RNN(3, 4, nonlinearity="swish"), ValueError, "nonlinearity: .* got 'swish'"),
        (lambda: fr.LSTM(3, 4, output_activation="x"), ValueError, "output_activation: expected"),
        (lambda: fr.GRU(3, 4, zoneout_h=1.0), ValueError, "zoneout_h: expected 0 <= zoneout_h < 1"),
        (lambda: fr.LSTM(3, 4, zoneout_c=-0.1), ValueError, "zoneout_c: expected 0 <= zoneout_c"),
        (lambda: fr.GRU(3, 4, recurrent_dropout=1.5), ValueError, "recurrent_dropout: expected 0"),
        (lambda: fr.GRU(3, 4, input_dropout="x"), TypeError, "input_dropout: expected a number"),
        (lambda: fr.GRU(3, 4, drop_connect=float("nan")), ValueError, "drop_connect: expected 0"),
        (lambda: fr.RNN(3, 4, independent=True, drop_connect=0.1), ValueError,
         "drop_connect: expected 0.0 with independent=True, which has no recurrent matrix, got 0."),
        (lambda: fr.GRU(3, 4, activation_clip=0), ValueError, "activation_clip: expected more tha"),
        (lambda: fr.GRU(3, 4, gradient_clip_norm=-1), ValueError, "gradient_clip_norm: expected"),
        (lambda: fr.GRU(3, 4, gradient_clip_value="1"), TypeError, "gradient_clip_value: expected"),
        (lambda: fr.LSTM(3, 4, cell_clip=0.0), ValueError, "cell_clip: expected more than 0, got"),
        (lambda: RecurrentLayer("gru", 3, 4, options={"cell_clip": 1.0}), ValueError,
         "cell_clip: expected 0.0, which is all that gru knows, got 1.0"),
        (lambda: RecurrentLayer("gru", 3, 4, options={"zoneout_c": 0.5}), ValueError, "zoneout_c:"),
        (lambda: RecurrentLayer("rnn_relu", 3, 4, options={"candidate_activation": "tanh",
         "gate_activation": "tanh"}), ValueError, "gate_activation: expected 'sigmoid', which is"),
        (lambda: RecurrentLayer("rnn_relu", 3, 4, options={"candidate_activation": "softsign"}),
         ValueError, "candidate_activation: expected 'tanh', which is all that rnn_relu knows"),
        (lambda: RecurrentLayer("lstm", 3, 4, options={"projection_size": 4}), ValueError,
         "projection_size: expected 0 for none, or 0 < projection_size < hidden_size = 4, got 4"),
        (lambda: RecurrentLayer("lstm", 3, 4, options={"colour": 4}), ValueError,
         "options: expected one of gate_activation, .*, got 'colour'"),
        (lambda: RecurrentLayer("lstm", 3, 4, options={"cell_clip": -1.0}), ValueError,
         "cell_clip: expected at least 0, got -1.0"),
        (lambda: RecurrentLayer("independent_rnn_tanh", 3, 4, drop_connect=0.5), ValueError,
         "drop_connect: expected 0.0, as independent_rnn_tanh has no recurrent matrix, got 0.5"),
    ],
)  # fmt: skip
def test_refusals_say_what_is_allowed(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zoneout_h": "0.5"}, "zoneout_h: expected a number, got str"),
        ({"zoneout_h": True}, "zoneout_h: expected a number, got bool"),
        ({"proj_size": True}, "proj_size: expected an integer, got bool"),
        ({"layer_norm": "no"}, "layer_norm: expected True or False, got 'no'"),
        ({"peepholes": float("nan")}, "peepholes: expected True or False, got nan"),
        ({"cell_clip": 1e-60}, "cell_clip: expected a number that float32 has, got 1e-60"),
        ({"cell_clip": float("nan")}, "cell_clip: expected more than 0, got nan"),
    ],
)
def test_what_is_no_number_or_switch_is_refused(arguments, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        fr.LSTM(3, 8, **arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"lengths": [1, 2, 9]},
        {"lengths": [1.0, 2.0, 3.0]},
        {"reset": np.zeros((3, 4), bool)},
        {"state": np.zeros((2, 3, 6), np.float32)},
        {"out": np.zeros((3, 5, 7), np.float32)},
        {"out": np.broadcast_to(np.float32(0), (3, 5, 6))},
    ],
)
def test_a_refused_call_draws_nothing(wrong):
    def make():
        return fr.LSTM(4, 6, 2, seed=0, input_dropout=0.3, dropout=0.2, zoneout_h=0.1)

    x = np.ones((3, 5, 4), np.float32)
    layer = make()
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        layer.forward(x, **wrong)
    assert_same_bits(layer.forward(x)[0], make().forward(x)[0], "y")


@pytest.mark.parametrize("hidden_size", [9, 16, 17])
@pytest.mark.parametrize("layer", [fr.LSTM, fr.GRU, fr.RNN])
def test_an_infinite_input_changes_no_limit_of_a_norm(layer, hidden_size):
    model = layer(4, hidden_size, seed=0, gradient_clip_norm=1e-3)
    x = np.random.default_rng(0).standard_normal((2, 6, 4)).astype(np.float32)
    x[1, 3, 1] = np.inf
    y, final, tape = model.forward(x)
    _, dstate = model.backward(tape, np.ones_like(y), like(final, np.ones_like))
    for n in range(2):
        norm = np.sqrt(sum(float((part[:, n] ** 2).sum()) for part in leaves(dstate)))
        assert norm == pytest.approx(1e-3, rel=1e-4)


def test_a_norm_whose_square_overflows_is_cut_to_its_limit():
    model = fr.RNN(2, 5, seed=0, gradient_clip_norm=2.0, nonlinearity="identity")
    y, _, tape = model.forward(np.ones((1, 1, 2), np.float32))
    _, dh = model.backward(tape, np.full_like(y, 1e25))
    assert float(np.linalg.norm(dh)) == pytest.approx(2.0, rel=1e-5)
