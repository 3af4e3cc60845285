"""Make tests/data/option_vectors.npz: cells with options by PyTorch, Keras and ONNX Runtime.

Needs torch, keras and onnxruntime. `python tools/make_option_vectors.py` writes the file, `--check`
compares it with what they compute now.

The file is flat. `index` is an array of JSON strings, one per case, with the keys name, peer, cell,
reverse and options, those fields of `fastrnn.reference.Options` that are not the default; it ends
with one that has the versions of the peers. Every other key is `name/array`, with the names and
shapes of `fastrnn.reference`: x, lengths, h0, c0, the weights, `recurrent` where there is a mask;
y, h_n and c_n; and, but for ONNX Runtime, dy, dh_n, dc_n and d + name for the derivatives.

- PyTorch: `nn.LSTM` with proj_size. It has no layer normalisation within cells: these are written
  out here with `nn.functional.layer_norm` and differentiated by autograd.
- Keras: `LSTM` and `GRU` with recurrent_dropout, whose masks are given here; activations.
- ONNX Runtime: activations, clip, peepholes, coupled gates, both resets of the GRU.

PyTorch computes in float64, ONNX Runtime in float32, and Keras too: the products of its backend for
PyTorch do, whatever a layer's dtype (keras.backend.result_type of float64 twice is float32).

Inputs, parameters and upstream derivatives are multiples of 1/64, so float32 holds them exactly.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"  # before the import of keras

import keras
import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PATH = Path(__file__).parents[1] / "tests" / "data" / "option_vectors.npz"
N, T, I, H = 3, 4, 3, 5  # noqa: E741

Arrays = dict[str, np.ndarray]

GATES = {"lstm": 4, "lstm_peephole": 4, "lstm_coupled": 3, "lstm_coupled_peephole": 3}
GATES |= {"gru": 3, "gru_reset_before": 3}
GATES |= {"rnn_tanh": 1, "rnn_relu": 1, "independent_rnn_tanh": 1}
UNIT_WEIGHTS = {"lstm_peephole": 3, "lstm_coupled_peephole": 2, "independent_rnn_tanh": 1}


@dataclass(frozen=True)
class Case:
    """What is computed, and by whom."""

    name: str
    peer: str
    cell: str
    reverse: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def all_cases() -> list[Case]:
    """List the cases of the file; a case's place is the seed of its numbers."""
    projected = {"projection_size": 2}
    cases = [Case(f"projection_{name}", "torch", "lstm", options=projected) for name in PROJECTIONS]
    cases += [
        Case(f"layer_norm_{cell}", "written out", cell, options={"layer_norm": True})
        for cell in WRITTEN_OUT
    ]
    soft = {"gate_activation": "softsign", "candidate_activation": "relu"}
    for cell in ("lstm", "gru", "gru_reset_before"):
        cases += [Case(f"keras_{cell}_mask", "keras", cell)]
        output = {"output_activation": "relu"} if cell == "lstm" else {}
        cases += [Case(f"keras_{cell}_activations", "keras", cell, options=soft | output)]
    clip = {"activation_clip": 0.75}
    hard = {"gate_activation": "hard_sigmoid", "candidate_activation": "softsign"}
    for cell in ("lstm", "lstm_peephole", "lstm_coupled", "gru", "gru_reset_before", "rnn_tanh"):
        for name, options in (("clip", clip), ("hard", hard), ("soft_clip", soft | clip)):
            reverse = name == "hard"
            output = {"output_activation": "identity"} if "lstm" in cell and name == "hard" else {}
            without = {"gate_activation"} if "rnn" in cell else set()
            kept = {k: v for k, v in (options | output).items() if k not in without}
            cases.append(Case(f"onnx_{cell}_{name}", "onnxruntime", cell, reverse, kept))
    return cases


PROJECTIONS = ("dense", "ragged", "no_bias")


def draw(case: Case, rng: np.random.Generator) -> Arrays:
    """Draw what the case is given, under the names of the specification."""

    def numbers(*shape: int, scale: int = 1) -> np.ndarray:
        return rng.integers(-64, 65, shape) * (scale / 64.0)

    rows, state_size = GATES[case.cell] * H, case.options.get("projection_size", H)
    independent = case.cell.startswith("independent")
    arrays = {"x": numbers(N, T, I, scale=2), "h0": numbers(N, state_size)}
    arrays["weight_ih"] = numbers(rows, I)
    if not independent:
        arrays["weight_hh"] = numbers(rows, state_size)
    if not case.name.endswith("no_bias"):
        arrays["bias_ih"] = numbers(rows)
        if not independent:
            arrays["bias_hh"] = numbers(rows)
    if case.peer == "keras" and case.cell != "gru":
        del arrays["bias_hh"]  # Keras has one bias there
    if case.cell in UNIT_WEIGHTS:
        arrays["unit_weights"] = numbers(UNIT_WEIGHTS[case.cell] * H)
    if state_size != H:
        arrays["weight_hr"] = numbers(state_size, H)
    if "lstm" in case.cell:
        arrays["c0"] = numbers(N, H)
    if case.options.get("layer_norm"):
        products = 1 if independent else 2
        arrays["layer_norm"] = numbers(2 * products * rows + ("lstm" in case.cell) * 2 * H)
    if case.name.endswith("mask"):
        arrays["recurrent"] = rng.integers(0, 2, (N, H)) * 1.25
    ragged = case.name.endswith("ragged") or case.peer == "onnxruntime"
    lengths = rng.permutation([1, T - 1, T]) if ragged else np.full(N, T)
    arrays["dy"], arrays["dh_n"] = numbers(N, T, state_size), numbers(N, state_size)
    if "lstm" in case.cell:
        arrays["dc_n"] = numbers(N, H)
    return arrays | {"lengths": lengths.astype(np.int64)}


def differentiate(
    given: Arrays, function: Callable[[dict[str, Tensor]], tuple[Tensor, ...]]
) -> Arrays:
    """Return y, h_n, c_n of a function of the given arrays, and the derivatives of all."""
    fixed = {"dy", "dh_n", "dc_n", "lengths", "recurrent"}
    leaves = {k: torch.tensor(v, requires_grad=True) for k, v in given.items() if k not in fixed}
    constants = {k: torch.tensor(v) for k, v in given.items() if k in fixed}
    outputs = function(leaves | constants)
    upstream = [constants[name] for name in ("dy", "dh_n", "dc_n") if name in constants]
    torch.autograd.backward(outputs, upstream)
    results = dict(zip(("y", "h_n", "c_n"), outputs, strict=False))
    results |= {f"d{name}": leaf.grad for name, leaf in leaves.items()}
    return {name: value.detach().numpy() for name, value in results.items()}


# ---- PyTorch ----


def projected_lstm(case: Case, given: Arrays) -> Arrays:
    """Run nn.LSTM with proj_size."""
    options = {"proj_size": case.options["projection_size"], "bias": "bias_ih" in given}
    layer = nn.LSTM(I, H, batch_first=True, dtype=torch.float64, **options)

    def function(at: dict[str, Tensor]) -> tuple[Tensor, ...]:
        parameters = {f"{name}_l0": at[name] for name in at if name.startswith(("weight", "bias"))}
        packed = pack_padded_sequence(
            at["x"], at["lengths"], batch_first=True, enforce_sorted=False
        )
        state = at["h0"][None], at["c0"][None]
        y, (h_n, c_n) = torch.func.functional_call(layer, parameters, (packed, state))
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=T)
        return y, h_n[0], c_n[0]

    return differentiate(given, function)


def _groups(cell: str) -> list[int]:
    return [2 * H, H] if cell.startswith("gru") else [GATES[cell] * H]


class Normalised:
    """One step of a cell with the layer normalisation of Ba et al. (2016), arXiv:1607.06450."""

    def __init__(self, cell: str, at: dict[str, Tensor]) -> None:
        rows = GATES[cell] * H
        sizes = [rows] * (2 if cell.startswith("independent") else 4)
        sizes += [H, H] * cell.startswith("lstm")
        norms = torch.split(at["layer_norm"], sizes)
        self.cell, self.at = cell, at
        self.of_input, self.of_state, self.of_c = norms[:2], norms[2:4], norms[-2:]

    def product(self, weight: str, bias: str, v: Tensor, norm: Any, rows: slice) -> Tensor:
        """Return LN(weight @ v) + bias of some rows."""
        parts, start = [], rows.start or 0
        product = v @ self.at[weight][rows].T
        for size in [2 * H, H] if product.shape[1] == 3 * H and "gru" in self.cell else [None]:
            part = product if size is None else product[:, :size]
            product = product[:, part.shape[1] :]
            span = slice(start, start + part.shape[1])
            parts.append(layer_norm(part, part.shape[1:], norm[0][span], norm[1][span], eps=1e-5))
            start = span.stop
        return torch.cat(parts, dim=1) + self.at[bias][rows]

    def from_input(self, x: Tensor) -> Tensor:
        """Return LN(W x) + b_ih, (N, G*H)."""
        return self.product("weight_ih", "bias_ih", x, self.of_input, slice(None))

    def from_state(self, h: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return LN(R h) + b_hh, (N, G*H) or some of it."""
        return self.product("weight_hh", "bias_hh", h, self.of_state, rows)

    def lstm(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        """Equations 20 to 22; peepholes where there are any, three gates are coupled."""
        gates = GATES[self.cell]
        a_i, *a_f, a_g, a_o = (self.from_input(x) + self.from_state(h)).chunk(gates, dim=1)
        zeros = torch.zeros((gates - 1) * H, dtype=x.dtype)
        p_i, *p_f, p_o = self.at.get("unit_weights", zeros).chunk(gates - 1)
        i = torch.sigmoid(a_i + p_i * c)
        f = torch.sigmoid(a_f[0] + p_f[0] * c) if a_f else 1 - i
        c = f * c + i * torch.tanh(a_g)
        o = torch.sigmoid(a_o + p_o * c)
        return o * torch.tanh(layer_norm(c, [H], *self.of_c, eps=1e-5)), c

    def gru(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Reset LN(R_n h)."""
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (
            part.chunk(3, dim=1) for part in (self.from_input(x), self.from_state(h))
        )
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        return ((1 - z) * torch.tanh(x_n + r * h_n) + z * h,)

    def gru_reset_before(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Reset h."""
        x_r, x_z, x_n = self.from_input(x).chunk(3, dim=1)
        h_r, h_z = self.from_state(h, slice(0, 2 * H)).chunk(2, dim=1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + self.from_state(r * h, slice(2 * H, 3 * H)))
        return ((1 - z) * n + z * h,)

    def rnn(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """Equation 4, with the input's product normalised by itself."""
        return (torch.tanh(self.from_input(x) + self.from_state(h)),)

    def independent_rnn(self, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """There is no recurrent product to normalise."""
        return (torch.tanh(self.from_input(x) + self.at["unit_weights"] * h),)


WRITTEN_OUT: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "lstm": Normalised.lstm,
    "lstm_peephole": Normalised.lstm,
    "lstm_coupled_peephole": Normalised.lstm,
    "gru": Normalised.gru,
    "gru_reset_before": Normalised.gru_reset_before,
    "rnn_tanh": Normalised.rnn,
    "independent_rnn_tanh": Normalised.independent_rnn,
}


def written_out(case: Case, given: Arrays) -> Arrays:
    """Run a cell with layer normalisation, all rows at once."""

    def function(at: dict[str, Tensor]) -> tuple[Tensor, ...]:
        cell = Normalised(case.cell, at)
        state: tuple[Tensor, ...] = tuple(at[name] for name in ("h0", "c0") if name in at)
        outputs = []
        for t in range(T):
            state = WRITTEN_OUT[case.cell](cell, at["x"][:, t], *state)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), *state

    return differentiate(given, function)


# ---- Keras ----


def keras_layer(case: Case, given: Arrays) -> Arrays:
    """Run keras.layers.LSTM or GRU, with the mask of its recurrent dropout where one is given."""
    names = {"recurrent_activation": "gate_activation", "activation": "candidate_activation"}
    options = {k: case.options[v] for k, v in names.items() if v in case.options}
    if "gru" in case.cell:
        options["reset_after"] = case.cell == "gru"
    given = {k: v if k == "lengths" else v.astype(np.float32) for k, v in given.items()}
    make = keras.layers.GRU if "gru" in case.cell else keras.layers.LSTM
    if "recurrent" in given:
        options["recurrent_dropout"] = 0.2
    layer = make(H, return_sequences=True, return_state=True, **options)
    layer.build((N, T, I))
    if "recurrent" in given:
        masks = [torch.tensor(given["recurrent"])] * GATES[case.cell]
        layer.cell.get_recurrent_dropout_mask = lambda h: masks
    order = [1, 0, 2] if "gru" in case.cell else [0, 1, 2, 3]  # r z n -> z r n

    def permuted(array: Tensor) -> Tensor:
        chunks = array.chunk(len(order))
        return torch.cat([chunks[k] for k in order])

    def function(at: dict[str, Tensor]) -> tuple[Tensor, ...]:
        biases = [permuted(at[name]) for name in ("bias_ih", "bias_hh") if name in at]
        values = [
            permuted(at["weight_ih"]).T,
            permuted(at["weight_hh"]).T,
            torch.stack(biases) if len(biases) == 2 else biases[0],
        ]
        state = [at[name] for name in ("h0", "c0") if name in at]
        variables = layer.trainable_variables
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            y, *state_n = layer(at["x"], initial_state=state, training=True)
        return y, *state_n

    return differentiate(given, function)


# ---- ONNX Runtime ----

OPERATORS = {
    "lstm": ("LSTM", [0, 3, 1, 2], {}),  # i f g o -> i o f c
    "lstm_coupled": ("LSTM", [0, 2, 0, 1], {"input_forget": 1}),  # i g o; f is not read
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),  # r z n -> z r h
    "gru_reset_before": ("GRU", [1, 0, 2], {"linear_before_reset": 0}),
    "rnn_tanh": ("RNN", [0], {}),
}
OPERATORS["lstm_peephole"] = OPERATORS["lstm"]

#: ONNX's name of each activation, with alpha and beta where it has them; there is no hard_tanh.
ONNX_ACTIVATIONS = {
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "relu": ("Relu",),
    "hard_sigmoid": ("HardSigmoid", 0.2, 0.5),
    "softsign": ("Softsign",),
    "identity": ("Affine", 1.0, 0.0),
}


def onnx_node(case: Case, given: Arrays) -> Arrays:
    """Run one node; y, h_n and, for LSTMs, c_n."""
    operator, gates, attributes = OPERATORS[case.cell]
    places = {"RNN": ["candidate"], "GRU": ["gate", "candidate"]}
    usual = {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"}
    functions = [
        ONNX_ACTIVATIONS[case.options.get(f"{place}_activation", usual[place])]
        for place in places.get(operator, ["gate", "candidate", "output"])
    ]
    attributes = attributes | {
        "activations": [name for name, *_ in functions],
        "direction": "reverse" if case.reverse else "forward",
        "hidden_size": H,
    }
    for place, name in enumerate(("activation_alpha", "activation_beta")):
        if values := [numbers[place] for _, *numbers in functions if numbers]:
            attributes[name] = values
    if "activation_clip" in case.options:
        attributes["clip"] = case.options["activation_clip"]

    def permuted(array: np.ndarray) -> np.ndarray:
        chunks = np.split(array, GATES[case.cell])
        return np.concatenate([chunks[k] for k in gates])

    feeds = {
        "X": given["x"].swapaxes(0, 1),
        "W": permuted(given["weight_ih"])[None],
        "R": permuted(given["weight_hh"])[None],
        "B": np.concatenate([permuted(given["bias_ih"]), permuted(given["bias_hh"])])[None],
        "lengths": given["lengths"].astype(np.int32),
        "h": given["h0"][None],
    }
    if operator == "LSTM":
        feeds["c"] = given["c0"][None]
    if "unit_weights" in given:
        p_i, p_f, p_o = np.split(given["unit_weights"], 3)
        feeds["P"] = np.concatenate([p_i, p_o, p_f])[None]
    feeds = {k: v if k == "lengths" else v.astype(np.float32) for k, v in feeds.items()}
    outputs = ["y", "h_n", "c_n"][: 3 if operator == "LSTM" else 2]
    node = onnx.helper.make_node(operator, list(feeds), outputs, **attributes)
    types = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}
    inputs = [
        onnx.helper.make_tensor_value_info(name, types[str(array.dtype)], array.shape)
        for name, array in feeds.items()
    ]
    results = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in outputs
    ]
    graph = onnx.helper.make_graph([node], "one_node", inputs, results)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=10
    )
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y, *state_n = session.run(None, feeds)
    named = {"y": y[:, 0].swapaxes(0, 1)}
    return named | {k: v[0] for k, v in zip(outputs[1:], state_n, strict=True)}


PEERS: dict[str, Callable[[Case, Arrays], Arrays]] = {
    "torch": projected_lstm,
    "written out": written_out,
    "keras": keras_layer,
    "onnxruntime": onnx_node,
}


def compute_case(case: Case, rng: np.random.Generator) -> Arrays:
    """Draw what a case is given, run its peer, and return all arrays by name.

    Parameters
    ----------
    case : Case
    rng : numpy.random.Generator
        The source of all numbers.
    """
    given = draw(case, rng)
    results = PEERS[case.peer](case, given)
    if case.peer == "onnxruntime":
        given = {k: v for k, v in given.items() if k not in ("dy", "dh_n", "dc_n")}
    return given | results


def compute_all() -> Arrays:
    """Compute the content of the file."""
    cases = all_cases()
    versions = {module.__name__: module.__version__ for module in (torch, keras, onnxruntime)}
    lines = [json.dumps(asdict(case)) for case in cases] + [json.dumps(versions)]
    arrays = {"index": np.array(lines)}
    for seed, case in enumerate(cases):
        computed = compute_case(case, np.random.default_rng([2, seed]))
        arrays |= {f"{case.name}/{name}": value for name, value in computed.items()}
    return arrays


def main() -> None:
    """Write the file, or compare it with what the peers compute now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check, arrays = parser.parse_args().check, compute_all()
    if not check:
        np.savez_compressed(PATH, **arrays)
        print(f"{PATH.name}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")
        return
    with np.load(PATH) as stored:
        if sorted(stored.files) != sorted(arrays):
            raise SystemExit(f"{PATH.name}: its arrays are not those this script makes")
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                limit = 1e-12 if array.dtype == np.float64 else 1e-6
                np.testing.assert_allclose(stored[name], array, rtol=0, atol=limit, err_msg=name)
            elif name != "index":
                np.testing.assert_array_equal(stored[name], array, err_msg=name)
    print(f"{PATH.name}: {len(arrays)} arrays agree")


if __name__ == "__main__":
    main()
