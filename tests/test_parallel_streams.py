"""Parallel streams: every step of every sequence once, in order, in one row."""

import numpy as np
import pytest

import fastrnn as fr


def collected(batches, count):
    """Return for each sequence its (x, y) steps, found by rows and resets alone."""
    found, current = [], [None] * count
    for batch in batches:
        assert batch.x.shape[0] == len(batch.reset) == count
        lengths = np.full(count, batch.x.shape[1]) if batch.lengths is None else batch.lengths
        assert batch.x.shape[1] == lengths.max() >= 1
        for row in range(count):
            if batch.reset[row]:
                current[row] = []
                found.append(current[row])
            for t in range(batch.x.shape[1]):
                if t < lengths[row]:
                    current[row].append((batch.x[row, t].tolist(), batch.y[row, t].tolist()))
                else:
                    assert not batch.x[row, t].any()
                    assert not batch.mask[row, t].any()
    return found


@pytest.mark.parametrize("rows", [1, 2, 3, 10])
@pytest.mark.parametrize("steps", [1, 3, 4, 50])
def test_each_sequence_is_in_one_row_in_order(rows, steps):
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 2)) for n in (5, 3, 0, 12, 1, 4, 8)]
    y = [rng.integers(0, 9, len(row)) for row in x]
    streams = fr.data.ParallelStreams(x, y, rows, steps)
    expected = [
        list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(x, y, strict=True) if len(a)
    ]
    assert collected(streams, rows) == expected
    assert collected(streams, rows) == expected  # may be run again
    mixed = collected(streams.batches(np.random.default_rng(1)), rows)
    assert mixed != expected
    assert sorted(mixed) == sorted(expected)


@pytest.mark.parametrize(
    ("length", "rows", "steps"), [(12, 3, 2), (14, 3, 3), (7, 1, 3), (5, 5, 9)]
)
def test_one_stream_is_cut_into_equal_parts(length, rows, steps):
    x = np.arange(length)
    streams = fr.data.ParallelStreams(x, x + 1, rows, steps)
    part = length // rows
    expected = [[(n, n + 1) for n in range(row * part, (row + 1) * part)] for row in range(rows)]
    assert collected(streams, rows) == expected
    batches = list(streams)
    assert len(batches) == -(-part // steps)
    assert all(batch.lengths is None and batch.mask.all() for batch in batches)
    assert batches[0].reset.all()
    assert not any(batch.reset.any() for batch in batches[1:])
    assert np.shares_memory(streams._x.rows, x)  # not copied


def test_one_feature_and_floats_as_targets():
    x = np.arange(8, dtype=np.float32)
    (batch,) = fr.data.ParallelStreams(x, -x, 2, 4)
    assert batch.x[..., 0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batch.y.shape == (2, 4, 1)
    assert batch.x.dtype == np.float32


def test_masks_go_along():
    x = [np.ones((3, 1)), np.ones((5, 1))]
    y = [np.zeros((3, 2)), np.zeros((5, 2))]
    for mask in ([[1, 0, 2], [0, 1, 1, 1, 0]], [np.ones((3, 2)), np.zeros((5, 2))]):
        batches = list(fr.data.ParallelStreams(x, y, 2, 2, mask=mask))
        joined = np.concatenate([batch.mask for batch in batches], axis=1)
        for row, weights in zip(joined, mask, strict=True):
            assert row[: len(weights)].tolist() == np.asarray(weights).tolist()
            assert not row[len(weights) :].any()


SEQUENCES = [np.ones((3, 1)), np.ones((4, 1))]
BAD = [
    ((np.ones(5), np.ones(5), 0, 2), {}, "batch_size: expected at least 1"),
    ((np.ones(5), np.ones(5), 2, 1.5), {}, "steps: expected an integer"),
    ((np.ones(5), np.ones(5), 6, 2), {}, "x: expected at least 6 steps, one a row, got fewer"),
    (([np.ones((0, 1))], [np.ones((0, 1))], 1, 2), {}, "x: expected at least 1 steps"),
    ((np.ones(6), np.ones(9), 3, 2), {}, "y: expected as many sequences and steps as x has"),
    ((SEQUENCES, SEQUENCES[::-1], 2, 2), {}, "y: expected as many sequences and steps as x has"),
    ((SEQUENCES, [0, 1], 2, 2), {}, r"y\[0\]: expected 1 or 2 axes"),
    ((SEQUENCES, 3, 2, 2), {}, "y: expected an array or a list of arrays, got int"),
    ((np.array("text"), np.ones(5), 1, 2), {}, "x: expected numbers"),
    ((np.array(1.0), np.ones(5), 1, 2), {}, r"x: expected 1 or 2 axes \(T, F\), got shape \(\)"),
    ((SEQUENCES, SEQUENCES, 2, 2), {"mask": [[1] * 3, [1] * 3]}, "mask: expected as many"),
    ((np.ones(4), np.ones(4), 2, 2), {"mask": np.ones((4, 3))}, "mask: expected y's shape"),
    ((np.ones(4), np.ones(4), 2, 2), {"mask": -np.ones(4)}, "mask: expected finite numbers of at"),
]


@pytest.mark.parametrize(("arguments", "options", "message"), BAD)
def test_bad_arguments(arguments, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fr.data.ParallelStreams(*arguments, **options)


def test_its_repr_tells_sizes():
    streams = fr.data.ParallelStreams(np.ones(20), np.ones(20), 3, 2)
    assert repr(streams) == "ParallelStreams(3 rows, 2 of 18 steps a batch)"
