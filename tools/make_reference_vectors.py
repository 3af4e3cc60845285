"""Make tests/data/reference_vectors.npz: recurrent layers and their gradients by PyTorch, float64.

Needs torch. `python tools/make_reference_vectors.py` writes the file, `--check` compares it with
what PyTorch computes now.

The file is flat. `index` is an array of JSON strings, one per case, with the keys name, cell,
num_layers, bidirectional, bias and ragged. Every other key is `name/array`:

- x (N, T, I), h0 and, for the LSTM, c0 (num_layers * num_directions, N, H), lengths (N,), and the
  parameters under PyTorch's names;
- y (N, T, num_directions * H), h_n and c_n;
- dy, dh_n and dc_n, the derivatives of a loss with respect to y, h_n and c_n, and d + name for the
  resulting derivatives with respect to x, h0, c0 and every parameter.

Inputs, parameters and upstream derivatives are multiples of 1/64, so float32 holds them exactly.
PyTorch has no GRU whose reset gate acts before the recurrent product: that cell is written out
here in torch operations and differentiated by autograd.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

PATH = Path(__file__).parents[1] / "tests" / "data" / "reference_vectors.npz"
CELLS = ("lstm", "gru", "gru_reset_before", "rnn_tanh", "rnn_relu")
GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}


@dataclass(frozen=True)
class Case:
    """What is computed; the sizes are those of the arrays."""

    name: str
    cell: str
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    ragged: bool = False


def all_cases() -> list[Case]:
    """List the cases of the file: five for each cell."""
    cases = []
    for cell in CELLS:
        cases += [
            Case(f"{cell}_unidirectional", cell),
            Case(f"{cell}_bidirectional", cell, bidirectional=True),
            Case(f"{cell}_stacked", cell, num_layers=2, bidirectional=True),
            Case(f"{cell}_ragged", cell, bidirectional=True, ragged=True),
            Case(f"{cell}_no_bias", cell, bias=False),
        ]
    return cases


class GRUResetBefore(nn.Module):
    """Cho et al. (2014), arXiv:1406.1078v3, equations 5 to 8, with PyTorch's parameters."""

    def __init__(self, input_size: int, hidden_size: int, case: Case) -> None:
        super().__init__()
        self.case = case
        self.suffixes = ["", "_reverse"][: 1 + case.bidirectional]
        for layer in range(case.num_layers):
            width = len(self.suffixes) * hidden_size if layer else input_size
            shapes = {"weight_ih": (width,), "weight_hh": (hidden_size,)}
            shapes |= {"bias_ih": (), "bias_hh": ()} if case.bias else {}
            for suffix in self.suffixes:
                for name, shape in shapes.items():
                    value = torch.empty(3 * hidden_size, *shape, dtype=torch.float64)
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(value))

    def forward(self, x: Tensor, h0: Tensor, lengths: list[int]) -> tuple[Tensor, Tensor]:
        """Run all layers; x (N, T, I), h0 (num_layers * num_directions, N, H)."""
        h_n = []
        for layer in range(self.case.num_layers):
            outputs = []
            for suffix in self.suffixes:
                y, h = self.direction(x, h0[len(h_n)], lengths, f"l{layer}{suffix}")
                outputs.append(y)
                h_n.append(h)
            x = torch.cat(outputs, dim=2)
        return x, torch.stack(h_n)

    def direction(
        self, x: Tensor, h0: Tensor, lengths: list[int], suffix: str
    ) -> tuple[Tensor, Tensor]:
        """Run one direction of one layer, all rows at once; an invalid step keeps the state."""
        h, outputs = h0, {}
        w_r, w_z, w_n = getattr(self, f"weight_ih_{suffix}").chunk(3)
        u_r, u_z, u_n = getattr(self, f"weight_hh_{suffix}").chunk(3)
        zeros = torch.zeros(3 * h0.shape[1], dtype=x.dtype)
        b_r, b_z, b_n = getattr(self, f"bias_ih_{suffix}", zeros).chunk(3)
        d_r, d_z, d_n = getattr(self, f"bias_hh_{suffix}", zeros).chunk(3)
        order = range(x.shape[1])
        for t in reversed(order) if suffix.endswith("_reverse") else order:
            valid = torch.tensor([[t < length] for length in lengths])
            r = torch.sigmoid(x[:, t] @ w_r.T + b_r + h @ u_r.T + d_r)
            z = torch.sigmoid(x[:, t] @ w_z.T + b_z + h @ u_z.T + d_z)
            n = torch.tanh(x[:, t] @ w_n.T + b_n + (r * h) @ u_n.T + d_n)
            h_new = (1 - z) * n + z * h
            outputs[t] = torch.where(valid, h_new, torch.zeros_like(h))
            h = torch.where(valid, h_new, h)
        return torch.stack([outputs[t] for t in order], dim=1), h


def _layer(case: Case, input_size: int, hidden_size: int) -> nn.Module:
    if case.cell == "gru_reset_before":
        return GRUResetBefore(input_size, hidden_size, case)
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
    if isinstance(layer, GRUResetBefore):
        y, h_n = layer(x, state[0], lengths)
        return y, [h_n]
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
    if case.cell == "lstm":
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
