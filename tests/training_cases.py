"""Small tasks and models that tests of training share."""

import numpy as np

import fastrnn as fr


def sums(count=96, seed=0, ragged=False):
    """Sequences labelled by the sign of their sum."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 11, count) if ragged else [10] * count
    x = [rng.standard_normal((steps, 1)).astype(np.float32) for steps in lengths]
    y = np.array([int(row.sum() > 0) for row in x])
    return (x if ragged else np.stack(x)), y


def classifier(cell=fr.GRU, dropout=0.0, seed=0):
    return fr.Sequential(
        [
            cell(1, 16, 2, dropout=dropout, seed=seed),
            fr.Last(),
            fr.Linear(16, 2, seed=seed + 1),
        ]
    )


def latch(count, length, seed):
    """Sequences with a rare impulse of either sign; the target is the sign of the last one."""
    rng = np.random.default_rng(seed)
    impulses = rng.choice([-1, 1], (count, length)) * (rng.random((count, length)) < 0.04)
    impulses[:, 0] = rng.choice([-1, 1], count)
    x = impulses[..., None].astype(np.float32)
    y = np.zeros((count, length), np.int64)
    for t in range(length):
        y[:, t] = np.where(impulses[:, t], impulses[:, t] > 0, y[:, t - 1])
    return x, y


def tagger(seed=0, hidden=12, dtype="float32", **options):
    return fr.Sequential(
        [
            fr.GRU(1, hidden, dtype=dtype, seed=seed, **options),
            fr.Linear(hidden, 2, dtype=dtype, seed=seed + 1),
        ]
    )
