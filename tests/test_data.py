"""Data sets and batches against loops over the sequences; what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastrnn as fr
from fastrnn.data import Dataset, batches, mask_from_lengths, pad_sequences, train_validation_split
from fastrnn.testing import assert_same_bits

F = 3


def sequences(lengths, kind="float32", seed=0):
    rng = np.random.default_rng(seed)
    if kind == "tokens":
        return [rng.integers(1, 9, steps) for steps in lengths]
    return [rng.standard_normal((steps, F)).astype(kind) for steps in lengths]


def padded_by_hand(arrays, steps):
    whole = np.zeros((len(arrays), steps, *arrays[0].shape[1:]), arrays[0].dtype)
    for n, array in enumerate(arrays):
        for t in range(len(array)):
            whole[n, t] = array[t]
    return whole


# ---- padding ----


@pytest.mark.parametrize("kind", ["float32", "float64", "tokens"])
def test_padding_is_the_loop(kind):
    arrays = sequences([3, 0, 5, 1], kind)
    padded, lengths = pad_sequences(arrays)
    assert_same_bits(padded, padded_by_hand(arrays, 5), "padded")
    assert_same_bits(lengths, np.array([3, 0, 5, 1]), "lengths")
    longer, _ = pad_sequences(arrays, length=7)
    assert_same_bits(longer, padded_by_hand(arrays, 7), "longer")
    assert_same_bits(pad_sequences(arrays, length=5)[0], padded, "as long")


def test_numbers_of_one_axis_get_a_feature_axis_and_tokens_none():
    assert pad_sequences([[1.5], [2.0, 3.0]])[0].tolist() == [[[1.5], [0.0]], [[2.0], [3.0]]]
    tokens, _ = pad_sequences([[1], [2, 3]])
    assert tokens.tolist() == [[1, 0], [2, 3]]
    assert tokens.dtype.kind == "i"
    assert pad_sequences(([1], [2, 3]), dtype="int32")[0].dtype == np.int32
    numbers, _ = pad_sequences([[1], [2, 3]], dtype=np.float32)
    assert (numbers.shape, numbers.dtype) == ((2, 2, 1), np.float32)
    mixed, _ = pad_sequences([[1], [2.5, 3.0], []], dtype=np.float32)
    assert mixed[..., 0].tolist() == [[1.0, 0.0], [2.5, 3.0], [0.0, 0.0]]
    assert pad_sequences([[7], []], dtype=int)[0].tolist() == [[7], [0]]
    assert pad_sequences(sequences([2, 1]), dtype="float64")[0].dtype == np.float64


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ([], {}, ValueError, "sequences: expected at least one sequence, got none"),
        (7, {}, TypeError, "sequences: expected an array or a list of arrays, got int"),
        ([1.0, 2.0], {}, ValueError, r"sequences\[0\]: expected 1 or 2 axes"),
        ([["a"]], {}, TypeError, r"sequences\[0\]: expected numbers, got <U1"),
        ([[1.0], [[1.0, 2.0]]], {}, ValueError, r"sequences\[1\]: expected shape"),
        ([[1.0], [[1.0], [1.0, 2.0]]], {}, ValueError, r"sequences\[1\]: expected an array, got a"),
        ([[1.0], [2]], {}, ValueError, r"sequences\[1\]: expected shape"),
        ([[1], [True]], {}, TypeError, r"sequences\[1\]: expected int64 like sequences\[0\], got"),
        ([[1], [[1], [1, 2]]], {"dtype": "f4"}, ValueError, r"sequences\[1\]: expected an array"),
        ([[1], ["x"]], {"dtype": "f4"}, TypeError, r"sequences\[1\]: expected numbers, got <U1"),
        (
            [[1, 2, 3]],
            {"length": 2},
            ValueError,
            r"sequences\[0\]: expected at most 2 steps, got 3",
        ),
        ([[1]], {"length": 0}, ValueError, "length: expected at least 1, got 0"),
        ([[1]], {"length": 2.0}, TypeError, "length: expected an integer, got float"),
        ([[1]], {"dtype": "U3"}, TypeError, "dtype: expected one of numbers, got <U3"),
    ],
)
def test_padding_refuses(arguments, options, error, message):
    with pytest.raises(error, match=message):
        pad_sequences(arguments, **options)


@pytest.mark.parametrize(
    ("lengths", "steps", "error", "message"),
    [
        ([1, 4], 3, ValueError, r"lengths\[1\]: expected 0\.\.T = 0\.\.3, got 4"),
        ([-1], 3, ValueError, r"lengths\[0\]: expected .* got -1"),
        ([1.0], 3, TypeError, "lengths: expected integers, got float64"),
        (2, 3, ValueError, r"lengths: expected shape \(N,\), got \(\)"),
        ([[1]], 3, ValueError, r"lengths: expected shape \(N,\), got \(1, 1\)"),
        ([1], 0, ValueError, "steps: expected at least 1, got 0"),
    ],
)
def test_masks_refuse(lengths, steps, error, message):
    with pytest.raises(error, match=message):
        mask_from_lengths(lengths, steps)


def test_masks():
    mask = mask_from_lengths(np.array([0, 2, 3], np.int32), 3)
    assert mask.dtype == bool
    assert mask.tolist() == [[False] * 3, [True, True, False], [True] * 3]


# ---- data sets: a list, and the same padded, in every kind of target ----

LENGTHS = [4, 2, 6, 1, 6, 0, 3]
TARGETS = {
    "classes": lambda n: np.arange(n) % 3,
    "numbers": lambda n: np.linspace(0, 1, n).astype(np.float32),
    "vectors": lambda n: np.arange(2.0 * n).reshape(n, 2),
    "classes per step": lambda n: sequences(LENGTHS, "tokens", seed=1),
    "vectors per step": lambda n: sequences(LENGTHS, "float64", seed=1),
}


def datasets(kind, target):
    """Return x and y as lists, and the data set as a list and as padded arrays."""
    x, y = sequences(LENGTHS, kind), TARGETS[target](len(LENGTHS))
    noise = np.random.default_rng(5)
    padded, lengths = pad_sequences(x, length=8)
    behind = ~mask_from_lengths(lengths, 8)
    padded[behind] = noise.integers(0, 9, padded.shape)[behind]
    whole = y
    if target.endswith("step"):
        whole = pad_sequences(y, length=8)[0]
        whole[behind] = -7
    return x, y, Dataset(x, y), Dataset(padded, whole, lengths)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["float32", "tokens"])
@pytest.mark.parametrize("rows", [[0, 1, 2], [6, 3, 5], [2, 4], [5], [1, 1]])
def test_a_batch_is_the_loop_over_its_sequences(kind, target, rows):
    x, y, *both = datasets(kind, target)
    lengths = np.array([LENGTHS[n] for n in rows])
    steps = max(1, lengths.max())
    valid = np.arange(steps) < lengths[:, None]
    for data in both:
        batch = data.batch(rows)
        assert len(data) == len(LENGTHS)
        assert data.per_step == target.endswith("step")
        assert batch.x.shape[:2] == (len(rows), steps)
        assert_same_bits(batch.x[valid], padded_by_hand([x[n] for n in rows], steps)[valid], "x")
        if (lengths == steps).all():
            assert batch.lengths is None
        else:
            assert_same_bits(batch.lengths, lengths, "lengths")
        if data.per_step:
            expected = padded_by_hand([y[n] for n in rows], steps)
            assert_same_bits(batch.y[valid], expected[valid], "y")
            assert_same_bits(batch.mask, valid, "mask")
        else:
            assert_same_bits(batch.y, y[rows], "y")
            assert batch.mask is None
    assert not both[0].batch(rows).x[~valid].any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 14), st.booleans())
def test_batches_go_through_all_sequences_once(lengths, size, drop_last):
    lengths[0] += 1
    data = Dataset(sequences(lengths), np.arange(len(lengths)))
    for rng in (None, np.random.default_rng(0)):
        found = [batch.y.tolist() for batch in batches(data, size, rng, drop_last=drop_last)]
        whole, rest = divmod(len(lengths), size)
        assert [len(rows) for rows in found] == [size] * whole + [rest] * (rest > 0 > drop_last - 1)
        flat = [n for rows in found for n in rows]
        assert len(set(flat)) == len(flat)
        if rng is None:
            assert flat == list(range(len(flat)))


def test_the_order_is_the_generator_s():
    data = Dataset(np.zeros((50, 2, 1)), np.arange(50))

    def order(seed):
        shuffled = batches(data, 8, np.random.default_rng(seed))
        return np.concatenate([batch.y for batch in shuffled]).tolist()

    assert order(0) == order(0) == np.random.default_rng(0).permutation(50).tolist()
    assert order(0) != order(1)


def test_dense_data_have_neither_lengths_nor_mask():
    x = np.random.default_rng(0).standard_normal((5, 4, F))
    for y in (np.arange(5), np.zeros((5, 2)), np.zeros((5, 4), int), np.zeros((5, 4, 2))):
        batch = Dataset(x, y).batch([3, 0])
        assert_same_bits(batch.x, x[[3, 0]], "x")
        assert_same_bits(batch.y, y[[3, 0]], "y")
        assert batch.lengths is None
        assert batch.mask is None


def test_a_full_batch_of_ragged_data_keeps_its_mask():
    """Losses weigh batches by their masks: a batch that is dense by chance must not weigh less."""
    data = Dataset(sequences([2, 2, 5]), sequences([2, 2, 5]))
    assert data.batch([0, 1]).lengths is None
    assert data.batch([0, 1]).mask.all()


@pytest.mark.parametrize("listed", [False, True])
def test_floats_per_step_without_features_get_one(listed):
    x, y = sequences([2, 3]), [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])]
    padded, lengths = pad_sequences(x)
    data = Dataset(x, y) if listed else Dataset(padded, y, lengths)
    assert data.batch([0, 1]).y.tolist() == [[[1.0], [2.0], [0.0]], [[3.0], [4.0], [5.0]]]


def test_lists_of_vectors_per_sequence():
    data = Dataset(sequences([2, 3]), [[1.0, 2.0], [3.0, 4.0]])
    assert not data.per_step
    assert data.batch([1]).y.tolist() == [[3.0, 4.0]]
    assert not Dataset(sequences([2, 3]), [0, 1]).per_step


def test_arrays_of_objects_are_lists():
    x = np.empty(2, object)
    x[:] = sequences([2, 4])
    assert Dataset(x, [0, 1]).batch([0, 1]).x.shape == (2, 4, F)


def test_integers_keep_their_dtype():
    data = Dataset(sequences([2, 3]), np.array([1, 2], np.uint8))
    assert data.batch([0]).y.dtype == np.uint8
    data = Dataset(sequences([2, 3]), [np.zeros(2, np.int16), np.ones(3, np.int16)])
    assert data.batch([0]).y.dtype == np.int16


# ---- masks of the user ----


def test_masks_combine_with_lengths():
    lengths, steps = [2, 4, 3], 4
    x, y = sequences(lengths), sequences(lengths, "tokens")
    rng = np.random.default_rng(0)
    valid = mask_from_lengths(lengths, steps)
    for weights in (rng.random((3, 4)) < 0.5, rng.random((3, 4)), rng.integers(0, 3, (3, 4))):
        listed = [row[:n] for row, n in zip(weights, lengths, strict=True)]
        padded, whole = pad_sequences(x)[0], pad_sequences(y)[0]
        for data in (
            Dataset(x, y, mask=weights),
            Dataset(x, y, mask=listed),
            Dataset(padded, whole, lengths, weights),
        ):
            mask = data.batch([2, 0]).mask
            assert mask.tolist() == (weights * valid)[[2, 0], :3].tolist()
            assert mask.dtype == weights.dtype


def test_masks_of_single_numbers():
    lengths = [2, 3]
    y = sequences(lengths)
    weights = np.random.default_rng(0).random((2, 3, F))
    expected = weights * mask_from_lengths(lengths, 3)[..., None]
    padded = pad_sequences(y)[0]
    for data in (Dataset(y, y, mask=weights), Dataset(padded, padded, lengths, weights)):
        assert_same_bits(data.batch([0, 1]).mask, expected, "mask")
        assert data.batch([0]).mask.shape == (1, 2, F)
    dense = Dataset(padded, padded, mask=weights)
    assert_same_bits(dense.batch([1, 0]).mask, weights[[1, 0]], "mask")


def test_masks_per_sequence_are_weights():
    data = Dataset(sequences([2, 3, 1]), [0, 1, 0], mask=[1.0, 0.5, 0.0])
    assert data.batch([2, 1]).mask.tolist() == [0.0, 0.5]
    data = Dataset(sequences([2, 3, 1]), np.zeros((3, 2)), mask=np.eye(3)[:, :2])
    assert data.batch([1]).mask.tolist() == [[0.0, 1.0]]


def test_a_mask_makes_numbers_of_two_axes_per_step():
    x, y = np.zeros((2, 3, 1)), np.zeros((2, 3))
    assert not Dataset(x, y).per_step
    assert Dataset(x, y, mask=np.ones((2, 3))).per_step


def test_masked_padding_has_no_part_in_training():
    """NaN behind the ends, in x, in y and under the mask, changes no bit of what is learned."""
    lengths = [2, 5, 3, 5]
    x, y = sequences(lengths), sequences(lengths, seed=1)
    clean = pad_sequences(x)[0], pad_sequences(y)[0]
    behind = ~mask_from_lengths(lengths, 5)
    mask = np.random.default_rng(2).random((4, 5)) < 0.7
    spoiled = clean[0].copy(), clean[1].copy()
    spoiled[0][behind] = np.nan
    spoiled[1][behind | ~mask] = np.nan
    learned = []
    for pair in (clean, spoiled):
        model = fr.Sequential([fr.GRU(F, 4, seed=0), fr.Linear(4, F, seed=1)])
        trainer = fr.Trainer(model, "mean_squared_error")
        trainer.fit((*pair, lengths, mask), epochs=2, batch_size=2, seed=0, progress=False)
        learned.append(model.parameter_vector.copy())
    assert_same_bits(learned[1], learned[0], "parameters")


# ---- splitting ----


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.99])
def test_splits_have_each_sequence_once(target, fraction):
    for data in datasets("float32", target)[2:]:
        train, validation = train_validation_split(data, fraction, seed=0)
        assert len(train) + len(validation) == len(data)
        assert len(validation) == min(max(round(fraction * len(data)), 1), len(data) - 1)
        rows = [n.tobytes() for part in (train, validation) for n in valid_rows(part)]
        assert sorted(rows) == sorted(n.tobytes() for n in valid_rows(data))
        again = train_validation_split(data, fraction, seed=0)[1]
        assert_same_bits(again.batch([0]).y, validation.batch([0]).y, "y")


def valid_rows(data):
    for n in range(len(data)):
        batch = data.batch([n])
        yield batch.x[0, : None if batch.lengths is None else batch.lengths[0]]


def test_a_split_keeps_masks_and_order():
    x = np.arange(20.0).reshape(10, 2, 1)
    data = Dataset(x, np.arange(20).reshape(10, 2), [1, 2] * 5, np.arange(20.0).reshape(10, 2))
    for part in train_validation_split(data, 0.4, seed=3):
        rows = part.batch(np.arange(len(part)))
        assert rows.x[:, 0, 0].tolist() == sorted(rows.x[:, 0, 0].tolist())
        assert_same_bits(rows.x[..., 0].astype(int), rows.y, "x is y")
        valid = mask_from_lengths([1 + n // 2 % 2 for n in rows.y[:, 0]], 2)
        assert_same_bits(rows.mask, rows.y * valid.astype(float), "mask")


def test_splits_differ_by_seed():
    data = Dataset(np.zeros((40, 2, 1)), np.arange(40))
    first, second = (train_validation_split(data, 0.5, seed)[0] for seed in (0, 1))
    everything = np.arange(20)
    assert (first.batch(everything).y != second.batch(everything).y).any()


# ---- refusals ----

X, Y = np.zeros((5, 4, F)), np.zeros(5, int)
LIST = sequences([1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((X[0], Y), ValueError, r"x: expected 3 axes \(N, T, F\), or .* got shape \(4, 3\)"),
        ((X.astype(str), Y), TypeError, "x: expected numbers, got <U"),
        (
            (X[:0], Y[:0]),
            ValueError,
            r"x: expected at least one sequence and step, got .*\(0, 4, 3",
        ),
        ((X[:, :0], Y), ValueError, r"x: expected at least one sequence and step, got .*\(5, 0, 3"),
        (([], []), ValueError, "x: expected at least one sequence, got none"),
        ((7, Y), TypeError, "x: expected an array or a list of arrays, got int"),
        (([np.zeros((0, 2))], [0]), ValueError, "x: expected at least one step, got none"),
        (
            ([LIST[0], LIST[1][:, :2]], [0, 1]),
            ValueError,
            r"x\[1\]: expected shape .* got \(2, 2\)",
        ),
        (
            ([LIST[0], X[0]], [0, 1]),
            TypeError,
            r"x\[1\]: expected float32 like x\[0\], got float64",
        ),
        ((LIST, [0, 1, 2], [1, 2, 3]), ValueError, "lengths: expected None with a list"),
        ((X, Y[:4]), ValueError, "y: expected N = 5 targets like x, got 4"),
        ((X, 3), ValueError, "y: expected N = 5 targets like x, got a single number"),
        ((X, list("abcde")), TypeError, "y: expected numbers, got <U1"),
        (
            (X, [[1], [1, 2], [1], [1], [1]]),
            ValueError,
            "y: expected targets of one shape, got a r",
        ),
        (
            (X, X[:, :3]),
            ValueError,
            r"y: expected shape \(N,\), .* with N, T = 5, 4, got \(5, 3, 3\)",
        ),
        ((X, X[..., None]), ValueError, r"y: expected shape .* got \(5, 4, 3, 1\)"),
        ((LIST, LIST[:2]), ValueError, "y: expected N = 3 targets like x, got 2"),
        ((LIST, LIST[::-1]), ValueError, r"y\[0\]: expected 1 steps like x\[0\], got 3"),
        ((X, Y, [4] * 4), ValueError, r"lengths: expected shape \(N,\) = \(5,\), got \(4,\)"),
        ((X, Y, [4, 4, 5, 4, 4]), ValueError, r"lengths\[2\]: expected 0\.\.T = 0\.\.4, got 5"),
        ((X, Y, [4, -1, 4, 4, 4]), ValueError, r"lengths\[1\]: expected .* got -1"),
        ((X, Y, [4.0] * 5), TypeError, "lengths: expected integers, got float64"),
        ((X, Y, None, Y[:4]), ValueError, r"mask: expected shape \(5,\) like y, got \(4,\)"),
        ((X, X[..., 0].astype(int), None, Y), ValueError, r"mask: expected shape \(5, 4\) like y"),
        ((X, X, None, Y), ValueError, r"mask: expected shape \(5, 4, 3\) or \(5, 4\) like y, got"),
        ((X, Y, None, Y - 1.0), ValueError, "mask: expected finite numbers of at least 0"),
        ((X, Y, None, Y * np.nan), ValueError, "mask: expected finite numbers of at least 0"),
        ((X, Y, None, Y.astype(str)), TypeError, "mask: expected booleans or numbers, got <U"),
        ((X, Y, None, [[1], [1, 2]]), ValueError, "mask: expected one array, got a ragged list"),
        ((LIST, LIST, None, [[1.0]] * 3), ValueError, "mask: expected as many steps as x has"),
        (
            (LIST, LIST, None, [abs(a[:, :2]) for a in LIST]),
            ValueError,
            r"mask: expected shape \(6, 3\)",
        ),
    ],
)
def test_bad_data_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Dataset(*arguments)


DATA = Dataset(X, Y)


@pytest.mark.parametrize("method", [DATA.batch, DATA.subset])
@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 5], ValueError, r"indices: expected 0\.\.N-1 = 0\.\.4, got 5"),
        ([-1], ValueError, r"indices: expected 0\.\.N-1 = 0\.\.4, got -1"),
        ([], ValueError, r"indices: expected shape \(n,\) with n >= 1, got \(0,\)"),
        (2, ValueError, r"indices: expected shape \(n,\) with n >= 1, got \(\)"),
        ([1.0], TypeError, "indices: expected integers, got float64"),
        ([True] * 5, TypeError, "indices: expected integers, got bool"),
    ],
)
def test_bad_indices_are_named(method, indices, error, message):
    with pytest.raises(error, match=message):
        method(indices)


def test_bad_batch_sizes_and_fractions_are_named_at_once():
    with pytest.raises(ValueError, match="batch_size: expected at least 1, got 0"):
        batches(DATA, 0)
    with pytest.raises(TypeError, match="batch_size: expected an integer, got float"):
        batches(DATA, 2.0)
    for fraction in (0, 1, -0.5, np.nan):
        with pytest.raises(ValueError, match="fraction: expected 0 < fraction < 1, got"):
            train_validation_split(DATA, fraction)
    with pytest.raises(ValueError, match="dataset: expected at least 2 sequences, got 1"):
        train_validation_split(DATA.subset([0]), 0.5)
    with pytest.raises(TypeError, match="seed: expected an integer or None, got str"):
        train_validation_split(DATA, 0.5, "x")


def test_a_data_set_is_frozen_and_short_to_print():
    with pytest.raises(AttributeError):
        DATA.x = X
    assert repr(DATA) == "Dataset(5 sequences, targets per sequence)"
