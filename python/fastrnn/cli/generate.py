"""``fastrnn generate``: a trained character model writes on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import fastrnn as fr
from fastrnn.cli import arguments
from fastrnn.cli.outcome import show
from fastrnn.text import Vocabulary

_EXAMPLES = """\
example:
  fastrnn generate shakespeare.safetensors --prompt "KING. " --length 400 --temperature 0.7
"""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "generate",
        help="write on with a character model",
        description="Print characters as a model trained on text draws them.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="a file that fastrnn train has written")
    parser.add_argument("--prompt", help="what comes before; default: a new line, if it is known")
    parser.add_argument("--length", type=int, default=500, metavar="N", help="default: 500")
    parser.add_argument(
        "--temperature",
        type=float,
        default=1.0,
        metavar="T",
        help="below 1 likelier characters, 0 always the likeliest; default: 1",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest only")
    parser.add_argument("--seed", type=int, metavar="S", help="for the same text again")
    arguments.add_threads(parser)
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the prompt and what follows."""
    arguments.set_threads(options)
    model = fr.CharLM.load(options.model)
    assert model.vocabulary is not None
    prompt = _prompt(options.prompt, model.vocabulary)
    characters = model.generate(
        prompt,
        options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        seed=options.seed,
    )
    if options.json:
        show({"prompt": prompt, "text": "".join(characters)}, [], as_json=True)
        return 0
    print(prompt, end="", flush=True)
    for character in characters:
        print(character, end="", flush=True)
    print()
    return 0


def _prompt(given: str | None, vocabulary: Vocabulary) -> str:
    """Return what the model reads first: a text without lines has no new line to begin with."""
    known = vocabulary.characters
    if given is None:
        return "\n" if "\n" in known else known[0]
    if not given:
        raise ValueError("--prompt: expected at least one character, got none")
    if vocabulary.unknown is None and (unknown := set(given) - set(known)):
        raise ValueError(
            f"--prompt: expected characters of the text in training, got {min(unknown)!r}"
        )
    return given
