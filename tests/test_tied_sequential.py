"""Tied embeddings: one weight, the sum of both gradients, saved once."""

import pickle

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import (
    TOLERANCES,
    assert_near,
    assert_same_bits,
    check_gradients,
    random_lengths,
)


def layers(dtype="float64", bias=True):
    return [
        fr.Embedding(7, 3, dtype=dtype, seed=0),
        fr.LSTM(3, 4, 2, dtype=dtype, seed=1),
        fr.Dropout(0.2, seed=2),
        fr.Linear(4, 3, bias=False, dtype=dtype, seed=3),
        fr.Linear(3, 7, bias=bias, dtype=dtype, seed=4),
    ]


TOKENS = np.random.default_rng(0).integers(0, 6, (3, 5))  # 6 is only ever put out


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients(ragged, bias):
    lengths = random_lengths(np.random.default_rng(1), *TOKENS.shape) if ragged else None
    check = check_gradients(fr.TiedSequential(layers(bias=bias)), TOKENS, lengths=lengths)
    assert check.error < TOLERANCES["gradient"][0], check


def test_its_weight_has_the_sum_of_both_gradients():
    tied, untied = fr.TiedSequential(layers()), fr.Sequential(layers())
    values = untied.parameters
    for name, value in tied.parameters.items():
        values[name][...] = value
    values["4.weight"][...] = tied.parameters["0.weight"]
    results = []
    for model in (tied, untied):
        model.reseed(np.random.default_rng(3))
        y, _, tape = model.forward(TOKENS)
        model.backward(tape, np.cos(y))
        results.append(y)
    assert_same_bits(*results, "outputs")
    for name, gradient in tied.gradients.items():
        both = name == "0.weight"
        expected = untied.gradients[name] + (untied.gradients["4.weight"] if both else 0.0)
        assert_near(gradient, expected, name)
    assert tied.gradients["0.weight"][6].any()


def test_it_begins_with_the_output_layers_values():
    parts = layers()
    output = {name: value.copy() for name, value in parts[-1].parameters.items()}
    model = fr.TiedSequential(parts)
    assert_same_bits(model.parameters["0.weight"], output["weight"], "weight")
    assert_same_bits(model.parameters["4.bias"], output["bias"], "bias")
    untied = fr.Sequential(layers()).parameters
    for name in set(model.parameters) - {"0.weight"}:
        assert_same_bits(model.parameters[name], untied[name], name)
    assert model.parameter_vector.size == sum(v.size for v in untied.values()) - 21


def test_writing_the_weight_changes_both_ends():
    model = fr.TiedSequential(layers())
    before, _ = model(TOKENS)
    model.parameters["0.weight"][...] = 0.0
    after, _ = model(TOKENS)
    assert before.std() > 0
    assert_near(after - model.parameters["4.bias"], np.zeros_like(after), "without weights")


@pytest.mark.parametrize("bias", [True, False])
def test_copies_and_files(tmp_path, bias):
    model = fr.TiedSequential(layers("float32", bias))
    y, _ = model(TOKENS)
    fr.save(model, tmp_path / "tied.safetensors")
    for other in (fr.load(tmp_path / "tied.safetensors"), pickle.loads(pickle.dumps(model))):
        assert isinstance(other, fr.TiedSequential)
        assert "4.weight" not in other.parameters
        assert_same_bits(other(TOKENS)[0], y, "outputs")
    assert_near(model.to("float64")(TOKENS)[0], y.astype(np.float64), "float64", "float32")


@pytest.mark.parametrize("make", [fr.TiedSequential, fr.Sequential])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_streams_of_tokens(make, dtype):
    model = make(layers(dtype))
    stream = fr.Stream(model, batch_size=3)
    y = np.stack([stream.step(tokens) for tokens in TOKENS.T.astype(np.uint8)], axis=1)
    assert_same_bits(y, model(TOKENS)[0], "outputs")
    saved = stream.state
    following = stream.step(TOKENS[:, 0])
    stream.state = saved
    model.parameter_vector[...] = 0.0  # the stream has the weights it was made with
    assert_same_bits(stream.step(TOKENS[:, 0]), following, "after the state was set back")


def test_streams_of_tokens_around_a_residual_layer():
    inner = fr.Residual(fr.GRU(3, 3, seed=1))
    model = fr.Sequential([fr.Sequential([fr.Embedding(7, 3, seed=0), inner]), fr.Linear(3, 2)])
    stream = fr.Stream(model, batch_size=3)
    y = np.stack([stream.step(tokens) for tokens in TOKENS.T], axis=1)
    assert_same_bits(y, model(TOKENS)[0], "outputs")


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (np.zeros(3), "x: expected integer tokens, got float64"),
        (np.zeros(2, int), r"x: expected shape \(N,\) = \(3,\) tokens, got \(2,\)"),
        (np.array([0, 7, 0]), r"x: expected tokens in 0..6, got 7"),
        (np.array([0, -1, 9]), r"x: expected tokens in 0..6, got -1"),
    ],
)
def test_streams_refuse_other_tokens(tokens, message):
    stream = fr.Stream(fr.TiedSequential(layers()), batch_size=3)
    state = stream.to_bytes()
    with pytest.raises((TypeError, ValueError), match=message):
        stream.step(tokens)
    assert stream.to_bytes() == state


def test_streams_refuse_an_embedding_behind():
    model = fr.Sequential([fr.Linear(3, 3), fr.Embedding(7, 3)])
    with pytest.raises(TypeError, match="expected Embedding as the first layer only"):
        fr.Stream(model)


SHARED = fr.Linear(3, 7)
fr.Sequential([SHARED])

BAD = [
    ([], TypeError, "expected Embedding first and Linear last, got none"),
    ([fr.Embedding(7, 3)], TypeError, "expected Embedding first and Linear last, got Embedding"),
    ([fr.GRU(3, 3), fr.Linear(3, 7)], TypeError, "expected Embedding first and Linear last"),
    ([fr.Embedding(7, 3), fr.GRU(3, 3)], TypeError, "expected Embedding first and Linear last"),
    (
        [fr.Embedding(7, 3), fr.GRU(3, 4), fr.Linear(4, 7)],
        ValueError,
        r"layers\[2\]: expected weight of shape \(V, E\) = \(7, 3\) .* got \(7, 4\)",
    ),
    ([fr.Embedding(7, 3), fr.GRU(3, 3), SHARED], ValueError, r"layers\[2\].* already part"),
    (
        [fr.Embedding(7, 3), fr.Linear(3, 7, dtype="float64")],
        TypeError,
        r"layers\[1\]: expected dtype float32 like the first",
    ),
]


@pytest.mark.parametrize(("parts", "error", "message"), BAD)
def test_other_layers_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        fr.TiedSequential(parts)
    assert not any(part._owned for part in parts if part is not SHARED)


def test_its_layers_belong_to_it():
    parts = layers()
    fr.TiedSequential(parts)
    for part in parts:
        with pytest.raises(ValueError, match="already part of a model"):
            fr.Sequential([part])
