"""Make tests/data/reference_vectors.npz: recurrent layers and their gradients by PyTorch, float64.

Needs torch. `python tools/make_reference_vectors.py` writes the file, `--check` compares it with
what PyTorch computes now.

The file is flat. `index` is an array of JSON strings, one per case, with the keys name, cell,
num_layers, bidirectional, bias and ragged. Every other key is `name/array`:

- x (N, T, I), h0 and, for LSTMs, c0 (num_layers * num_directions, N, H), lengths (N,), and the
  parameters under PyTorch's names, or names like them (weight_peephole_l0);
- y (N, T, num_directions * H), h_n and c_n;
- dy, dh_n and dc_n, the derivatives of a loss with respect to y, h_n and c_n, and d + name for the
  resulting derivatives with respect to x, h0, c0 and every parameter.

Inputs, parameters and upstream derivatives are multiples of 1/64, so float32 holds them exactly.
PyTorch has no GRU whose reset gate acts before the recurrent product, no LSTM with peepholes or
coupled gates and no independent RNN: these are written out here in torch operations and
differentiated by autograd.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PATH = Path(__file__).parents[1] / "tests" / "data" / "reference_vectors.npz"


@dataclass(frozen=True)
class Case:
    """What is computed; the sizes are those of the arrays."""

    name: str
    cell: str
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    ragged: bool = False


#: Cells with five cases each, in the order of the file: a case's place is the seed of its numbers.
COMMON_CELLS = ("lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu")


def all_cases() -> list[Case]:
    """List the cases of the file: five for each common cell, two with all options for others."""
    cases = []
    for cell in COMMON_CELLS:
        cases += [
            Case(f"{cell}_unidirectional", cell),
            Case(f"{cell}_bidirectional", cell, bidirectional=True),
            Case(f"{cell}_stacked", cell, num_layers=2, bidirectional=True),
            Case(f"{cell}_ragged", cell, bidirectional=True, ragged=True),
            Case(f"{cell}_no_bias", cell, bias=False),
        ]
    for cell in WRITTEN_OUT:
        if cell in COMMON_CELLS:
            continue
        cases += [
            Case(f"{cell}_no_bias", cell, bias=False),
            Case(f"{cell}_stacked_ragged", cell, 2, bidirectional=True, ragged=True),
        ]
    return cases


class Weights(NamedTuple):
    """The parameters of one direction of one layer; no bias is zeros."""

    weight_ih: Tensor  # (G*H, I)
    weight_hh: Tensor  # (G*H, H), or (H,)
    bias_ih: Tensor  # (G*H,)
    bias_hh: Tensor  # (G*H,)
    weight_peephole: Tensor | None = None  # (P*H,)


def _gru_reset_before(w: Weights, x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Cho et al. (2014), arXiv:1406.1078v3, equations 5 to 8."""
    w_r, w_z, w_n = w.weight_ih.chunk(3)
    u_r, u_z, u_n = w.weight_hh.chunk(3)
    b_r, b_z, b_n = w.bias_ih.chunk(3)
    d_r, d_z, d_n = w.bias_hh.chunk(3)
    r = torch.sigmoid(x @ w_r.T + b_r + h @ u_r.T + d_r)
    z = torch.sigmoid(x @ w_z.T + b_z + h @ u_z.T + d_z)
    n = torch.tanh(x @ w_n.T + b_n + (r * h) @ u_n.T + d_n)
    return ((1 - z) * n + z * h,)


def _lstm_variant(w: Weights, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    """Greff et al. (2017), "LSTM: a search space odyssey": peepholes; three gates are coupled."""
    a = x @ w.weight_ih.T + w.bias_ih + h @ w.weight_hh.T + w.bias_hh
    gates = a.shape[1] // h.shape[1]
    a_i, *a_f, a_g, a_o = a.chunk(gates, dim=1)
    p_i, *p_f, p_o = (
        torch.zeros(gates - 1)
        if w.weight_peephole is None
        else (w.weight_peephole.chunk(gates - 1))
    )
    i = torch.sigmoid(a_i + p_i * c)
    f = torch.sigmoid(a_f[0] + p_f[0] * c) if a_f else 1 - i
    c = f * c + i * torch.tanh(a_g)
    return torch.sigmoid(a_o + p_o * c) * torch.tanh(c), c


def _independent_rnn(f: Callable[[Tensor], Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """Li et al. (2018), arXiv:1803.04831: one recurrent weight per unit."""
    return lambda w, x, h: (f(x @ w.weight_ih.T + w.bias_ih + h * w.weight_hh),)


class WrittenOutCell(NamedTuple):
    """A cell that PyTorch does not have."""

    gates: int
    step: Callable[..., tuple[Tensor, ...]]  # Weights, x (N, I), *state (N, H) -> state
    has_cell_state: bool = False
    peepholes: int = 0
    independent: bool = False


WRITTEN_OUT = {
    "gru_reset_before": WrittenOutCell(3, _gru_reset_before),
    "lstm_peephole": WrittenOutCell(4, _lstm_variant, has_cell_state=True, peepholes=3),
    "lstm_coupled": WrittenOutCell(3, _lstm_variant, has_cell_state=True),
    "lstm_coupled_peephole": WrittenOutCell(3, _lstm_variant, has_cell_state=True, peepholes=2),
    "independent_rnn_tanh": WrittenOutCell(1, _independent_rnn(torch.tanh), independent=True),
    "independent_rnn_relu": WrittenOutCell(1, _independent_rnn(torch.relu), independent=True),
}


class WrittenOutLayer(nn.Module):
    """Layers and directions of a cell that PyTorch does not have, with parameters named alike."""

    def __init__(self, input_size: int, hidden_size: int, case: Case) -> None:
        super().__init__()
        self.case, self.cell = case, WRITTEN_OUT[case.cell]
        self.suffixes = ["", "_reverse"][: 1 + case.bidirectional]
        rows = self.cell.gates * hidden_size
        for layer in range(case.num_layers):
            width = len(self.suffixes) * hidden_size if layer else input_size
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, width)}
            shapes["weight_hh"] = (hidden_size,) if self.cell.independent else (rows, hidden_size)
            if case.bias:
                shapes["bias_ih"] = (rows,)
            if case.bias and not self.cell.independent:
                shapes["bias_hh"] = (rows,)
            if self.cell.peepholes:
                shapes["weight_peephole"] = (self.cell.peepholes * hidden_size,)
            for suffix in self.suffixes:
                for name, shape in shapes.items():
                    value = nn.Parameter(torch.empty(shape, dtype=torch.float64))
                    self.register_parameter(f"{name}_l{layer}{suffix}", value)

    def forward(
        self, x: Tensor, state0: list[Tensor], lengths: list[int]
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers; x (N, T, I), each state (num_layers * num_directions, N, H)."""
        finals = []
        for layer in range(self.case.num_layers):
            outputs = []
            for suffix in self.suffixes:
                state = [part[len(finals)] for part in state0]
                y, final = self.direction(x, state, lengths, f"l{layer}{suffix}")
                outputs.append(y)
                finals.append(final)
            x = torch.cat(outputs, dim=2)
        return x, [torch.stack(parts) for parts in zip(*finals, strict=True)]

    def direction(
        self, x: Tensor, state: list[Tensor], lengths: list[int], suffix: str
    ) -> tuple[Tensor, list[Tensor]]:
        """Run one direction of one layer, all rows at once; an invalid step keeps the state."""
        zeros = torch.zeros(self.cell.gates * state[0].shape[1], dtype=x.dtype)
        weights = Weights(
            getattr(self, f"weight_ih_{suffix}"),
            getattr(self, f"weight_hh_{suffix}"),
            getattr(self, f"bias_ih_{suffix}", zeros),
            getattr(self, f"bias_hh_{suffix}", zeros),
            getattr(self, f"weight_peephole_{suffix}", None),
        )
        outputs, order = {}, range(x.shape[1])
        for t in reversed(order) if suffix.endswith("_reverse") else order:
            valid = torch.tensor([[t < length] for length in lengths])
            new = self.cell.step(weights, x[:, t], *state)
            outputs[t] = torch.where(valid, new[0], torch.zeros_like(new[0]))
            state = [torch.where(valid, n, old) for n, old in zip(new, state, strict=True)]
        return torch.stack([outputs[t] for t in order], dim=1), state


def _layer(case: Case, input_size: int, hidden_size: int) -> nn.Module:
    if case.cell in WRITTEN_OUT:
        return WrittenOutLayer(input_size, hidden_size, case)
    options = {
        "num_layers": case.num_layers,
        "bidirectional": case.bidirectional,
        "bias": case.bias,
        "batch_first": True,
        "dtype": torch.float64,
    }
    if case.cell == "lstm":
        return nn.LSTM(input_size, hidden_size, **options)
    if case.cell == "gru":
        return nn.GRU(input_size, hidden_size, **options)
    nonlinearity = case.cell.removeprefix("rnn_")
    return nn.RNN(input_size, hidden_size, nonlinearity=nonlinearity, **options)


def _call(
    layer: nn.Module, x: Tensor, state: list[Tensor], lengths: list[int]
) -> tuple[Tensor, list[Tensor]]:
    if isinstance(layer, WrittenOutLayer):
        y, state_n = layer(x, state, lengths)
        return y, state_n
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    all_valid = min(lengths) == x.shape[1]
    y, state_n = layer(x if all_valid else packed, tuple(state) if len(state) == 2 else state[0])
    if not all_valid:
        y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return y, list(state_n) if len(state) == 2 else [state_n]


def compute_case(
    case: Case, sizes: tuple[int, int, int, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the inputs of a case, run PyTorch forward and backward, and return all arrays.

    Parameters
    ----------
    case : Case
        What to compute.
    sizes : tuple of int
        (N, T, I, H). A ragged case draws lengths of 1 to T; PyTorch packs no empty row.
    rng : numpy.random.Generator
        The source of all numbers.

    Returns
    -------
    dict of str to ndarray
        Float64, and int64 for lengths; the keys are those of the file without the case's name.
    """
    batch_size, steps, input_size, hidden_size = sizes

    def draw(*shape: int, scale: int = 1) -> Tensor:
        return torch.from_numpy(rng.integers(-64, 65, shape) * (scale / 64.0))

    layer = _layer(case, input_size, hidden_size)
    for parameter in layer.parameters():
        parameter.data = draw(*parameter.shape)
    num_directions = 1 + case.bidirectional
    state_shape = case.num_layers * num_directions, batch_size, hidden_size
    lengths = rng.integers(1, steps + 1, batch_size) if case.ragged else np.full(batch_size, steps)

    inputs = {"x": draw(batch_size, steps, input_size, scale=2), "h0": draw(*state_shape)}
    if case.cell == "lstm" or (case.cell in WRITTEN_OUT and WRITTEN_OUT[case.cell].has_cell_state):
        inputs["c0"] = draw(*state_shape)
    leaves = {name: value.requires_grad_() for name, value in inputs.items()}
    leaves |= dict(layer.named_parameters())
    state = [inputs[name] for name in ("h0", "c0") if name in inputs]
    y, state_n = _call(layer, inputs["x"], state, lengths.tolist())
    outputs = dict(zip(("y", "h_n", "c_n"), [y, *state_n], strict=False))
    upstream = {f"d{name}": draw(*value.shape) for name, value in outputs.items()}
    torch.autograd.backward(list(outputs.values()), list(upstream.values()))

    gradients = {f"d{name}": value.grad for name, value in leaves.items()}
    tensors = leaves | outputs | upstream | gradients
    arrays = {name: value.detach().numpy() for name, value in tensors.items()}
    return arrays | {"lengths": lengths.astype(np.int64)}


def compute_all() -> dict[str, np.ndarray]:
    """Compute the content of the file."""
    cases = all_cases()
    arrays = {"index": np.array([json.dumps(asdict(case)) for case in cases])}
    for seed, case in enumerate(cases):
        sizes = (4, 6, 3, 5) if case.ragged else (3, 4, 3, 5)
        computed = compute_case(case, sizes, np.random.default_rng(seed))
        arrays |= {f"{case.name}/{name}": value for name, value in computed.items()}
    return arrays


def main() -> None:
    """Write the file, or compare it with what PyTorch computes now."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    arrays = compute_all()
    if not parser.parse_args().check:
        PATH.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(PATH, **arrays)
        print(f"{PATH.name}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")
        return
    with np.load(PATH) as stored:
        if sorted(stored.files) != sorted(arrays):
            raise SystemExit(f"{PATH.name}: its arrays are not those this script makes")
        for name, array in arrays.items():
            if array.dtype.kind == "f":
                np.testing.assert_allclose(stored[name], array, rtol=0, atol=1e-12, err_msg=name)
            else:
                np.testing.assert_array_equal(stored[name], array, err_msg=name)
    print(f"{PATH.name}: {len(arrays)} arrays agree")


if __name__ == "__main__":
    main()
