"""Layer normalisation inside the recurrence, against a loop that reads like the paper."""

from itertools import pairwise

import numpy as np
import pytest

from fastrnn import get_num_threads, ops, reference, set_num_threads
from fastrnn.ops.panels import packed
from fastrnn.testing import TOLERANCES, assert_near, assert_same_bits, random_lengths

DTYPES = ["float32", "float64"]
GATED = {"lstm": "ifgo", "lstm_peephole": "ifgo", "lstm_coupled": "igo"}
GATED |= {"lstm_coupled_peephole": "igo", "gru": "rzn", "gru_reset_before": "rzn"}


class Layer:
    """A layer of the kernels with random weights, in one dtype."""

    def __init__(
        self, cell, inputs, hidden, dtype, *, reverse=False, bias=True, bfloat16=False, **options
    ):
        table, rng = ops.CELLS[cell], np.random.default_rng(0)
        self.cell, self.inputs, self.hidden, self.dtype = cell, inputs, hidden, np.dtype(dtype)
        self.kind = ops.LayerKind(
            cell,
            inputs,
            hidden,
            reverse,
            self.dtype,
            bfloat16,
            ops.CellOptions(layer_norm=True, **options),
        )
        rows, matrix = table.gates * hidden, table.has_recurrent_matrix

        def array(*shape, scale=0.5, around=0.0):
            return (around + scale * rng.standard_normal(shape)).astype(dtype)

        # Gain and shift of each product that there is, then of c.
        products = 2 if matrix else 1
        norm = [array(rows, scale=0.3, around=around) for around in (1.0, 0.0) * products]
        if table.has_cell_state:
            norm += [array(hidden, scale=0.3, around=around) for around in (1.0, 0.0)]
        self.weights = ops.Weights(
            array(rows, inputs),
            array(rows, self.kind.state_size) if matrix else None,
            array(rows) if bias else None,
            array(rows) if bias and matrix else None,
            array(table.unit_weights * hidden) if table.unit_weights else None,
            array(self.kind.state_size, hidden) if self.kind.options.projection_size else None,
            np.concatenate(norm),
        )
        self.buffers = ops.LayerBuffers()

    def arguments(self, batch, steps, seed=1):
        """Return x, h0, c0, dy, dh_n, dc_n."""
        rng = np.random.default_rng(seed)
        size, hidden = self.kind.state_size, self.hidden
        shapes = [(batch, steps, self.inputs), (batch, size), (batch, hidden)]
        shapes += [(batch, steps, size), (batch, size), (batch, hidden)]
        arrays = [rng.standard_normal(shape).astype(self.dtype) for shape in shapes]
        if not self.kind.has_cell_state:
            arrays[2] = arrays[5] = None
        return arrays

    def forward(self, x, h0, c0, lengths=None, *, record=False, masks=None):
        panels = packed(self.kind, "forward", self.weights)
        call = ops.forward_call(
            self.kind, panels, x, h0, c0, lengths,
            out=None, record=record, buffers=self.buffers, masks=masks,
        )  # fmt: skip
        ops.forward(call)
        return call

    def ones(self):
        """Return an array of ones for each of the weights."""
        return ops.Weights(
            *(None if w is None else np.ones_like(w) for w in vars(self.weights).values())
        )

    def backward(self, call, dy, dh_n, dc_n, gradients, weight_sums=None):
        """Return dx, (dh0, dc0)."""
        panels = packed(self.kind, "backward", self.weights)
        back = ops.BackwardCall(
            self.kind, panels, call.record, dy, dh_n, dc_n, gradients, self.buffers, weight_sums
        )
        return ops.backward(back, input_gradient=True, add_to=None)

    def results(self, x, h0, c0, dy, dh_n, dc_n, lengths=None, masks=None):
        """Return everything that a training step gives, by name; gradients are added to ones."""
        call = self.forward(x, h0, c0, lengths, record=True, masks=masks)
        gradients = self.ones()
        dx, (dh0, dc0) = self.backward(call, dy, dh_n, dc_n, gradients)
        named = {"y": call.y, "h_n": call.h_n, "c_n": call.c_n, "dx": dx, "dh0": dh0, "dc0": dc0}
        named |= vars(gradients)
        return {name: array for name, array in named.items() if array is not None}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def normalised(a, gain, shift, groups):
    """Return gain (a - mean) / sqrt(variance + 1e-5) + shift of one row, in groups of gates.

    groups : sizes of the groups, in gates of the H numbers that follow each other.
    """
    ends = np.cumsum([0, *groups])
    y = np.empty_like(a)
    for begin, end in pairwise(ends):
        part = a[begin:end]
        y[begin:end] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return gain * y + shift


def run_row(layer, x, h, c):
    """Return the outputs (T, H) of one row, its last h and c."""
    table, H = ops.CELLS[layer.cell], layer.hidden
    w = {n: None if v is None else v.astype(np.float64) for n, v in vars(layer.weights).items()}
    rows = table.gates * H
    zeros = np.zeros(rows)
    bias_ih = zeros if w["bias_ih"] is None else w["bias_ih"]
    bias_hh = zeros if w["bias_hh"] is None else w["bias_hh"]
    norm = list(
        np.split(w["layer_norm"], np.cumsum([rows] * (4 if table.has_recurrent_matrix else 2)))
    )
    gru = layer.cell.startswith("gru")
    groups = [2 * H, H] if gru else [rows]
    R = w["weight_hh"]

    def hidden(source, part=slice(None), groups=groups):
        gain, shift = norm[2][part], norm[3][part]
        return normalised(R[part] @ source, gain, shift, groups)

    unit = None if w["unit_weights"] is None else w["unit_weights"].reshape(-1, H)
    outputs = []
    for x_t in x:
        a = normalised(w["weight_ih"] @ x_t, norm[0], norm[1], groups) + bias_ih + bias_hh
        if layer.cell == "gru":
            m = hidden(h) + bias_hh
            a -= bias_hh
            r, z = sigmoid((a + m)[: 2 * H]).reshape(2, H)
            n = np.tanh(a[2 * H :] + r * m[2 * H :])
            h = (1 - z) * n + z * h
        elif layer.cell == "gru_reset_before":
            r, z = sigmoid(a[: 2 * H] + hidden(h, slice(0, 2 * H), [2 * H])).reshape(2, H)
            n = np.tanh(a[2 * H :] + hidden(r * h, slice(2 * H, None), [H]))
            h = (1 - z) * n + z * h
        elif table.has_cell_state:
            gates = dict(zip(GATED[layer.cell], (a + hidden(h)).reshape(-1, H), strict=True))
            coupled = "coupled" in layer.cell
            if unit is not None:
                gates["i"] = gates["i"] + unit[0] * c
                if not coupled:
                    gates["f"] = gates["f"] + unit[1] * c
            i, g = sigmoid(gates["i"]), np.tanh(gates["g"])
            f = 1 - i if coupled else sigmoid(gates["f"])
            c = f * c + i * g
            o = sigmoid(gates["o"] + (0 if unit is None else unit[-1] * c))
            h = o * np.tanh(normalised(c, norm[-1][:H], norm[-1][H:], [H]))
            if w["weight_hr"] is not None:
                h = w["weight_hr"] @ h
        else:
            a = a + (unit[0] * h if unit is not None else hidden(h))
            h = np.maximum(a, 0) if layer.cell.endswith("relu") else np.tanh(a)
        outputs.append(h)
    return np.array(outputs).reshape(len(x), h.size), h, c


def run_rows(layer, x, h0, c0, lengths):
    """Return y, h_n, c_n in float64."""
    y = np.zeros((*x.shape[:2], layer.kind.state_size))
    h_n = np.array(h0, np.float64)
    c_n = np.zeros((len(x), layer.hidden)) if c0 is None else np.array(c0, np.float64)
    turn = -1 if layer.kind.reverse else 1
    for row, length in enumerate(lengths):
        out, h_n[row], c_n[row] = run_row(
            layer, x[row, :length].astype(np.float64)[::turn], h_n[row], c_n[row]
        )
        y[row, :length] = out[::turn]
    return y, h_n, c_n


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_forward_is_the_paper_s(cell, dtype, reverse):
    # Below, at and above the width of a register; one to three rows take other ways than many.
    for batch, steps, inputs, hidden in [(1, 4, 9, 5), (2, 3, 3, 16), (7, 5, 4, 33), (26, 3, 5, 8)]:
        layer = Layer(cell, inputs, hidden, dtype, reverse=reverse)
        x, h0, c0, *_ = layer.arguments(batch, steps)
        lengths = random_lengths(np.random.default_rng(3), batch, steps)
        expected = run_rows(layer, x, h0, c0, lengths)
        for record in (False, True):
            call = layer.forward(x, h0, c0, lengths, record=record)
            for name, actual, array in zip(
                ("y", "h_n", "c_n"), (call.y, call.h_n, call.c_n), expected, strict=True
            ):
                if actual is not None:
                    assert_near(actual, array, f"{cell} {dtype} {name}")


def check_gradients(layer, lengths, steps):
    """Compare all gradients with central differences."""
    x, h0, c0, dy, dh_n, dc_n = layer.arguments(len(lengths), steps)

    def loss():
        call = layer.forward(x, h0, c0, lengths)
        value = float((call.y * dy).sum() + (call.h_n * dh_n).sum())
        return value if dc_n is None else value + float((call.c_n * dc_n).sum())

    got = layer.results(x, h0, c0, dy, dh_n, dc_n, lengths)
    states = {"dx": x, "dh0": h0, "dc0": c0}
    for name, array in {**vars(layer.weights), **states}.items():
        if array is None:
            continue
        numeric = np.empty_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 5e-6
            above = loss()
            array[index] = kept - 5e-6
            below = loss()
            array[index] = kept
            numeric[index] = (above - below) / 1e-5
        # What the weights' gradients are added to is one.
        gradient = got[name] if name in states else got[name] - 1
        error = np.linalg.norm(gradient - numeric) / (np.linalg.norm(numeric) + 1e-12)
        assert error < TOLERANCES["gradient"][0], f"{layer.cell} {name}: {error:.3g}"


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_gradients_are_those_of_central_differences(cell, bias):
    check_gradients(Layer(cell, 3, 5, "float64", bias=bias), np.array([4, 3, 0]), 4)
    check_gradients(Layer(cell, 2, 9, "float64", bias=bias, reverse=True), np.array([3, 2]), 3)


@pytest.mark.parametrize("cell", ["lstm", "lstm_coupled_peephole", "lstm_peephole"])
def test_with_a_projection(cell):
    layer = Layer(cell, 3, 7, "float64", projection_size=4)
    x, h0, c0, *_ = layer.arguments(3, 4)
    lengths = np.array([4, 2, 3])
    expected = run_rows(layer, x, h0, c0, lengths)
    call = layer.forward(x, h0, c0, lengths)
    assert_near(call.y, expected[0], "y")
    assert_near(call.c_n, expected[2], "c_n")
    check_gradients(layer, lengths, 4)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ops.CELLS)
def test_with_all_other_options(cell, reverse):
    has_c = ops.CELLS[cell].has_cell_state
    more = {"cell_clip": 0.8, "projection_size": 4, "zoneout_c": 0.2} if has_c else {}
    options = {
        "gate_activation": "hard_sigmoid", "candidate_activation": "softsign",
        "output_activation": "hard_tanh", "activation_clip": 0.9, "zoneout_h": 0.1,
        "gradient_clip_value": 0.7, "gradient_clip_norm": 1.1, **more,
    }  # fmt: skip
    layer = Layer(cell, 3, 7, "float64", reverse=reverse, **options)
    batch, steps, size = 4, 5, layer.kind.state_size
    x, h0, c0, dy, dh_n, dc_n = layer.arguments(batch, steps)
    rng, lengths = np.random.default_rng(5), np.array([5, 2, 0, 4])
    resets = (rng.random((batch, steps, 1)) < 0.3).astype(np.uint8)
    keep = rng.random((batch, size)) * 2
    shares = rng.random((batch, steps, size)), rng.random((batch, steps, 7)) if has_c else None
    weights = reference.Weights(**vars(layer.weights))
    given = reference.Options(layer_norm=True, **options)
    for masks in (None, ops.Masks(resets, keep, *shares)):
        same = None if masks is None else reference.Masks(resets[..., 0], keep, *shares)
        rest = {"lengths": lengths, "reverse": reverse, "options": given, "masks": same}
        expected = reference.run(cell, x, weights, h0, c0, **rest)
        gradients = reference.bptt(cell, x, weights, dy, dh_n, dc_n, h0, c0, **rest)
        got = layer.results(x, h0, c0, dy, dh_n, dc_n, lengths, masks)
        for name, array in (vars(expected) | vars(gradients)).items():
            if array is not None:
                parameter = name.removeprefix("d")
                actual = got[parameter] - 1 if hasattr(layer.weights, parameter) else got[name]
                assert_near(actual, array, f"{cell} {name}")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_pieces_sum_weight_gradients_as_one_pass(cell):
    layer = Layer(cell, 5, 18, "float32")
    x, h0, c0, dy, dh_n, dc_n = layer.arguments(4, 192)  # chunks of 256 rows are 64 steps
    whole = layer.ones()
    layer.backward(layer.forward(x, h0, c0, record=True), dy, dh_n, dc_n, whole)
    pieces, dstate = layer.ones(), (dh_n, dc_n)
    first = layer.forward(np.ascontiguousarray(x[:, :64]), h0, c0, record=True)
    last = layer.forward(np.ascontiguousarray(x[:, 64:]), first.h_n, first.c_n, record=True)
    sums = ops.new_weight_sums(layer.kind, layer.buffers)
    for call, part in ((last, dy[:, 64:]), (first, dy[:, :64])):
        _, dstate = layer.backward(call, np.ascontiguousarray(part), *dstate, pieces, sums)
    ops.add_weight_sums(layer.kind, sums, pieces, layer.buffers)
    for name, array in vars(whole).items():
        if array is not None:
            assert_same_bits(getattr(pieces, name), array, f"{cell} {name}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_a_row_does_not_depend_on_the_others(cell, dtype):
    layer = Layer(cell, 9, 21, dtype)
    batch, steps = 13, 6
    arrays = layer.arguments(batch, steps)
    lengths = random_lengths(np.random.default_rng(2), batch, steps)
    whole = layer.results(*arrays, lengths)
    for rows in ([4], [2, 7], [0, 3, 5, 6, 12]):
        part = layer.results(
            *(None if a is None else np.ascontiguousarray(a[rows]) for a in arrays), lengths[rows]
        )
        for name in ("y", "h_n", "c_n", "dx", "dh0", "dc0"):
            if name in whole:
                assert_same_bits(part[name], whole[name][rows], f"{cell} {name}")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_threads_change_no_bit(cell):
    layer = Layer(cell, 40, 130, "float32")  # enough work for two threads
    for batch, steps in ((33, 60), (2, 700)):
        arrays = layer.arguments(batch, steps)
        lengths = random_lengths(np.random.default_rng(2), batch, steps)
        for valid in (None, lengths):
            before, results = get_num_threads(), []
            for threads in (1, 2):
                set_num_threads(threads)
                results.append(layer.results(*arrays, valid))
            set_num_threads(before)
            for name, array in results[0].items():
                assert_same_bits(results[1][name], array, f"{cell} {name}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_cuts_in_time_change_no_bit(cell, dtype):
    layer = Layer(cell, 9, 18, dtype)
    for batch in (1, 5):
        x, h, c, *_ = layer.arguments(batch, 8)
        whole = layer.forward(x, h, c, record=True)
        outputs = []
        for begin, end in pairwise((0, 1, 3, 8)):
            call = layer.forward(np.ascontiguousarray(x[:, begin:end]), h, c)
            h, c = call.h_n, call.c_n
            outputs.append(call.y)
        assert_same_bits(np.concatenate(outputs, axis=1), whole.y, f"{cell} y")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", ops.CELLS)
def test_a_stream_gives_the_same_bits(cell, dtype):
    layer = Layer(cell, 9, 18, dtype)
    for batch in (1, 5):
        x, *_ = layer.arguments(batch, 6)
        whole = layer.forward(x, None, None)
        stream = ops.stream_stack([ops.recurrent_stage(layer.kind, layer.weights)], batch)
        for t in range(6):
            y = np.empty((batch, 18), dtype)
            stream.step(np.ascontiguousarray(x[:, t]), y)
            assert_same_bits(y, whole.y[:, t], f"{cell} step {t}")


@pytest.mark.parametrize("cell", ops.CELLS)
def test_bfloat16_weights_are_rounded_weights(cell):
    layer, rounded = Layer(cell, 9, 18, "float32", bfloat16=True), Layer(cell, 9, 18, "float32")
    for name in ("weight_ih", "weight_hh"):
        matrix = getattr(rounded.weights, name)
        if matrix is not None:
            bits = matrix.view(np.uint32)
            matrix[...] = (((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) << 16).view(np.float32)
    x, h0, c0, *_ = layer.arguments(7, 5)
    got, expected = layer.forward(x, h0, c0).y, rounded.forward(x, h0, c0).y
    # x and h may be rounded too, by 2^-9 of each, over some steps.
    assert np.abs(got - expected).max() < 0.02 * max(1.0, np.abs(expected).max())
