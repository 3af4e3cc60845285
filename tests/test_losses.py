"""Losses against textbook loops, central differences and PyTorch; masks, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrnn import losses
from fastrnn.testing import TOLERANCES, assert_near, assert_same_bits

CROSS_ENTROPY = losses.SoftmaxCrossEntropy()
SQUARED_ERROR = losses.MeanSquaredError()
MASKS = ["none", "bool", "weights", "all"]

SCORES = np.array([[1.5, -0.5, 0.25], [0.0, 3.0, -2.0], [-1.0, 0.5, 4.0]])
CLASSES = np.array([2, 1, 0])


def cross_entropy_by_hand(outputs, targets, mask=None):
    total = weights = 0.0
    for place in np.ndindex(targets.shape):
        weight = 1.0 if mask is None else float(mask[place])
        if weight == 0:
            continue
        scores = [float(score) for score in outputs[place]]
        log_sum = max(scores) + math.log(sum(math.exp(s - max(scores)) for s in scores))
        total += weight * (log_sum - scores[targets[place]])
        weights += weight
    return total / weights if weights else 0.0


def squared_error_by_hand(outputs, targets, mask=None):
    total = weights = 0.0
    for place in np.ndindex(outputs.shape):
        weight = 1.0
        if mask is not None:
            weight = float(mask[place[: mask.ndim]])
        if weight:
            total += weight * (float(outputs[place]) - float(targets[place])) ** 2
            weights += weight
    return total / weights if weights else 0.0


def differences(loss, outputs, *rest, step=1e-5):
    numeric = np.empty(outputs.shape)
    for place in np.ndindex(outputs.shape):
        moved = outputs.copy()
        moved[place] += step
        above = loss(moved, *rest)[0]
        moved[place] -= 2 * step
        numeric[place] = (above - loss(moved, *rest)[0]) / (2 * step)
    return numeric


def drawn_mask(kind, shape, rng):
    if kind == "none":
        return None
    if kind == "all":
        return np.ones(shape, bool)
    mask = rng.random(shape) < 0.6
    return mask if kind == "bool" else mask * rng.uniform(0.1, 3.0, shape)


shapes = st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple)
#: Around the registers of every instruction set
widths = st.one_of(st.integers(1, 6), st.sampled_from([7, 8, 9, 16, 17]))


@settings(max_examples=40, deadline=None)
@given(shapes, widths, st.sampled_from(MASKS), st.integers(0, 999))
def test_cross_entropy_is_the_loop_and_its_gradient_the_difference(outer, classes, kind, seed):
    rng = np.random.default_rng(seed)
    outputs = 3 * rng.standard_normal((*outer, classes))
    targets = rng.integers(0, classes, outer)
    mask = drawn_mask(kind, outer, rng)
    value, gradient = CROSS_ENTROPY(outputs, targets, mask)
    assert_near(value, cross_entropy_by_hand(outputs, targets, mask), "value")
    numeric = differences(CROSS_ENTROPY, outputs, targets, mask)
    assert_near(gradient, numeric, "gradient", "gradient")


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(1, 6), st.sampled_from(MASKS), st.booleans(), st.integers(0, 999))
def test_squared_error_is_the_loop_and_its_gradient_the_difference(
    outer, features, kind, per_number, seed
):
    rng = np.random.default_rng(seed)
    outputs, targets = rng.standard_normal((2, *outer, features))
    mask = drawn_mask(kind, outputs.shape if per_number else outer, rng)
    value, gradient = SQUARED_ERROR(outputs, targets, mask)
    assert_near(value, squared_error_by_hand(outputs, targets, mask), "value")
    numeric = differences(SQUARED_ERROR, outputs, targets, mask)
    assert_near(gradient, numeric, "gradient", "gradient")


def test_cross_entropy_is_pytorch_s_stored():
    value, gradient = CROSS_ENTROPY(SCORES, CLASSES)
    expected = [
        [0.23443799200725796, 0.031727732049724996, -0.266165724056983],
        [0.01570780550822138, -0.0178336258157021, 0.0021258203074807653],
        [-0.33116735222811267, 0.009707253845826132, 0.3214600983822865],
    ]
    assert_near(value, 2.2310688881015763, "value")
    assert_near(gradient, expected, "gradient")
    value, gradient = CROSS_ENTROPY(SCORES, [2, -100, 0], [True, False, True])
    expected = [
        [0.35165698801088696, 0.047591598074587495, -0.39924858608547453],
        [0.0, 0.0, 0.0],
        [-0.49675102834216905, 0.014560880768739199, 0.4821901475734298],
    ]
    assert_near(value, 3.3191107144637906, "masked value")
    assert_near(gradient, expected, "masked gradient")


def test_squared_error_is_pytorch_s_stored():
    value, gradient = SQUARED_ERROR(SCORES, np.full((3, 3), 0.5))
    assert_near(value, 3.2569444444444446, "value")
    assert_near(gradient, (SCORES - 0.5) * 2 / 9, "gradient")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softmax_cross_entropy", "mean_squared_error"])
def test_pytorch_agrees(name, dtype):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    outputs = rng.standard_normal((7, 5)).astype(dtype)
    tensor = torch.tensor(outputs, requires_grad=True)
    if name == "mean_squared_error":
        targets = rng.standard_normal((7, 5)).astype(dtype)
        wanted = torch.nn.functional.mse_loss(tensor, torch.from_numpy(targets))
    else:
        targets = rng.integers(0, 5, 7)
        wanted = torch.nn.functional.cross_entropy(tensor, torch.from_numpy(targets))
    wanted.backward()
    value, gradient = losses.get(name)(outputs, targets)
    assert_near(np.array(value, dtype), wanted.detach().numpy(), "value")
    assert_near(gradient, tensor.grad.numpy(), "gradient")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_outputs_dtype_and_values_are_python_floats(dtype):
    for mask in (None, np.array([True, False]), np.array([0.5, 2.0])):
        for loss, targets in (
            (CROSS_ENTROPY, np.array([0, 1], np.uint8)),
            (SQUARED_ERROR, np.ones((2, 3))),
        ):
            value, gradient = loss(np.ones((2, 3), dtype), targets, mask)
            assert type(value) is float
            assert gradient.dtype == dtype
            assert gradient.shape == (2, 3)


@pytest.mark.parametrize("classes", [9, 16, 17, 84])
def test_float32_agrees_with_float64(classes):
    rng = np.random.default_rng(1)
    outputs = rng.standard_normal((50, classes)).astype(np.float32)
    targets = rng.integers(0, classes, 50)
    single, double = CROSS_ENTROPY(outputs, targets), CROSS_ENTROPY(outputs.astype(float), targets)
    assert abs(single[0] - double[0]) < 1e-7
    assert_near(single[1], double[1], "gradient", "float32")


def test_cross_entropy_is_stable():
    outputs = np.array([[1e4, 0.0, -1e4], [-3e38, 3e38, 0.0]], np.float32)
    value, gradient = CROSS_ENTROPY(outputs, np.array([0, 1]))
    assert value == 0.0
    assert_same_bits(gradient, np.zeros((2, 3), np.float32), "gradient")
    value, gradient = CROSS_ENTROPY(outputs[:1], np.array([1]))
    assert value == 1e4
    assert_same_bits(gradient, np.array([[1, -1, 0]], np.float32), "gradient")
    assert CROSS_ENTROPY(np.array([[-np.inf, 0.0]]), [0])[0] == np.inf


def test_numbers_that_are_not_finite_give_such_a_value_without_a_warning():
    for bad in (np.nan, np.inf):
        assert not np.isfinite(CROSS_ENTROPY(np.array([[bad, 0.0]]), [0])[0])
        assert not np.isfinite(SQUARED_ERROR(np.array([[bad, 0.0]]), np.zeros((1, 2)))[0])
    assert SQUARED_ERROR(np.full((1, 1), 1e200), [[0.0]])[0] == np.inf


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_what_is_masked_does_not_matter(bad, weighted):
    rng = np.random.default_rng(2)
    outputs = rng.standard_normal((4, 3, 5)).astype(np.float32)
    mask = rng.random((4, 3)) < 0.5
    weights = mask * rng.uniform(0.5, 2.0, mask.shape) if weighted else mask
    classes, numbers = rng.integers(0, 5, (4, 3)), rng.standard_normal((4, 3, 5))
    spoiled = np.where(mask[..., None], outputs, np.float32(bad))
    for loss, targets, wrong in (
        (CROSS_ENTROPY, classes, np.where(mask, classes, -100)),
        (SQUARED_ERROR, numbers, np.where(mask[..., None], numbers, bad)),
    ):
        value, gradient = loss(outputs, targets, weights)
        spoiled_value, spoiled_gradient = loss(spoiled, wrong, weights)
        assert spoiled_value == value
        assert_same_bits(spoiled_gradient, gradient, "gradient")
        assert_same_bits(gradient[~mask], np.zeros_like(gradient[~mask]), "masked gradient")
        assert (gradient[mask] != 0).all()


def test_squared_error_masks_single_numbers():
    outputs, targets = np.array([[1.0, np.nan], [3.0, 5.0]]), np.array([[0.0, 1.0], [np.nan, 4.0]])
    mask = np.array([[1.0, 0.0], [0.0, 3.0]])
    value, gradient = SQUARED_ERROR(outputs, targets, mask)
    assert value == 1.0  # (1 * 1 + 3 * 1) / 4
    assert gradient.tolist() == [[0.5, 0.0], [0.0, 1.5]]


@pytest.mark.parametrize("mask", [np.zeros((2, 3), bool), np.zeros((2, 3))])
def test_with_nothing_unmasked_value_and_gradient_are_zero(mask):
    outputs = np.full((2, 3, 4), np.nan, np.float32)
    for loss, targets in ((CROSS_ENTROPY, np.full((2, 3), 99)), (SQUARED_ERROR, outputs)):
        value, gradient = loss(outputs, targets, mask)
        assert value == 0.0
        assert_same_bits(gradient, np.zeros_like(outputs), "gradient")


def test_no_places_at_all_are_zero():
    assert CROSS_ENTROPY(np.zeros((0, 3)), np.zeros(0, int))[0] == 0.0
    assert SQUARED_ERROR(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0))[0] == 0.0
    assert SQUARED_ERROR(np.zeros((2, 0)), np.zeros((2, 0)), np.ones(2))[1].shape == (2, 0)


def test_a_scale_of_all_weights_and_a_mask_of_ones_change_nothing():
    rng = np.random.default_rng(3)
    outputs, targets = rng.standard_normal((6, 4)), rng.integers(0, 4, 6)
    weights = rng.uniform(0.1, 1.0, 6)
    for loss, wanted in ((CROSS_ENTROPY, targets), (SQUARED_ERROR, rng.standard_normal((6, 4)))):
        assert_near(loss(outputs, wanted, weights)[1], loss(outputs, wanted, 8 * weights)[1], "x 8")
        assert_same_bits(
            loss(outputs, wanted, np.ones(6, bool))[1], loss(outputs, wanted)[1], "ones"
        )
        assert_near(loss(outputs, wanted, np.ones(6))[1], loss(outputs, wanted)[1], "ones")


def test_strides_do_not_matter_and_arguments_stay():
    rng = np.random.default_rng(4)
    for loss, targets in (
        (CROSS_ENTROPY, rng.integers(0, 3, (5, 4))),
        (SQUARED_ERROR, rng.standard_normal((5, 4, 3))),
    ):
        outputs = rng.standard_normal((4, 5, 3)).swapaxes(0, 1)
        before = outputs.copy(), targets.copy()
        expected = loss(np.ascontiguousarray(outputs), targets)
        found = loss(outputs, targets)
        assert found[0] == expected[0]
        assert_same_bits(found[1], expected[1], "gradient")
        assert_same_bits(outputs, before[0], "outputs")
        assert_same_bits(targets, before[1], "targets")


def test_the_check_would_find_half_a_gradient():
    gradient = CROSS_ENTROPY(SCORES, CLASSES)[1]
    numeric = differences(CROSS_ENTROPY, SCORES, CLASSES)
    assert np.abs(gradient / 2 - numeric).max() > 1e4 * TOLERANCES["gradient"][0]


def test_get():
    assert losses.get("softmax_cross_entropy") == losses.SoftmaxCrossEntropy()
    assert losses.get("mean_squared_error") == losses.MeanSquaredError()
    own = losses.MeanSquaredError()
    assert losses.get(own) is own
    assert isinstance(own, losses.Loss)


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        ("mse", ValueError, "loss: expected one of softmax_cross_entropy, mean_squared_error, "),
        (losses.MeanSquaredError, TypeError, "got the class MeanSquaredError"),
        (None, TypeError, "loss: expected a name or a loss, got NoneType"),
    ],
)
def test_get_refuses(argument, error, message):
    with pytest.raises(error, match=message):
        losses.get(argument)


X = np.zeros((2, 3, 4), np.float32)
T = np.zeros((2, 3), int)


@pytest.mark.parametrize(
    ("loss", "arguments", "error", "message"),
    [
        (CROSS_ENTROPY, (X.astype(int), T), TypeError, "outputs: expected float32 or float64, got"),
        (CROSS_ENTROPY, (X, T.astype(float)), TypeError, "targets: expected integer classes, got"),
        (CROSS_ENTROPY, (X, T > 0), TypeError, "targets: expected integer classes, got bool"),
        (CROSS_ENTROPY, (X, T[0]), ValueError, r"targets: expected shape \(2, 3\) for outputs"),
        (CROSS_ENTROPY, (X[..., :0], T), ValueError, r"outputs: expected shape \(\.\.\., C\)"),
        (CROSS_ENTROPY, (np.float32(1), T), ValueError, r"outputs: expected shape \(\.\.\., C\)"),
        (
            CROSS_ENTROPY,
            (X, T + 4),
            ValueError,
            r"targets\[0, 0\]: expected 0\.\.C-1 = 0\.\.3, got",
        ),
        (CROSS_ENTROPY, (X, T - 1), ValueError, r"got -1"),
        (CROSS_ENTROPY, (X, T, T[0]), ValueError, r"mask: expected shape \(2, 3\), got \(3,\)"),
        (CROSS_ENTROPY, (X, T, T - 1.0), ValueError, "mask: expected finite numbers of at least 0"),
        (CROSS_ENTROPY, (X, T, T * np.nan), ValueError, "mask: expected finite .* got nan"),
        (CROSS_ENTROPY, (X, T, T + np.inf), ValueError, "mask: expected finite .* got inf"),
        (CROSS_ENTROPY, (X, T, T.astype(str)), TypeError, "mask: expected booleans or numbers"),
        (SQUARED_ERROR, (X.astype("f2"), X), TypeError, "outputs: expected float32 or float64"),
        (
            SQUARED_ERROR,
            (X, X.astype(complex)),
            TypeError,
            "targets: expected numbers, got complex",
        ),
        (SQUARED_ERROR, (X, X[..., 0]), ValueError, r"targets: expected shape \(2, 3, 4\) like"),
        (SQUARED_ERROR, (np.float32(1), 1), ValueError, r"outputs: expected shape \(\.\.\., F\)"),
        (SQUARED_ERROR, (X, X, T[:1]), ValueError, r"mask: expected shape \(2, 3\), got \(1, 3\)"),
    ],
)
def test_bad_arguments_are_named(loss, arguments, error, message):
    with pytest.raises(error, match=message):
        loss(*arguments)


def test_the_message_finds_the_wrong_class_that_counts():
    targets = np.array([[9, 0, 1], [0, 7, 5]])
    mask = np.array([[False, True, True], [True, False, True]])
    with pytest.raises(ValueError, match=r"targets\[1, 2\]: expected 0\.\.C-1 = 0\.\.3, got 5"):
        CROSS_ENTROPY(X, targets, mask)
