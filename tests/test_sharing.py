"""Writing into parameters takes effect at the next call, however one holds them."""

import copy
import ctypes
import gc
import pickle
import threading

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.sharing import Holders
from fastrnn.testing import assert_same_bits

X = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
NAME = "0.weight_hh_l1"


def model():
    return fr.Sequential([fr.LSTM(3, 5, 2, seed=0), fr.Linear(5, 2, seed=1)])


def torch_tensor(net):
    return pytest.importorskip("torch").from_numpy(net.parameters[NAME])


def by_address(array):
    """Return a writable array over the memory of one that may be read-only, which must live on."""
    return np.ctypeslib.as_array((ctypes.c_float * array.size).from_address(array.ctypes.data))


#: How one can hold weights: from a model to an object, from that to what takes numbers.
HOLDERS = {
    "mapping": (lambda net: net.parameters, lambda held: held[NAME]),
    "view": (lambda net: net.parameters[NAME], lambda held: held),
    "slice of a slice": (lambda net: net.parameters[NAME][2:][::3], lambda held: held),
    "transposed": (lambda net: net.parameters[NAME].T, lambda held: held),
    "flat": (lambda net: net.parameters[NAME].reshape(-1), lambda held: held),
    "other dtype": (lambda net: net.parameters[NAME].view(np.int32), lambda held: held),
    "iterator": (lambda net: net.parameters[NAME].flat, lambda held: held),
    "vector": (lambda net: net.parameter_vector, lambda held: held),
    "of a child": (lambda net: net.layers[0].parameters["weight_hh_l1"], lambda held: held),
    "of a grandchild": (lambda net: net.layers[0]._stack.layers[1].parameter_vector, lambda h: h),
    "memoryview": (lambda net: memoryview(net.parameters[NAME]), np.asarray),
    "buffer": (lambda net: np.frombuffer(net.parameter_vector, np.float32), lambda held: held),
    "ctypes": (
        lambda net: net.parameters[NAME].ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
        lambda held: np.ctypeslib.as_array(held, (5,)),
    ),
    "base": (lambda net: net.parameters[NAME][1:].base, lambda held: held),
    "dlpack": (lambda net: np.from_dlpack(net.parameters[NAME]), by_address),  # read-only in some
    "torch": (torch_tensor, lambda held: held.numpy()),
}


def expected_of(net):
    """Return y of a new model with the parameters of `net`."""
    fresh = model()
    fresh.parameter_vector[...] = net.parameter_vector
    return fresh(X)[0]


@pytest.mark.parametrize("how", HOLDERS)
def test_written_while_held_and_once_more_at_the_end(how):
    hold, target = HOLDERS[how]
    net = model()
    net(X)
    held = hold(net)
    results = [net(X)[0]]
    for value in (0.25, -0.5):
        target(held)[:] = value if how != "other dtype" else np.float32(value).view(np.int32)
        results.append(net(X)[0])
        assert_same_bits(results[-1], expected_of(net), "y")
    target(held)[:] = 0  # and let go before the next call
    del held
    results.append(net(X)[0])
    assert_same_bits(results[-1], expected_of(net), "y")
    assert len({y.tobytes() for y in results}) == 4  # each writing changed something


def test_written_in_passing():
    net = model()
    before = net(X)[0]
    net.parameters[NAME][...] *= 2
    np.copyto(net.layers[1].parameters["bias"], 3)
    assert_same_bits(net(X)[0], expected_of(net), "y")
    assert (net(X)[0] != before).all()


def test_written_at_the_end_of_a_cycle_of_references():
    """The collector clears weak references into a cycle before the cycle's last words."""

    class Holder:
        def __init__(self, weights):
            self.weights, self.me = weights, self

        def __del__(self):
            results.append(net(X)[0])
            self.weights[...] = 0.25

    net, results = model(), []
    holder = Holder(net.parameters[NAME])
    before = net(X)[0]
    del holder
    gc.collect()
    assert_same_bits(results[0], before, "y")
    assert_same_bits(net(X)[0], expected_of(net), "y")
    assert (net(X)[0] != before).any()


def test_written_by_training_and_by_an_optimizer_that_keeps_the_vector():
    net = model()
    y = net(X)[0]
    target = np.ones((2, 4, 2), np.float32)
    fr.Trainer(net, loss=fr.losses.MeanSquaredError()).fit((X, target), epochs=1)
    after = net(X)[0]
    assert (after != y).any()
    assert_same_bits(after, expected_of(net), "y")
    vector, optimizer = net.parameter_vector, fr.optim.SGD(0.1)
    for _ in range(3):
        y, _, tape = net.forward(X)
        assert_same_bits(y, expected_of(net), "y")
        net.backward(tape, np.ones_like(y))
        optimizer.step(vector, net.gradient_vector)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_share_nothing(copied):
    net = model()
    y = net(X)[0]
    twin, weights = copied(net), net.parameters[NAME]
    weights[...] = 0.5
    assert_same_bits(twin(X)[0], y, "y")
    assert_same_bits(net(X)[0], expected_of(net), "y")
    twin.parameters[NAME][...] = 0.5
    assert_same_bits(twin(X)[0], net(X)[0], "y")


def test_written_by_another_thread():
    net = model()
    net(X)
    mine, theirs = threading.Event(), threading.Event()

    def write():
        weights = net.parameters[NAME]
        theirs.set()
        mine.wait(10)
        weights[...] = 0.5

    writer = threading.Thread(target=write)
    writer.start()
    theirs.wait(10)
    net(X)  # it holds them and has not written
    mine.set()
    writer.join(10)
    assert_same_bits(net(X)[0], expected_of(net), "y")


def test_held_from_before_a_composition():
    """A composition moves the parameters: who held the old ones holds nothing of it."""
    layer = fr.LSTM(3, 5, seed=0)
    old = layer.parameters["weight_hh_l0"]
    net = fr.Sequential([layer])
    y = net(X)[0]
    old[...] = 7
    assert_same_bits(net(X)[0], y, "y")
    layer.parameters["weight_hh_l0"][...] = 7
    assert (net(X)[0] != y).any()


def test_a_change_between_forward_and_backward_is_refused():
    net = model()
    y, _, tape = net.forward(X)
    net.parameters[NAME][0, 0] += 1
    with pytest.raises(RuntimeError, match="tape: the parameters changed since forward"):
        net.backward(tape, np.ones_like(y))


def test_nothing_is_compared_while_nobody_holds(monkeypatch):
    layer = fr.GRU(3, 5, seed=0)
    leaf = layer._stack.layers[0]
    compared = []
    compare = leaf._panels._compare
    monkeypatch.setattr(leaf._panels, "_compare", lambda v: (compared.append(1), compare(v)))

    def comparisons():
        compared.clear()
        layer(X)
        return len(compared)

    assert comparisons() == 1  # the first
    assert comparisons() == 0
    held = layer.parameters
    assert [comparisons(), comparisons()] == [1, 1]
    del held
    assert [comparisons(), comparisons()] == [1, 0]
    layer.parameters  # noqa: B018 - asking for them is enough
    assert [comparisons(), comparisons()] == [1, 0]


def test_holders_tell_whether_anyone_holds():
    vector, holders = np.zeros(4), Holders()
    first = holders.quiet_since()
    array = holders.share(vector)
    part = array[1:3]
    del array
    assert holders.quiet_since() is None
    part[...] = 1
    assert vector.tolist() == [0, 1, 1, 0]
    del part
    assert holders.quiet_since() not in (None, first)
    assert Holders().quiet_since() != Holders().quiet_since()


def test_a_layer_without_parameters():
    assert fr.Dropout(0.5).parameter_vector.size == 0
    assert dict(fr.Last().parameters) == {}
