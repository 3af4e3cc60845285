"""Dot-product attention against loops by hand, its gradients, and its bits."""

import numpy as np
import pytest

from fastrnn.seq2seq import Memory, attend, attend_backward
from fastrnn.testing import assert_near, assert_same_bits

RNG = np.random.default_rng(0)
N, T, S, H = 6, 5, 11, 4
VALUES, QUERIES = RNG.standard_normal((N, S, H)), RNG.standard_normal((N, T, H))
STEPS, COUNTS = np.array([11, 3, 0, 5, 7, 6]), np.array([5, 2, 4, 0, 5, 5])


def by_hand(queries, values, steps, counts):
    """Return context and weights, number by number."""
    context, weights = np.zeros_like(queries), np.zeros((len(queries), queries.shape[1], S))
    for n in range(len(queries)):
        for t in range(counts[n]):
            scores = [float(queries[n, t] @ values[n, s]) for s in range(steps[n])]
            total = sum(np.exp(score) for score in scores)
            for s, score in enumerate(scores):
                weights[n, t, s] = np.exp(score) / total
                context[n, t] += weights[n, t, s] * values[n, s]
    return context, weights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_attention_is_the_formula(dtype):
    values, queries = VALUES.astype(dtype), QUERIES.astype(dtype)
    context, weights = attend(queries, Memory.of(values, STEPS), COUNTS)
    expected, expected_weights = by_hand(QUERIES, VALUES, STEPS, COUNTS)
    assert context.dtype == weights.dtype == dtype
    assert_near(context, expected, "context")
    assert_near(weights, expected_weights, "weights")


def test_large_scores_do_not_overflow():
    values = np.array([[[1000.0], [1001.0], [-1000.0]]])
    _, weights = attend(np.array([[[2.0], [-2.0]]]), Memory.of(values))
    share = 1 / (1 + np.exp(-2.0))
    assert_near(weights, [[[1 - share, share, 0.0], [0.0, 0.0, 1.0]]], "weights")


def test_gradients_are_central_differences():
    dcontext = RNG.standard_normal(QUERIES.shape)
    memory = Memory.of(VALUES, STEPS)
    _, weights = attend(QUERIES, memory, COUNTS)
    dqueries, dvalues = attend_backward(QUERIES, memory, weights, dcontext, COUNTS)

    def loss(queries, values):
        return float((attend(queries, Memory.of(values, STEPS), COUNTS)[0] * dcontext).sum())

    step = 1e-5
    for name, array, gradient in (("queries", QUERIES, dqueries), ("values", VALUES, dvalues)):
        numeric = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            sides = []
            for sign in (1, -1):
                moved = array.copy()
                moved[index] += sign * step
                pair = (moved, VALUES) if name == "queries" else (QUERIES, moved)
                sides.append(loss(*pair))
            numeric[index] = (sides[0] - sides[1]) / (2 * step)
        assert_near(gradient, numeric, name, "gradient")
        assert np.abs(gradient).max() > 0.1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_has_the_same_bits_alone_and_without_padding(dtype):
    values, queries = VALUES.astype(dtype), QUERIES.astype(dtype)
    dcontext = RNG.standard_normal(QUERIES.shape).astype(dtype)
    memory = Memory.of(values, STEPS)
    context, weights = attend(queries, memory, COUNTS)
    dqueries, dvalues = attend_backward(queries, memory, weights, dcontext, COUNTS)
    for n in range(N):
        s, t = STEPS[n], COUNTS[n]
        one = Memory.of(values[n : n + 1, : max(s, 1)], [s])
        row = queries[n : n + 1, :t]
        found, own = attend(row, one)
        assert_same_bits(found[0], context[n, :t], "context")
        assert_same_bits(own[0, :, :s], weights[n, :t, :s], "weights")
        backward = attend_backward(row, one, own, dcontext[n : n + 1, :t])
        assert_same_bits(backward[0][0], dqueries[n, :t], "dqueries")
        assert_same_bits(backward[1][0, :s], dvalues[n, :s], "dmemory")
        for step in range(t):  # one query at a time
            alone, _ = attend(row[:, step : step + 1], memory.rows(np.array([n])))
            assert_same_bits(alone[0, 0], context[n, step], "one query")


def test_padding_is_not_read_and_gives_zeros():
    values, queries, dcontext = VALUES.copy(), QUERIES.copy(), np.ones_like(QUERIES)
    expected = attend(queries, Memory.of(values, STEPS), COUNTS)
    gradients = attend_backward(
        queries, Memory.of(values, STEPS), expected[1], dcontext.copy(), COUNTS
    )
    values[np.arange(S) >= STEPS[:, None]] = np.nan
    behind = np.arange(T) >= COUNTS[:, None]
    queries[behind] = dcontext[behind] = np.inf
    memory = Memory.of(values, STEPS)
    found = attend(queries, memory, COUNTS)
    for name, one, other in zip(("context", "weights"), found, expected, strict=True):
        assert_same_bits(one, other, name)
        assert not one[behind].any()
    again = attend_backward(queries, memory, found[1], dcontext, COUNTS)
    for name, one, other in zip(("dqueries", "dmemory"), again, gradients, strict=True):
        assert_same_bits(one, other, name)
    assert not again[0][behind].any()
    assert not again[1][np.arange(S) >= STEPS[:, None]].any()


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"values: expected shape \(N, S, H\) with S >= 1"):
        Memory.of(np.zeros((2, 0, 3)))
    with pytest.raises(ValueError, match=r"lengths\[1\]: expected 0..T = 0..4, got 5"):
        Memory.of(np.zeros((2, 4, 3)), [4, 5])
    memory = Memory.of(np.zeros((2, 4, 3)))
    with pytest.raises(TypeError, match="queries: expected float64"):
        attend(np.zeros((2, 1, 3), np.float32), memory)
    with pytest.raises(ValueError, match="queries: expected N = 2 rows like memory, got 1"):
        attend(np.zeros((1, 1, 3)), memory)
    with pytest.raises(ValueError, match="queries: expected H = 3 features, got 2"):
        attend(np.zeros((2, 1, 2)), memory)
