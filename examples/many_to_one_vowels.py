"""Many to one: which of nine speakers says this vowel? Sequences of 7 to 29 steps, one class each.

    python examples/many_to_one_vowels.py

The data comes with fastrnn; a bidirectional LSTM learns it in some seconds.
"""

import argparse

import numpy as np

import fastrnn as fr

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=40)
parser.add_argument("--small", action="store_true", help="few sequences and epochs")
options = parser.parse_args()

data = fr.datasets.japanese_vowels()
rows = slice(None, None, 3 if options.small else 1)
train = fr.data.Dataset(data.train_x[rows], data.train_y[rows])
test = fr.data.Dataset(data.test_x[rows], data.test_y[rows])

features, classes = data.train_x[0].shape[1], len(data.class_names)
model = fr.Sequential(
    [
        fr.Standardize.fit(data.train_x[rows]),
        fr.LSTM(features, 64, bidirectional=True, seed=0),
        fr.Last(bidirectional=True),  # the last state of each direction: (N, 128)
        fr.Linear(128, classes, seed=1),
    ]
)
trainer = fr.Trainer(
    model, loss="softmax_cross_entropy", optimizer=fr.optim.Adam(3e-3), clip_norm=1.0
)
trainer.fit(train, epochs=8 if options.small else options.epochs, seed=0, progress=False)
print(f"accuracy on {len(data.test_x[rows])} utterances: {trainer.evaluate(test).accuracy:.3f}")

scores = np.asarray(fr.predict(model, data.test_x[:1]))
print(f"the first one, by {data.class_names[data.test_y[0]]}: {data.class_names[scores.argmax()]}")
