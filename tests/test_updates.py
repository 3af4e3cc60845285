"""The kernels of a training step outside of the layers, and what they refuse."""

import numpy as np
import pytest

from fastrnn import ops
from fastrnn._isa import kernels
from fastrnn.testing import assert_near, assert_same_bits

SIZES = [0, 1, 15, 16, 17, 33, 1000]


def drawn(size, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_adam_has_the_bits_of_numpy_s_passes(size, dtype):
    p, m, s = drawn(size, dtype), np.zeros(size, dtype), np.zeros(size, dtype)
    expected = [p.copy(), m.copy(), s.copy()]
    for step in range(5):
        g = drawn(size, dtype, 1 + step)
        ops.adam(p, g, m, s, (0.9, 0.99), 1e-5, 0.03)
        expected[1] = expected[1] * 0.9 + g
        expected[2] = expected[2] * 0.99 + g * g
        expected[0] = expected[0] - expected[1] / (np.sqrt(expected[2]) + 1e-5) * 0.03
    for found, wanted in zip((p, m, s), expected, strict=True):
        assert_same_bits(found, wanted, "vector")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [*SIZES, 8191, 8192, 8193, 20_001])
def test_the_sum_of_squares_is_float64_s(size, dtype):
    vector = drawn(size, dtype)
    wanted = np.sum(vector.astype(np.float64) ** 2)
    assert ops.sum_of_squares(vector) == pytest.approx(wanted, rel=1e-14)


def test_the_sum_of_squares_has_the_same_bits_in_every_instruction_set():
    vector = np.sqrt(np.arange(1, 20_002, dtype=np.float64)) / 3  # correctly rounded everywhere
    assert ops.sum_of_squares(vector).hex() == "0x1.532293aaaaaabp+24"
    assert ops.sum_of_squares(vector.astype(np.float32)).hex() == "0x1.532293acb0eaap+24"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [1, 2, 7, 8, 9, 15, 16, 17, 84])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_the_definition(classes, weighted, dtype):
    rng = np.random.default_rng(classes)
    scores = (4 * rng.standard_normal((6, classes)) - 2000).astype(dtype)
    labels = rng.integers(0, classes, 6)
    weights = np.array([1, 0.25, 0, 3, 0.5, 1]) if weighted else None
    share = np.full(6, 1 / 6) if weights is None else weights / weights.sum()
    exact = scores.astype(np.float64)
    exponentials = np.exp(exact - exact.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    value, gradient = ops.softmax_cross_entropy(scores, labels, weights)
    kind = "float32" if dtype == np.float32 else "float64"
    assert gradient.dtype == dtype
    assert_near(value, -(share * np.log(softmax[np.arange(6), labels])).sum(), "value", kind)
    assert_near(gradient, share[:, None] * (softmax - np.eye(classes)[labels]), "gradient", kind)


def adam_arguments():
    vectors = {name: np.ones(4, np.float32) for name in ("gradients", "sum", "square_sum")}
    return {"parameters": np.ones(4, np.float32), **vectors, "beta1": 0.9, "beta2": 0.9,
            "epsilon": 0.1, "rate": 0.1}  # fmt: skip


def loss_arguments():
    return {
        "scores": np.zeros((4, 3), np.float32),
        "labels": np.zeros(4, np.int64),
        "weights": np.ones(4),
        "gradient": np.zeros((4, 3), np.float32),
    }


CALLS = {
    "adam": adam_arguments,
    "softmax_cross_entropy": loss_arguments,
    "sum_of_squares": lambda: {"vector": np.ones(4, np.float32)},
}


def spoiled(array):
    return {
        "dtype": array.astype(np.int16),
        "byte order": array.astype(array.dtype.newbyteorder()),
        "short": array[:-1].copy(),
        "axes": array[None],
        "strides": np.repeat(array, 2, axis=-1)[..., ::2],
    }


@pytest.mark.parametrize("kind", ["dtype", "byte order", "short", "axes", "strides"])
@pytest.mark.parametrize("call", CALLS)
def test_wrong_arrays_are_refused(call, kind):
    getattr(kernels, call)(**CALLS[call]())
    for name, value in CALLS[call]().items():
        if not isinstance(value, np.ndarray) or (name == "vector" and kind == "short"):
            continue
        # The first array says how long the others are
        first = name in ("parameters", "scores") and kind == "short"
        expected = r"\w+" if first else name
        with pytest.raises((TypeError, ValueError), match=rf"^{expected}: expected"):
            getattr(kernels, call)(**CALLS[call]() | {name: spoiled(value)[kind]})


@pytest.mark.parametrize(
    ("call", "written"),
    [
        ("adam", ["parameters", "sum", "square_sum"]),
        ("softmax_cross_entropy", ["gradient"]),
    ],
)
def test_results_need_writable_memory_of_their_own(call, written):
    for name in written:
        arguments = CALLS[call]()
        arguments[name].flags.writeable = False
        with pytest.raises(ValueError, match=f"{name}: expected a writable array"):
            getattr(kernels, call)(**arguments)
        for other, value in CALLS[call]().items():
            if isinstance(value, np.ndarray) and other != name:
                arguments = CALLS[call]()
                whole = np.zeros(400, np.uint8)
                for shared in (name, other):
                    model = arguments[shared]
                    view = whole[: model.nbytes].view(model.dtype).reshape(model.shape)
                    arguments[shared] = view
                with pytest.raises(ValueError, match="expected memory of its own, got memory sha"):
                    getattr(kernels, call)(**arguments)


@pytest.mark.parametrize("label", [-1, 3, 2**62, -(2**62)])
def test_labels_outside_of_their_row_are_refused_where_they_count(label):
    arguments = loss_arguments()
    arguments["labels"][2] = label
    with pytest.raises(ValueError, match=rf"labels\[2\]: expected 0..C-1 = 0..2, got {label}"):
        kernels.softmax_cross_entropy(**arguments)
    with pytest.raises(ValueError, match=r"labels\[2\]: expected"):
        kernels.softmax_cross_entropy(**arguments | {"weights": None})
    arguments["weights"][2] = 0
    assert np.isfinite(kernels.softmax_cross_entropy(**arguments))
    assert not arguments["gradient"][2].any()
