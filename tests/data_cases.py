"""Data for the tests of what hands out batches, and the comparison of batches."""

import numpy as np

from fastrnn.testing import assert_same_bits


def ragged(lengths, seed=0):
    """Return x and y, a list each, of sequences with these lengths."""
    rng = np.random.default_rng(seed)
    x = [rng.standard_normal((n, 2)).astype(np.float32) for n in lengths]
    return x, [rng.integers(0, 4, n) for n in lengths]


LENGTHS = (5, 3, 9, 1, 12, 4, 8, 8, 2, 6, 7)


def assert_same_batches(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for name in ("x", "y", "lengths", "mask", "reset"):
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None) == (b is None)
            if a is not None:
                assert_same_bits(a, b, name)
