"""The compiled module called directly: what would step outside an array is refused, never run."""

import threading

import numpy as np
import pytest

from fastrnn import ops
from fastrnn._isa import kernels
from fastrnn.ops import aligned_empty

# A cell that has all kinds of arrays.
CELL, BATCH, STEPS, INPUTS, HIDDEN = "lstm_peephole", 4, 5, 3, 6
SIZE = (CELL, BATCH, STEPS, INPUTS, HIDDEN)
LENGTHS = np.array([5, 0, 2, 3])
FORWARD = [
    "cell", "panels", "x", "h0", "c0", "lengths", "reverse", "threads", "y", "h_n", "c_n", "tape",
    "masks", "workspace",
]  # fmt: skip
BACKWARD = [
    "cell", "panels", "tape", "dy", "dh_n", "dc_n", "batch", "steps", "lengths", "reverse",
    "threads", "dx", "add_to_dx", "dh0", "dc0", "dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh",
    "dunit_weights", "dweight_hr", "dlayer_norm", "weight_sums", "masks", "tokens", "workspace",
]  # fmt: skip


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def weights(prefix=""):
    rows = 4 * HIDDEN
    return {
        f"{prefix}weight_ih": zeros(rows, INPUTS),
        f"{prefix}weight_hh": zeros(rows, HIDDEN),
        f"{prefix}bias_ih": zeros(rows),
        f"{prefix}bias_hh": zeros(rows),
        f"{prefix}unit_weights": zeros(3 * HIDDEN),
    }


def panels(pass_name):
    array = aligned_empty(kernels.panel_size(pass_name, CELL, INPUTS, HIDDEN, 4), np.float32)
    kernels.pack(pass_name, CELL, **weights(), panels=array)
    return array


def forward_arguments():
    return {
        "cell": CELL,
        "panels": panels("forward"),
        "x": zeros(BATCH, STEPS, INPUTS),
        "h0": zeros(BATCH, HIDDEN),
        "c0": zeros(BATCH, HIDDEN),
        "lengths": LENGTHS,
        "reverse": False,
        "threads": 1,
        "y": zeros(BATCH, STEPS, HIDDEN),
        "h_n": zeros(BATCH, HIDDEN),
        "c_n": zeros(BATCH, HIDDEN),
        "tape": aligned_empty(kernels.tape_size(*SIZE, LENGTHS, 4), np.uint8),
        "masks": None,
        "workspace": aligned_empty(kernels.workspace_size("forward", True, *SIZE, 4), np.uint8),
    }


def backward_arguments():
    forward = forward_arguments()
    kernels.forward(**forward)
    return {
        "cell": CELL,
        "panels": panels("backward"),
        "tape": forward["tape"],
        "dy": zeros(BATCH, STEPS, HIDDEN),
        "dh_n": zeros(BATCH, HIDDEN),
        "dc_n": zeros(BATCH, HIDDEN),
        "batch": BATCH,
        "steps": STEPS,
        "lengths": forward["lengths"],
        "reverse": False,
        "threads": 1,
        "dx": zeros(BATCH, STEPS, INPUTS),
        "add_to_dx": False,
        "dh0": zeros(BATCH, HIDDEN),
        "dc0": zeros(BATCH, HIDDEN),
        **weights("d"),
        "dweight_hr": None,
        "dlayer_norm": None,
        "weight_sums": panels("forward"),
        "masks": None,
        "tokens": None,
        "workspace": aligned_empty(kernels.workspace_size("backward", True, *SIZE, 4), np.uint8),
    }


CALLS = {"forward": forward_arguments, "backward": backward_arguments}


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


def spoiled(array):
    """Return wrong versions of an array, by what is wrong."""
    wrong = {
        "dtype": array.astype(np.float16 if array.dtype.kind == "f" else np.float32),
        "byte order": array.astype(array.dtype.newbyteorder(">")),
        "further axis": array[None],
        "short": array[..., :-1],
    }
    if array.dtype.itemsize > 1:
        wrong["unaligned"] = unaligned(array)
    if array.ndim > 1:
        spread = np.zeros((*array.shape, 2), array.dtype)[..., 0]
        wrong["last axis apart"] = spread
        wrong["missing axis"] = array[0]
    if array.dtype == np.uint8:
        del wrong["byte order"]
    return wrong


def array_cases():
    for call, make in CALLS.items():
        for name, value in make().items():
            if isinstance(value, np.ndarray):
                # A narrower x fits into the panels of a wider one: judged in Python, not here.
                kinds = set(spoiled(value)) - ({"short"} if name == "x" else set())
                yield from ((call, name, kind) for kind in sorted(kinds))


@pytest.mark.parametrize("call", CALLS)
def test_good_arguments_run(call):
    getattr(kernels, call)(**CALLS[call]())


@pytest.mark.parametrize(("call", "name", "kind"), list(array_cases()))
def test_wrong_arrays_are_refused(call, name, kind):
    arguments = CALLS[call]()
    arguments[name] = spoiled(arguments[name])[kind]
    if name == "panels" and kind in ("dtype", "byte order"):
        expected = "panels"
    elif (call == "forward" and name in ("x", "y")) or (
        call == "backward" and name.startswith("dwei")
    ):
        expected = r"\w+"  # sizes are read from these, so another argument may be named
    else:
        expected = name
    with pytest.raises((TypeError, ValueError), match=rf"{expected}.*: expected"):
        getattr(kernels, call)(**arguments)


@pytest.mark.parametrize("call", CALLS)
def test_read_only_results_are_refused(call):
    gradients = [n for n in BACKWARD if n[0] == "d" and n not in ("dy", "dh_n", "dc_n")]
    written = {
        "forward": ["y", "h_n", "c_n", "tape", "workspace"],
        "backward": [n for n in gradients if backward_arguments()[n] is not None],
    }[call]
    for name in written:
        arguments = CALLS[call]()
        arguments[name].flags.writeable = False
        with pytest.raises(ValueError, match=f"{name}: expected a writable array"):
            getattr(kernels, call)(**arguments)


def test_overlapping_arrays_are_refused():
    shared = zeros(BATCH, STEPS, HIDDEN + INPUTS)
    x, y = shared[..., :INPUTS], shared[..., INPUTS - 1 : -1]
    arguments = forward_arguments() | {"x": x, "y": y}
    with pytest.raises(ValueError, match="y: expected memory of its own, got memory shared with x"):
        kernels.forward(**arguments)
    arguments = forward_arguments()
    arguments["h_n"] = arguments["h0"]
    with pytest.raises(ValueError, match="h_n: .* shared with h0"):
        kernels.forward(**arguments)
    arguments = backward_arguments()
    arguments["dh0"] = arguments["dh_n"][::-1]
    with pytest.raises(ValueError, match="dh0: .* shared with dh_n"):
        kernels.backward(**arguments)
    arguments = backward_arguments()
    arguments["workspace"] = arguments["tape"]
    with pytest.raises(ValueError, match="workspace: expected"):
        kernels.backward(**arguments)
    zero_stride = np.broadcast_to(zeros(1, 1, HIDDEN), (BATCH, STEPS, HIDDEN))
    with pytest.raises(ValueError, match="y: expected"):
        kernels.forward(**(forward_arguments() | {"y": zero_stride}))


def test_rows_that_lie_between_each_other_do_not_overlap():
    shared = zeros(STEPS, BATCH, HIDDEN + INPUTS).swapaxes(0, 1)
    arguments = forward_arguments() | {"x": shared[..., :INPUTS], "y": shared[..., INPUTS:]}
    kernels.forward(**arguments)
    assert not shared[..., :INPUTS].any()
    backwards = zeros(BATCH, 2 * STEPS, HIDDEN)
    with pytest.raises(ValueError, match="y: expected memory of its own"):
        kernels.forward(
            **forward_arguments() | {"x": backwards[:, ::2, :INPUTS], "y": backwards[:, 4::-1]}
        )


def two_calls(call):
    """Return the tuples of two calls, the second of which reads the first's x, as by position."""
    first, second = CALLS[call](), CALLS[call]()
    if call == "forward":
        both = zeros(BATCH, STEPS, 2 * HIDDEN)
        first["y"], second["y"] = both[..., :HIDDEN], both[..., HIDDEN:]
        second["x"] = first["x"]
    return first, second | {"reverse": True}


@pytest.mark.parametrize("call", CALLS)
def test_calls_side_by_side_run(call):
    getattr(kernels, f"{call}_side_by_side")([tuple(c.values()) for c in two_calls(call)])
    with pytest.raises(ValueError, match="calls: expected at least one, got none"):
        getattr(kernels, f"{call}_side_by_side")([])
    with pytest.raises(TypeError):
        getattr(kernels, f"{call}_side_by_side")([(CELL, None)])


WRITTEN = {
    "forward": ("y", "h_n", "c_n", "tape", "workspace"),
    "backward": ("tape", "dx", "dh0", "dc0", *weights("d"), "weight_sums", "workspace"),
}


@pytest.mark.parametrize(
    ("call", "name"), [(call, name) for call, names in WRITTEN.items() for name in names]
)
def test_calls_side_by_side_share_nothing_they_write(call, name):
    first, second = two_calls(call)
    results = [first[n] for n in WRITTEN[call] if n not in ("tape", "workspace")]
    for array in results:
        array.fill(7)
    with pytest.raises(ValueError, match=f"{name}: .* shared with {name}"):
        getattr(kernels, f"{call}_side_by_side")(
            [tuple(first.values()), tuple((second | {name: first[name]}).values())]
        )
    assert all((array == 7).all() for array in results)  # judged before anything is computed


@pytest.mark.parametrize("call", CALLS)
def test_the_second_of_two_calls_is_checked_too(call):
    first, second = two_calls(call)
    wrong = second | {"panels": second["panels"].astype(np.float64)}
    with pytest.raises(TypeError, match="panels: expected dtype float32, got float64"):
        getattr(kernels, f"{call}_side_by_side")([tuple(first.values()), tuple(wrong.values())])


def test_back_propagation_has_no_kernel_for_bfloat16():
    first, second = two_calls("backward")
    wrong = second | {"panels": second["panels"].view(np.uint32)}
    with pytest.raises(TypeError, match="panels: expected dtype float32, got uint32"):
        kernels.backward_side_by_side([tuple(first.values()), tuple(wrong.values())])


def test_a_written_array_with_a_stride_of_zero_is_refused():
    y = np.lib.stride_tricks.as_strided(
        zeros(HIDDEN), (BATCH, STEPS, HIDDEN), (0, 0, 4), writeable=True
    )
    with pytest.raises(ValueError, match="y: expected memory of its own"):
        kernels.forward(**(forward_arguments() | {"y": y}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lengths", np.array([5, 0, 6, 3]), r"lengths\[2\]: expected 0..T = 0..5, got 6"),
        ("lengths", np.array([5, 0, -1, 3]), r"lengths\[2\]: expected 0..T = 0..5, got -1"),
        ("c_n", None, "c_n: expected an array, got None"),
    ],
)
def test_values_that_would_step_outside_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        kernels.forward(**(forward_arguments() | {name: value}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lstn"}, "cell: expected one of rnn_tanh, .*, got lstn"),
        ({"gate_activation": "swish"}, "gate_activation: expected one of sigmoid, .*, got swish"),
        ({"zoneout_h": -0.5}, "zoneout_h: expected at least 0, got -0.5"),
        ({"name": "gru", "projection_size": 3}, "projection_size.*: expected 0, .* has no c"),
        ({"name": "gru", "cell_clip": 1.0}, "cell_clip.*: expected 0, this cell has no c"),
    ],
)
def test_cells_that_do_not_exist_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        kernels.CellKind(**({"name": "lstm"} | arguments))


def test_a_projection_wider_than_the_cell_is_refused():
    wide = kernels.CellKind("lstm", projection_size=7)
    with pytest.raises(ValueError, match="projection_size: expected at most hidden_size = 6"):
        kernels.panel_size("forward", wide, 3, 6, 4)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("place", range(4))
def test_masks_of_wrong_shapes_are_refused(call, place):
    right = [
        zeros(BATCH, STEPS, 1, dtype=np.uint8),
        zeros(BATCH, HIDDEN),
        zeros(BATCH, STEPS, HIDDEN),
        zeros(BATCH, STEPS, HIDDEN),
    ]
    name = ["resets", "recurrent", "zoneout_h", "zoneout_c"][place]
    kinds = tuple(i == place for i in range(4))
    tape = aligned_empty(kernels.tape_size(*SIZE, LENGTHS, 4, kinds), np.uint8)
    size = kernels.workspace_size(call, True, *SIZE, 4, kinds)
    arguments = CALLS[call]() | {"tape": tape, "workspace": aligned_empty(size, np.uint8)}
    for wrong in (right[place][:-1], right[place].astype(np.int32)):
        masks = [None] * 4
        masks[place] = wrong
        with pytest.raises((ValueError, TypeError), match=f"{name}: expected"):
            getattr(kernels, call)(**(arguments | {"masks": tuple(masks)}))


def test_a_mask_needs_a_tape_with_room_for_it():
    masks = (None, zeros(BATCH, HIDDEN), None, None)
    with pytest.raises(ValueError, match="tape: expected at least"):
        kernels.forward(**(forward_arguments() | {"masks": masks}))


@pytest.mark.parametrize("name", ["h0", "h_n", "panels", "cell", "x"])
def test_nothing_where_an_array_belongs(name):
    arguments = forward_arguments() | {name: None}
    if name == "h0":
        kernels.forward(**arguments)  # zero
    else:
        with pytest.raises(TypeError):
            kernels.forward(**arguments)


def test_cells_without_c_refuse_it():
    arguments = forward_arguments() | {"cell": "rnn_tanh"}
    with pytest.raises(ValueError, match="c0: expected None, this cell has no c"):
        kernels.forward(**arguments)


#: What the weights of a cell must not be, beside those of CELL, and what is said.
WRONG_WEIGHTS = [
    ("lstm", {}, "a recurrent matrix and no unit weights"),
    ("lstm_peephole", {"unit_weights": None}, "a recurrent matrix and unit weights"),
    ("lstm_peephole", {"weight_hh": None}, "a recurrent matrix and unit weights"),
    ("independent_rnn_tanh", {}, "no recurrent matrix nor its bias and unit weights"),
    ("independent_rnn_tanh", {"weight_hh": None}, "no recurrent matrix nor its bias and unit"),
    (
        "independent_rnn_tanh",
        {"weight_hh": None, "bias_hh": None, "unit_weights": None},
        "no recurrent matrix nor its bias and unit weights",
    ),
]


@pytest.mark.parametrize(("cell", "change", "message"), WRONG_WEIGHTS)
def test_weights_of_another_cell_are_refused(cell, change, message):
    given = weights() | change
    out = aligned_empty(10_000, np.float32)
    with pytest.raises(ValueError, match=f"weight_hh, bias_hh, unit_weights: expected .*{message}"):
        kernels.pack("forward", cell, **given, panels=out)
    arguments = backward_arguments() | {"cell": cell} | {f"d{k}": v for k, v in change.items()}
    with pytest.raises(ValueError, match=f"dweight_hh, dbias_hh, dunit_weights: .*{message}"):
        kernels.backward(**arguments)


@pytest.mark.parametrize("kind", sorted(spoiled(zeros(3 * HIDDEN))))
def test_wrong_unit_weights_are_not_packed(kind):
    given = weights()
    given["unit_weights"] = spoiled(given["unit_weights"])[kind]
    with pytest.raises((TypeError, ValueError), match="unit_weights: expected"):
        kernels.pack("forward", CELL, **given, panels=panels("forward"))


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="input_size: expected at least 1, got 0"):
        kernels.panel_size("forward", CELL, 0, 3, 4)
    with pytest.raises(ValueError, match="itemsize: expected 2, 4 or 8, got 3"):
        kernels.panel_size("forward", CELL, 3, 3, 3)
    with pytest.raises(ValueError, match="pass_name: expected forward or backward, got sideways"):
        kernels.panel_size("sideways", CELL, 3, 3, 4)
    with pytest.raises(ValueError, match="batch: expected at least 0, got -1"):
        kernels.tape_size(CELL, -1, 3, 3, 3, None, 4)


def test_linear_is_checked_too():
    weight, bias, x, y = zeros(2, 3), zeros(2), zeros(5, 3), zeros(5, 2)
    workspace = aligned_empty(kernels.linear_workspace_size(5, 3, 2, 4), np.uint8)
    kernels.linear_forward(weight, bias, x, y, workspace)
    for wrong in (
        (weight, bias, x[:, :2], y, workspace),
        (weight, bias, x, y[:4], workspace),
        (weight, bias[:1], x, y, workspace),
        (weight.T, bias, x, y, workspace),
        (weight, bias, x, y, workspace[:64]),
        (weight, bias, x, x[:, :2], workspace),
    ):
        with pytest.raises(ValueError, match=": expected"):
            kernels.linear_forward(*wrong)


def test_a_stream_adds_only_what_an_earlier_stage_has_read():
    linear = ops.linear_stage(zeros(3, 3), None)
    wider = ops.linear_stage(zeros(4, 3), None)
    nothing = np.empty(0, np.float32)
    for stages, message in (
        (
            [linear, ("add", 3, 3, nothing, 1, 0)],
            "expected a source before the stage that adds, got 1",
        ),
        ([linear, ("add", 3, 3, nothing, -1, 0)], "expected a source before .* got -1"),
        ([("add", 3, 3, nothing, 0, 0)], "expected a source before .* got 0"),
        ([linear, ("add", 3, 4, nothing, 0, 0)], "expected output_size = input_size to add"),
        ([wider, ("add", 4, 4, nothing, 0, 0)], "expected a source with input_size 4, got 3"),
        (
            [wider, ("add", 3, 3, nothing, 0, 0)],
            "expected input_size 4 like the output before, got 3",
        ),
    ):
        with pytest.raises(ValueError, match=f"stages: {message}"):
            kernels.StreamFloat32(stages, 1)
    stack = kernels.StreamFloat32([linear, ("add", 3, 3, nothing, 0, 0)], 1)
    out = zeros(1, 3)
    stack.step(np.ones((1, 3), np.float32), out)
    assert (out == 1).all()
    with pytest.raises(ValueError, match="stage: expected a recurrent stage, got 1"):
        stack.read_state(1, out, None)


def test_the_gil_is_released_while_kernels_run():
    arguments = forward_arguments()
    steps = 30_000
    size = (CELL, BATCH, steps, INPUTS, HIDDEN)
    arguments |= {
        "x": zeros(BATCH, steps, INPUTS),
        "y": zeros(BATCH, steps, HIDDEN),
        "lengths": None,
        "tape": None,
        "workspace": aligned_empty(kernels.workspace_size("forward", False, *size, 4), np.uint8),
    }
    running, ticks = threading.Event(), []

    def run():
        running.set()
        for _ in range(3):
            kernels.forward(**arguments)
        running.clear()

    worker = threading.Thread(target=run)
    worker.start()
    running.wait()
    while running.is_set():
        ticks.append(None)  # with the GIL held, this thread would stand still
    worker.join()
    assert len(ticks) > 1000


def test_stored_names_are_those_of_the_module():
    assert list(forward_arguments()) == FORWARD
    assert list(backward_arguments()) == BACKWARD
    assert set(ops.CELLS) >= {CELL}


def test_bad_weight_sums_are_refused():
    good = {"cell": CELL, "weight_sums": panels("forward"), **weights("d")}
    kernels.add_weight_sums(**good)
    size = good["weight_sums"].size
    for name, wrong in (
        ("weight_sums", aligned_empty(size - 1, np.float32)),
        ("weight_sums", aligned_empty(size, np.int32)),
        ("dweight_ih", good["dweight_ih"].astype(np.float64)),
        ("dbias_hh", good["dbias_hh"][:-1]),
    ):
        with pytest.raises((TypeError, ValueError), match=f"{name}: expected"):
            kernels.add_weight_sums(**good | {name: wrong})
