"""Weights of sequences and classes, and batches cut into rows."""

import numpy as np
import pytest

import fastrnn as fr
from data_cases import LENGTHS, assert_same_batches, ragged

X, Y = ragged(LENGTHS)
ONE_EACH = np.arange(11) % 3
WEIGHTS = np.linspace(0, 2, 11)


@pytest.mark.parametrize("rows", [[0, 5, 3], [1], [9, 10]])
@pytest.mark.parametrize("target", ["per sequence", "vectors", "per step", "per step, vectors"])
@pytest.mark.parametrize("masked", [False, True])
def test_sample_weights_multiply_masks(target, masked, rows):
    rng = np.random.default_rng(0)
    y = {
        "per sequence": ONE_EACH,
        "vectors": rng.random((11, 2)),
        "per step": Y,
        "per step, vectors": [rng.random((n, 2)) for n in LENGTHS],
    }[target]
    mask = None
    if masked:
        each = [rng.random(np.shape(part)) for part in y]
        mask = each if target.startswith("per step") else np.array(each)
    plain = fr.data.Dataset(X, y, None, mask)
    weighted = fr.data.Dataset(X, y, None, mask, sample_weight=WEIGHTS.tolist())
    before, after = plain.batch(rows), weighted.batch(rows)
    assert weighted.per_step == target.startswith("per step")
    for n, row in enumerate(rows):
        single = 1 if before.mask is None else before.mask[n]
        assert np.allclose(after.mask[n], single * WEIGHTS[row], rtol=1e-15, atol=0)
    assert after.mask.shape == (after.y.shape[:1] if before.mask is None else before.mask.shape)
    part = weighted.subset([2, 5, 7])
    assert_same_batches([part.batch([0, 2])], [weighted.batch([2, 7])])


def test_sample_weights_of_dense_steps_make_a_mask():
    data = fr.data.Dataset(np.zeros((2, 3, 1)), np.zeros((2, 3), int), sample_weight=[2, 0.5])
    assert data.batch([1, 0]).mask.tolist() == [[0.5] * 3, [2.0] * 3]


def test_weights_count_as_often_as_sequences():
    """A weight of 2 is the sequence twice: the same loss."""
    loss = fr.losses.SoftmaxCrossEntropy()
    scores = np.random.default_rng(0).standard_normal((11, 3))
    once = fr.data.Dataset(X, ONE_EACH, sample_weight=np.arange(11)).batch(np.arange(11))
    rows = np.repeat(np.arange(11), np.arange(11))
    value, _ = loss(scores, once.y, once.mask)
    assert np.isclose(value, loss(scores[rows], ONE_EACH[rows])[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (WEIGHTS[:5], r"sample_weight: expected shape \(N,\) = \(11,\), got \(5,\)"),
        (-WEIGHTS, "sample_weight: expected finite numbers of at least 0"),
        (WEIGHTS + np.inf, "sample_weight: expected finite numbers of at least 0"),
        (["a"] * 11, "sample_weight: expected numbers"),
    ],
)
def test_bad_sample_weights_are_named(weights, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fr.data.Dataset(X, ONE_EACH, sample_weight=weights)


@pytest.mark.parametrize("seed", range(3))
def test_balanced_weights_are_those_of_scikit_learn(seed):
    utils = pytest.importorskip("sklearn.utils.class_weight")
    y = np.random.default_rng(seed).choice(6, 50, p=[0.4, 0.1, 0, 0.25, 0.2, 0.05])
    classes = np.unique(y)
    got = fr.data.class_weights(y, "balanced", num_classes=8)
    expected = utils.compute_class_weight("balanced", classes=classes, y=y)
    assert np.allclose(got[classes], expected, rtol=1e-14)
    absent = np.setdiff1d(np.arange(8), classes)
    assert (got[absent] == 1).all()
    assert len(fr.data.class_weights(y.tolist(), "balanced")) == classes[-1] + 1


def test_each_class_counts_alike_when_balanced():
    y = np.repeat([0, 1, 2], [7, 2, 90])
    weights = fr.data.class_weights(y, "balanced")
    assert np.allclose(np.bincount(y, weights[y]), 33.0)


def long_data():
    """Return y of more sequences than are counted at a time, and data sets of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 5, 700)
    x = [np.zeros((n, 1)) for n in lengths]
    y = [rng.integers(0, 4, n) for n in lengths]
    mask = [rng.random(n) < 0.7 for n in lengths]
    return x, y, mask


def test_only_targets_that_count_are_counted():
    x, y, mask = long_data()
    flat, counts = np.concatenate(y), np.concatenate(mask)
    wrong = [np.where(ok, row, -100) for row, ok in zip(y, mask, strict=True)]
    padded, lengths = fr.data.pad_sequences(wrong)
    shape = (*padded.shape, 1)
    expected = fr.data.class_weights(flat[counts], "balanced")
    for source in (
        fr.data.Dataset(x, wrong, None, mask),
        fr.data.Dataset(
            np.zeros(shape),
            padded,
            lengths,
            fr.data.pad_sequences(mask)[0],
            WEIGHTS[1:2].repeat(700),
        ),
        fr.data.ParallelStreams(x, wrong, 3, 4, mask=mask),
    ):
        assert np.array_equal(fr.data.class_weights(source, "balanced"), expected)
    every = fr.data.class_weights(flat, "balanced")
    assert np.array_equal(fr.data.class_weights(fr.data.Dataset(x, y), "balanced"), every)


def test_streams_count_in_pieces(monkeypatch):
    from fastrnn import parallel_streams

    monkeypatch.setattr(parallel_streams, "TARGETS_AT_ONCE", 4)
    y = np.arange(11) ** 2 % 5
    streams = fr.data.ParallelStreams(np.arange(11), y, 2, 3)
    assert [len(part) for part, _ in streams.targets()] == [4, 4, 2]
    expected = fr.data.class_weights(y[:10], "balanced")
    assert np.array_equal(fr.data.class_weights(streams, "balanced"), expected)


def test_dicts_are_spread_over_classes_and_read_no_data():
    chunks = fr.data.Chunks(lambda: 1 / 0, per_step=False)
    weights = fr.data.class_weights(chunks, {1: 3, np.int64(0): 0.5}, num_classes=3)
    assert weights.tolist() == [0.5, 3, 1]
    assert fr.data.class_weights(None, {}).tolist() == [1.0]


BAD = [
    (ONE_EACH, "even", None, 'class_weight: expected "balanced" or a dict'),
    (ONE_EACH, [1.0, 2.0], None, 'class_weight: expected "balanced" or a dict'),
    (ONE_EACH, "balanced", 2, r"class_weight: expected classes 0..1, got 2"),
    (ONE_EACH, {5: 1.0}, 2, r"class_weight: expected classes 0..1, got 5"),
    (ONE_EACH, {-1: 1.0}, None, "class_weight: expected at least 0, got -1"),
    (ONE_EACH, {"a": 1.0}, None, "class_weight: expected an integer, got str"),
    (ONE_EACH, {0: "a"}, None, r"class_weight\[0\]: expected a number, got str"),
    (ONE_EACH, {0: -1.0}, None, "class_weight: expected finite numbers of at least 0"),
    (ONE_EACH - 1, "balanced", None, "class_weight: expected classes of at least 0, got -1"),
    (ONE_EACH * 1.0, "balanced", None, "class_weight: expected integer classes as targets, got fl"),
    (ONE_EACH[:0], "balanced", None, "class_weight: expected at least one target that counts"),
    (fr.data.Chunks(list, per_step=False), "balanced", None, "class_weight: expected a dict for a"),
    (fr.data.Batches(list, per_step=False), "balanced", None, "class_weight: .* got Batches"),
]


@pytest.mark.parametrize(("y", "weights", "classes", "message"), BAD)
def test_bad_class_weights_are_named(y, weights, classes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        fr.data.class_weights(y, weights, classes)


def test_class_weights_multiply_masks():
    vector = np.array([0.5, 2.0])
    dense = fr.data.Dataset(np.zeros((4, 2, 1)), np.array([0, 1, 2, 1])).batch(np.arange(4))
    got = fr.data.with_class_weights(dense, vector)
    assert got.mask.tolist() == [0.5, 2, 1, 2]  # class 2 has no weight
    assert dense.mask is None
    steps = fr.data.Dataset(X[:3], [row - 1 for row in Y[:3]], None, [row + 1 for row in Y[:3]])
    before = steps.batch([0, 1, 2])
    after = fr.data.with_class_weights(before, vector)
    for place in np.ndindex(before.y.shape):
        weight = {0: 0.5, 1: 2.0}.get(before.y[place], 1.0)
        assert after.mask[place] == before.mask[place] * weight
    assert after.x is before.x
    with pytest.raises(TypeError, match="class_weight: expected integer classes"):
        fr.data.with_class_weights(fr.data.Batch(X, np.zeros(3), None, None), vector)


PARTS = [slice(0, 2), slice(1, None), slice(None, None, 2), slice(3, 3)]


@pytest.mark.parametrize("part", PARTS)
def test_rows_of_a_batch_keep_its_steps(part):
    streams = fr.data.ParallelStreams(X, Y, 4, 3)
    for batch in (
        *list(streams)[-2:],
        fr.data.Dataset(X, ONE_EACH).batch([0, 2, 4, 1]),
        fr.data.Dataset(np.zeros((4, 2, 1)), ONE_EACH[:4]).batch([0, 1, 2, 3]),
    ):
        cut = batch.rows(part)
        for name in ("x", "y", "lengths", "mask", "reset"):
            whole, some = getattr(batch, name), getattr(cut, name)
            assert (whole is None) == (some is None)
            if whole is not None:
                assert some.tolist() == whole[part].tolist()
                assert some.base is whole or np.shares_memory(some, whole) or not some.size
        assert cut.x.shape[1] == batch.x.shape[1]


def test_rows_of_inputs_of_any_kind():
    class Pair:
        def __init__(self, *parts):
            self.parts = parts

        def __getitem__(self, part):
            return Pair(*(one[part] for one in self.parts))

    batch = fr.data.Batch(Pair("abc", "xyz"), np.arange(3), None, None)
    assert batch.rows(slice(1, 3)).x.parts == ("bc", "yz")
    with pytest.raises(TypeError, match="part: expected a slice, got int"):
        batch.rows(1)
