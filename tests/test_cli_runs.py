"""The command line as it is run: Ctrl-C, checkpoints, pipes, full disks, several processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrnn as fr
from cli_cases import (
    FAST,
    own_folder,  # noqa: F401
    refused,
    run,
    said,
    waves,
    write_ts,
)
from fastrnn.cli import bundled, main
from fastrnn.testing import assert_near
from process_cases import mpiexec

pytestmark = pytest.mark.usefixtures("own_folder")

FOX = "the quick brown fox jumps over the lazy dog.\n"


def press_ctrl_c(monkeypatch, step):
    """Let Ctrl-C be pressed at a step of training; return a list of the steps that were taken."""
    on_step, steps = fr.callbacks.Checkpoint.on_step, []

    def pressed(self, run):
        steps.append(run.step)
        if run.step == step:
            signal.raise_signal(signal.SIGINT)
        on_step(self, run)

    monkeypatch.setattr(fr.callbacks.Checkpoint, "on_step", pressed)
    return steps


@pytest.mark.parametrize("data", ["japanese-vowels", "sunspots", "fox.txt"])
def test_ctrl_c_and_resume_give_the_file_of_an_uninterrupted_run(
    data, capsys, tmp_path, monkeypatch
):
    (tmp_path / "fox.txt").write_text(FOX * 200)
    arguments = ("train", data, "--hidden-size", 8, "--epochs", 3)
    run(capsys, *arguments, "--output", "whole.st")
    with monkeypatch.context() as during:
        press_ctrl_c(during, 11)
        shown = said(capsys, *arguments, "--output", "part.st", "--checkpoint", "c", status=130)
        assert "interrupted after 12 steps; go on with --resume c" in shown
        assert "model: part.st" in shown
        result = run(capsys, *arguments, "--output", "part.st", "--checkpoint", "c", status=130)
    assert result["interrupted"]
    assert result["steps"] == 12
    assert (tmp_path / "part.st").read_bytes() != (tmp_path / "whole.st").read_bytes()
    taken = press_ctrl_c(monkeypatch, None)
    result = run(capsys, *arguments, "--output", "resumed.st", "--resume", "c")
    assert len(taken) == result["steps"] - 12
    assert not result["interrupted"]
    assert result["epochs"] == 3
    assert (tmp_path / "resumed.st").read_bytes() == (tmp_path / "whole.st").read_bytes()
    # The checkpoint was written on: there is nothing left to do.
    run(capsys, *arguments, "--output", "again.st", "--resume", "c")
    assert len(taken) == result["steps"] - 12
    assert (tmp_path / "again.st").read_bytes() == (tmp_path / "whole.st").read_bytes()


def test_an_interrupted_run_keeps_the_best_epoch(capsys, tmp_path, monkeypatch):
    write_ts(tmp_path / "waves.ts", *waves(40))
    press_ctrl_c(monkeypatch, 9)
    arguments = ("--learning-rate", 100, "--epochs", 50, "--checkpoint", "c")  # gets worse
    assert main(["train", "waves.ts", "--hidden-size", "8", *map(str, arguments)]) == 130
    assert "interrupted" in capsys.readouterr().out
    (arrays, _) = fr.safetensors_file.read(tmp_path / "c")
    best = fr.load(tmp_path / "waves.safetensors").parameter_vector
    assert not np.array_equal(best, fr.load(tmp_path / "c").parameter_vector)
    assert any(np.array_equal(best, np.ravel(array)) for array in arrays.values())


def test_checkpoints_of_other_training(capsys, tmp_path):
    run(capsys, "train", "japanese-vowels", *FAST, "--checkpoint", "c")
    message = "c: expected a checkpoint of this model, got another model's"
    for other in (["--hidden-size", 9], ["--cell", "gru"]):
        line = refused(capsys, "train", "japanese-vowels", "--epochs", 2, *other, "--resume", "c")
        assert message in line
    (tmp_path / "text").write_text("no checkpoint")
    assert "text: " in refused(capsys, "train", "japanese-vowels", *FAST, "--resume", "text")
    assert "none" in refused(capsys, "train", "japanese-vowels", *FAST, "--resume", "none")


def test_nothing_is_written_over_what_is_read_or_written(capsys, tmp_path):
    write_ts(tmp_path / "waves.ts", *waves(6))
    before = (tmp_path / "waves.ts").read_bytes()
    for output in (["--output", "waves.ts"], ["--output", "a.st", "--checkpoint", "./waves.ts"]):
        line = refused(capsys, "train", "waves.ts", *FAST, *output)
        assert "expected a file that nothing else is in" in line
    more = ["--output", "other.ts", "--test", "other.ts"]
    (tmp_path / "other.ts").write_bytes(before)
    assert "--output: expected a file" in refused(capsys, "train", "waves.ts", *FAST, *more)
    same = ["--output", "a.st", "--resume", "a.st"]
    assert "--resume: expected a file that" in refused(capsys, "train", "waves.ts", *FAST, *same)
    line = refused(capsys, "train", "waves.ts", *FAST, "--output", "model.png")
    assert "--output: expected no .png" in line
    line = refused(capsys, "train", "waves.ts", *FAST, "--resume", "no/where")
    assert "--resume: expected an existing folder, got no" in line
    assert {path.name for path in tmp_path.iterdir()} == {"waves.ts", "other.ts"}
    assert (tmp_path / "waves.ts").read_bytes() == before


def test_errors_of_the_machine_are_one_line(capsys, monkeypatch):
    line = refused(capsys, "train", "japanese-vowels", "--hidden-size", 10**7)
    assert "Unable to allocate" in line
    message = "unrecognized arguments: --epoch 3"  # no abbreviations
    assert message in refused(capsys, "train", "japanese-vowels", "--epoch", 3)

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(bundled.BUNDLED, "co2", ("forecast", interrupted))
    assert main(["train", "co2"]) == 130
    assert capsys.readouterr().err == "fastrnn: error: interrupted\n"


def process(*arguments, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    environment.pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-m", "fastrnn", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True, **options)


@pytest.fixture
def text_model(capsys, tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 30)
    run(capsys, "train", "fox.txt", *FAST)
    return "fox.safetensors"


def test_a_reader_that_goes_away(text_model):
    with process("generate", text_model, "--length", 10**7, stdout=subprocess.PIPE) as writer:
        assert len(writer.stdout.read(50)) == 50  # characters stream
        writer.stdout.close()
        assert writer.wait(60) == 141
        assert writer.stderr.read() == ""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with process("info", stdout=write_end) as writer:  # fails when the buffer is flushed
        os.close(write_end)
        assert writer.wait(60) == 141
        assert writer.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk():
    with open("/dev/full", "w") as full, process("info", stdout=full) as writer:
        assert writer.wait(60) == 2
        error = writer.stderr.read()
        assert error.startswith("fastrnn: error: [Errno 28]")
        assert error.count("\n") == 1


def test_ctrl_c_while_text_is_written(text_model):
    with process("generate", text_model, "--length", 10**7, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.read(1)
        writer.send_signal(signal.SIGINT)
        writer.stdout.read()
        assert writer.wait(60) == 130
        assert writer.stderr.read() == "fastrnn: error: interrupted\n"


def in_two(*arguments, script=None):
    """Run the command line, or a script, in two processes."""
    return mpiexec(2, *(["-m", "fastrnn"] if script is None else ["-c", script]), *arguments)


#: The command line, with the number of sums of gradients behind on standard error.
COUNTED = """
import sys
from fastrnn import parallel
from fastrnn.cli import main

sizes = []
add = parallel.MPICommunicator.sum

def counted(self, vector):
    sizes.append(vector.size)
    add(self, vector)

parallel.MPICommunicator.sum = counted
status = main(sys.argv[1:])
sys.stderr.write(f"{sum(size > 100 for size in sizes)}\\n")
sys.exit(status)
"""


@pytest.mark.parametrize("data", ["japanese-vowels", "sunspots", "fox.txt"])
def test_two_processes_train_as_one(data, capsys, tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 60)
    arguments = ("train", data, *FAST, "--json")
    done = in_two(*arguments, "--output", "two.st", "--checkpoint", "c", script=COUNTED)
    assert done.returncode == 0, done.stderr
    sums = list(map(int, done.stderr.split()))
    (line,) = done.stdout.splitlines()  # one process prints
    result = fr.cli.classify.json.loads(line)
    alone = run(capsys, *arguments[:-1], "--output", "one.st")
    assert result["steps"] == alone["steps"]
    assert len(sums) == 2
    assert min(sums) >= result["steps"]
    assert_near(
        fr.load("two.st").parameter_vector, fr.load("one.st").parameter_vector, "parameters"
    )
    assert (tmp_path / "c").exists()


def test_an_error_of_all_processes_is_said_once(tmp_path):
    (tmp_path / "fox.txt").write_text(FOX * 60)
    for arguments, message in (
        (("nothing.csv",), "No such file or directory: 'nothing.csv'"),
        (("fox.txt", "--max-seconds", 3), "--max-seconds: expected none with --checkpoint"),
        (("fox.txt", "--epochs", "x"), "--epochs: invalid int value: 'x'"),
    ):
        done = in_two("train", *arguments)
        assert done.returncode != 0
        assert done.stdout == ""
        assert done.stderr.count(message) == 1
        assert "process 0 of 2: fastrnn" in done.stderr
        assert "Traceback" not in done.stderr


def test_an_error_of_one_process_ends_all():
    script = """
import sys
from fastrnn.cli import bundled, main
from fastrnn.parallel import communicator_of_job

def gone():
    raise OSError("the disk is gone")

if communicator_of_job().rank == 1:
    bundled.BUNDLED["sunspots"] = ("forecast", gone)
sys.exit(main(["train", "sunspots"]))
"""
    done = in_two(script=script)
    assert done.returncode != 0
    assert "process 1 of 2: fastrnn: error: the disk is gone" in done.stderr
