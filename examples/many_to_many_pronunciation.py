"""Many to many with different lengths: letters to phonemes, learned from the CMU dictionary.

``python examples/many_to_many_pronunciation.py --dictionary cmudict.dict`` trains for ten epochs
(11 minutes of processor time) and prints the phoneme error rate on held-out words; ``--small`` runs
for seconds on a few built-in words. Stress marks are left out (39 phonemes), as is usual. The split
is by word: of twenty shares by SHA-256, one is for tests and one for validation
(`fr.datasets.split_by_hash`).
"""

import argparse
import math
import re
import time
from pathlib import Path

import numpy as np

import fastrnn as fr
from fastrnn.seq2seq import PairDataset, Vocabulary, error_rate

FEW_WORDS = """
bad B AE1 D; bat B AE1 T; bed B EH1 D; bet B EH1 T; bid B IH1 D; bin B IH1 N; bit B IH1 T
dad D AE1 D; den D EH1 N; did D IH1 D; din D IH1 N; dip D IH1 P; fan F AE1 N; fat F AE1 T
fed F EH1 D; fin F IH1 N; fit F IH1 T; had HH AE1 D; ham HH AE1 M; hat HH AE1 T; hen HH EH1 N
hid HH IH1 D; him HH IH1 M; hip HH IH1 P; hit HH IH1 T; lad L AE1 D; lap L AE1 P; led L EH1 D
let L EH1 T; lid L IH1 D; lip L IH1 P; man M AE1 N; map M AE1 P; mat M AE1 T; men M EH1 N
met M EH1 T; nap N AE1 P; net N EH1 T; nip N IH1 P; pan P AE1 N; pat P AE1 T; pen P EH1 N
pet P EH1 T; pin P IH1 N; pit P IH1 T; ran R AE1 N; rat R AE1 T; red R EH1 D; rid R IH1 D
rip R IH1 P; tan T AE1 N; tap T AE1 P; ten T EH1 N; tin T IH1 N; tip T IH1 P
""".replace(";", "\n")


def read(lines):
    """Return {word: list of pronunciations} from the lines of the dictionary."""
    words = {}
    for line in lines:
        word, *phonemes = line.partition("#")[0].split() or [""]
        pronunciation = [phoneme.rstrip("012") for phoneme in phonemes]
        known = words.setdefault(re.sub(r"\(\d+\)$", "", word), [])  # "read(2)" is "read" again
        if pronunciation and pronunciation not in known:
            known.append(pronunciation)
    return {word: found for word, found in words.items() if found}


def train(model, pairs, *, epochs, learning_rate, batch_size=128):
    """Train with Adam; the learning rate rises for some steps and then falls by a cosine."""
    loss, adam = fr.losses.SoftmaxCrossEntropy(), fr.optim.Adam()
    rng, masks = np.random.default_rng(0).spawn(2)
    model.reseed(masks)
    steps = epochs * pairs.num_batches(batch_size)
    rising = min(300, steps / 10)
    for epoch in range(epochs):
        values = []
        for batch in pairs.batches(rng, batch_size=batch_size, bucket_by_length=True):
            cosine = 0.51 + 0.49 * math.cos(math.pi * adam.steps / steps)
            adam.learning_rate = learning_rate * cosine * min(1, (adam.steps + 1) / rising)
            scores, _, tape = model.forward(batch.x, lengths=batch.lengths)
            value, dscores = loss(scores, batch.y, batch.mask)
            model.zero_grad()
            model.backward(tape, dscores, input_gradient=False)
            fr.optim.clip_by_global_norm(model.gradient_vector, 1.0)
            adam.step(model.parameter_vector, model.gradient_vector)
            values.append(value)
        print(f"epoch {epoch + 1}: loss {np.mean(values):.4f}", flush=True)


def main(arguments=None):
    """Train, and print error rates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dictionary", type=Path, help="the file cmudict.dict")
    parser.add_argument("--small", action="store_true", help="a few built-in words instead")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, help="where to save the model")
    chosen = parser.parse_args(arguments)
    if chosen.small:
        words = read(FEW_WORDS.splitlines())
    elif chosen.dictionary is None:
        parser.error("expected --dictionary FILE or --small")
    else:
        words = read(chosen.dictionary.read_text(encoding="utf-8").splitlines())

    letters = Vocabulary.of(words)
    phonemes = Vocabulary.of(one for found in words.values() for one in found)
    split, listed = fr.datasets.split_by_hash(words), list(words)
    parts = {part: [listed[i] for i in positions] for part, positions in vars(split).items()}
    pairs = PairDataset(
        [letters.encode(word) for word in parts["train"] for _ in words[word]],
        [phonemes.encode(one) for word in parts["train"] for one in words[word]],
    )
    sizes = {part: len(found) for part, found in parts.items()}
    print(f"words: {sizes}; {len(pairs)} pairs to train on")

    size, batch_size = (32, 4) if chosen.small else (256, 128)
    model = fr.EncoderDecoder(
        len(letters), len(phonemes), size, embedding_size=size // 2, dropout=0.1, seed=0
    )
    start = time.perf_counter()
    train(model, pairs, epochs=chosen.epochs, learning_rate=3e-3, batch_size=batch_size)
    print(f"trained in {(time.perf_counter() - start) / 60:.1f} minutes")
    if chosen.output:
        fr.save(model, chosen.output)

    for part in ("validation", "test"):
        sources = [letters.encode(word) for word in parts[part]]
        for width in (1, 5):
            found = [phonemes.decode(h.tokens) for h in model.translate(sources, beam_width=width)]
            rate = error_rate(found, [words[word] for word in parts[part]])
            print(f"{part}, beam width {width}: phoneme error rate {100 * rate:.2f} %")
    for word, one in list(zip(parts["test"], found, strict=True))[:10]:
        print(f"  {word}: {' '.join(one)}")


if __name__ == "__main__":
    main()
