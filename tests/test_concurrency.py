"""In joblib's workers, forked children and several Python threads: the same bits, no hang."""

import functools
import os
import signal
import threading
import time

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

import fastrnn as fr
from fastrnn.testing import assert_same_bits

#: (batch, steps, input_size, hidden_size) that two threads share by rows, and by hidden units.
SHARED = {"rows": (40, 25, 30, 150), "units": (1, 100, 128, 256)}


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.delenv("FASTRNN_NUM_THREADS", raising=False)
    before = fr.get_num_threads()
    fr.set_num_threads(2)
    yield
    fr.set_num_threads(before)


def infer_and_train(split, seed):
    """Return the outputs and, after one step of training, the gradients and parameters."""
    batch, steps, input_size, hidden_size = SHARED[split]
    layer = fr.LSTM(input_size, hidden_size, seed=seed)
    x = np.random.default_rng(seed).standard_normal((batch, steps, input_size)).astype(np.float32)
    inferred = layer(x)[0]
    y, _, tape = layer.forward(x)
    dx, _ = layer.backward(tape, y)
    gradients = layer.gradient_vector.copy()
    fr.optim.Adam(1e-3).step(layer.parameter_vector, gradients)
    return inferred, dx, gradients, layer.parameter_vector


WORK = [(split, seed) for split in SHARED for seed in range(2)]


@functools.cache
def one_after_the_other():
    return [infer_and_train(*work) for work in WORK]


def assert_all_the_same(results):
    for got, expected in zip(results, one_after_the_other(), strict=True):
        for array, exact, name in zip(
            got, expected, ("y", "dx", "gradients", "parameters"), strict=True
        ):
            assert_same_bits(array, exact, name)


@pytest.mark.parametrize("split", SHARED)
def test_the_work_here_is_shared_by_two_threads(split):
    batch, steps, input_size, hidden_size = SHARED[split]
    (plan,) = fr.LSTM(input_size, hidden_size).explain_plan(batch, steps).layers
    assert (plan.split, plan.threads) == (split, 2)


# ---- joblib ----


@pytest.fixture
def loky():
    """Two worker processes of three threads each that are gone after the test."""
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=3):
        yield joblib.Parallel(timeout=60)
    get_reusable_executor().shutdown(wait=True)


def in_a_worker(split, seed):
    return os.getpid(), fr.get_num_threads(), infer_and_train(split, seed)


def test_processes_of_joblib_compute_the_same_and_obey_its_thread_limit(loky):
    results = loky(joblib.delayed(in_a_worker)(*work) for work in WORK)
    assert os.getpid() not in {process for process, _, _ in results}
    assert {threads for _, threads, _ in results} == {3}
    assert_all_the_same([arrays for _, _, arrays in results])


def test_threads_of_joblib_compute_the_same():
    parallel = joblib.Parallel(n_jobs=2, backend="threading", timeout=60)
    assert_all_the_same(parallel(joblib.delayed(infer_and_train)(*work) for work in WORK))


# ---- fork ----


def forks(test):
    """Mark a test that forks."""
    warning = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    return warning(pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")(test))


def tasks():
    """Return the number of threads of this process."""
    return len(os.listdir("/proc/self/task"))


def assert_in_a_child(run):
    """Fork, and assert that run() is true in the child, soon."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)  # ends a child that hangs
            status = 0 if run() else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@forks
@pytest.mark.parametrize("split", SHARED)
def test_a_child_computes_the_same(split):
    expected = infer_and_train(split, 0)

    def run():
        return all(map(np.array_equal, infer_and_train(split, 0), expected))

    assert_in_a_child(run)


@forks
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_a_child_has_threads_of_its_own():
    batch, steps, input_size, hidden_size = SHARED["rows"]
    layer = fr.LSTM(input_size, hidden_size, seed=0)
    x = np.ones((batch, steps, input_size), np.float32)
    layer(x)

    def run():
        before = tasks()
        layer(x)
        return (before, tasks()) == (1, 2)

    assert_in_a_child(run)


@forks
def test_a_fork_while_another_thread_computes():
    batch, steps, input_size, hidden_size = SHARED["rows"]
    x = np.ones((batch, steps, input_size), np.float32)
    layer, other = (fr.LSTM(input_size, hidden_size, seed=seed) for seed in range(2))
    expected = layer(x)[0]
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            other(x)

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(10):
            assert_in_a_child(lambda: np.array_equal(layer(x)[0], expected))
    finally:
        stop.set()
        thread.join()


# ---- threads ----


def test_calls_from_several_threads_that_want_the_pool():
    layers = [fr.GRU(30, 150, seed=seed) for seed in range(4)]
    x = np.random.default_rng(0).standard_normal((40, 25, 30)).astype(np.float32)
    expected = [layer(x)[0] for layer in layers]
    wrong = []

    def work(layer, y):
        wrong.extend(i for i in range(10) if not np.array_equal(layer(x)[0], y))

    threads = [
        threading.Thread(target=work, args=pair, daemon=True)
        for pair in zip(layers, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert not wrong


def test_idle_threads_leave_the_cores_alone():
    for split in SHARED:
        infer_and_train(split, 0)
    start = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - start < 0.05
