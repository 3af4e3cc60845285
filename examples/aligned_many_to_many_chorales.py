"""Aligned many to many: at each step of a Bach chorale, which keys sound at the next one.

    python examples/aligned_many_to_many_chorales.py

Downloads the chorales with pip at the first run (20 MB). Prints the negative log-likelihood of a
step in nats, the sum over 88 keys, of a recurrent net and of two simple guesses.
"""

import argparse

import numpy as np

import fastrnn as fr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--cell", choices=["LSTM", "GRU"], default="LSTM")
parser.add_argument("--epochs", type=int, default=60)
parser.add_argument(
    "--small", action="store_true", help="a few bars that are built in, no download"
)
options = parser.parse_args()

if options.small:
    chords = np.array([[72, 67, 64, 48], [72, 69, 65, 41], [71, 67, 62, 43], [72, 67, 64, 48]])
    bar = np.repeat(chords, 4, axis=0)  # four quarters of sixteenths
    parts = [[np.tile(bar + key, (2, 1)) for key in keys] for keys in (range(-3, 4), [1], [2])]
else:
    music = fr.datasets.bach_chorales()
    split = (music.split.train, music.split.validation, music.split.test)
    parts = [[music.pitches[k] for k in part] for part in split]
train, validation, test = ([fr.datasets.piano_roll(piece) for piece in part] for part in parts)


def next_steps(rolls: list[np.ndarray]) -> fr.data.Dataset:
    """Return pieces without their last step, and as targets without their first."""
    return fr.data.Dataset([r[:-1].astype(np.float32) for r in rolls], [r[1:] for r in rolls])


def guess(probabilities: list[np.ndarray]) -> float:
    """Return the negative log-likelihood of a test step under probabilities (T_n, 88)."""
    p, t = np.concatenate(probabilities), np.concatenate([roll[1:] for roll in test])
    return float(-np.where(t, np.log(p), np.log(1 - p)).sum(axis=1).mean())


before, after = (np.concatenate([roll[cut] for roll in train]) for cut in np.s_[:-1, 1:])
marginal = (after.sum(axis=0) + 1) / (len(after) + 2)  # how often each key sounds
on, off = after[before].mean() - 1e-6, after[~before].mean() + 1e-6  # what was on stays on
as_often = guess([np.tile(marginal, (len(roll) - 1, 1)) for roll in test])
as_before = guess([np.where(roll[:-1], on, off) for roll in test])
print(f"each key as often as in training: {as_often:.3f}")
print(f"the last step again, softened:    {as_before:.3f}")

size, rows, rate = (32, 2, 3e-2) if options.small else (256, 16, 3e-3)
model = fr.Sequential([getattr(fr, options.cell)(88, size, seed=0), fr.Linear(size, 88, seed=1)])
loss = fr.losses.BinaryCrossEntropy(sum_features=True)
trainer = fr.Trainer(model, loss=loss, optimizer=fr.optim.Adam(rate), clip_norm=1.0)
data = [next_steps(part) for part in (train, validation, test)]
trainer.fit(*data[:2], epochs=options.epochs, batch_size=rows, seed=0, patience=8, progress=False)
print(f"{options.cell} of {size} units, trained:        {trainer.evaluate(data[2]).loss:.3f}")
