"""Optimizers against textbook loops, stored numbers and PyTorch; exact resume."""

import math
import tracemalloc

import numpy as np
import pytest

from fastrnn import safetensors_file
from fastrnn.optim import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
)
from fastrnn.testing import assert_near, assert_same_bits

START = [0.5, -1.25, 2.0, 0.0]
GRADIENTS = [[0.3, -2.0, 1e-3, 4.0], [-0.1, -1.0, 2e-3, 0.0], [0.2, 0.5, -5e-3, -3.0]]

#: How to make each, and what PyTorch 2.13 makes of START by GRADIENTS in float64
CASES = {
    "SGD": (lambda: SGD(0.1), [0.46, -1.0, 2.0002, -0.1]),
    "SGD, momentum, decay": (
        lambda: SGD(0.1, 0.9, weight_decay=0.05),
        [0.4042541875, -0.53738234375, 1.9439916475, -0.77641],
    ),
    "SGD, Nesterov": (
        lambda: SGD(0.1, momentum=0.8, nesterov=True),
        [0.39984, -0.5056, 2.0001168, -0.6408],
    ),
    "Adam": (
        lambda: Adam(),
        [0.497996695015761, -1.2475041589998, 1.99831360885659, -0.00170074093531399],
    ),
    "Adam, all options": (
        lambda: Adam(0.02, (0.8, 0.95), epsilon=1e-3, weight_decay=0.1),
        [0.455658505683708, -1.20025795737259, 1.94036785137096, -0.0314465163023575],
    ),
    "AdamW": (
        lambda: AdamW(),
        [0.497981719167846, -1.2474666886965, 1.99825363910805, -0.00170071423483152],
    ),
    "AdamW, options": (
        lambda: AdamW(0.05, weight_decay=0.2),
        [0.386179360031929, -1.0895427898017, 1.85775602084085, -0.0837070176423034],
    ),
    "RMSprop": (
        lambda: RMSprop(),
        [0.377949144014058, -1.12710910009815, 1.90185840522632, -0.0396142299159341],
    ),
    "RMSprop, all options": (
        lambda: RMSprop(0.03, 0.9, epsilon=1e-4, momentum=0.7, weight_decay=0.1),
        [0.264642388005108, -0.981094043975986, 1.62537566834597, -0.146421331117876],
    ),
}
NAMES = list(CASES)


def run(optimizer, parameters, gradients):
    for gradient in gradients:
        optimizer.step(parameters, gradient)
    return parameters


def drawn(size, steps, dtype, seed=0):
    rng = np.random.default_rng(seed)
    scales = 10.0 ** rng.uniform(-4, 1, size)
    return (
        rng.standard_normal(size).astype(dtype),
        [(scales * rng.standard_normal(size)).astype(dtype) for _ in range(steps)],
    )


def by_hand(optimizer, p, gradients):
    """One number at a time, in the papers' own order, with PyTorch's definition of momentum."""
    decay, rate = optimizer.weight_decay, optimizer.learning_rate
    m = s = v = 0.0
    for t, g in enumerate(gradients, start=1):
        if isinstance(optimizer, AdamW):
            p = p - rate * decay * p
        else:
            g = g + decay * p
        if isinstance(optimizer, SGD):
            v = optimizer.momentum * v + g
            p = p - rate * (g + optimizer.momentum * v if optimizer.nesterov else v)
        elif isinstance(optimizer, Adam):
            beta1, beta2 = optimizer.betas
            m = beta1 * m + (1 - beta1) * g
            s = beta2 * s + (1 - beta2) * g**2
            mean, square = m / (1 - beta1**t), s / (1 - beta2**t)
            p = p - rate * mean / (math.sqrt(square) + optimizer.epsilon)
        else:
            s = optimizer.alpha * s + (1 - optimizer.alpha) * g**2
            v = optimizer.momentum * v + g / (math.sqrt(s) + optimizer.epsilon)
            p = p - rate * v
    return p


def in_pytorch(torch, optimizer, parameters):
    options = {"lr": optimizer.learning_rate, "weight_decay": optimizer.weight_decay}
    if isinstance(optimizer, SGD):
        options |= {"momentum": optimizer.momentum, "nesterov": optimizer.nesterov}
        return torch.optim.SGD(parameters, **options)
    options["eps"] = optimizer.epsilon
    if isinstance(optimizer, RMSprop):
        options |= {"momentum": optimizer.momentum, "alpha": optimizer.alpha}
        return torch.optim.RMSprop(parameters, **options)
    kind = torch.optim.AdamW if isinstance(optimizer, AdamW) else torch.optim.Adam
    return kind(parameters, betas=optimizer.betas, **options)


@pytest.mark.parametrize("name", NAMES)
def test_three_steps_are_pytorch_s_stored(name):
    make, expected = CASES[name]
    found = run(make(), np.array(START), np.array(GRADIENTS))
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_many_steps_are_the_textbook_s(name):
    optimizer = CASES[name][0]()
    parameters, gradients = drawn(5, 60, np.float64)
    columns = zip(parameters, np.array(gradients).T, strict=True)
    expected = [by_hand(optimizer, p, g) for p, g in columns]
    assert_near(run(optimizer, parameters, gradients), expected, name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_pytorch_agrees(name, dtype):
    torch = pytest.importorskip("torch")
    optimizer = CASES[name][0]()
    parameters, gradients = drawn(203, 25, dtype, seed=1)
    tensor = torch.tensor(parameters, requires_grad=True)
    other = in_pytorch(torch, optimizer, [tensor])
    for gradient in gradients:
        tensor.grad = torch.tensor(gradient)
        other.step()
    assert_near(run(optimizer, parameters, gradients), tensor.detach().numpy(), name)


def test_pytorch_s_defaults():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(1, requires_grad=True)
    for ours, theirs in (
        (SGD(0.1), torch.optim.SGD([tensor], 0.1)),
        (Adam(), torch.optim.Adam([tensor])),
        (AdamW(), torch.optim.AdamW([tensor])),
        (RMSprop(), torch.optim.RMSprop([tensor])),
    ):
        names = {"learning_rate": "lr", "epsilon": "eps"}
        for name in ours.__dataclass_fields__:
            if name != "_":
                assert getattr(ours, name) == theirs.defaults[names.get(name, name)], name


def test_every_optimizer_has_its_cases():
    def kinds(kind):
        return {kind} | {k for child in kind.__subclasses__() for k in kinds(child)}

    found = {type(make()) for make, _ in CASES.values()}
    assert found == {k for k in kinds(Optimizer) if k.__module__ == "fastrnn.optim"} - {Optimizer}


@pytest.mark.parametrize("name", NAMES)
def test_only_the_parameters_change_and_only_in_place(name):
    parameters, gradients = drawn(10, 2, np.float32)
    kept = [gradient.copy() for gradient in gradients]
    whole = np.concatenate([[7], parameters, [7]]).astype(np.float32)
    run(CASES[name][0](), whole[1:-1], gradients)
    run(CASES[name][0](), parameters, gradients)
    assert_same_bits(whole, np.concatenate([[7], parameters, [7]]).astype(np.float32), "view")
    assert_same_bits(np.array(gradients), np.array(kept), "gradients")


@pytest.mark.parametrize("name", NAMES)
def test_a_number_does_not_depend_on_its_neighbours(name):
    parameters, gradients = drawn(1000, 5, np.float32)
    part = run(CASES[name][0](), parameters[100:301].copy(), [g[100:301].copy() for g in gradients])
    assert_same_bits(run(CASES[name][0](), parameters, gradients)[100:301], part, "part")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", [0, 1, 7])
def test_resuming_from_a_file_is_exact(name, before, tmp_path):
    parameters, gradients = drawn(50, 12, np.float32)
    first, second = CASES[name][0](), CASES[name][0]()
    run(first, parameters, gradients[:before])
    first.learning_rate = 0.0123
    safetensors_file.write(tmp_path / "state", first.state_dict())
    second.load_state_dict(safetensors_file.read(tmp_path / "state")[0])
    resumed = run(second, parameters.copy(), gradients[before:])
    assert_same_bits(resumed, run(first, parameters, gradients[before:]), "parameters")
    assert first.steps == second.steps == 12


def test_a_state_is_a_copy_both_ways():
    parameters, gradients = drawn(4, 2, np.float64)
    optimizer, twin = Adam(), Adam()
    run(optimizer, parameters, gradients[:1])
    state = optimizer.state_dict()
    kept = {name: array.copy() for name, array in state.items()}
    twin.load_state_dict(state)
    for each in (optimizer, twin):
        each.step(parameters.copy(), gradients[1])
    assert all(np.array_equal(state[name], kept[name]) for name in kept)
    assert state["steps"].dtype == np.int64


def test_reset_forgets():
    parameters, gradients = drawn(4, 3, np.float64)
    optimizer = Adam(0.1)
    run(optimizer, parameters.copy(), gradients)
    optimizer.reset()
    assert optimizer.steps == 0
    assert_same_bits(
        run(optimizer, parameters.copy(), gradients), run(Adam(0.1), parameters, gradients), "again"
    )
    optimizer.reset()
    optimizer.step(np.zeros(2, np.float32), np.ones(2, np.float32))  # another size, another dtype


def test_the_learning_rate_may_change_between_steps():
    parameters = np.array([1.0])
    optimizer = SGD(0.5)
    optimizer.step(parameters, np.array([1.0]))
    optimizer.learning_rate = 0.25
    optimizer.step(parameters, np.array([1.0]))
    optimizer.learning_rate = 0
    optimizer.step(parameters, np.array([1.0]))
    assert parameters.tolist() == [0.25]
    with pytest.raises(ValueError, match="learning_rate: expected 0 <= learning_rate < inf, got"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0


@pytest.mark.parametrize("name", NAMES)
def test_steps_do_not_allocate(name):
    parameters, gradients = drawn(50_000, 1, np.float32)
    optimizer = CASES[name][0]()
    optimizer.step(parameters, gradients[0])
    tracemalloc.start()
    try:
        for _ in range(3):
            optimizer.step(parameters, gradients[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10_000  # a vector is 200,000 bytes


def test_numbers_that_are_not_finite_pass_without_a_warning():
    for make, _ in CASES.values():
        parameters = np.ones(4, np.float32)
        make().step(parameters, np.array([np.nan, np.inf, 3e38, 0], np.float32))
        assert np.isnan(parameters[0])
        assert np.isfinite(parameters[3])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD(-0.1), ValueError, "learning_rate: expected 0 <= learning_rate < inf, got -0"),
        (lambda: SGD(np.nan), ValueError, "learning_rate: expected .* got nan"),
        (lambda: SGD("0.1"), TypeError, "learning_rate: expected a number, got str"),
        (lambda: SGD(True), TypeError, "learning_rate: expected a number, got bool"),
        (lambda: SGD(0.1, 1.0), ValueError, r"momentum: expected 0 <= momentum < 1, got 1\.0"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov: expected a momentum above 0"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay: expected 0 <= weight_decay"),
        (lambda: Adam(np.inf), ValueError, "learning_rate: expected"),
        (lambda: Adam(betas=(0.9, 1.0)), ValueError, r"betas\[1\]: expected 0 <= betas\[1\] < 1"),
        (lambda: Adam(betas=(-0.1, 0.9)), ValueError, r"betas\[0\]: expected .* got -0\.1"),
        (lambda: Adam(betas=0.9), ValueError, r"betas: expected a pair of numbers, got 0\.9"),
        (lambda: Adam(epsilon=-1e-8), ValueError, "epsilon: expected 0 <= epsilon < inf"),
        (lambda: AdamW(weight_decay=None), TypeError, "weight_decay: expected a number, got None"),
        (lambda: RMSprop(alpha=1.5), ValueError, r"alpha: expected 0 <= alpha < 1, got 1\.5"),
        (lambda: RMSprop(momentum=-0.1), ValueError, "momentum: expected"),
    ],
)
def test_bad_options_are_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


P, G = np.ones(4, np.float32), np.ones(4, np.float32)
LOCKED = np.ones(4, np.float32)
LOCKED.flags.writeable = False


@pytest.mark.parametrize(
    ("parameters", "gradients", "error", "message"),
    [
        ([1.0] * 4, G, TypeError, "parameters: expected a float32 or float64 array, got list"),
        (P.astype("f2"), G, TypeError, "parameters: expected a float32 .* got float16"),
        (P.astype(">f4"), G, TypeError, "parameters: expected a float32 .* got >f4"),
        (P, G.astype(int), TypeError, "gradients: expected a float32 or float64 array, got int64"),
        (P.reshape(2, 2), G, ValueError, r"parameters: expected one contiguous axis \(P,\), got"),
        (P, np.ones(8, "f4")[::2], ValueError, r"gradients: expected one .* strides \(8,\)"),
        (
            P,
            G.astype(float),
            ValueError,
            r"gradients: expected float32 \(4,\) like parameters, got",
        ),
        (P, G[:3], ValueError, r"gradients: expected .* got float32 \(3,\)"),
        (LOCKED, G, ValueError, "parameters: expected a writable array, got a read-only one"),
        (P, P, ValueError, "gradients: expected memory apart from parameters, got an overlap"),
        (P[:3].copy(), G[:3], ValueError, r"parameters: expected float32 \(4,\) as before"),
        (P.astype(float), G.astype(float), ValueError, r"got float64 \(4,\)"),
    ],
)
def test_bad_vectors_are_named_and_nothing_changes(parameters, gradients, error, message):
    optimizer = Adam()
    optimizer.step(np.ones(4, np.float32), G)
    before, kept = optimizer.state_dict(), np.array(parameters)
    with pytest.raises(error, match=message):
        optimizer.step(parameters, gradients)
    after = optimizer.state_dict()
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(kept, parameters)
    optimizer.step(np.ones(4, np.float32), G)


def test_plain_sgd_also_keeps_its_size_until_reset():
    optimizer = SGD(0.1)
    optimizer.step(np.ones(4), np.ones(4))
    with pytest.raises(ValueError, match=r"expected float64 \(4,\) as before \(else call reset"):
        optimizer.step(np.ones(5), np.ones(5))
    optimizer.reset()
    optimizer.step(np.ones(5), np.ones(5))


def changed(**changes):
    optimizer = Adam()
    optimizer.step(P.copy(), G)
    state = optimizer.state_dict() | changes
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        (
            changed(steps=None),
            ValueError,
            r"state\['steps'\]: expected a number of steps, got None",
        ),
        (changed(steps=-1), ValueError, r"state\['steps'\]: expected a number of steps, got -1"),
        (changed(steps=1.5), ValueError, r"state\['steps'\]: expected .* got 1\.5"),
        (changed(steps=np.array([1, 2])), ValueError, r"state\['steps'\]: expected"),
        (
            changed(sum=None),
            ValueError,
            "state: expected steps, learning_rate, sum, square_sum, got",
        ),
        (changed(velocity=P), ValueError, "state: expected .* got .*velocity"),
        (changed(steps=0), ValueError, "state: expected steps, learning_rate, got"),
        (changed(learning_rate=-1.0), ValueError, "learning_rate: expected"),
        (changed(sum=np.ones(4, int)), TypeError, r"state\['sum'\]: expected a float32 or float64"),
        (changed(sum=np.ones((2, 2))), ValueError, r"state\['sum'\]: expected one contiguous axis"),
        (changed(square_sum=np.ones(4)), ValueError, r"state\['square_sum'\]: .* like sum, got"),
        (7, TypeError, "int"),
    ],
)
def test_bad_states_are_refused_and_nothing_changes(state, error, message):
    optimizer = Adam()
    optimizer.step(P.copy(), G)
    before = optimizer.state_dict()
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state)
    assert all(
        np.array_equal(before[name], array) for name, array in optimizer.state_dict().items()
    )
