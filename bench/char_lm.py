"""A character model on a text within so many seconds: `python -m bench.char_lm shakespeare`.

The text is split 90 / 5 / 5 by characters. Printed are, after each epoch, bits per character on the
part for validation, characters read a second and the peak resident size so far; at the end, bits
per character on the last part, with the state carried through all of it, and generated text.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from pathlib import Path

import fastrnn as fr


def peak_megabytes() -> float:
    """Return the largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 * 1e-6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", help="any text file, or shakespeare")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    parser.add_argument("--cell", choices=("lstm", "gru", "rnn"), default="lstm")
    parser.add_argument("--hidden-size", type=int, default=512)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--embedding-size", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--options", type=json.loads, default={}, help="of the layers, as JSON")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generate", type=int, default=600, help="characters at the end")
    parser.add_argument("--prompt", default="\n")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--output", type=Path, help="where to save the model")
    return parser.parse_args()


def main() -> None:
    """Train, measure, generate."""
    given = arguments()
    fr.set_num_threads(given.threads)
    text = fr.datasets.shakespeare() if given.text == "shakespeare" else Path(given.text)
    train, validation, test = fr.text.split_text(text, (0.9, 0.05, 0.05))
    vocabulary = fr.text.Vocabulary.from_text(text)
    model = fr.CharLM(
        given.hidden_size,
        given.layers,
        cell=given.cell,
        embedding_size=given.embedding_size,
        dropout=given.dropout,
        tied_embeddings=given.tied,
        vocabulary=vocabulary,
        seed=given.seed,
        **given.options,
    )
    print(
        f"{len(train)} + {len(validation)} + {len(test)} characters, {len(vocabulary)} symbols; "
        f"{given.cell} {given.layers} x {given.hidden_size}, N {given.batch_size}, "
        f"T {given.steps}, learning rate {given.learning_rate}, threads {given.threads}"
    )
    print(f"{'epoch':>5}{'s':>8}{'train':>8}{'validation':>12}{'characters/s':>14}{'peak MB':>9}")
    start = time.perf_counter()

    def show(history: fr.History) -> None:
        epoch = history.epochs[-1]
        bits = [x / math.log(2) for x in (epoch.loss, epoch.validation_loss or math.nan)]
        # The last epoch may have been cut off: what is read in it is not known here.
        whole = time.perf_counter() - start < given.seconds
        speed = f"{len(train) / epoch.seconds:>14.0f}" if whole else f"{'':>14}"
        print(
            f"{len(history.epochs):>5}{time.perf_counter() - start:>8.1f}{bits[0]:>8.3f}"
            f"{bits[1]:>12.3f}{speed}{peak_megabytes():>9.0f}",
            flush=True,
        )

    model.fit(
        train,
        validation,
        epochs=given.epochs,
        max_seconds=given.seconds,
        batch_size=given.batch_size,
        steps=given.steps,
        learning_rate=given.learning_rate,
        callbacks=[show],
    )
    trained = time.perf_counter() - start
    print(f"{model}: trained in {trained:.1f} s, peak {peak_megabytes():.0f} MB")
    print(f"bits per character on the test part: {model.bits_per_character(test):.4f}")
    if given.output is not None:
        model.save(given.output)
    print(f"{given.generate} characters at temperature {given.temperature}, seed {given.seed}:\n")
    characters = model.generate(
        given.prompt, given.generate, temperature=given.temperature, seed=given.seed
    )
    print(given.prompt + "".join(characters))


if __name__ == "__main__":
    main()
