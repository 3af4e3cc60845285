"""Combinations of cells, options and masks: which are valid, and runs of them."""

from dataclasses import dataclass

import numpy as np

from cases import parts, state_of
from fastrnn import ops, reference
from fastrnn.recurrent import RecurrentLayer
from fastrnn.testing import random_lengths

#: What is combined. The first value of each is the plain one.
FACTORS = {
    "cell": tuple(ops.CELLS),
    "reverse": (False, True),
    "ragged": (False, True),
    "dtype": ("float32", "float64"),
    "bias": (True, False),
    "batch": (1, 3, 7),
    "sizes": ((3, 17), (5, 3), (17, 33)),  # I, H: part of a packet, one unit more than packets
    "gate_activation": ("sigmoid", *(name for name in ops.ACTIVATIONS if name != "sigmoid")),
    "candidate_activation": ("tanh", *(name for name in ops.ACTIVATIONS if name != "tanh")),
    "output_activation": ("tanh", *(name for name in ops.ACTIVATIONS if name != "tanh")),
    "activation_clip": (0.0, 0.7),
    "cell_clip": (0.0, 0.4),
    "projected": (False, True),
    "layer_norm": (False, True),
    "zoneout_h": ("none", "rate", "mask"),
    "zoneout_c": ("none", "rate", "mask"),
    "recurrent": (False, True),
    "resets": (False, True),
    "gradient_clip": ("none", "value", "norm", "both"),
}


#: What a stream can do.
STREAM_FACTORS = FACTORS | {
    "reverse": (False,),
    "ragged": (False,),
    "recurrent": (False,),
    "zoneout_h": ("none", "rate"),
    "zoneout_c": ("none", "rate"),
    "resets": (False,),
    "gradient_clip": ("none",),
}


def is_valid(case):
    """Return whether a cell can have these options; a part of a case is so if no two exclude."""
    cell = case.get("cell")
    if cell is None:
        return True  # an LSTM has them all

    def differs(*names):
        return any(case.get(name, FACTORS[name][0]) != FACTORS[name][0] for name in names)

    absent = []
    if not ops.CELLS[cell].has_cell_state:
        absent += ["output_activation", "cell_clip", "projected", "zoneout_c"]
    if "rnn" in cell:
        absent.append("gate_activation")
    if cell.endswith("rnn_relu"):
        absent.append("candidate_activation")
    return not differs(*absent)


def name_of(case):
    """Return what differs from the plain values."""
    words = [case["cell"]]
    for name, value in case.items():
        if name not in ("cell", "sizes", "batch", "dtype") and value != FACTORS[name][0]:
            words.append(name if value is True else f"{name}={value}")
    words += [case["dtype"], f"N={case['batch']}", "I={} H={}".format(*case["sizes"])]
    return " ".join(words)


@dataclass
class Run:
    """A layer and what it is given; every array has rows first."""

    layer: RecurrentLayer
    x: np.ndarray
    state: object
    dy: np.ndarray
    dstate: object
    lengths: np.ndarray | None
    resets: np.ndarray | None
    masks: ops.Masks

    def rows(self, rows):
        """Return the same for some rows."""
        return Run(
            self.layer,
            self.x[rows],
            of_each(self.state, lambda part: part[rows]),
            self.dy[rows],
            of_each(self.dstate, lambda part: part[rows]),
            None if self.lengths is None else self.lengths[rows],
            None if self.resets is None else self.resets[rows],
            ops.Masks(*(None if mask is None else mask[rows] for mask in self.masks)),
        )

    def steps(self, begin, end, state, dstate):
        """Return the same for some steps and with other states."""
        masks = self.masks._asdict()
        for name in ("zoneout_h", "zoneout_c"):
            if masks[name] is not None:
                masks[name] = masks[name][:, begin:end]
        lengths = None
        if self.lengths is not None:
            lengths = np.clip(self.lengths, begin, end) - begin
        return Run(
            self.layer,
            self.x[:, begin:end],
            state,
            self.dy[:, begin:end],
            dstate,
            lengths,
            None if self.resets is None else self.resets[:, begin:end],
            ops.Masks(**masks),
        )

    def forward(self):
        """Return y, the final state and the tape of a pass in training."""
        how = {"lengths": self.lengths, "reset": self.resets, "masks": self.masks}
        return self.layer.forward(self.x, self.state, **how)

    def train(self):
        """Return everything that a forward and a backward pass give, by name."""
        self.layer.zero_grad()
        y, final, tape = self.forward()
        dx, dinitial = self.layer.backward(tape, self.dy, self.dstate)
        cell, gradients = self.layer.cell, dict(self.layer.gradients)
        named = {"y": y, "dx": dx} | {f"d{k}": v.copy() for k, v in gradients.items()}
        for names, state in ((("h_n", "c_n"), final), (("dh0", "dc0"), dinitial)):
            pairs = zip(names, parts(cell, state), strict=True)
            named |= {name: part for name, part in pairs if part is not None}
        return named


def of_each(state, function):
    """Apply a function to the parts of a state."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


def options_of(case, hidden_size):
    """Return the ops.CellOptions of a case."""
    limits = {"value": (0.3, 0.0), "norm": (0.0, 0.5), "both": (0.3, 0.5)}
    value, norm = limits.get(case["gradient_clip"], (0.0, 0.0))
    return ops.CellOptions(
        **{name: case[name] for name in ops.CellOptions._fields if name in CELL_OPTIONS},
        projection_size=projection_of(hidden_size) if case["projected"] else 0,
        zoneout_h=0.3 if case["zoneout_h"] == "rate" else 0.0,
        zoneout_c=0.2 if case["zoneout_c"] == "rate" else 0.0,
        gradient_clip_value=value,
        gradient_clip_norm=norm,
    )


CELL_OPTIONS = ("gate_activation", "candidate_activation", "output_activation")
CELL_OPTIONS += ("activation_clip", "cell_clip", "layer_norm")


def projection_of(hidden_size):
    """Return an odd P less than H."""
    return max(1, hidden_size // 2 - 1) | 1


def make_run(case, *, steps=6, batch=None, sizes=None, dtype=None, gradient_clip=True, seed=0):
    """Return a layer of a case and random arrays for it.

    Parameters
    ----------
    case : dict
        Of `FACTORS`; the arguments with the name of a factor take its place.
    steps : int
        T.
    gradient_clip : bool
        Whether the gradients of states are limited.
    """
    batch, dtype = batch or case["batch"], dtype or case["dtype"]
    inputs, hidden = sizes or case["sizes"]
    options = options_of(case, hidden)
    if not gradient_clip:
        options = options._replace(gradient_clip_value=0.0, gradient_clip_norm=0.0)
    rng, cell = np.random.default_rng(seed), case["cell"]
    layer = RecurrentLayer(
        cell, inputs, hidden, bias=case["bias"], reverse=case["reverse"], dtype=dtype, seed=0,
        options=options,
    )  # fmt: skip
    # Gates that are no shares make states grow: a GRU's with the square of what they were.
    scale = 0.5 if case["gate_activation"] in ("relu", "identity") else 1.5
    for name, parameter in layer.parameters.items():
        spread = scale / np.sqrt(parameter.shape[-1]) if parameter.ndim == 2 else 0.5
        parameter[...] = rng.uniform(-spread, spread, parameter.shape)
        parameter += name.startswith("norm_weight")
    size = options.projection_size or hidden

    def numbers(*shape):
        return rng.standard_normal(shape).astype(dtype)

    def mask(*shape):
        return rng.integers(0, 2, shape).astype(dtype)

    wanted = {
        "recurrent": case["recurrent"],
        "zoneout_h": case["zoneout_h"] == "mask",
        "zoneout_c": case["zoneout_c"] == "mask",
    }
    shapes = {
        "recurrent": (batch, size),
        "zoneout_h": (batch, steps, size),
        "zoneout_c": (batch, steps, hidden),
    }
    masks = {name: mask(*shape) for name, shape in shapes.items() if wanted[name]}
    if "recurrent" in masks:
        masks["recurrent"] *= masks["recurrent"].dtype.type(1.25)
    return Run(
        layer,
        numbers(batch, steps, inputs),
        state_of(cell, numbers(batch, size), numbers(batch, hidden)),
        numbers(batch, steps, size),
        state_of(cell, numbers(batch, size), numbers(batch, hidden)),
        random_lengths(rng, batch, steps) if case["ragged"] else None,
        rng.random((batch, steps)) < 0.25 if case["resets"] else None,
        ops.Masks(**masks),
    )


# ---- the specification of a run ----


def expected_of(run, dtype="float64"):
    """Return what the specification gives for a run, under the names of `Run.train`.

    Parameters
    ----------
    run : Run
    dtype : dtype
        That the specification computes in.
    """

    def exact(value):
        return None if value is None else np.asarray(value).astype(dtype)

    layer, cell = run.layer, run.layer.cell
    public = {k: exact(v) for k, v in layer.parameters.items()}
    norms = [k for k in public if k.startswith("norm_")]
    unit = "weight_peephole" if ops.CELLS[cell].has_recurrent_matrix else "weight_hh"
    named = {"weight_ih": None, "weight_hh": None}
    named |= {"unit_weights" if k == unit else k: v for k, v in public.items() if k not in norms}
    named |= {"layer_norm": np.concatenate([public[k] for k in norms]) if norms else None}
    (h0, c0), (dh_n, dc_n) = (map(exact, parts(cell, s)) for s in (run.state, run.dstate))
    how = {
        "lengths": run.lengths,
        "reverse": layer.reverse,
        "options": reference.Options(**layer.options._asdict()),
        "masks": reference.Masks(
            run.resets, *(exact(getattr(run.masks, n)) for n in ops.Masks._fields[1:])
        ),
    }
    weights, x = reference.Weights(**named), exact(run.x)
    expected = dict(vars(reference.run(cell, x, weights, h0, c0, **how)))
    slopes = vars(reference.bptt(cell, x, weights, exact(run.dy), dh_n, dc_n, h0, c0, **how))
    for name, array in slopes.items():
        if name == "dlayer_norm" and norms:
            ends = np.cumsum([len(public[k]) for k in norms])[:-1]
            expected |= {f"d{k}": v for k, v in zip(norms, np.split(array, ends), strict=True)}
        else:
            expected[f"d{unit}" if name == "dunit_weights" and array is not None else name] = array
    return {name: array for name, array in expected.items() if array is not None}
