"""The jobs in PyTorch: `python -m bench.peers.jobs.with_pytorch FILE`, as `slices` starts it.

Written for speed, as far as the interface of PyTorch's layers goes: packed sequences only where
lengths differ, data converted once, carried states detached, gradients set to None, and Adam
fused, which its default on CPUs is not (PyTorch 2.13: 0.2 for 1.4 ms at 370,000 parameters).
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pack_sequence

from bench.peers.jobs.problem_file import Settings, read
from bench.peers.jobs.slices import report

CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
Arrays = dict[str, NDArray[Any]]
Weights = list[NDArray[Any]]


class Net(nn.Module):
    """Perhaps an embedding, a recurrent layer, and a linear layer."""

    def __init__(
        self, settings: Settings, weights: Weights, *, bidirectional: bool = False
    ) -> None:
        super().__init__()
        # All other layers have pairs of arrays.
        embedding = weights[0] if len(weights) % 2 else None
        inputs = weights[0].shape[1]
        self.embedding = None if embedding is None else nn.Embedding(*embedding.shape)
        self.recurrent = CELLS[settings.cell](
            inputs, settings.hidden_size, batch_first=True, bidirectional=bidirectional
        )
        self.linear = nn.Linear(*reversed(weights[-2].shape))
        with torch.no_grad():
            for parameter, value in zip(self.parameters(), weights, strict=True):
                parameter.copy_(torch.from_numpy(value))

    def of_steps(self, x: Any, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Return outputs for every step, (N, T, C), and the state."""
        y, state = self.recurrent(x if self.embedding is None else self.embedding(x), state)
        return self.linear(y), state

    def of_sequences(self, x: Any) -> torch.Tensor:
        """Return outputs for final states, (N, C)."""
        _, state = self.recurrent(x)
        h = state[0] if isinstance(state, tuple) else state
        return self.linear(torch.cat([*h], dim=1))


class Rule:
    """Adam and clipping."""

    def __init__(self, model: Net, settings: Settings) -> None:
        self.model, self.clip_norm = model, settings.clip_norm
        self.adam = torch.optim.Adam(model.parameters(), settings.learning_rate, fused=True)

    def step(self, loss: torch.Tensor) -> None:
        """Change the parameters once."""
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.adam.step()


def orders_of(settings: Settings) -> np.random.Generator:
    """Return the generator from which fastrnn's Trainer draws the order of an epoch, too."""
    return np.random.default_rng(settings.seed).spawn(2)[0]


def vowels(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Classify utterances; return the accuracy."""
    x, y = {}, {}
    for part in ("train", "test"):
        lengths = arrays[f"{part}_lengths"].tolist()
        x[part] = list(torch.from_numpy(arrays[f"{part}_x"]).split(lengths))
        y[part] = torch.from_numpy(arrays[f"{part}_y"])
    model = Net(settings, weights, bidirectional=True)
    rule = Rule(model, settings)
    orders = orders_of(settings)
    report("ready")
    for _ in range(settings.epochs):
        order = torch.from_numpy(orders.permutation(len(x["train"])))
        for rows in order.split(settings.batch_size):
            batch = pack_sequence([x["train"][n] for n in rows], enforce_sorted=False)
            rule.step(functional.cross_entropy(model.of_sequences(batch), y["train"][rows]))
    report("trained")
    with torch.no_grad():
        scores = model.of_sequences(pack_sequence(x["test"], enforce_sorted=False))
    return float((scores.argmax(1) == y["test"]).double().mean())


def shakespeare(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Predict the next character; return the bits per character."""

    def batches(text: NDArray[Any]) -> Any:
        length = (len(text) - 1) // settings.batch_size
        tokens = torch.from_numpy(text.astype(np.int64))
        x, y = (
            tokens[first : first + length * settings.batch_size].view(settings.batch_size, length)
            for first in (0, 1)
        )
        return zip(x.split(settings.window, 1), y.split(settings.window, 1), strict=True)

    def loss_of(x: Any, y: Any, state: Any) -> tuple[torch.Tensor, Any]:
        outputs, state = model.of_steps(x, state)
        return functional.cross_entropy(outputs.flatten(0, 1), y.flatten()), state

    model = Net(settings, weights)
    rule = Rule(model, settings)
    report("ready")
    for _ in range(settings.epochs):
        state: Any = None
        for x, y in batches(arrays["train"]):
            loss, state = loss_of(x, y, state)
            rule.step(loss)
            state = tuple(s.detach() for s in state) if type(state) is tuple else state.detach()
    report("trained")
    total, count, state = 0.0, 0, None
    with torch.no_grad():
        for x, y in batches(arrays["validation"]):
            loss, state = loss_of(x, y, state)
            total += float(loss) * y.numel()
            count += y.numel()
    return total / count / math.log(2)


def temperature(settings: Settings, arrays: Arrays, weights: Weights) -> float:
    """Predict a day's temperatures; return the root mean square error in degrees."""
    hours = weights[-1].size

    def windows(series: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.from_numpy(series).unfold(0, settings.window + hours, 1)
        return rows[:, : settings.window, None], rows[:, settings.window :]

    x, y = windows(arrays["train"])
    model = Net(settings, weights)
    rule = Rule(model, settings)
    orders = orders_of(settings)
    report("ready")
    for _ in range(settings.epochs):
        order = torch.from_numpy(orders.permutation(len(x)))
        for rows in order.split(settings.batch_size):
            rule.step(functional.mse_loss(model.of_sequences(x[rows]), y[rows]))
    report("trained")
    x, y = windows(arrays["test"])
    with torch.no_grad():
        error = functional.mse_loss(model.of_sequences(x), y)
    return math.sqrt(float(error)) * float(arrays["scale"])


JOBS = {"vowels": vowels, "shakespeare": shakespeare, "temperature": temperature}


def main(path: str) -> None:
    """Run the job in a file."""
    settings, arrays, weights = read(path)
    torch.set_num_threads(settings.threads)
    score = JOBS[settings.job](settings, arrays, weights)
    report("scored", library=f"PyTorch {torch.__version__}", score=score)


if __name__ == "__main__":
    main(sys.argv[1])
