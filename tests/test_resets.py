"""Resets inside rows: what reaches the cells of every composition, and what it does there."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn import ops
from fastrnn.recurrent import RecurrentLayer

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 6, 3)).astype(np.float32)


# ---- resets: what reaches the cells ----


@pytest.fixture
def seen(monkeypatch):
    """Collect the resets, (N, T) or None, of all calls of kernels."""
    resets = []
    call = ops.forward_call

    def spy(*arguments, **more):
        found = more["masks"]
        given = None if found is None or found.resets is None else found.resets
        assert given is None or (given.dtype, given.shape[2]) == (np.uint8, 1)
        resets.append(None if given is None else given[:, :, 0].astype(bool))
        return call(*arguments, **more)

    monkeypatch.setattr(ops, "forward_call", spy)
    return resets


RESET = RNG.random((4, 6)) < 0.4

#: Models, and how many cells they have.
WITH_CELLS = {
    "single": (lambda: RecurrentLayer("gru", 3, 3, seed=0), 1),
    "network": (lambda: fr.LSTM(3, 3, 2, bidirectional=True, seed=0), 4),
    "learned": (lambda: fr.GRU(3, 3, learn_initial_state=True, pad_output="repeat", seed=0), 1),
    "input dropout": (lambda: fr.GRU(3, 3, input_dropout=0.5, seed=0), 1),
    "stacked": (lambda: fr.Stacked([fr.GRU(3, 2), fr.Dropout(0.5), fr.RNN(2, 3)]), 2),
    "bidirectional": (lambda: fr.Bidirectional(fr.GRU(3, 3, 2, seed=0), "sum", seed=1), 4),
    "residual": (
        lambda: fr.Residual(fr.Sequential([fr.Linear(3, 2), fr.GRU(2, 3), fr.Linear(3, 3)])),
        1,
    ),
    "sequential": (
        lambda: fr.Sequential(
            [fr.Linear(3, 2), fr.Residual(fr.Linear(2, 2)), fr.GRU(2, 3), fr.Last(),
             fr.Linear(3, 1)]
        ),
        1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITH_CELLS)
def test_resets_reach_every_cell(name, seen):
    make, cells = WITH_CELLS[name]
    model = make()
    for reset in (RESET, RESET.astype(np.int64), RESET.tolist()):
        for run in (model, model.forward):
            seen.clear()
            run(X, lengths=[6, 2, 0, 4], reset=reset)
            assert len(seen) == cells
            assert all(np.array_equal(found, RESET) for found in seen)
    seen.clear()
    model(X)
    assert seen == [None] * cells


def test_resets_with_time_first(seen):
    for make in (
        lambda: fr.GRU(3, 3, 2, batch_first=False),
        lambda: fr.Bidirectional(fr.GRU(3, 3, batch_first=False)),
        lambda: fr.Sequential(
            [fr.Dropout(0.5, batch_first=False), fr.GRU(3, 3, batch_first=False)]
        ),
    ):
        model = make()
        seen.clear()
        model.forward(X.swapaxes(0, 1), reset=RESET.T)
        assert seen
        assert all(np.array_equal(found, RESET) for found in seen)
        with pytest.raises(ValueError, match=r"reset: expected shape \(T, N\) = \(6, 4\), got \(4"):
            model(X.swapaxes(0, 1), reset=RESET)


def test_resets_are_copied():
    reset = np.zeros((4, 6), np.uint8)
    layer = RecurrentLayer("gru", 3, 5, seed=0)
    tape = layer.forward(X, reset=reset)[2]
    reset[...] = 1
    assert not tape.content(layer).record.masks.resets.any()


def test_resets_of_windows(seen):
    model = fr.Sequential([fr.GRU(3, 4, seed=0), fr.Linear(4, 2, seed=1)])
    found = []
    for window in fr.truncated_bptt(model, X, (2, 3), reset=RESET):
        assert np.array_equal(np.concatenate(seen, axis=1), RESET[:, window.first : window.stop])
        found.append(window.first)
        seen.clear()
    assert found == [0, 1, 3]
    with pytest.raises(ValueError, match=r"reset: expected shape \(N, T\) = \(4, 6\), got \(4, 5"):
        fr.truncated_bptt(model, X, 2, reset=RESET[:, :5])
    with pytest.raises(ValueError, match="reset: expected None, as no layer in this Linear"):
        fr.truncated_bptt(fr.Linear(3, 2), X, 2, reset=RESET)


@pytest.mark.parametrize(
    ("reset", "error", "message"),
    [
        (RESET[:, :5], ValueError, r"reset: expected shape \(N, T\) = \(4, 6\), got \(4, 5\)"),
        (RESET[0], ValueError, r"reset: expected shape \(N, T\) = \(4, 6\), got \(6,\)"),
        (RESET[..., None], ValueError, r"reset: expected shape .*, got \(4, 6, 1\)"),
        (RESET.astype(np.float32), TypeError, "reset: expected bool or integers 0 and 1, got floa"),
        (RESET * 2, ValueError, "reset: expected bool or integers 0 and 1, got others"),
        (RESET * -1, ValueError, "reset: expected bool or integers 0 and 1, got others"),
    ],
)
@pytest.mark.parametrize("name", WITH_CELLS)
def test_bad_resets(name, reset, error, message):
    model = WITH_CELLS[name][0]()
    for run in (model, model.forward):
        with pytest.raises(error, match=message):
            run(X, reset=reset)


def test_resets_without_states_are_refused():
    for model, name in (
        (fr.Sequential([fr.Linear(3, 2), fr.Dropout(0.5)]), "Sequential"),
        (fr.Residual(fr.Linear(3, 3)), "Residual"),
    ):
        for run in (model, model.forward):
            message = f"reset: expected None, as no layer in this {name} carries a state, got"
            with pytest.raises(ValueError, match=message):
                run(X, reset=RESET)
    with pytest.raises(ValueError, match="reset: expected None for a list of sequences, got an"):
        fr.GRU(3, 4)(list(X), reset=RESET)
