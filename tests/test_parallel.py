"""Several processes train like one: with threads in their place, and with MPI."""

import json
import sys
import threading

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import parallel
from fastrnn.testing import assert_near, assert_same_bits
from process_cases import mpiexec
from training_cases import latch, sums, tagger


class Threads:
    """A communicator between threads."""

    def __init__(self, size):
        self.size, self.ranks = size, threading.local()
        self.barrier, self.vectors = threading.Barrier(size, timeout=60), [None] * size
        self.calls = 0

    @property
    def rank(self):
        return self.ranks.number

    def sum(self, vector):
        self.vectors[self.rank] = vector.copy()
        self.barrier.wait()
        vector[...] = sum(self.vectors[1:], self.vectors[0])
        self.calls += self.rank == 0
        self.barrier.wait()

    def abort(self, message):
        self.barrier.abort()

    def run(self, work):
        """Call work() in each thread; return what each returned."""
        results = [None] * self.size

        def worker(rank):
            self.ranks.number = rank
            try:
                results[rank] = work()
            except BaseException as error:
                results[rank] = error

        threads = [threading.Thread(target=worker, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        errors = [result for result in results if isinstance(result, BaseException)]
        # Where one has failed, the others' barrier is broken.
        for error in sorted(errors, key=lambda e: isinstance(e, threading.BrokenBarrierError)):
            raise error
        return results


def per_sequence():
    x, y = sums(26, ragged=True)
    model = fr.Sequential(
        [
            fr.GRU(1, 8, dtype="float64", seed=0),
            fr.Last(),
            fr.Linear(8, 2, dtype="float64", seed=1),
        ]
    )
    x = [row.astype(np.float64) for row in x]
    return model, (x, y), {"batch_size": 4}, {}


def per_step():
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((n, 1)) for n in (3, 9, 2, 14, 5, 1, 8)]
    y = [(np.cumsum(row[:, 0]) > 0).astype(np.int64) for row in x]
    return tagger(dtype="float64"), (x, y), {"batch_size": 3}, {}


def windows():
    model, data, arguments, _ = per_step()
    return model, data, arguments, {"bptt_steps": (3, 5), "accumulate": 2}


def streams():
    x, y = latch(5, 37, 0)
    x = x.astype(np.float64)
    return tagger(dtype="float64"), fr.data.ParallelStreams(list(x), list(y), 3, 4), {}, {}


CASES = [per_sequence, per_step, windows, streams]


def trained(case, communicator):
    model, data, arguments, options = case()
    trainer = fr.Trainer(
        model, optimizer=fr.optim.SGD(0.2), clip_norm=0.5, communicator=communicator, **options
    )
    history = trainer.fit(data, data, epochs=2, seed=3, progress=False, **arguments)
    return model.parameter_vector.copy(), history


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("case", CASES)
def test_processes_that_share_batches_are_one_process(case, size):
    vector, history = trained(case, None)
    communicator = Threads(size)
    results = communicator.run(lambda: trained(case, communicator))
    for found, shown in results:
        assert_same_bits(found, results[0][0], "parameters")
        assert_near(found, vector, "parameters")
        for name in ("loss", "gradient_norm", "validation_loss", "validation_accuracy"):
            assert shown.values(name) == pytest.approx(history.values(name))
        assert shown.steps == history.steps


def test_one_addition_of_gradients_per_step():
    _, data, arguments, _ = per_step()
    communicator = Threads(2)

    def work():
        trainer = fr.Trainer(per_step()[0], communicator=communicator)
        return trainer.fit(data, epochs=2, seed=0, progress=False, **arguments).steps

    steps = communicator.run(work)[0]
    # one for the parameters to begin with; one at the end, whether Ctrl-C came behind the last step
    assert communicator.calls == steps + 2


def test_without_a_seed_all_have_the_order_of_the_first():
    communicator = Threads(2)

    def work():
        model, data, arguments, _ = per_sequence()
        if communicator.rank:
            model.parameter_vector[...] = 0
        trainer = fr.Trainer(model, communicator=communicator)
        trainer.fit(data, epochs=1, progress=False, bucket_by_length=True, **arguments)
        return model.parameter_vector.copy()

    first, second = communicator.run(work)
    assert_same_bits(first, second, "parameters")


class InterruptAt(fr.callbacks.Callback):
    """One process is told to end; all have to."""

    def __init__(self, communicator, step):
        self.communicator, self.at = communicator, step

    def on_step(self, run):
        if run.step == self.at and run.agree(self.communicator.rank == 1):
            run.interrupt()


@pytest.mark.parametrize("case", [streams, windows])
def test_several_processes_go_on_with_the_same_bits(case, tmp_path):
    path = tmp_path / "run.safetensors"
    communicator = Threads(2)

    def work(*callbacks, resume=None):
        _, data, arguments, options = case()
        model = tagger(zoneout_h=0.3)
        trainer = fr.Trainer(
            model, optimizer=fr.optim.Adam(0.01), callbacks=callbacks, communicator=communicator,
            **options,
        )  # fmt: skip
        if isinstance(data, tuple):
            data = ([row.astype(np.float32) for row in data[0]], data[1])
        else:
            x, y = latch(5, 37, 0)
            data = fr.data.ParallelStreams(list(x), list(y), 3, 4)
        trainer.fit(data, epochs=2, seed=1, progress=False, resume=resume, **arguments)
        return model.parameter_vector.copy(), trainer.history.interrupted

    checkpoint = fr.callbacks.Checkpoint(path, every_epochs=None)
    always, never = InterruptAt(communicator, 4), InterruptAt(communicator, None)
    expected = communicator.run(lambda: work(checkpoint, never))
    stopped = communicator.run(lambda: work(checkpoint, always))
    assert [interrupted for _, interrupted in stopped] == [True, True]
    found = communicator.run(lambda: work(checkpoint, never, resume=path))
    for (vector, _), (wanted, _) in zip(found, expected, strict=True):
        assert_same_bits(vector, wanted, "parameters")
    communicator = Threads(3)
    with pytest.raises(ValueError, match="expected a checkpoint of 3 processes"):
        communicator.run(lambda: work(checkpoint, never, resume=path))


def test_shares_are_even_and_whole():
    class Place:
        def __init__(self, rank, size):
            self.rank, self.size = rank, size

    for rows in range(12):
        for size in range(1, 6):
            shares = [parallel.share(Place(rank, size), rows) for rank in range(size)]
            assert [n for part in shares for n in range(rows)[part]] == list(range(rows))
            lengths = [len(range(rows)[part]) for part in shares]
            assert max(lengths) - min(lengths) <= 1


# ---- MPI ----

SCRIPT = """
import json, sys
import numpy as np
import fastrnn as fr
from test_parallel import CASES, trained

fr.set_num_threads(1)
communicator = fr.parallel.MPICommunicator()
found = []
for case in CASES:
    vector, history = trained(case, communicator)
    found.append([vector.tolist(), history.values("validation_loss")])
if communicator.rank == communicator.size - 1:
    json.dump(found, open(sys.argv[1], "w"))
"""


def test_two_ranks_on_half_batches_are_one_on_whole_batches(tmp_path):
    path = tmp_path / "found.json"
    done = mpiexec(2, "-c", SCRIPT, path)
    assert done.returncode == 0, done.stderr
    for case, (vector, losses) in zip(CASES, json.loads(path.read_text()), strict=True):
        expected, history = trained(case, None)
        assert_near(np.array(vector), expected, "parameters")
        assert losses == pytest.approx(history.values("validation_loss"))


def test_a_failed_rank_ends_the_job_with_a_message():
    script = """
import numpy as np
import fastrnn as fr
from process_cases import mpiexec
from training_cases import classifier, sums

communicator = fr.parallel.MPICommunicator()

class Fail(fr.callbacks.Callback):
    def on_step(self, run):
        if run.step == 3 and communicator.rank == 1:
            raise OSError("the disk is gone")

fr.Trainer(classifier(), callbacks=[Fail()], communicator=communicator).fit(
    sums(64), epochs=10**6, seed=0
)
"""
    done = mpiexec(2, "-c", script)
    assert done.returncode != 0
    assert "process 1 of 2: OSError: the disk is gone" in done.stderr


def test_ctrl_c_in_one_rank_ends_all_at_one_step():
    script = """
import signal
import fastrnn as fr
from process_cases import mpiexec
from training_cases import classifier, sums

communicator = fr.parallel.MPICommunicator()

class PressCtrlC(fr.callbacks.Callback):
    def on_step(self, run):
        if run.step == 3 and communicator.rank == 1:
            signal.raise_signal(signal.SIGINT)

trainer = fr.Trainer(classifier(), callbacks=[PressCtrlC()], communicator=communicator)
history = trainer.fit(sums(64), epochs=5, batch_size=8, seed=0)
print(f"{history.interrupted} after {history.steps}", flush=True)
"""
    done = mpiexec(2, "-c", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("True after 4") == 2  # on one line, if they print at once


def test_without_mpi4py_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install 'fastrnn\[mpi\]'"):
        fr.parallel.MPICommunicator()
