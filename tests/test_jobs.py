"""bench/peers/jobs: fastrnn's side of the jobs, and programs that take turns."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from bench.peers.jobs.slices import Program, in_turns  # noqa: E402

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="programs are held to processors: Linux"
)
PROCESSORS = [0] if not hasattr(os, "sched_getaffinity") else sorted(os.sched_getaffinity(0))[:1]
WORK = """
import time
from bench.peers.jobs.slices import report
report("ready", size=3)
end = time.process_time() + 0.1
while time.process_time() < end:
    pass
report("trained")
"""


def program(text):
    return Program(["-c", text], PROCESSORS, {"PYTHONPATH": str(ROOT)})


def test_small_jobs():
    arguments = ["vowels", "temperature", "--small", "--epochs", "10", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers.jobs", *arguments, "--libraries", "fastrnn"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    vowels, temperature = (json.loads(line) for line in done.stdout.splitlines())
    (classified,), (forecast,) = vowels["runs"]["fastrnn"], temperature["runs"]["fastrnn"]
    assert 0.5 < classified["score"] <= 1  # of nine classes; 0.69 to 0.83
    assert 0 < forecast["score"] < 5  # degrees; 2.7, before training 12
    for run in (classified, forecast):
        assert 0 < run["processor"] <= run["total"]
        assert 0 < run["training"] < run["total"]


def test_turns_count_only_what_a_program_runs():
    both = program(WORK), program(WORK)
    begin = time.perf_counter()
    in_turns(both, seconds=0.03)
    whole = time.perf_counter() - begin
    for each in both:
        (ready, ready_processor), (trained, trained_processor) = each.marks.values()
        assert each.values == {"size": 3}
        assert trained_processor - ready_processor >= 0.1
        assert 0.1 <= trained - ready < trained <= each.seconds
    assert sum(each.seconds for each in both) <= whole  # no time is counted twice


def test_a_program_is_stopped_between_its_turns():
    text = "import os; from bench.peers.jobs.slices import report; report('ready', pid=os.getpid())"
    endless = program(f"{text}\nwhile True: pass")
    try:
        while "pid" not in endless.values:
            endless.run(0.05)
        status = Path(f"/proc/{endless.values['pid']}/stat")
        deadline = time.perf_counter() + 2
        while status.read_text().split()[2] != "T" and time.perf_counter() < deadline:
            time.sleep(0.01)
        assert status.read_text().split()[2] == "T"
    finally:
        endless.close()


def test_a_program_that_fails_is_an_error_and_ends_the_others():
    good, bad = program("while True: pass"), program("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="exit code 3"):
        in_turns([good, bad], seconds=0.05)
    assert good.done
