"""Sources: the same batches from any start, and as many as they say, in all the library's kinds."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from data_cases import LENGTHS, assert_same_batches, ragged

SOURCES = {
    "dense": fr.data.Dataset(np.arange(22.0).reshape(11, 2, 1), np.arange(11)),
    "ragged": fr.data.Dataset(*ragged(LENGTHS)),
    "streams": fr.data.ParallelStreams(*ragged(LENGTHS), batch_size=3, steps=4),
    "one stream": fr.data.ParallelStreams(np.arange(50), np.arange(50) + 1, batch_size=3, steps=4),
}


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_start_leaves_out_batches_and_draws_the_same(kind, seed):
    source = SOURCES[kind]
    bucket = kind == "ragged" and seed is not None

    def run(start):
        rng = None if seed is None else np.random.default_rng(seed)
        found = source.batches(rng, batch_size=4, start=start, bucket_by_length=bucket)
        drawn = None if rng is None else rng.bit_generator.state
        batches = list(found)
        assert rng is None or rng.bit_generator.state == drawn  # all is drawn by the call
        return batches, drawn

    whole, drawn = run(0)
    for start in (1, 2, len(whole) - 1, len(whole), len(whole) + 5):
        rest, again = run(start)
        assert_same_batches(rest, whole[start:])
        assert again == drawn


@pytest.mark.parametrize("kind", SOURCES)
def test_sources_are_sources(kind):
    source = SOURCES[kind]
    assert isinstance(source, fr.data.Source)
    assert fr.data.as_source("train", source) is source
    assert source.carries_state == any(b.reset is not None for b in source.batches(batch_size=4))
    found = source.fingerprint()
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("size", [1, 3, 4, 11, 30])
def test_data_sets_count_their_batches(size):
    source = SOURCES["ragged"]
    assert source.num_batches(size) == len(list(source.batches(batch_size=size)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(1, 5), st.integers(1, 4))
def test_streams_count_their_batches_or_say_that_the_order_decides(lengths, rows, steps):
    if not any(lengths):
        lengths = [1]
    source = fr.data.ParallelStreams(*ragged(lengths), rows, steps)
    counts = {
        len(list(source.batches(rng))) for rng in [None, *map(np.random.default_rng, range(4))]
    }
    stated = source.num_batches()
    assert stated is None or counts == {stated}
    each = {-(-n // steps) for n in lengths if n}
    assert (stated is None) == (len(each) > 1 and sum(n > 0 for n in lengths) > rows)


def test_starts_of_streams_copy_nothing_that_is_left_out(monkeypatch):
    source = SOURCES["one stream"]
    taken = []
    original = type(source._x).pieces
    monkeypatch.setattr(
        type(source._x),
        "pieces",
        lambda self, *arguments: taken.append(1) or original(self, *arguments),
    )
    assert len(list(source.batches(start=3))) == 1
    assert len(taken) == 2  # x and y of one batch


def test_fingerprints_tell_data_apart():
    x, y = ragged(LENGTHS)
    others = [
        fr.data.Dataset(x, y),
        fr.data.Dataset(x[1:], y[1:]),
        fr.data.Dataset(x[1:] + x[:1], [len(row) for row in y]),
        fr.data.Dataset([row.astype(np.float64) for row in x], y),
        fr.data.Dataset([row[:, :1] for row in x], y),
        fr.data.Dataset(np.zeros((11, 2, 1)), np.zeros((11, 2))),
        fr.data.ParallelStreams(x, y, 3, 4),
        fr.data.ParallelStreams(x, y, 3, 5),
        fr.data.ParallelStreams(x, y, 4, 4),
    ]
    found = [json.dumps(source.fingerprint()) for source in others]
    assert len(set(found)) == len(found)
    assert fr.data.Dataset(*ragged(LENGTHS)).fingerprint() == others[0].fingerprint()


def test_tuples_and_objects_of_one_s_own_are_sources():
    x, y = np.zeros((4, 3, 1)), np.arange(4)
    data = fr.data.as_source("train", (x, y, [1, 2, 3, 3]))
    assert isinstance(data, fr.data.Dataset)
    assert data.lengths.tolist() == [1, 2, 3, 3]

    class Own:
        per_step, carries_state = False, False

        def batches(self, rng=None, *, batch_size, start=0, bucket_by_length=False):
            return iter(())

        def num_batches(self, batch_size):
            return 0

        def fingerprint(self):
            return {}

    own = Own()
    assert fr.data.as_source("train", own) is own


@pytest.mark.parametrize(
    ("value", "got"),
    [((np.ones(3),), "1 values"), ([1, 2], "list"), (None, "NoneType"), (fr.data.Dataset, "type")],
)
def test_what_is_no_source_is_named(value, got):
    sentence = r"held_out: expected a Dataset, ParallelStreams or a tuple \(x, y\[, lengths\[, mask"
    with pytest.raises(TypeError, match=f"{sentence}.*got {got}$"):
        fr.data.as_source("held_out", value)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("ragged", {"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ("ragged", {"batch_size": 2, "start": -1}, "start: expected at least 0, got -1"),
        ("ragged", {"batch_size": 2, "start": 1.0}, "start: expected an integer, got float"),
        ("ragged", {"batch_size": 2, "bucket_by_length": True}, "bucket_by_length: expected a gen"),
        ("streams", {"start": -1}, "start: expected at least 0, got -1"),
        ("streams", {"bucket_by_length": True}, "bucket_by_length: expected False for Parallel"),
    ],
)
def test_bad_arguments_are_named_at_once(kind, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        SOURCES[kind].batches(**options)


def test_buckets_hold_sequences_of_about_one_length_each_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 200, 4000)
    data = fr.data.Dataset([np.zeros((n, 1), np.float32) for n in lengths], np.arange(4000))

    def run(seed, bucket):
        batches = fr.data.batches(data, 16, np.random.default_rng(seed), bucket_by_length=bucket)
        return [batch.y for batch in batches]

    def padding(batches):
        return sum(len(y) * lengths[y].max() for y in batches) / lengths.sum() - 1

    bucketed, shuffled = run(1, True), run(1, False)
    assert np.sort(np.concatenate(bucketed)).tolist() == list(range(4000))
    assert {len(y) for y in bucketed} == {16}
    assert padding(shuffled) > 0.8
    assert padding(bucketed) < 0.04
    means = np.array([lengths[y].mean() for y in bucketed])
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3  # the batches are shuffled
    assert np.concatenate(run(2, True)).tolist() != np.concatenate(bucketed).tolist()
    assert np.concatenate(run(1, True)).tolist() == np.concatenate(bucketed).tolist()


def test_buckets_leave_out_sequences_at_random():
    data = fr.data.Dataset([np.zeros((n, 1)) for n in range(1, 12)], np.arange(11))
    dropped = set()
    for seed in range(40):
        batches = data.batches(
            np.random.default_rng(seed), batch_size=5, bucket_by_length=True, drop_last=True
        )
        seen = np.concatenate([batch.y for batch in batches])
        assert len(seen) == 10
        dropped |= set(range(11)) - set(seen.tolist())
    assert len(dropped) > 7  # not always the longest
