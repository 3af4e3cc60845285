"""``fastrnn generate``: a trained character model writes on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import fastrnn as fr
from fastrnn.cli import arguments

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
    parser.add_argument("--prompt", default="\n", help="what comes before; default: a new line")
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
    arguments.add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the prompt and what follows."""
    model = fr.CharLM.load(options.model)
    characters = model.generate(
        options.prompt,
        options.length,
        temperature=options.temperature,
        top_k=options.top_k,
        seed=options.seed,
    )
    if options.json:
        print(json.dumps({"prompt": options.prompt, "text": "".join(characters)}))
        return 0
    sys.stdout.write(options.prompt)
    for character in characters:
        sys.stdout.write(character)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0
