"""Binary cross-entropy against the formula in plain numbers, differences and PyTorch; masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from fastrnn import losses
from fastrnn.testing import assert_near, assert_same_bits

MEAN = losses.BinaryCrossEntropy()
SUM = losses.BinaryCrossEntropy(sum_features=True)


def by_hand(outputs, targets, mask=None, *, sum_features=False):
    """Return -t log s - (1 - t) log(1 - s) in the mean, as in the book."""
    total = weights = 0.0
    for place in np.ndindex(outputs.shape):
        weight = 1.0 if mask is None else float(mask[place[: mask.ndim]])
        if weight:
            s, t = 1 / (1 + math.exp(-float(outputs[place]))), float(targets[place])
            total += weight * -(t * math.log(s) + (1 - t) * math.log(1 - s))
            weights += weight
    if not weights:
        return 0.0
    return total / weights * (outputs.shape[-1] if sum_features else 1)


def drawn(kind, shape, rng):
    if kind == "none":
        return None
    mask = rng.random(shape[:-1] if kind.startswith("places") else shape) < 0.6
    return mask * rng.uniform(0.1, 3.0, mask.shape) if kind.endswith("weights") else mask


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=0, max_size=2).map(tuple),
    st.integers(1, 5),
    st.sampled_from(["none", "places", "places, weights", "numbers", "numbers, weights"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 999),
)
def test_it_is_the_formula_and_its_gradient_the_difference(outer, width, kind, soft, summed, seed):
    rng = np.random.default_rng(seed)
    shape = (*outer, width)
    if summed and kind.startswith("numbers"):
        kind = "none"
    outputs = 3 * rng.standard_normal(shape)
    targets = rng.random(shape) if soft else rng.random(shape) < 0.4
    mask = drawn(kind, shape, rng)
    loss = SUM if summed else MEAN
    value, gradient = loss(outputs, targets, mask)
    assert_near(value, by_hand(outputs, targets, mask, sum_features=summed), "value")
    numeric = np.empty(shape)
    for place in np.ndindex(shape):
        moved = outputs.copy()
        moved[place] += 1e-5
        above = loss(moved, targets, mask)[0]
        moved[place] -= 2e-5
        numeric[place] = (above - loss(moved, targets, mask)[0]) / 2e-5
    assert np.abs(gradient - numeric).max() < 1e-8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pytorch_agrees(dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    outputs = (5 * rng.standard_normal((7, 5))).astype(dtype)
    targets = rng.random((7, 5)) < 0.5
    tensor = torch.tensor(outputs, requires_grad=True)
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(
        tensor, torch.from_numpy(targets.astype(dtype))
    )
    wanted.backward()
    value, gradient = MEAN(outputs, targets)
    assert_near(np.array(value, dtype), wanted.detach().numpy(), "value")
    assert_near(gradient, tensor.grad.numpy(), "gradient")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [MEAN, SUM])
def test_dtypes(dtype, loss):
    rng = np.random.default_rng(1)
    outputs, targets = rng.standard_normal((4, 3, 6)).astype(dtype), rng.random((4, 3, 6)) < 0.5
    value, gradient = loss(outputs, targets)
    assert type(value) is float
    assert (gradient.dtype, gradient.shape) == (dtype, (4, 3, 6))
    for kind in (np.int8, np.float32, np.float64):
        other, same = loss(outputs, targets.astype(kind))
        assert other == value
        assert_same_bits(same, gradient, "gradient")
    exact = loss(outputs.astype(float), targets)
    assert abs(value - exact[0]) < 1e-6
    assert_near(gradient, exact[1], "gradient", "float32")


def test_no_score_is_too_large():
    outputs = np.array([[1e4, -1e4, 3e38, -3e38, 0.0]], np.float32)
    right = np.array([[1, 0, 1, 0, 0]])
    value, gradient = SUM(outputs, right)
    assert abs(value - math.log(2)) < 1e-7
    assert_same_bits(gradient, np.array([[0, 0, 0, 0, 0.5]], np.float32), "gradient")
    value, gradient = SUM(outputs[:, :2], 1 - right[:, :2])
    assert value == 2e4
    assert gradient.tolist() == [[1, -1]]
    tiny, _ = SUM(np.array([[-50.0]]), [[0]])
    assert tiny == pytest.approx(math.exp(-50), rel=1e-12, abs=0)  # not rounded to nothing


def test_numbers_that_are_not_finite_give_such_a_value_without_a_warning():
    for bad in (np.nan, np.inf):
        assert not np.isfinite(MEAN(np.array([[bad, 0.0]]), [[0, 1]])[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e30])
@pytest.mark.parametrize("loss", [MEAN, SUM])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_masked_does_not_matter(bad, loss, weighted):
    rng = np.random.default_rng(2)
    outputs = rng.standard_normal((4, 3, 5)).astype(np.float32)
    targets = rng.random((4, 3, 5))
    mask = rng.random((4, 3)) < 0.5
    weights = mask * rng.uniform(0.5, 2.0, mask.shape) if weighted else mask
    value, gradient = loss(outputs, targets, weights)
    spoiled, wrong = (np.where(mask[..., None], a, bad) for a in (outputs, targets))
    again = loss(spoiled.astype(np.float32), wrong, weights)
    assert again[0] == value
    assert_same_bits(again[1], gradient, "gradient")
    assert_same_bits(gradient[~mask], np.zeros_like(gradient[~mask]), "masked gradient")
    assert (gradient[mask] != 0).all()


@pytest.mark.parametrize("loss", [MEAN, SUM])
def test_nothing_that_counts_is_zero(loss):
    outputs = np.full((2, 3, 4), np.nan, np.float32)
    for mask in (np.zeros((2, 3), bool), np.zeros((2, 3))):
        value, gradient = loss(outputs, outputs, mask)
        assert value == 0.0
        assert_same_bits(gradient, np.zeros_like(outputs), "gradient")
    assert loss(np.zeros((0, 3)), np.zeros((0, 3)))[0] == 0.0
    assert loss(np.zeros((2, 0)), np.zeros((2, 0)))[1].shape == (2, 0)


def test_the_sum_is_the_mean_times_the_number_of_features():
    rng = np.random.default_rng(3)
    outputs, targets = rng.standard_normal((5, 88)), rng.random((5, 88)) < 0.05
    weights = rng.uniform(0.1, 1.0, 5)
    for mask in (None, weights):
        mean, total = MEAN(outputs, targets, mask), SUM(outputs, targets, mask)
        assert total[0] == pytest.approx(88 * mean[0], rel=1e-12)
        assert_near(total[1], 88 * mean[1], "gradient")


def test_arguments_stay_and_strides_do_not_matter():
    rng = np.random.default_rng(4)
    outputs = rng.standard_normal((4, 5, 3)).swapaxes(0, 1)
    targets = (rng.random((4, 5, 3)) < 0.5).swapaxes(0, 1)
    before = outputs.copy(), targets.copy()
    found = MEAN(outputs, targets)
    assert found[0] == MEAN(*before)[0]
    assert_same_bits(found[1], MEAN(*before)[1], "gradient")
    assert_same_bits(outputs, before[0], "outputs")
    assert_same_bits(targets, before[1], "targets")


def test_by_name_and_in_a_trainer():
    assert losses.get("binary_cross_entropy") == MEAN
    rng = np.random.default_rng(5)
    x = (rng.random((40, 6, 3)) < 0.5).astype(np.float32)
    y = np.roll(x, 1, axis=1)
    y[:, 0] = 0  # each step is to show the step before
    model = fr.Sequential([fr.GRU(3, 12, seed=0), fr.Linear(12, 3, seed=1)])
    trainer = fr.Trainer(model, loss="binary_cross_entropy", optimizer=fr.optim.Adam(3e-2))
    history = trainer.fit((x, y), epochs=40, seed=0, progress=False).values("loss")
    assert history[0] > 0.5
    assert history[-1] < 0.02


X = np.zeros((2, 3, 4), np.float32)


@pytest.mark.parametrize(
    ("loss", "arguments", "error", "message"),
    [
        (MEAN, (X.astype(int), X), TypeError, "outputs: expected float32 or float64, got"),
        (MEAN, (X, X.astype(complex)), TypeError, "targets: expected booleans or numbers, got com"),
        (MEAN, (X, X[..., 0]), ValueError, r"targets: expected shape \(2, 3, 4\) like outputs"),
        (MEAN, (X, X + 1.5), ValueError, "targets: expected numbers from 0 to 1, got 1.5"),
        (MEAN, (X, X - 1), ValueError, "targets: expected numbers from 0 to 1, got -1.0"),
        (MEAN, (X, X * np.nan), ValueError, "targets: expected numbers from 0 to 1, got nan"),
        (MEAN, (np.float32(1), 1), ValueError, r"outputs: expected shape \(\.\.\., F\)"),
        (MEAN, (X, X, X[0, :, 0]), ValueError, r"mask: expected shape \(2, 3\), got \(3,\)"),
        (SUM, (X, X, X), ValueError, r"mask: expected shape \(2, 3\), got \(2, 3, 4\)"),
        (MEAN, (X, X, X - 1), ValueError, "mask: expected finite numbers of at least 0, got -1"),
    ],
)
def test_bad_arguments_are_named(loss, arguments, error, message):
    with pytest.raises(error, match=message):
        loss(*arguments)
