"""Options in the specification: central differences, work by hand, what turns them off."""

import dataclasses
import re

import numpy as np
import pytest

from fastrnn.reference import CELLS, Masks, Options, Weights, bptt, run
from fastrnn.reference_options import ACTIVATIONS
from reference_cases import (
    PLAIN,
    assert_close,
    bptt_on,
    draw,
    draw_masks,
    given,
    run_on,
    tied,
    usable,
)

SIZES = (2, 4, 2, 3)
LENGTHS = [4, 3]
MASK_KINDS = ("resets", "recurrent", "zoneout_h", "zoneout_c")
CELL_STATE = [cell for cell in CELLS if CELLS[cell].has_cell_state]

# ---- central differences ----

NAMES = list(ACTIVATIONS)
#: Options and kinds of masks by name. Every activation in each of the three places.
VARIANTS = {
    f"{gate} {candidate} {output}": (Options(gate, candidate, output), ())
    for gate, candidate, output in zip(
        NAMES, NAMES[2:] + NAMES[:2], NAMES[4:] + NAMES[:4], strict=True
    )
} | {
    "activation_clip": (Options(activation_clip=0.6), ()),
    "cell_clip": (Options(cell_clip=0.4), ()),
    "projection": (Options(projection_size=2), ()),
    "layer_norm": (Options(layer_norm=True), ()),
    "zoneout": (Options(zoneout_h=0.3, zoneout_c=0.2), ()),
    "recurrent": (PLAIN, ("recurrent",)),
    "resets": (PLAIN, ("resets",)),
    "all": (
        Options("softsign", "hard_tanh", "hard_tanh", 0.9, 0.5, 2, True, 0.5, 0.5),
        MASK_KINDS,
    ),
}


def differing(cell):
    """Yield the variants that the cell has, each once; the first is plain or nearly."""
    seen = set()
    for name, (options, kinds) in VARIANTS.items():
        options = usable(cell, options)
        kinds = tuple(k for k in kinds if k != "zoneout_c" or CELLS[cell].has_cell_state)
        if (options, kinds) not in seen:
            seen.add((options, kinds))
            yield name, options, kinds


CASES = [
    pytest.param(cell, options, kinds, reverse, id=f"{cell}-{name}-{'reverse' * reverse}")
    for number, cell in enumerate(CELLS)
    for place, (name, options, kinds) in enumerate(differing(cell))
    for reverse in ([False, True] if kinds else [bool((number + place) % 2)])
]


@pytest.mark.parametrize(("cell", "options", "kinds", "reverse"), CASES)
def test_gradients_agree_with_central_differences(cell, options, kinds, reverse):
    rng = np.random.default_rng(3)
    arrays = draw(cell, rng, SIZES, options=options)
    masks = draw_masks(cell, rng, SIZES, kinds, options=options)
    how = {"lengths": LENGTHS, "reverse": reverse, "options": options, "masks": masks}

    def loss():
        result = given(run_on(cell, arrays, **how))
        return sum(np.sum(array * arrays[f"d{name}"]) for name, array in result.items())

    at = loss()

    def difference(array, index, step=1e-5):
        kept = array[index]
        array[index] = kept + step
        above = loss()
        array[index] = kept - step
        below = loss()
        array[index] = kept
        # Across a kink of a piecewise activation there is no derivative: draw other numbers.
        assert abs(above - 2 * at + below) < 1e-7, "a kink"
        return (above - below) / (2 * step)

    gradients = given(bptt_on(cell, arrays, **how))
    inputs = {k: v for k, v in arrays.items() if v is not None and not k.startswith("d")}
    assert gradients.keys() == {f"d{name}" for name in inputs}
    for name, array in inputs.items():
        expected = np.array([difference(array, index) for index in np.ndindex(array.shape)])
        size = np.linalg.norm(expected) + np.linalg.norm(gradients[f"d{name}"])
        error = np.linalg.norm(gradients[f"d{name}"].ravel() - expected)
        assert error < 1e-7 * size + 1e-10, name


# ---- by hand ----


@pytest.mark.parametrize(
    ("name", "at", "values", "slopes"),
    [
        ("sigmoid", [0, 1e4], [0.5, 1], [0.25, 0]),
        ("tanh", [0, -1e4], [0, -1], [1, 0]),
        ("relu", [-2, 0, 3], [0, 0, 3], [0, 0, 1]),
        ("hard_sigmoid", [-2.5, -1, 0, 2, 2.5], [0, 0.3, 0.5, 0.9, 1], [0, 0.2, 0.2, 0.2, 0]),
        ("hard_tanh", [-3, -1, 0.5, 1], [-1, -1, 0.5, 1], [0, 0, 1, 0]),
        ("softsign", [-1, 0, 3], [-0.5, 0, 0.75], [0.25, 1, 0.0625]),
        ("identity", [-7, 7], [-7, 7], [1, 1]),
    ],
)
def test_activations_by_hand(name, at, values, slopes):
    for dtype in (np.float32, np.float64):
        a = np.array(at, dtype)
        assert ACTIVATIONS[name].value(a).dtype == ACTIVATIONS[name].slope(a).dtype == dtype
        np.testing.assert_allclose(ACTIVATIONS[name].value(a), values, rtol=1e-6)
        np.testing.assert_allclose(ACTIVATIONS[name].slope(a), slopes, rtol=1e-6)


def scalar(numbers):
    """A sequence of one row and one feature."""
    return np.array(numbers, float)[None, :, None]


DOUBLING = Weights(np.ones((1, 1)), np.full((1, 1), 2.0))
LINEAR = Options(candidate_activation="identity")


def test_gradients_of_states_are_limited_at_each_step():
    """h_t = x_t + 2 h_{t-1}: a gradient doubles with each step back."""
    x, dy = scalar([0, 0, 0]), scalar([0, 0, 1])
    for field, limit in (("gradient_clip_value", 3.0), ("gradient_clip_norm", 3.0)):
        options = dataclasses.replace(LINEAR, **{field: limit})
        gradients = bptt("rnn_tanh", x, DOUBLING, dy, options=options)
        assert_close(gradients.dx, scalar([3, 2, 1]), "dx")  # 4 became 3 before step 0
        assert_close(gradients.dh0, [[3]], "dh0")  # 6 became 3 too: the first step is limited
        backwards = bptt("rnn_tanh", x, DOUBLING, dy[:, ::-1], options=options, reverse=True)
        assert_close(backwards.dx, scalar([1, 2, 3]), "dx")


def test_a_limit_acts_on_what_arrives_not_on_what_the_loss_adds():
    options = dataclasses.replace(LINEAR, gradient_clip_value=3.0)
    gradients = bptt("rnn_tanh", scalar([0, 0]), DOUBLING, scalar([5, 10]), options=options)
    assert_close(gradients.dx, scalar([8, 10]), "dx")
    assert_close(gradients.dh0, [[3]], "dh0")


def test_resets_come_before_limits():
    masks = Masks(resets=np.array([[False, True, False]]))
    options = dataclasses.replace(LINEAR, gradient_clip_norm=1.5)
    x, dy = scalar([0, 0, 0]), scalar([1, 0, 1])
    gradients = bptt("rnn_tanh", x, DOUBLING, dy, options=options, masks=masks)
    assert_close(gradients.dx, scalar([1, 1.5, 1]), "dx")
    assert_close(gradients.dh0, [[1.5]], "dh0")


@pytest.mark.parametrize("cell", CELLS)
def test_the_norm_is_of_a_rows_whole_state_after_its_elements_are_limited(cell):
    arrays = draw(cell, np.random.default_rng(5), (3, 1, 2, 3))
    free = bptt_on(cell, arrays)
    names = ("dh0", "dc0") if CELLS[cell].has_cell_state else ("dh0",)
    largest = max(np.abs(getattr(free, name)).max() for name in names) / 2
    clamped = [np.clip(getattr(free, name), -largest, largest) for name in names]
    norms = np.sqrt(sum((d * d).sum(axis=1, keepdims=True) for d in clamped))
    middle = float(np.sort(norms, axis=None)[1])  # one row is below it, one above
    options = Options(gradient_clip_value=largest, gradient_clip_norm=middle)
    got = bptt_on(cell, arrays, options=options)
    for name, d in zip(names, clamped, strict=True):
        assert_close(getattr(got, name), d * middle / np.maximum(norms, middle), name)
    assert_close(got.dweight_ih, free.dweight_ih, "dweight_ih")  # one step: nothing arrived yet


@pytest.mark.parametrize("cell", CELLS)
def test_limited_bptt_is_a_chain_of_single_steps(cell):
    options = Options(gradient_clip_value=0.4, gradient_clip_norm=0.5)
    arrays = draw(cell, np.random.default_rng(5), (3, 4, 2, 3))
    whole = bptt_on(cell, arrays, options=options)
    inputs = [{"h0": arrays["h0"], "c0": arrays["c0"]}]
    for t in range(4):
        here = arrays | inputs[-1] | {"x": arrays["x"][:, t : t + 1]}
        result = run_on(cell, here)
        inputs.append({"h0": result.h_n, "c0": result.c_n})
    dstate, total = {name: arrays[name] for name in ("dh_n", "dc_n")}, 0
    for t in reversed(range(4)):
        step = {name: arrays[name][:, t : t + 1] for name in ("x", "dy")}
        gradients = bptt_on(cell, arrays | inputs[t] | dstate | step, options=options)
        dstate = {"dh_n": gradients.dh0, "dc_n": gradients.dc0}
        assert_close(gradients.dx[:, 0], whole.dx[:, t], "dx")
        total = total + gradients.dweight_ih
    assert_close(whole.dweight_ih, total, "dweight_ih")
    assert_close(whole.dh0, dstate["dh_n"], "dh0")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_reset_cuts_a_sequence_in_two(cell, reverse):
    """Steps 0, 1 | 2, 3: what starts at the boundary starts from zero, what ends there is kept."""
    arrays = draw(cell, np.random.default_rng(4), (1, 4, 2, 3))
    masks = Masks(resets=np.array([[False, False, True, False]]))
    zero = {name: None if arrays[name] is None else 0 * arrays[name] for name in ("h0", "c0")}
    no_dstate = dict.fromkeys(("dh_n", "dc_n"))
    parts = []
    for steps in (np.s_[:2], np.s_[2:]):
        first = (steps == np.s_[:2]) != reverse
        change = {name: arrays[name][:, steps] for name in ("x", "dy")}
        parts.append(arrays | change | ({} if first else zero) | (no_dstate if first else {}))
    got = run_on(cell, arrays, reverse=reverse, masks=masks)
    expected = [run_on(cell, part, reverse=reverse) for part in parts]
    assert_close(got.y, np.concatenate([part.y for part in expected], axis=1), "y")
    assert_close(got.h_n, expected[0 if reverse else 1].h_n, "h_n")
    got = bptt_on(cell, arrays, reverse=reverse, masks=masks)
    expected = [bptt_on(cell, part, reverse=reverse) for part in parts]
    assert_close(got.dx, np.concatenate([part.dx for part in expected], axis=1), "dx")
    assert_close(got.dh0, expected[1 if reverse else 0].dh0, "dh0")
    assert_close(got.dweight_ih, sum(part.dweight_ih for part in expected), "dweight_ih")


@pytest.mark.parametrize("cell", CELLS)
def test_a_reset_of_step_zero_zeroes_what_enters_there(cell):
    arrays = draw(cell, np.random.default_rng(4), (1, 3, 2, 3))
    masks = Masks(resets=np.array([[True, False, False]]))
    plain = run_on(cell, arrays | {"h0": None, "c0": None})
    np.testing.assert_array_equal(run_on(cell, arrays, masks=masks).y, plain.y)
    assert not bptt_on(cell, arrays, masks=masks).dh0.any()
    for function in (run_on, bptt_on):  # in reverse nothing enters there
        expected = given(function(cell, arrays, reverse=True))
        for name, array in given(function(cell, arrays, masks=masks, reverse=True)).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("reverse", [False, True])
def test_resets_at_invalid_steps_are_not_read(reverse):
    arrays = draw("lstm", np.random.default_rng(4), (2, 4, 2, 3))
    masks = Masks(resets=np.array([[False, False, True, True], [True] * 4]))
    options = {"lengths": [2, 0], "reverse": reverse}
    for function in (run_on, bptt_on):
        expected = given(function("lstm", arrays, **options))
        for name, array in given(function("lstm", arrays, masks=masks, **options)).items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_zoneout_of_one_keeps_the_state_and_of_zero_nothing(cell):
    arrays = draw(cell, np.random.default_rng(4))
    everything = Options(zoneout_h=1.0, zoneout_c=1.0)
    kept = run_on(cell, arrays, options=usable(cell, everything))
    np.testing.assert_array_equal(kept.y, np.broadcast_to(arrays["h0"][:, None], kept.y.shape))
    # A mask takes the place of the rate.
    masks = draw_masks(cell, np.random.default_rng(4), (3, 4, 2, 3), ["zoneout_h", "zoneout_c"])
    none = dataclasses.replace(masks, zoneout_h=0 * masks.zoneout_h)
    if none.zoneout_c is not None:
        none = dataclasses.replace(none, zoneout_c=0 * none.zoneout_c)
    got = given(run_on(cell, arrays, options=usable(cell, everything), masks=none))
    for name, array in given(run_on(cell, arrays)).items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def test_zoneout_by_hand():
    """h~ = x + 2 h_prev, half of h_prev stays, masks of 0 and 1 choose."""
    x = scalar([1, 1, 1])
    half = run("rnn_tanh", x, DOUBLING, options=dataclasses.replace(LINEAR, zoneout_h=0.5))
    assert_close(half.y, scalar([0.5, 1.25, 2.375]), "y")
    masks = Masks(zoneout_h=scalar([0, 1, 0]))
    assert_close(
        run("rnn_tanh", x, DOUBLING, options=LINEAR, masks=masks).y, scalar([1, 1, 3]), "y"
    )


def test_zoneout_of_h_is_after_the_projection_and_h_sees_the_c_of_the_cell():
    options = Options(projection_size=2, zoneout_h=0.25, zoneout_c=0.5)
    arrays = draw("lstm_peephole", np.random.default_rng(6), (3, 1, 2, 3), options=options)
    got = run_on("lstm_peephole", arrays, options=options)
    cell_alone = run_on("lstm_peephole", arrays, options=Options(projection_size=2))
    assert_close(got.h_n, 0.25 * arrays["h0"] + 0.75 * cell_alone.h_n, "h_n")
    assert_close(got.c_n, 0.5 * arrays["c0"] + 0.5 * cell_alone.c_n, "c_n")


@pytest.mark.parametrize("cell", CELLS)
def test_a_mask_scales_h_prev_in_products_but_not_a_grus_share_of_it(cell):
    arrays, mask = draw(cell, np.random.default_rng(6), (3, 1, 2, 3)), np.array([[0, 2.0, 1]] * 3)
    masks, masked = Masks(recurrent=mask), {"h0": mask * arrays["h0"]}
    got = run_on(cell, arrays, masks=masks).h_n
    assert np.abs(got - run_on(cell, arrays).h_n).max() > 0.02
    if "gru" not in cell:
        np.testing.assert_array_equal(got, run_on(cell, arrays | masked).h_n)
        return
    closed = {"bias_ih": arrays["bias_ih"] + np.repeat([0, -1e4, 0], 3)}  # z = 0
    got = run_on(cell, arrays | closed, masks=masks).h_n
    np.testing.assert_array_equal(got, run_on(cell, arrays | closed | masked).h_n)
    kept = {"bias_ih": arrays["bias_ih"] + np.repeat([0, 1e4, 0], 3)}  # z = 1
    np.testing.assert_array_equal(run_on(cell, arrays | kept, masks=masks).h_n, arrays["h0"])


def test_clips_by_hand():
    """The clamp is before the activation, with bias and peephole in; c is clamped before h."""
    one, x = np.ones((1, 1)), scalar([9, -9])
    clip = dataclasses.replace(LINEAR, activation_clip=2.0)
    weights = Weights(one, 0 * one, np.ones(1))
    assert_close(run("rnn_tanh", x / 9, weights, options=clip).y, scalar([2, 0]), "y")
    assert_close(run("rnn_tanh", x, weights, options=clip).y, scalar([2, -2]), "y")
    # i = f = o = 1 (clamped to 1, identity), g = x clamped to 1 as well: c = 1, then 2, 3
    rows = Weights(np.array([[0.0], [0], [1], [0]]), np.zeros((4, 1)), np.array([5.0, 5, 0, 5]))
    linear = Options("identity", "identity", "identity", activation_clip=1.0)
    run_of_three = run("lstm", scalar([7, 7, 7]), rows, options=linear)
    assert_close(run_of_three.y, scalar([1, 2, 3]), "y")
    within = run(
        "lstm", scalar([7, 7, 7]), rows, options=dataclasses.replace(linear, cell_clip=2.5)
    )
    assert_close(within.y, scalar([1, 2, 2.5]), "y")
    assert_close(within.c_n, [[2.5]], "c_n")


def group_factors(cell, apart):
    """One factor for each row of weight_ih: constant in groups, or everywhere another."""
    count = CELLS[cell].num_gates * 3
    if apart:
        return np.linspace(1, 3, count)[:, None]
    return np.repeat([3, 3, 0.5] if "gru" in cell else 3.0, 3 if "gru" in cell else count)[:, None]


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_normalised_together_does_not_feel_the_scale_of_its_weights(cell):
    """LN(k v) = LN(v), but for epsilon."""
    options = Options(layer_norm=True)
    arrays = draw(cell, np.random.default_rng(6), options=options)
    arrays["x"] *= 1e4
    expected = run_on(cell, arrays, options=options).y
    for apart in (False, True):
        scaled = arrays | {"weight_ih": arrays["weight_ih"] * group_factors(cell, apart)}
        error = np.abs(run_on(cell, scaled, options=options).y - expected).max()
        assert (error > 1e-2) if apart else (error < 1e-6)


# ---- cells in disguise ----

DISGUISES = {
    "clip": (Options(activation_clip=0.6), ()),
    "hard": (Options("hard_sigmoid", "softsign", "relu", cell_clip=0.4), ()),
    "masks": (Options(projection_size=2), MASK_KINDS),
    "limits": (Options(zoneout_h=0.3, gradient_clip_value=0.5, gradient_clip_norm=0.7), ()),
}


@pytest.mark.parametrize("variant", DISGUISES)
@pytest.mark.parametrize("cell", [cell for cell in CELLS if "coupled" in cell or "indep" in cell])
def test_options_act_on_cells_in_disguise_alike(cell, variant):
    """1 - f(a) = f(-a) of both sigmoids; u * h is a diagonal matrix times h."""
    options, kinds = DISGUISES[variant]
    options, rng = usable(cell, options), np.random.default_rng(9)
    arrays = draw(cell, rng, options=options)
    masks = draw_masks(cell, rng, (3, 4, 2, 3), kinds, options=options)
    dense_cell, dense = tied(cell, arrays)
    how = {"options": options, "masks": masks, "lengths": [4, 0, 2]}
    for name, array in given(run_on(cell, arrays, **how)).items():
        assert_close(array, getattr(run_on(dense_cell, dense, **how), name), name)
    got, expected = bptt_on(cell, arrays, **how), bptt_on(dense_cell, dense, **how)
    for name in ("dx", "dh0", *(["dc0", "dweight_hr"] if options.projection_size else [])):
        assert_close(getattr(got, name), getattr(expected, name), name)


# ---- bad arguments ----

WRONG = [
    ("gru", Options("swish"), "gate_activation: expected one of sigmoid, tanh, relu, hard_sigmoid"),
    ("gru", Options(cell_clip=1.0), "cell_clip: expected 0 for gru, got 1.0"),
    ("gru", Options(projection_size=2), "projection_size: expected 0 for gru, got 2"),
    ("rnn_tanh", Options(zoneout_c=0.1), "zoneout_c: expected 0 for rnn_tanh, got 0.1"),
    ("lstm", Options(activation_clip=-1.0), "activation_clip: expected at least 0, got -1.0"),
    ("lstm", Options(layer_norm=True), "layer_norm: expected shape (18*H,) = (54,), got None"),
    ("lstm", Options(projection_size=2), "weight_hh: expected shape (4*H, S) = (12, 2)"),
]


@pytest.mark.parametrize(("cell", "options", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_a_bad_option_is_named(cell, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run_on(cell, draw(cell, np.random.default_rng(0)), options=options)


WRONG_MASKS = [
    ("gru", Masks(resets=np.zeros((3, 4, 1))), "resets: expected shape (N, T) = (3, 4), got"),
    ("gru", Masks(recurrent=np.zeros((1, 3))), "recurrent: expected shape (N, S) = (3, 3), got"),
    ("lstm", Masks(zoneout_h=np.zeros((3, 3))), "zoneout_h: expected shape (N, T, S) = (3, 4, 3)"),
    ("gru", Masks(zoneout_c=np.zeros((3, 4, 3))), "zoneout_c: expected None for gru, got"),
]


@pytest.mark.parametrize(("cell", "masks", "message"), WRONG_MASKS, ids=[w[2] for w in WRONG_MASKS])
def test_a_bad_mask_is_named(cell, masks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run_on(cell, draw(cell, np.random.default_rng(0)), masks=masks)
