"""Japanese Vowels from first batch to last, in fastrnn and in PyTorch, on one thread.

    python bench/peers/japanese_vowels.py [--seeds 0 1 2 3 4] [--cell lstm] [--epochs 40]

Both train the same net (bidirectional, 64 units, final states of both directions into a linear
layer) by the same rule (Adam 3e-3, batches of 32, clip 1.0, 40 epochs) on the same standardized,
ragged data, PyTorch on packed sequences. They take turns in one process, so that a change of the
machine's speed hits both. Timed is training alone: no data loading, no evaluation.

Goal: at least 5 times faster than PyTorch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch

import fastrnn as fr
from fastrnn.cli.train import classifier

UNITS, BATCH, RATE, CLIP = 64, 32, 3e-3, 1.0
Result = tuple[float, float]  # seconds, test accuracy


def run_fastrnn(data: fr.datasets.ClassificationData, cell: str, epochs: int, seed: int) -> Result:
    """Train and test with fastrnn."""
    model = classifier(data, cell, UNITS, 1, seed)
    trainer = fr.Trainer(model, optimizer=fr.optim.Adam(RATE), clip_norm=CLIP)
    train = fr.data.Dataset(data.train_x, data.train_y)
    start = time.perf_counter()
    trainer.fit(train, epochs=epochs, batch_size=BATCH, seed=seed, progress=False)
    seconds = time.perf_counter() - start
    accuracy = trainer.evaluate((data.test_x, data.test_y)).accuracy
    assert accuracy is not None
    return seconds, accuracy


class TorchClassifier(torch.nn.Module):
    """The same net in PyTorch."""

    def __init__(self, cell: str, features: int, classes: int) -> None:
        super().__init__()
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[cell]
        self.recurrent = kind(features, UNITS, batch_first=True, bidirectional=True)
        self.linear = torch.nn.Linear(2 * UNITS, classes)

    def forward(self, sequences: list[torch.Tensor]) -> torch.Tensor:
        """Return scores (N, classes)."""
        packed = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        _, state = self.recurrent(packed)
        h = state[0] if isinstance(state, tuple) else state
        return self.linear(torch.cat([h[0], h[1]], dim=1))


def run_torch(data: fr.datasets.ClassificationData, cell: str, epochs: int, seed: int) -> Result:
    """Train and test with PyTorch."""
    torch.manual_seed(seed)
    model = TorchClassifier(cell, data.train_x[0].shape[1], len(data.class_names))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    rng = np.random.default_rng(seed)
    standardize = fr.Standardize.fit(data.train_x)

    def tensors(sequences: list[np.ndarray]) -> list[torch.Tensor]:
        return [torch.from_numpy(standardize(sequence)[0]) for sequence in sequences]

    x = tensors(data.train_x)
    y = torch.from_numpy(data.train_y)
    start = time.perf_counter()
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for first in range(0, len(x), BATCH):
            rows = order[first : first + BATCH]
            loss = torch.nn.functional.cross_entropy(model([x[n] for n in rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
    seconds = time.perf_counter() - start
    with torch.no_grad():
        scores = model(tensors(data.test_x))
    return seconds, float((scores.argmax(1).numpy() == data.test_y).mean())


def main() -> None:
    """Run all seeds, each library in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--cell", choices=["lstm", "gru", "rnn"], default="lstm")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fr.set_num_threads(1)
    data = fr.datasets.japanese_vowels()
    for run in (run_fastrnn, run_torch):
        run(data, options.cell, 1, 0)  # warm up
    ours, theirs = [], []
    for seed in options.seeds:
        ours.append(run_fastrnn(data, options.cell, options.epochs, seed))
        theirs.append(run_torch(data, options.cell, options.epochs, seed))
    ratios = [b[0] / a[0] for a, b in zip(ours, theirs, strict=True)]
    if options.json:
        print(json.dumps({"seeds": options.seeds, "fastrnn": ours, "torch": theirs}))
        return
    print(f"Japanese Vowels, {options.cell}, {options.epochs} epochs, one thread")
    print(
        f"{'seed':>5}{'fastrnn s':>11}{'accuracy':>10}{'PyTorch s':>11}{'accuracy':>10}{'ratio':>8}"
    )
    for seed, a, b, ratio in zip(options.seeds, ours, theirs, ratios, strict=True):
        print(f"{seed:>5}{a[0]:>11.3f}{a[1]:>10.4f}{b[0]:>11.3f}{b[1]:>10.4f}{ratio:>8.1f}")
    for name, results in (("fastrnn", ours), ("PyTorch", theirs)):
        seconds = statistics.median(r[0] for r in results)
        accuracy = [r[1] for r in results]
        print(
            f"{name}: median {seconds:.3f} s, accuracy {min(accuracy):.4f} to {max(accuracy):.4f},"
            f" mean {statistics.mean(accuracy):.4f}"
        )
    print(f"PyTorch {torch.__version__} / fastrnn: median {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
