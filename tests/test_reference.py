"""The specification against central differences and work by hand; what it says of bad arguments."""

import doctest
import re

import numpy as np
import pytest

from fastrnn import reference
from fastrnn.reference import CELLS, Weights, bptt, run
from reference_cases import RAGGED, assert_close, bptt_on, draw, given, run_on, tied

# ---- central differences ----


def relu_pre_activations(cell, arrays, reverse):
    """All a of a ragged relu RNN: a difference across a kink is no derivative."""
    found, arrays = [], tied(cell, arrays)[1]
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
    if cell.endswith("rnn_relu"):
        a = relu_pre_activations(cell, arrays, reverse)
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


# ---- by hand ----


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
        total = total + row_gradients.dweight_ih
    assert_close(gradients.dweight_ih, total, "dweight_ih")


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


WRONG_WEIGHTS = [
    ("gru", "unit_weights", 9, "expected None for gru, got shape (9,)"),
    ("gru", "weight_hh", None, "expected shape (3*H, H) = (9, 3), got None"),
    ("lstm_peephole", "unit_weights", 6, "expected shape (3*H,) = (9,), got (6,)"),
    ("lstm_peephole", "unit_weights", None, "expected shape (3*H,) = (9,), got None"),
    ("lstm_coupled_peephole", "unit_weights", 9, "expected shape (2*H,) = (6,), got (9,)"),
    ("independent_rnn_tanh", "unit_weights", None, "expected shape (1*H,) = (3,), got None"),
    ("independent_rnn_tanh", "weight_hh", 3, "expected None for independent_rnn_tanh, got shape"),
    ("independent_rnn_relu", "bias_hh", 3, "expected None for independent_rnn_relu, got shape"),
]


@pytest.mark.parametrize(("cell", "name", "size", "message"), WRONG_WEIGHTS)
def test_wrong_weights_of_a_cell_are_named(cell, name, size, message):
    change = {name: None if size is None else np.zeros(size)}
    with pytest.raises(ValueError, match=re.escape(f"{name}: {message}")):
        run_on(cell, draw(cell, np.random.default_rng(0)) | change)


def test_an_unknown_cell_is_named():
    with pytest.raises(ValueError, match=r"cell: expected one of rnn_tanh, .*, got 'peephole'"):
        run("peephole", np.zeros((1, 1, 1)), Weights(np.zeros((1, 1)), np.zeros((1, 1))))


def test_the_examples_run():
    results = doctest.testmod(reference)
    assert results.attempted
    assert not results.failed
