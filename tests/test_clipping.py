"""Gradient clipping: exact norms, direction kept, PyTorch's rule."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastrnn.optim import clip_by_global_norm, clip_by_value
from fastrnn.testing import assert_same_bits

G = np.ones(4, np.float32)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 20_000),
    st.sampled_from([np.float32, np.float64]),
    st.floats(1e-3, 1e3),
    st.integers(0, 99),
)
def test_the_norm_is_exact_and_clipping_keeps_the_direction(size, dtype, max_norm, seed):
    gradients = np.random.default_rng(seed).standard_normal(size).astype(dtype)
    before = gradients.copy()
    exact = math.sqrt(math.fsum(float(g) ** 2 for g in before))
    norm = clip_by_global_norm(gradients, max_norm)
    assert norm == pytest.approx(exact, rel=1e-13)
    if norm <= max_norm:
        assert_same_bits(gradients, before, "gradients")
    else:
        scale = max_norm / (norm + 1e-6)
        np.testing.assert_allclose(gradients, before * scale, rtol=4 * np.finfo(dtype).eps)


def test_pytorch_clips_alike():
    torch = pytest.importorskip("torch")
    for scale in (0.01, 1.0, 100.0):
        gradients = (scale * np.random.default_rng(0).standard_normal(500)).astype(np.float32)
        tensor = torch.zeros(500, requires_grad=True)
        tensor.grad = torch.tensor(gradients)
        wanted = float(torch.nn.utils.clip_grad_norm_([tensor], 5.0))
        assert clip_by_global_norm(gradients, 5.0) == pytest.approx(wanted, rel=1e-6)
        np.testing.assert_allclose(gradients, tensor.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e200), (np.float64, 1e-200)]
)
def test_norms_beyond_the_range_of_squares(dtype, size):
    gradients = np.full(20_000, size, dtype)
    assert clip_by_global_norm(gradients, np.inf) == pytest.approx(
        size * math.sqrt(20_000), rel=1e-6
    )
    clip_by_global_norm(gradients, 1e-3)
    assert np.linalg.norm(gradients.astype(float)) <= 1e-3 * (1 + 1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_norm_that_is_not_finite_leaves_the_gradients(dtype, bad):
    gradients = np.array([3, bad, 4], dtype)
    before = gradients.copy()
    norm = clip_by_global_norm(gradients, 1.0)
    assert norm != norm if np.isnan(bad) else norm == np.inf
    assert_same_bits(gradients, before, "gradients")
    assert np.isnan(clip_by_global_norm(np.array([np.nan, np.inf]), 1.0))


def test_zero_gradients_have_norm_zero():
    assert clip_by_global_norm(np.zeros(5, np.float32), 1.0) == 0.0
    assert clip_by_global_norm(np.zeros(0, np.float32), 1.0) == 0.0


def test_the_norm_does_not_depend_on_the_threads_of_blas():
    code = (
        "import numpy as np; from fastrnn.optim import clip_by_global_norm as f;"
        "print(f(np.random.default_rng(0).standard_normal(300_000), 1.0).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(found) == 1


def test_clip_by_value():
    gradients = np.array([-np.inf, -3, -0.5, 0, 2.0, np.nan, np.inf], np.float32)
    assert clip_by_value(gradients, 2) is None
    expected = np.array([-2, -2, -0.5, 0, 2, np.nan, 2], np.float32)
    np.testing.assert_array_equal(gradients, expected)


@pytest.mark.parametrize("clip", [clip_by_global_norm, clip_by_value])
@pytest.mark.parametrize(
    ("gradients", "limit", "error", "message"),
    [
        (G, 0, ValueError, "max_(norm|value): expected more than 0, got 0"),
        (G, -1.0, ValueError, "max_(norm|value): expected more than 0, got -1.0"),
        (G, np.nan, ValueError, "max_(norm|value): expected more than 0, got nan"),
        (G, "1", TypeError, "max_(norm|value): expected a number, got str"),
        ([1.0], 1.0, TypeError, "gradients: expected a float32 or float64 array, got list"),
        (np.ones((2, 2)), 1.0, ValueError, "gradients: expected one contiguous axis"),
    ],
)
def test_clipping_refuses(clip, gradients, limit, error, message):
    with pytest.raises(error, match=message):
        clip(gradients, limit)
    assert_same_bits(G, np.ones(4, np.float32), "gradients")
