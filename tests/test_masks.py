"""Masks drawn by counters: the published vectors, the specification, replay, and statistics."""

import itertools
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from fastrnn import _isa, masks, reference_masks
from fastrnn.testing import assert_same_bits

ONES = 0xFFFFFFFF

#: Counter, key and output of Random123's known-answer tests of philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_the_reference_gives_the_published_vectors(counter, key, output):
    assert tuple(reference_masks.philox4x32(counter, key)) == output


@pytest.mark.parametrize("word", range(4))
def test_the_kernel_gives_the_first_published_vector(word):
    """Found by its threshold: a word is drawn with word + 1 and not with itself."""
    _, _, output = KNOWN_ANSWERS[0]
    for above in (0, 1):
        drawn = masks.bernoulli(0, 0, 1, 1, 4, (output[word] + above) / 2**32)
        assert drawn[0, 0, word] == above


@settings(max_examples=60, deadline=None)
@given(
    key=st.integers(0, 2**64 - 1),
    stream=st.integers(0, ONES),
    rows=st.integers(0, 4),
    steps=st.integers(0, 40),
    features=st.integers(0, 70),
    p=st.floats(0, 1),
    first_row=st.integers(0, ONES - 4),
    first_step=st.integers(0, ONES - 40),
    dtype=st.sampled_from(["float32", "float64"]),
    scale=st.floats(-3, 3),
)
def test_random_shapes_agree_with_the_reference(key, stream, rows, steps, features, p, **options):
    arguments = (key, stream, rows, steps, features, p)
    actual = masks.bernoulli(*arguments, **options)
    expected = reference_masks.bernoulli(*arguments, **options)
    assert actual.shape == (rows, steps, features)
    assert actual.dtype == options["dtype"]
    assert_same_bits(actual, expected, "mask")


def test_places_end_at_the_last_word_of_a_counter():
    options = {"first_row": ONES - 1, "first_step": ONES - 2}
    actual = masks.bernoulli(3, ONES, 2, 3, 5, 0.5, **options)
    assert_same_bits(actual, reference_masks.bernoulli(3, ONES, 2, 3, 5, 0.5, **options), "mask")


@pytest.mark.parametrize("features", [1, 6, 128])
def test_a_part_is_the_part_of_the_whole(features):
    whole = masks.bernoulli(11, masks.ZONEOUT_C, 7, 50, features, 0.3)
    part = masks.bernoulli(11, masks.ZONEOUT_C, 3, 20, features, 0.3, first_row=2, first_step=17)
    assert_same_bits(part, whole[2:5, 17:37], "part")
    narrow = masks.bernoulli(11, masks.ZONEOUT_C, 7, 50, max(1, features - 1), 0.3)
    assert_same_bits(narrow, whole[..., : max(1, features - 1)], "fewer features")


def test_threads_do_not_matter():
    before = fr.get_num_threads()
    shape = (13, 200, 450)  # enough numbers for four threads
    try:
        fr.set_num_threads(1)
        one = masks.bernoulli(5, 0, *shape, 0.5)
        fr.set_num_threads(4)
        assert_same_bits(masks.bernoulli(5, 0, *shape, 0.5), one, "four threads")
        assert not masks.bernoulli(5, 0, *shape, 0.0).any()
    finally:
        fr.set_num_threads(before)


@pytest.mark.parametrize("name", _isa.available())
def test_every_instruction_set_gives_the_same_bits(name):
    code = (
        "import zlib; from fastrnn import masks, ops;"
        "print(ops.build_info()['instruction_set'],"
        "zlib.crc32(masks.bernoulli(2**63 + 9, 4, 3, 41, 37, 0.4).tobytes()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"FASTRNN_ISA": name},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = reference_masks.bernoulli(2**63 + 9, 4, 3, 41, 37, 0.4)
    assert result.stdout.split() == [name, str(zlib.crc32(expected.tobytes()))]


def test_the_ends_of_the_range_of_p():
    assert not masks.bernoulli(1, 1, 2, 3, 50, 0.0).any()
    assert not masks.bernoulli(1, 1, 2, 3, 50, 2.0**-34).any()  # rounds to none
    assert masks.bernoulli(1, 1, 2, 3, 50, 1.0).all()
    assert masks.bernoulli(1, 1, 2, 3, 50, 1 - 2.0**-34).all()  # rounds to all


@pytest.mark.parametrize("p", [0.001, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_the_mean_is_p(p):
    drawn = masks.bernoulli(2024, masks.DROPOUT, 50, 100, 200, p)
    assert abs(drawn.mean(dtype=np.float64) - p) < 5 * np.sqrt(p * (1 - p) / drawn.size)


def draws(p, *, key=99, stream=0):
    return masks.bernoulli(key, stream, 40, 120, 200, p, dtype="float64")


NEIGHBOURS = {
    "step": lambda p: (draws(p)[:, 1:], draws(p)[:, :-1]),
    "row": lambda p: (draws(p)[1:], draws(p)[:-1]),
    "feature": lambda p: (draws(p)[..., 1:], draws(p)[..., :-1]),
    "counter": lambda p: (draws(p)[..., 4:], draws(p)[..., :-4]),
    "step and feature": lambda p: (draws(p)[:, 1:, 4:], draws(p)[:, :-1, :-4]),
    "stream": lambda p: (draws(p), draws(p, stream=1)),
    "key": lambda p: (draws(p), draws(p, key=98)),
    "key's upper half": lambda p: (draws(p), draws(p, key=99 + 2**32)),
}


@pytest.mark.parametrize(("name", "p"), list(itertools.product(NEIGHBOURS, [0.1, 0.5])))
def test_neighbours_are_independent(name, p):
    first, second = NEIGHBOURS[name](p)
    products = (first - p) * (second - p)  # variance (p (1 - p))^2 where they are independent
    assert abs(products.mean()) < 5 * p * (1 - p) / np.sqrt(products.size)


def test_rows_steps_and_features_have_no_pattern():
    """Sums along each axis scatter as sums of independent numbers do: chi-squared, 5 sigma."""
    p = 0.3
    drawn = draws(p)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        count = drawn.size // drawn.shape[axis]
        sums = (drawn - p).sum(axis=others) / np.sqrt(count * p * (1 - p))
        freedom = sums.size
        assert abs((sums**2).sum() - freedom) < 5 * np.sqrt(2 * freedom)


GOOD = {"key": 0, "stream": 0, "rows": 1, "steps": 1, "features": 1, "p": 0.5}


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"key": -1}, ValueError, "key: expected 0..18446744073709551615, got -1"),
        ({"key": 2**64}, ValueError, "key: expected 0.."),
        ({"key": 1.5}, TypeError, "key: expected an integer, got float"),
        ({"stream": 2**32}, ValueError, "stream: expected 0..4294967295"),
        ({"rows": -1}, ValueError, "rows: expected 0.."),
        ({"rows": 3, "first_row": 2**32 - 2}, ValueError, "rows: expected 0..2, got 3"),
        ({"steps": 3, "first_step": 2**32 - 2}, ValueError, "steps: expected 0..2, got 3"),
        ({"features": True}, TypeError, "features: expected an integer, got bool"),
        ({"p": 1.5}, ValueError, "p: expected 0 <= p <= 1, got 1.5"),
        ({"p": float("nan")}, ValueError, "p: expected 0 <= p <= 1, got nan"),
        ({"p": "half"}, TypeError, "p: expected a number, got str"),
        ({"dtype": "int32"}, TypeError, "dtype: expected float32 or float64, got int32"),
        ({"scale": None}, TypeError, "scale: expected a number, got NoneType"),
    ],
)
def test_bad_arguments_are_named(change, error, text):
    with pytest.raises(error) as caught:
        masks.bernoulli(**GOOD | change)
    assert text in str(caught.value)


def test_the_kernel_refuses_what_it_cannot_write():
    kernels = _isa.kernels
    good = {"key": 0, "stream": 0, "first_row": 0, "first_step": 0, "threshold": 1, "scale": 1.0}
    good |= {"threads": 1, "out": np.zeros((2, 3, 4), np.float32)}
    kernels.bernoulli(**good)
    frozen = np.zeros((2, 3, 4), np.float32)
    frozen.flags.writeable = False
    for change, text in [
        ({"out": np.zeros((3, 4), np.float32)}, "out: expected 3 axes, got 2"),
        ({"out": np.zeros((2, 3, 4), np.float32)[..., ::2]}, "side by side"),
        ({"out": frozen}, "writable"),
        ({"out": np.zeros((2, 3, 4), np.int32)}, "out: expected dtype float32 or float64"),
        ({"first_row": 2**32 - 1}, "first_row: expected rows below 2^32"),
        ({"first_step": 2**32 - 1}, "first_step: expected steps below 2^32"),
        ({"threshold": 2**32 + 1}, "threshold: expected 0..2^32, got 4294967297"),
    ]:
        with pytest.raises((TypeError, ValueError), match=text.replace("^", r"\^")):
            kernels.bernoulli(**good | change)


def test_strided_memory_is_written_and_nothing_else():
    out = np.full((5, 2, 9), 7.0, np.float32)  # time-major, with features behind
    _isa.kernels.bernoulli(3, 1, 0, 0, 2**31, 1.0, 1, out.swapaxes(0, 1)[..., :6])
    assert_same_bits(out[..., :6].swapaxes(0, 1), masks.bernoulli(3, 1, 2, 5, 6, 0.5), "mask")
    assert (out[..., 6:] == 7.0).all()
