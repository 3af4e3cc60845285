"""Absolute error, Huber's and the quantile loss: loops, differences, PyTorch, what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrnn import losses
from fastrnn.testing import assert_near, assert_same_bits
from test_losses import MASKS, differences, drawn_mask

QUANTILES = (0.1, 0.5, 0.75)


def absolute(output, target):
    return abs(output - target)


def huber(output, target, delta=0.7):
    error = abs(output - target)
    return error**2 / 2 if error <= delta else delta * (error - delta / 2)


def pinball(output, target, quantile):
    return max(quantile * (target - output), (quantile - 1) * (target - output))


def mean_by_hand(function, outputs, targets, mask):
    """Return the weighted mean over targets (..., F) of a function of its outputs (..., F, Q)."""
    total = weights = 0.0
    for place in np.ndindex(targets.shape):
        weight = 1.0 if mask is None else float(mask[place[: mask.ndim]])
        for q, output in enumerate(outputs[place]):
            total += weight * function(float(output), float(targets[place]), q)
            weights += weight
    return total / weights if weights else 0.0


CASES = {
    "absolute": (losses.MeanAbsoluteError(), 1, lambda o, t, q: absolute(o, t)),
    "huber": (losses.Huber(0.7), 1, lambda o, t, q: huber(o, t)),
    "quantile": (losses.QuantileLoss(QUANTILES), 3, lambda o, t, q: pinball(o, t, QUANTILES[q])),
}
shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(
    outer=shapes,
    features=st.integers(1, 5),
    kind=st.sampled_from(MASKS),
    per_number=st.booleans(),
    seed=st.integers(0, 999),
)
def test_values_are_the_loop_and_gradients_the_difference(
    name, outer, features, kind, per_number, seed
):
    loss, width, function = CASES[name]
    rng = np.random.default_rng(seed)
    targets = rng.standard_normal((*outer, features))
    outputs = rng.standard_normal((*outer, features, width))
    near = np.abs(outputs - targets[..., None])
    outputs[(near < 1e-3) | (np.abs(near - 0.7) < 1e-3)] += 0.01  # away from the kinks
    mask = drawn_mask(kind, targets.shape if per_number else outer, rng)
    flat = outputs.reshape(*outer, features * width)
    value, gradient = loss(flat, targets, mask)
    assert_near(value, mean_by_hand(function, outputs, targets, mask), "value")
    assert_near(gradient, differences(loss, flat, targets, mask), "gradient", "gradient")


@pytest.mark.parametrize("name", ["mean_absolute_error", "huber"])
def test_pytorch_agrees(name):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 7, 5)).astype(np.float32)
    tensor = torch.tensor(outputs, requires_grad=True)
    function = {"mean_absolute_error": "l1_loss", "huber": "huber_loss"}[name]
    wanted = getattr(torch.nn.functional, function)(tensor, torch.from_numpy(targets))
    wanted.backward()
    value, gradient = losses.get(name)(outputs, targets)
    assert_near(np.array(value, np.float32), wanted.detach().numpy(), "value")
    assert_near(gradient, tensor.grad.numpy(), "gradient")


def test_the_least_quantile_loss_is_at_the_quantiles():
    targets = np.random.default_rng(0).gamma(2.0, size=(2001, 1))
    loss = losses.QuantileLoss(QUANTILES)
    wanted = np.quantile(targets, QUANTILES)

    def at(outputs):
        return loss(np.broadcast_to(outputs, (2001, 3)), targets)

    assert np.abs(at(wanted)[1].sum(axis=0)).max() < 1e-3
    for q in range(3):
        for step in (-0.2, 0.2):
            moved = wanted.copy()
            moved[q] += step
            assert at(moved)[0] > at(wanted)[0] + 1e-4


def test_the_median_is_half_the_absolute_error_and_its_mask_is_per_target():
    rng = np.random.default_rng(1)
    outputs, targets = rng.standard_normal((2, 6, 4))
    half = losses.QuantileLoss([0.5])(outputs, targets)
    whole = losses.MeanAbsoluteError()(outputs, targets)
    assert half[0] == whole[0] / 2
    assert_same_bits(half[1], whole[1] / 2, "gradient")
    loss = losses.QuantileLoss([0.25, 0.75])
    mask = np.array([[1.0, 0.0]])
    value, gradient = loss(np.array([[1.0, 2.0, np.nan, 9.0]]), np.array([[3.0, np.nan]]), mask)
    assert value == (0.25 * 2 + 0.75 * 1) / 2
    assert gradient.tolist() == [[-0.125, -0.375, 0.0, 0.0]]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_masked_numbers_and_numbers_that_are_not_finite(name, dtype):
    loss, width, _ = CASES[name]
    outputs, targets = np.ones((2, 3 * width), dtype), np.full((2, 3), 0.5)
    targets[1] = np.nan
    value, gradient = loss(outputs, targets, np.array([True, False]))
    assert type(value) is float
    assert value > 0
    assert gradient.dtype == dtype
    assert gradient[0].all()
    assert not gradient[1].any()
    assert np.isnan(loss(outputs, targets)[0])
    assert loss(outputs, targets, np.zeros(2))[0] == 0.0
    before = outputs.copy()
    loss(outputs, np.zeros((2, 3), np.int8))
    assert_same_bits(outputs, before, "outputs")


def test_get_knows_them_by_name():
    assert losses.get("mean_absolute_error") == losses.MeanAbsoluteError()
    assert losses.get("huber") == losses.Huber(1.0)


ZEROS = np.zeros((2, 6), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.QuantileLoss([]), ValueError, "quantiles: expected a sequence of at"),
        (lambda: losses.QuantileLoss(0.5), ValueError, "quantiles: expected a sequence of at"),
        (lambda: losses.QuantileLoss([0.0, 0.5]), ValueError, r"quantiles\[0\]: expected 0 < q"),
        (lambda: losses.QuantileLoss([0.5, 0.5]), ValueError, r"quantiles\[1\]: expected ascend"),
        (lambda: losses.QuantileLoss(["a"]), TypeError, r"quantiles\[0\]: expected a number"),
        (lambda: losses.Huber(0), ValueError, "delta: expected"),
        (
            lambda: losses.QuantileLoss([0.1, 0.9])(ZEROS, np.zeros((2, 6))),
            ValueError,
            r"outputs: expected shape \(\.\.\., F\*Q\) = \(2, 12\) for targets \(2, 6\) and Q = 2",
        ),
        (
            lambda: losses.QuantileLoss([0.1, 0.9])(ZEROS, np.zeros((2, 3)), np.zeros(3)),
            ValueError,
            r"mask: expected shape \(2,\), got \(3,\)",
        ),
        (
            lambda: losses.MeanAbsoluteError()(ZEROS, np.zeros((2, 5))),
            ValueError,
            r"targets: expected shape \(2, 6\) like outputs",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
