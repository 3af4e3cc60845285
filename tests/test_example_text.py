"""The example of one to many runs."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "one_to_many_text.py"


def test_one_to_many(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("It was the best of times, it was the worst of times.\n" * 400)
    command = [sys.executable, EXAMPLE, path, "--small", "--prompt=It was", "--length=60"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured, _, written = done.stdout.partition(" bits per character on text it has not seen\n\n")
    assert float(measured) < 4
    assert written.startswith("It was")
    assert len(written) == len("It was") + 60 + 1
    assert done.stderr == ""
