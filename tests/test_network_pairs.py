"""Networks' options, in combinations that have every valid pair of them.

Inference against the specification, composed by hand; gradients against central differences; and
bit for bit the same whatever the other rows, the threads, checkpoints, files or running by steps.
"""

import re

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import TOLERANCES, assert_near, assert_same_bits, check_gradients
from network_cases import (
    CHECKPOINT_FACTORS,
    DRAWING,
    EXCLUDED,
    FACTORS,
    STREAM_FACTORS,
    expected_of,
    is_valid,
    make_run,
    name_of,
)
from pairs import pairs_of, pairwise, valid_pairs

CASES = pairwise(FACTORS, is_valid)
every_case = pytest.mark.parametrize("case", CASES, ids=name_of)


def assert_all_same_bits(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert_same_bits(got[name], array, name)


# ---- the combinations themselves ----


def test_every_valid_pair_is_there():
    covered = set().union(*map(pairs_of, CASES))
    assert not [pair for pair in valid_pairs(FACTORS, is_valid) if pair not in covered]
    assert all(map(is_valid, CASES))
    assert pairwise(FACTORS, is_valid) == CASES
    assert len(CASES) < 60


def test_what_is_excluded_is_refused_or_warned_of():
    plain = {name: values[0] for name, values in FACTORS.items()} | {"num_layers": 2}
    for excluded, what in EXCLUDED:
        for cell in excluded.get("cell", ("lstm",)) if what else ():
            case = plain | {name: values[0] for name, values in excluded.items()} | {"cell": cell}
            assert not is_valid(case)
            with pytest.raises((ValueError, TypeError, UserWarning), match=f"^{what}: "):
                make_run(case)


# ---- results ----


@every_case
def test_inference_is_the_specification_composed(case):
    run = make_run(case)
    got, expected = run.infer(), expected_of(run)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert_near(got[name], array, name)


@every_case
def test_training_is_the_specification_with_the_masks_drawn(case):
    run = make_run(case)
    first = run.train(seed=0)
    assert_all_same_bits(run.train(seed=0), first)
    for name, array in expected_of(run, seed=0).items():
        assert_near(first[name], array, name)
    if any(case[name] for name in DRAWING):
        assert not np.array_equal(run.train(seed=1)["y"], first["y"])
    else:
        inferred = run.infer()
        assert_all_same_bits({name: first[name] for name in inferred}, inferred)


@every_case
def test_gradients_agree_with_central_differences(case):
    hidden = (3, 3, 3) if case["sizes"] == "equal" else (3, 4, 3)
    run = make_run(case, batch=3, steps=3, inputs=2, hidden=hidden, dtype="float64", seed=1)
    (x, state), how = run.arguments()
    # Where masks leave few numbers, layer normalisation divides by little: with the usual step of
    # 1e-5 differences err by more than 1e-7, and by a hundredth of that with a tenth of the step.
    step = 1e-6 if case["layer_norm"] else 1e-5
    found = check_gradients(run.network, x, state, step=step, **how)
    assert found.error < TOLERANCES["gradient"][0], found


# ---- bit for bit ----


@every_case
def test_a_row_alone_is_that_of_the_batch(case):
    run = make_run(case)
    whole = run.infer()
    for row in range(len(run.x)):
        alone = run.rows(slice(row, row + 1)).infer()
        assert_all_same_bits(alone, {k: v[row : row + 1] for k, v in whole.items()})
    # In training the masks go by the places of rows, so this is for the first one.
    whole = run.train()
    for name, array in run.rows(slice(0, 1)).train().items():
        if name in ("y", "dx") or " of " in name:
            assert_same_bits(array, whole[name][:1], name)


def with_and_without_directions(cases):
    """Return for each cell the last case of one direction and the last of two."""
    return list({(c["cell"], c["merge"] == "one direction"): c for c in cases}.values())


@pytest.mark.parametrize("case", with_and_without_directions(CASES), ids=name_of)
def test_threads_change_nothing(case):
    batch, steps = 40, 40
    hidden = (120, 120, 120) if case["sizes"] == "equal" else (120, 130, 110)
    run = make_run(case, batch=batch, steps=steps, inputs=65, hidden=hidden)
    before = fr.get_num_threads()
    try:
        fr.set_num_threads(2)
        plans = run.network.explain_plan(batch, steps).layers
        assert any(plan.side_by_side or plan.threads == 2 for plan in plans)
        inferred, trained = run.infer(), run.train()
        fr.set_num_threads(1)
        assert_all_same_bits(run.infer(), inferred)
        assert_all_same_bits(run.train(), trained)
    finally:
        fr.set_num_threads(before)


@pytest.mark.parametrize("case", pairwise(STREAM_FACTORS, is_valid), ids=name_of)
def test_a_stream_is_the_whole_sequence(case):
    run = make_run(case)
    whole = run.infer()
    stream = fr.Stream(run.network, len(run.x))
    if run.state is not None:
        stream.state = run.packed(run.state)
    for t in range(run.x.shape[1]):
        y = stream.step(np.ascontiguousarray(run.x[:, t]))
        assert_same_bits(y, whole["y"][:, t], f"step {t}")
    assert_all_same_bits(run.named(None, stream.state), {k: whole[k] for k in whole if k != "y"})


@every_case
def test_a_file_keeps_everything(case, tmp_path):
    run = make_run(case)
    fr.save(run.network, tmp_path / "model.safetensors")
    loaded = fr.load(tmp_path / "model.safetensors")
    assert loaded.config() == run.network.config()
    trained, inferred = run.train(), run.infer()
    run.network = loaded
    assert_all_same_bits(run.infer(), inferred)
    assert_all_same_bits(run.train(), trained)


@pytest.mark.parametrize("case", pairwise(CHECKPOINT_FACTORS, is_valid)[::3], ids=name_of)
def test_checkpoints_change_nothing(case):
    batch, steps, resets = 3, 200, case["resets"]
    run = make_run(case, batch=batch, steps=steps)
    with pytest.raises(ValueError, match="memory_budget: expected at least") as caught:
        fr.Checkpointed(run.network, memory_budget=1).segments(batch, steps, reset=resets)
    budget = int(re.search(r"at least (\d+)", str(caught.value))[1])
    by_itself = run.train()
    layer = fr.Checkpointed(make_run(case, batch=batch).network, memory_budget=budget)
    assert len(layer.segments(batch, steps, reset=resets)) > 1
    layer.parameter_vector[...] = run.network.parameter_vector
    got = run.train(layer)
    for name, array in by_itself.items():
        if case["ragged"] and name[1:] in layer.parameters:
            assert_near(got[name], array, name)  # the same sums in another order
        else:
            assert_same_bits(got[name], array, name)
