"""Chunks read as they are reached, and ready batches: complete, repeatable, refused where wrong."""

import gc
import weakref

import numpy as np
import pytest

import fastrnn as fr
from data_cases import assert_same_batches, ragged

SIZES = (5, 1, 8, 3)


def read():
    begin = 0
    for size in SIZES:
        x, _ = ragged(range(1, size + 1), seed=begin)
        yield x, np.arange(begin, begin + size)
        begin += size


def targets(batches):
    return [batch.y.tolist() for batch in batches]


def test_chunks_are_read_one_after_the_other():
    source = fr.data.Chunks(read, per_step=False)
    assert isinstance(source, fr.data.Source)
    assert source.num_batches(3) is None
    expected = [
        *([0, 1, 2], [3, 4]), [5], *([6, 7, 8], [9, 10, 11], [12, 13]), [14, 15, 16],
    ]  # fmt: skip
    for _ in range(2):
        assert targets(source.batches(batch_size=3)) == expected
        assert source.num_batches(3) == len(expected)
        assert source.num_batches(100) == len(SIZES)
    assert repr(source) == "Chunks(17 sequences in 4, targets per sequence)"


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("start", range(9))
def test_a_start_leaves_out_batches_and_draws_the_same(start, bucket):
    def run(start):
        rng = np.random.default_rng(5)
        source = fr.data.Chunks(read, per_step=False)
        found = source.batches(rng, batch_size=3, start=start, bucket_by_length=bucket)
        drawn = rng.bit_generator.state
        found = list(found)
        assert rng.bit_generator.state == drawn  # all is drawn by the call
        return found, drawn

    (whole, drawn), (rest, again) = run(0), run(start)
    order = np.concatenate([batch.y for batch in whole])
    assert sorted(order) == list(range(17))
    assert sorted(order[:5]) == list(range(5))  # within the chunk
    assert_same_batches(rest, whole[start:])
    assert drawn == again


def test_passes_with_a_generator_differ():
    source, rng = fr.data.Chunks(read, per_step=False), np.random.default_rng(0)
    first, second = (targets(source.batches(rng, batch_size=3)) for _ in range(2))
    assert first != second


def test_one_chunk_is_held_at_a_time():
    alive = weakref.WeakSet()

    def make():
        for n in range(4):
            gc.collect()
            assert len(alive) == 0  # the one before is gone
            data = fr.data.Dataset(np.zeros((4, 2, 1)), np.full(4, n))
            alive.add(data)
            yield data
            del data

    assert len(list(fr.data.Chunks(make, per_step=False).batches(batch_size=3))) == 8


def test_sizes_are_known_beforehand_or_refused():
    source = fr.data.Chunks(read, per_step=False, sizes=SIZES)
    assert source.num_batches(3) == 7
    assert source.fingerprint()["sequences"] == 17
    assert len(list(source.batches(batch_size=3))) == 7
    for wrong, message in (
        ((5, 2, 8, 3), r"sizes\[1\]: expected 1 as read, got 2"),
        (SIZES[:3], "sizes: expected 4 chunks as read, got 3"),
        ((*SIZES, 2), "sizes: expected 4 chunks as read, got 5"),
    ):
        source = fr.data.Chunks(read, per_step=False, sizes=wrong)
        with pytest.raises(ValueError, match=message):
            list(source.batches(batch_size=3))


X = np.zeros((3, 4, 2), np.float32)
Y = np.arange(3)
SECOND = [  # what the second chunk may not be after (X, Y), and what is said
    ((X[..., :1], Y), "chunk 1: expected x of float32 with F = 2 like the first .* with F = 1"),
    ((X.astype(float), Y), "chunk 1: expected x of float32 .* got float64 with F = 2"),
    ((X[..., 0].astype(int), Y), "chunk 1: expected x of float32 .* got int64 without features"),
    ((X, Y.astype(float)), "chunk 1: expected y of int64 without features .* got float64"),
    ((X, np.zeros((3, 4), int)), "chunk 1: expected targets per sequence .* got targets per step"),
    ((X, Y[:2]), "chunk 1: y: expected N = 3 targets like x, got 2"),
    ((X, ["a"] * 3), "chunk 1: y: expected numbers"),
    ((X,), "chunk 1: expected a Dataset or a tuple .* got tuple"),
    (fr.data.Batch(X, Y, None, None), "chunk 1: .* got Batch; data.Batches takes those"),
]  # fmt: skip


@pytest.mark.parametrize(("second", "message"), SECOND)
def test_chunks_that_do_not_fit_are_named(second, message):
    source = fr.data.Chunks(lambda: [(X, Y), second], per_step=False)
    batches = source.batches(batch_size=3)
    next(batches)
    with pytest.raises((TypeError, ValueError), match=message):
        next(batches)
    assert source.num_batches(3) is None  # the pass was not whole


def test_padded_chunks_may_have_different_numbers_of_steps():
    source = fr.data.Chunks(lambda: [(X, Y), (X[:, :2], Y)], per_step=False)
    assert [batch.x.shape[1] for batch in source.batches(batch_size=3)] == [4, 2]


def ready(carried=False):
    reset = np.zeros(3, bool) if carried else None
    return [fr.data.Batch(X + n, Y, None, None, reset) for n in range(4)]


KINDS = {
    "Chunks": lambda make, **others: fr.data.Chunks(make, per_step=False, **others),
    "Batches": lambda make, **others: fr.data.Batches(make, per_step=False, **others),
}


@pytest.mark.parametrize("kind", KINDS)
def test_makers_that_cannot_do_are_refused(kind):
    source = KINDS[kind]
    items = {"Chunks": [(X, Y)], "Batches": ready()}[kind]
    with pytest.raises(TypeError, match="got generator, which can be gone through only once; pass"):
        source(item for item in items)
    with pytest.raises(TypeError, match="got list; for a list, pass lambda"):
        source(items)
    with pytest.raises(TypeError, match="got int$"):
        source(3)
    with pytest.raises(TypeError, match="make: .* got one that returns NoneType"):
        list(source(lambda: None).batches(batch_size=2))
    with pytest.raises(ValueError, match="make: expected an iterator of at least one .*, got none"):
        list(source(lambda: iter(())).batches(batch_size=2))
    once = iter(items)
    used = source(lambda: once)
    list(used.batches(batch_size=2))
    with pytest.raises(
        ValueError, match="make: expected a fresh iterator at every call, got the s"
    ):
        list(used.batches(batch_size=2))
    again = source(lambda: items)  # a list is gone through from its beginning every time
    assert len(list(again.batches(batch_size=3))) == len(list(again.batches(batch_size=3)))
    for options, message in (
        ({"start": -1}, "start: expected at least 0"),
        ({"bucket_by_length": True}, "bucket_by_length: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            again.batches(batch_size=3, **options)


def test_bad_options_of_chunks_are_named():
    with pytest.raises(TypeError, match="per_step: expected True or False"):
        fr.data.Chunks(read, per_step=None)
    with pytest.raises(ValueError, match=r"sizes\[1\]: expected at least 1"):
        fr.data.Chunks(read, per_step=False, sizes=[1, 0])
    with pytest.raises(ValueError, match="sizes: expected at least one chunk"):
        fr.data.Chunks(read, per_step=False, sizes=[])
    with pytest.raises(ValueError, match="batch_size: expected at least 1"):
        fr.data.Chunks(read, per_step=False).batches(batch_size=0)


@pytest.mark.parametrize("carried", [False, True])
def test_ready_batches_are_handed_on(carried):
    batches = ready(carried)
    source = fr.data.Batches(lambda: iter(batches), per_step=False, carries_state=carried)
    assert isinstance(source, fr.data.Source)
    assert source.carries_state is carried
    assert source.num_batches() is None
    assert all(a is b for a, b in zip(source.batches(), batches, strict=True))
    assert all(a is b for a, b in zip(source.batches(start=3), batches[3:], strict=True))
    assert source.num_batches() == 4
    assert repr(source) == "Batches(4)"
    other = fr.data.Batches(lambda: iter(batches), per_step=False, carries_state=not carried)
    with pytest.raises(ValueError, match="batch 0: expected .*reset as of carries_state"):
        next(other.batches())


def test_ready_batches_are_counted():
    assert fr.data.Batches(ready, per_step=False, count=4).num_batches() == 4
    with pytest.raises(ValueError, match="count: expected 4 batches as made, got 5"):
        list(fr.data.Batches(ready, per_step=False, count=5).batches())
    with pytest.raises(TypeError, match="batch 0: expected a Batch, got tuple"):
        list(fr.data.Batches(lambda: [(X, Y)], per_step=False).batches())
