"""PyTorch: torch.nn.LSTM, GRU and RNN, eager; ragged batches as packed sequences."""

from __future__ import annotations

from typing import Any

import torch

from bench.peers.frameworks.program import Arrays, Program
from bench.peers.problem import Problem


def version() -> str:
    """Return PyTorch's version."""
    return str(torch.__version__)


def set_num_threads(count: int) -> None:
    """Limit the threads within and between operators."""
    torch.set_num_threads(count)
    torch.set_num_interop_threads(count)


def _state_arrays(state: Any) -> Arrays:
    parts = state if isinstance(state, tuple) else (state,)
    return {name: part[0].numpy() for name, part in zip(("h_n", "c_n"), parts, strict=False)}


def prepare(problem: Problem) -> Program:
    """Build the call of a module, or its forward and backward pass.

    A ragged batch comes and goes padded, as with the other frameworks, so packing and unpacking
    belong to the time.
    """
    point, case = problem.point, problem.point.case
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[point.cell]
    model = kind(
        case.input_size, case.hidden_size, batch_first=True, dtype=getattr(torch, point.dtype)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(problem.weights[name]))
    x, dy = torch.from_numpy(problem.x), torch.from_numpy(problem.dy)
    lengths = None if problem.lengths is None else torch.from_numpy(problem.lengths)

    def call(source: torch.Tensor) -> Any:
        if lengths is None:
            return model(source)
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            source, lengths, batch_first=True, enforce_sorted=False
        )
        y, state = model(packed)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=case.steps)
        return y, state

    def infer() -> Any:
        with torch.inference_mode():
            return call(x)

    def infer_result(result: Any) -> Arrays:
        y, state = result
        return {"y": y.numpy()} | _state_arrays(state)

    carried: Any = None

    def step() -> Any:
        nonlocal carried
        with torch.inference_mode():
            y, carried = model(x, carried)
        return y, carried

    def train() -> Any:
        model.zero_grad(set_to_none=True)
        source.grad = None
        y, _ = call(source)
        y.backward(dy)
        return y

    def train_result(y: Any) -> Arrays:
        gradients = {f"d{k}": v.grad.numpy() for k, v in model.named_parameters()}
        assert source.grad is not None
        return {"y": y.detach().numpy(), "dx": source.grad.numpy()} | gradients

    if point.mode == "training":
        source = x.clone().requires_grad_()
        return Program(train, train_result)
    model.eval()
    return Program(step if point.carries_state else infer, infer_result)
