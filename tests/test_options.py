"""Cells' options and masks, in combinations that have every valid pair of them.

Kernels against the specification, gradients against central differences, and bit for bit the same
whatever the other rows, the threads, cuts of a sequence or its being run step by step.
"""

import itertools

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import ops
from fastrnn.testing import TOLERANCES, assert_same_bits, leaves
from option_cases import (
    FACTORS,
    STREAM_FACTORS,
    expected_of,
    is_valid,
    make_run,
    name_of,
    of_each,
)
from pairs import pairs_of, pairwise, valid_pairs

CASES = pairwise(FACTORS, is_valid)
every_case = pytest.mark.parametrize("case", CASES, ids=name_of)

# ---- the combinations themselves ----


def test_every_valid_pair_is_there():
    covered = set().union(*map(pairs_of, CASES))
    missing = [pair for pair in valid_pairs(FACTORS, is_valid) if pair not in covered]
    assert not missing
    assert all(map(is_valid, CASES))
    assert pairwise(FACTORS, is_valid) == CASES
    assert len(CASES) < 120


def test_pairs_are_all_but_those_that_exclude_each_other():
    factors = {"a": (1, 2), "b": (1, 2), "c": (1, 2)}

    def valid(case):
        return (case.get("a"), case.get("b")) != (2, 2)

    pairs = valid_pairs(factors, valid)
    assert len(pairs) == 3 * 4 - 1
    cases = pairwise(factors, valid)
    assert set(pairs) <= set().union(*map(pairs_of, cases))
    assert len(cases) < 8


def test_what_is_not_valid_is_refused():
    """One place says it: a layer takes what `is_valid` does, and nothing else."""
    plain = {name: values[0] for name, values in FACTORS.items()}
    for cell in ops.CELLS:
        for name, values in FACTORS.items():
            case = plain | {"cell": cell, name: values[-1]} if name != "cell" else plain
            if is_valid(case):
                make_run(case)
            elif case["zoneout_c"] == "mask":
                with pytest.raises(ValueError, match="zoneout_c"):
                    make_run(case).forward()
            else:
                with pytest.raises(ValueError, match=name if name != "projected" else "projection"):
                    make_run(case)


# ---- results ----


def error_of(got, expected):
    """Return the largest error, relative to the largest number of its array (at least 1)."""
    return max(
        np.abs(got[name] - array).max() / max(1, np.abs(array).max())
        for name, array in expected.items()
    )


@every_case
def test_kernels_agree_with_the_specification(case):
    run = make_run(case)
    got, expected = run.train(), expected_of(run)
    assert got.keys() == expected.keys()
    assert max(np.abs(array).max() for array in expected.values()) < 1e4, "these say little"
    # Normalising a c whose units are nearly equal, as clipped ones are, multiplies rounding: the
    # specification itself then errs by up to 2e-5 in float32.
    limit = TOLERANCES[case["dtype"]][0]
    if case["dtype"] == "float32":
        limit = max(limit, 4 * error_of(expected_of(run, "float32"), expected))
    for name, array in expected.items():
        assert error_of(got, {name: array}) <= limit, name
    if not any(mask is not None for mask in run.masks):
        y, final = run.layer(run.x, run.state, lengths=run.lengths, reset=run.resets)
        assert_same_bits(y, got["y"], "y of training and inference")
        for name, part in zip(("h_n", "c_n"), leaves(final), strict=False):
            assert_same_bits(part, got[name], f"{name} of training and inference")


def difference(array, index, loss, at, step=1e-5):
    """Return the central difference of five points, or None where a kink lies between.

    Of three points it errs by more than 1e-7 where layer normalisation divides by little.
    """
    kept, losses = array[index], []
    for steps in (-2, -1, 1, 2):
        array[index] = kept + steps * step
        losses.append(loss())
    array[index] = kept
    before2, before, after, after2 = losses
    if max(abs(before + after - 2 * at), abs(before2 + after2 - 2 * at) / 4) > 1e-7:
        return None
    return (8 * (after - before) - (after2 - before2)) / (12 * step)


@every_case
def test_gradients_agree_with_central_differences(case):
    # BPTT with limits gives no derivative.
    how = {"batch": 2, "sizes": (2, 3), "dtype": "float64"}
    run = make_run(case, steps=3, gradient_clip=False, **how)
    gradients = run.train()
    dstate = list(leaves(run.dstate))

    def loss():
        y, final, _ = run.forward()
        return float((y * run.dy).sum()) + sum(
            float((part * d).sum()) for part, d in zip(leaves(final), dstate, strict=True)
        )

    at, arrays = loss(), {"x": run.x} | dict(run.layer.parameters)
    arrays |= dict(zip(("h0", "c0"), leaves(run.state), strict=False))
    for name, array in arrays.items():
        got = gradients[f"d{name}"]
        expected = {i: difference(array, i, loss, at) for i in np.ndindex(array.shape)}
        smooth = [i for i, value in expected.items() if value is not None]
        assert len(smooth) > 0.6 * array.size, f"{name}: kinks"
        numeric = np.array([expected[i] for i in smooth])
        exact = np.array([got[i] for i in smooth])
        size = np.linalg.norm(numeric) + np.linalg.norm(exact)
        assert np.linalg.norm(numeric - exact) < 1e-7 * size + 1e-9, (
            name
        )  # 1e-9: rounding of the loss


# ---- bit for bit ----


def assert_row(got, whole, row):
    """Compare what a row by itself gave with its place in the batch."""
    for name in ("y", "h_n", "c_n", "dx", "dh0", "dc0"):
        if name in whole:
            assert_same_bits(got[name][0], whole[name][row], f"{name} of row {row}")


@every_case
def test_a_row_alone_is_that_of_the_batch(case):
    run = make_run(case, batch=max(3, case["batch"]))
    whole = run.train()
    for row in range(len(run.x)):
        assert_row(run.rows(slice(row, row + 1)).train(), whole, row)


def cut(run, at):
    """Run both parts of sequences cut before a step; the state that crosses it is carried."""
    reverse, steps = run.layer.reverse, run.x.shape[1]
    pieces = [(at, steps), (0, at)] if reverse else [(0, at), (at, steps)]
    # Running in reverse, a reset at the cut belongs to the call before, which does not know where
    # its state goes.
    lengths = np.full(len(run.x), steps) if run.lengths is None else run.lengths
    crossed = np.zeros(len(run.x), bool)
    if run.resets is not None and reverse:
        crossed = run.resets[:, at] & (lengths > at)

    def carried(state):
        return of_each(state, lambda part: np.where(crossed[:, None], part.dtype.type(0), part))

    first = run.steps(*pieces[0], run.state, None)
    y1, middle, tape1 = first.forward()
    second = run.steps(*pieces[1], carried(middle), run.dstate)
    y2, final, tape2 = second.forward()
    dx2, dmiddle = run.layer.backward(tape2, second.dy, run.dstate)
    dx1, dinitial = run.layer.backward(tape1, first.dy, carried(dmiddle))
    named = {"y": np.concatenate([y2, y1] if reverse else [y1, y2], axis=1)}
    named |= {"dx": np.concatenate([dx2, dx1] if reverse else [dx1, dx2], axis=1)}
    named |= dict(zip(("h_n", "c_n"), leaves(final), strict=False))
    return named | dict(zip(("dh0", "dc0"), leaves(dinitial), strict=False))


@every_case
def test_a_sequence_in_two_calls_is_that_in_one(case):
    run = make_run(case)
    whole = run.train()
    for at in (1, 4):
        for name, array in cut(run, at).items():
            assert_same_bits(array, whole[name], f"{name}, cut before step {at}")


def run_on_two_threads(case, batch):
    """Return the shortest run of T = 4, 8, .. that two threads share."""
    run = make_run(case, batch=batch, steps=1, sizes=(65, 270))
    for steps in (2**k for k in range(2, 11)):
        if run.layer.explain_plan(batch, steps).threads == 2:
            return make_run(case, batch=batch, steps=steps, sizes=(65, 270))
    raise AssertionError("no run was long enough for two threads")


@pytest.mark.parametrize("batch", [3, 40])
@every_case
def test_threads_change_nothing(case, batch):
    """Few rows, which are split by units where the cell allows it, and many, split by rows."""
    before = fr.get_num_threads()
    try:
        fr.set_num_threads(2)
        run = run_on_two_threads(case, batch)
        shared = run.train()
        fr.set_num_threads(1)
        for name, array in run.train().items():
            assert_same_bits(array, shared[name], name)
    finally:
        fr.set_num_threads(before)


def test_rows_and_units_are_both_shared():
    splits = set()
    before = fr.get_num_threads()
    try:
        fr.set_num_threads(2)
        for case, batch in itertools.product(CASES, (3, 40)):
            run = run_on_two_threads(case, batch)
            splits.add((case["cell"], run.layer.explain_plan(*run.x.shape[:2]).split))
    finally:
        fr.set_num_threads(before)
    with_gates = [cell for cell in ops.CELLS if "rnn" not in cell]
    assert splits >= set(itertools.product(with_gates, ("rows", "units")))


@pytest.mark.parametrize("case", pairwise(STREAM_FACTORS, is_valid), ids=name_of)
def test_a_stream_is_the_whole_sequence(case):
    run = make_run(case)
    y, _ = run.layer(run.x)
    stream = fr.Stream(run.layer, len(run.x))
    for t in range(run.x.shape[1]):
        assert_same_bits(stream.step(np.ascontiguousarray(run.x[:, t])), y[:, t], f"step {t}")
