"""Combinations of networks' options: which are valid, runs of them, and what these give.

The oracle composes the specification of one cell, layer by layer and direction by direction.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cases import network, reference_name, state_of
from fastrnn import masks, ops, reference, reference_masks
from fastrnn.network import RecurrentNetwork

#: What is combined. The first value of each is the plain one.
FACTORS: dict[str, tuple[Any, ...]] = {
    "cell": (
        "lstm", "lstm_coupled_peephole", "gru", "gru_reset_before", "rnn_tanh",
        "independent_rnn_tanh",
    ),
    "num_layers": (1, 2, 3),
    "sizes": ("equal", "unequal"),  # H of the layers
    "merge": ("one direction", "concat", "sum", "mean", "product"),
    "reverse": (False, True),
    "residual": (False, True),
    "batch_first": (True, False),
    "learn_initial_state": (False, True),
    "state": ("none", "given"),
    "pad_output": ("zero", "repeat", -0.5),
    "biases": ("both", "bias_ih", "none"),
    "projected": (False, True),
    "layer_norm": (False, True),
    "zoneout_h": (0.0, 0.3),
    "zoneout_c": (0.0, 0.2),
    "dropout": (0.0, 0.4),
    "input_dropout": (0.0, 0.3),
    "variational": (False, True),
    "recurrent_dropout": (0.0, 0.25),
    "drop_connect": (0.0, 0.35),
    "ragged": (False, True),
    "resets": (False, True),
    "dtype": ("float32", "float64"),
}  # fmt: skip

#: What a stream can do.
STREAM_FACTORS = FACTORS | {
    "merge": ("one direction",),
    "reverse": (False,),
    "ragged": (False,),
    "resets": (False,),
}

#: What the training of a `Checkpointed` network can do.
CHECKPOINT_FACTORS = FACTORS | {"merge": ("one direction",), "pad_output": ("zero", -0.5)}

#: Options of networks that are factors by their name.
OPTIONS = (
    "reverse", "residual", "batch_first", "learn_initial_state", "pad_output", "layer_norm",
    "zoneout_h", "dropout", "input_dropout", "variational", "recurrent_dropout", "drop_connect",
)  # fmt: skip

#: Those that draw masks in training.
DRAWING = (
    "zoneout_h", "zoneout_c", "dropout", "input_dropout", "recurrent_dropout", "drop_connect",
)  # fmt: skip

_WITHOUT_C = tuple(cell for cell in FACTORS["cell"] if not ops.CELLS[cell].has_cell_state)

#: Values that do not come together, and what is refused or warned of then. What others imply is
#: here too: `pairwise` chooses one factor after the other, and must not end where no value is left.
EXCLUDED = (
    ({"projected": (True,), "cell": _WITHOUT_C}, "proj_size"),
    ({"zoneout_c": (0.2,), "cell": _WITHOUT_C}, "zoneout_c"),
    ({"drop_connect": (0.35,), "cell": ("independent_rnn_tanh",)}, "drop_connect"),
    ({"residual": (True,), "num_layers": (1,)}, "residual"),
    ({"dropout": (0.4,), "num_layers": (1,)}, "dropout"),
    ({"sizes": ("unequal",), "num_layers": (1,)}, None),  # one layer has one size
    # Projections make layers of different H alike.
    ({"residual": (True,), "sizes": ("unequal",), "projected": (False,)}, "residual"),
    ({"residual": (True,), "sizes": ("unequal",), "cell": _WITHOUT_C}, "residual"),
)


def is_valid(case):
    """Return whether a network can have these options; a part of a case is so if it may become."""
    return not any(
        all(case.get(name) in values for name, values in excluded.items())
        for excluded, _ in EXCLUDED
    )


def name_of(case):
    """Return what differs from the plain values."""
    words = [case["cell"]]
    for name, value in case.items():
        if name not in ("cell", "dtype") and value != FACTORS[name][0]:
            words.append(name if value is True else f"{name}={value}")
    return " ".join([*words, case["dtype"]])


# ---- a run ----


@dataclass
class Run:
    """A network and what it is given; every array has rows first, every state is one per cell."""

    case: dict[str, Any]
    network: RecurrentNetwork
    x: np.ndarray  # (N, T, I)
    state: list[tuple[np.ndarray, np.ndarray]] | None  # (N, S), (N, H) for each cell
    dy: np.ndarray  # (N, T, output_size)
    dstate: list[tuple[np.ndarray, np.ndarray]]
    lengths: np.ndarray | None  # (N,)
    resets: np.ndarray | None  # (N, T)

    def rows(self, rows):
        """Return the same for some rows."""

        def of_all(cells):
            return None if cells is None else [(h[rows], c[rows]) for h, c in cells]

        return replace(
            self,
            x=self.x[rows],
            state=of_all(self.state),
            dy=self.dy[rows],
            dstate=of_all(self.dstate),
            lengths=None if self.lengths is None else self.lengths[rows],
            resets=None if self.resets is None else self.resets[rows],
        )

    def axes(self, array):
        """Swap rows and time where the network has time first."""
        swaps = array is not None and not self.case["batch_first"]
        return np.ascontiguousarray(array.swapaxes(0, 1)) if swaps else array

    def packed(self, cells):
        """Return a state as networks take it."""
        if cells is None:
            return None
        together = [
            np.stack(part) if len({array.shape for array in part}) == 1 else part
            for part in zip(*cells, strict=True)
        ]
        return state_of(self.case["cell"], *together)

    def arguments(self):
        """Return what a call is given."""
        how = {"lengths": self.lengths, "reset": self.axes(self.resets)}
        return (self.axes(self.x), self.packed(self.state)), how

    def named(self, y, state, prefix="{}_n"):
        """Return y and the parts of the states of cells by name."""
        parts = state if ops.CELLS[self.case["cell"]].has_cell_state else (state,)
        named = {} if y is None else {"y": self.axes(y)}
        for name, part in zip("hc", parts, strict=False):
            named |= {f"{prefix.format(name)} of {k}": array for k, array in enumerate(part)}
        return named

    def infer(self):
        """Return everything that a call gives, by name."""
        positional, how = self.arguments()
        return self.named(*self.network(*positional, **how))

    def train(self, layer=None, seed=0):
        """Return everything that a forward and a backward pass give, by name.

        Parameters
        ----------
        layer : layer or None
            In the network's place.
        seed : int
            Of the masks.
        """
        layer = layer or self.network
        layer.reseed(np.random.default_rng(seed))
        layer.zero_grad()
        positional, how = self.arguments()
        y, final, tape = layer.forward(*positional, **how)
        dx, dinitial = layer.backward(tape, self.axes(self.dy), self.packed(self.dstate))
        gradients = {f"d{name}": array.copy() for name, array in layer.gradients.items()}
        dinitial = self.named(None, dinitial, "d{}0")
        return self.named(y, final) | dinitial | {"dx": self.axes(dx)} | gradients


def make_run(case, *, batch=4, steps=5, inputs=3, hidden=None, dtype=None, seed=0):
    """Return a network of a case and random arrays for it; x and dy are NaN behind rows' ends.

    Parameters
    ----------
    case : dict
        Of `FACTORS`.
    batch, steps, inputs : int
        N, T, I.
    hidden : tuple of int or None
        The H of three layers; None: as the case says, less and more than a packet.
    dtype : dtype or None
        In the place of the case's.
    """
    cell, dtype = case["cell"], dtype or case["dtype"]
    hidden = hidden or {"equal": (9, 9, 9), "unequal": (9, 17, 5)}[case["sizes"]]
    hidden = hidden[: case["num_layers"]]
    options = {name: case[name] for name in OPTIONS}
    options |= {"bias": case["biases"] != "none", "recurrent_bias": case["biases"] == "both"}
    if case["merge"] != "one direction":
        options |= {"bidirectional": True, "merge": case["merge"]}
    of_lstm = {"zoneout_c": case["zoneout_c"], "proj_size": projection_of(case, hidden)}
    options |= {name: value for name, value in of_lstm.items() if value}
    layer = network(cell, inputs, hidden, dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(seed)
    for name, parameter in layer.parameters.items():
        spread = 1.5 / np.sqrt(parameter.shape[-1]) if parameter.ndim == 2 else 0.5
        parameter[...] = rng.uniform(-spread, spread, parameter.shape)
        parameter += name.startswith("norm_weight")

    def numbers(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def states():
        sizes = [(projection_of(case, hidden) or size, size) for size in hidden]
        directions = 1 if case["merge"] == "one direction" else 2
        return [(numbers(batch, s), numbers(batch, h)) for s, h in sizes for _ in range(directions)]

    x, dy = numbers(batch, steps, inputs), numbers(batch, steps, layer.output_size)
    lengths = None
    if case["ragged"]:  # 0, T, and between them
        lengths = rng.permutation(np.linspace(0, steps, batch).astype(np.int64))
        behind = np.arange(steps) >= lengths[:, None]
        x[behind] = np.nan
        if case["pad_output"] != "repeat":
            dy[behind] = np.nan
    return Run(
        case,
        layer,
        x,
        states() if case["state"] == "given" else None,
        dy,
        states(),
        lengths,
        rng.random((batch, steps)) < 0.25 if case["resets"] else None,
    )


def projection_of(case, hidden):
    """Return P, below every H; 0 without a projection."""
    return min(hidden) - 1 if case["projected"] else 0


# ---- the specification of a run ----

#: G.
GATES = {"lstm": 4, "lstm_coupled_peephole": 3, "gru": 3, "gru_reset_before": 3}
GATES |= {"rnn_tanh": 1, "independent_rnn_tanh": 1}

MERGED = {
    "one direction": lambda forward: forward,
    "concat": lambda forward, backward: np.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mean": lambda forward, backward: (forward + backward) / 2,
    "product": lambda forward, backward: forward * backward,
}


def weights_of(parameters, cell, suffix):
    """Return one cell's `reference.Weights` in float64, from a network's parameters."""
    own = {
        name.removesuffix(suffix): np.asarray(array, np.float64)
        for name, array in parameters.items()
        if name.endswith(suffix) and not name.startswith(("h0", "c0"))
    }
    norms = [own.pop(name) for name in list(own) if name.startswith("norm_")]
    named = dict.fromkeys(("weight_ih", "weight_hh"))
    named |= {reference_name(cell, name): array for name, array in own.items()}
    return reference.Weights(**named, layer_norm=np.concatenate(norms) if norms else None)


def initial_of(run, index, suffix):
    """Return h0 (N, S) and c0 (N, H) of a cell; None where it has none or they are zero."""
    if run.state is not None:
        h0, c0 = run.state[index]
        return h0, c0 if ops.CELLS[run.case["cell"]].has_cell_state else None
    learned = (run.network.parameters.get(f"{part}0{suffix}") for part in "hc")
    return tuple(None if part is None else np.tile(part, (len(run.x), 1)) for part in learned)


class Drawn:
    """The masks of a forward pass in training, which all follow from one generator.

    Each layer that draws takes one key, in the order of running; both directions are two layers.

    Parameters
    ----------
    run : Run
    seed : int or None
        Of the generator; None: inference, where nothing is drawn.
    """

    def __init__(self, run, seed):
        self.case, self.shape = run.case, run.x.shape[:2]
        self.rng = None if seed is None else np.random.default_rng(seed)

    def key(self):
        return int(self.rng.integers(2**64, dtype=np.uint64))

    def kept(self, key, stream, shape, probability):
        """Return a mask (rows, steps, features) of dropout."""
        keep = 1.0 - probability
        return reference_masks.bernoulli(key, stream, *shape, keep, scale=1 / keep, dtype="float64")

    def of_input(self, level, features):
        """Return the mask of what a layer is given, (N, T or 1, F), or 1.0."""
        probability = self.case["dropout" if level else "input_dropout"]
        if self.rng is None or not probability:
            return 1.0
        batch, steps = self.shape
        shape = batch, 1 if self.case["variational"] else steps, features
        return self.kept(self.key(), masks.DROPOUT, shape, probability)

    def of_cell(self, weights, resets):
        """Return weights and `reference.Masks` of one cell."""
        rates = [self.case[n] for n in ("recurrent_dropout", "zoneout_h", "zoneout_c")]
        if self.rng is None or not any([*rates, self.case["drop_connect"]]):
            return weights, reference.Masks(resets=resets)
        key, hidden = self.key(), weights.weight_ih.shape[0] // GATES[self.case["cell"]]
        state = hidden if weights.weight_hr is None else len(weights.weight_hr)
        batch, steps = self.shape
        recurrent = zoneout_h = zoneout_c = None
        if rates[0]:
            shape = batch, 1, state
            recurrent = self.kept(key, masks.RECURRENT_DROPOUT, shape, rates[0])[:, 0]
        if rates[1]:
            how = masks.ZONEOUT_H, batch, steps, state, rates[1]
            zoneout_h = reference_masks.bernoulli(key, *how)
        if rates[2]:
            how = masks.ZONEOUT_C, batch, steps, hidden, rates[2]
            zoneout_c = reference_masks.bernoulli(key, *how)
        if self.case["drop_connect"]:
            matrix = weights.weight_hh
            shape = len(matrix), 1, matrix.shape[1]
            dropped = self.kept(key, masks.DROP_CONNECT, shape, self.case["drop_connect"])[:, 0]
            weights = replace(weights, weight_hh=matrix * dropped)
        return weights, reference.Masks(resets, recurrent, zoneout_h, zoneout_c)


def expected_of(run, seed=None):
    """Return what the specification gives, in float64: y and final states, by the names of `Run`.

    Parameters
    ----------
    run : Run
    seed : int or None
        Of the masks in training; None: what `Run.infer` gives.
    """
    case, cell, parameters = run.case, run.case["cell"], run.network.parameters
    batch, steps, _ = run.x.shape
    ends = np.full(batch, steps) if run.lengths is None else run.lengths
    valid = (np.arange(steps) < ends[:, None])[..., None]
    options = reference.Options(
        projection_size=run.network.proj_size if case["projected"] else 0,
        layer_norm=case["layer_norm"],
        zoneout_h=case["zoneout_h"],
        zoneout_c=case["zoneout_c"],
    )
    directions = ("",) if case["merge"] == "one direction" else ("", "_reverse")
    below, states, drawn = run.x.astype(np.float64), [], Drawn(run, seed)
    for level in range(case["num_layers"]):
        outputs, given = [], below * drawn.of_input(level, below.shape[-1])
        for direction in directions:
            suffix = f"_l{level}{direction}"
            h0, c0 = initial_of(run, len(states), suffix)
            weights, masked = drawn.of_cell(weights_of(parameters, cell, suffix), run.resets)
            result = reference.run(
                cell,
                given,
                weights,
                h0,
                c0,
                lengths=ends,
                reverse=case["reverse"] != bool(direction),
                options=options,
                masks=masked,
            )
            outputs.append(result.y)
            states.append((result.h_n, result.c_n))
        merged = MERGED[case["merge"]](*outputs)
        if case["residual"] and level > 0:
            merged = merged + given  # as the layer has it, after dropout
        below = np.where(valid, merged, 0.0)
    padding = case["pad_output"]
    for row, end in zip(below, ends, strict=True):
        if padding not in ("zero", "repeat"):
            row[end:] = padding
        elif padding == "repeat" and end > 0:
            row[end:] = row[end - 1]
    named = {"y": below}
    for name, part in zip("hc", zip(*states, strict=True), strict=True):
        if part[0] is not None:
            named |= {f"{name}_n of {k}": array for k, array in enumerate(part)}
    return named
