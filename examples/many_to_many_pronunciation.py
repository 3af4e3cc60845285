"""Many to many with different lengths: letters to phonemes, learned from the CMU dictionary.

``python examples/many_to_many_pronunciation.py`` trains for ten epochs, 11 minutes on one thread,
and prints the phoneme error rate on held-out words; ``--small`` runs for seconds on a few built-in
words. Stress marks are left out (39 phonemes), as is usual. The split is by word: of twenty shares
by SHA-256, one is for tests and one for validation (`fr.datasets.split_by_hash`).
"""

import argparse
import time
from pathlib import Path

import fastrnn as fr
from fastrnn.datasets.pronunciation import PronouncingDictionary, parse_dictionary
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
""".strip().replace("; ", "\n")


def main(arguments=None):
    """Train, and print error rates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a few built-in words")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--output", type=Path, help="where to save the model")
    chosen = parser.parse_args(arguments)
    if chosen.small:
        dictionary = PronouncingDictionary(parse_dictionary(FEW_WORDS, stress=False))
        size, batch_size = 32, 4
    else:
        dictionary = fr.datasets.cmudict()
        size, batch_size = 256, 128

    words, spoken = dictionary.words, dictionary.pronunciations
    letters, phonemes = Vocabulary.of(words), Vocabulary.of(spoken)
    split = fr.datasets.split_by_hash(words)
    pairs = PairDataset(
        [letters.encode(words[n]) for n in split.train],
        [phonemes.encode(spoken[n]) for n in split.train],
    )
    model = fr.EncoderDecoder(
        len(letters), len(phonemes), size, embedding_size=size // 2, dropout=0.1, seed=0
    )
    steps = chosen.epochs * pairs.num_batches(batch_size)
    rising = min(300, steps // 10)
    schedule = fr.schedules.WarmUp(rising, fr.schedules.Cosine(steps - rising, final=0.02))
    trainer = fr.Trainer(
        model,
        optimizer=fr.optim.Adam(3e-3),
        clip_norm=1.0,
        callbacks=[
            fr.callbacks.LearningRate(schedule),
            lambda history: print(
                f"epoch {len(history.epochs)}: loss {history.epochs[-1].loss:.4f}", flush=True
            ),
        ],
    )
    start = time.perf_counter()
    trainer.fit(pairs, epochs=chosen.epochs, batch_size=batch_size, seed=0, bucket_by_length=True)
    print(f"{len(pairs)} pairs, trained in {(time.perf_counter() - start) / 60:.1f} minutes")
    if chosen.output:
        fr.save(model, chosen.output)

    known = dictionary.by_word()
    for part in ("validation", "test"):
        held_out = list(dict.fromkeys(words[n] for n in getattr(split, part)))
        sources = [letters.encode(word) for word in held_out]
        for width in (1, 5):
            found = [phonemes.decode(h.tokens) for h in model.translate(sources, beam_width=width)]
            rate = error_rate(found, [known[word] for word in held_out])
            print(
                f"{part}, {len(held_out)} words, beam width {width}: "
                f"phoneme error rate {100 * rate:.2f} %"
            )
    for word, one in list(zip(held_out, found, strict=True))[:10]:
        print(f"  {word}: {' '.join(one)}")


if __name__ == "__main__":
    main()
