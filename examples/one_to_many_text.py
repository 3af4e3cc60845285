"""One to many: from a prompt to as much text as is wanted, a character at a time.

python examples/one_to_many_text.py                   Python's documentation, some minutes
python examples/one_to_many_text.py FILE --prompt "Once"
python examples/one_to_many_text.py --small           some seconds
"""

import argparse
import pydoc_data.topics
from pathlib import Path

import fastrnn as fr


def main() -> None:
    """Train on a text, then write on from a prompt."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", help="any text file")
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--length", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="a part of the text, a small model")
    given = parser.parse_args()

    text = given.file or "\n".join(pydoc_data.topics.topics.values())
    parts = fr.text.split_text(text, (0.9, 0.05, 0.05))
    if given.small:
        parts = tuple(part[:20_000] for part in parts)
    train, validation, test = parts
    vocabulary = fr.text.Vocabulary.from_text("".join(parts))

    model = fr.CharLM(
        32 if given.small else 256, dropout=0.1, vocabulary=vocabulary, seed=given.seed
    )
    model.fit(train, validation, epochs=2 if given.small else 20, learning_rate=5e-3)
    print(f"{model.bits_per_character(test):.2f} bits per character on text it has not seen\n")

    print(given.prompt, end="")
    for character in model.generate(
        given.prompt, given.length, temperature=given.temperature, seed=given.seed
    ):
        print(character, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
