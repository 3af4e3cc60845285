"""Ctrl-C ends training at the next step, with the best parameters and a usable history."""

import os
import signal

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import assert_same_bits
from training_cases import classifier, sums


class PressCtrlC(fr.callbacks.Callback):
    def __init__(self, step, times=1):
        self.at, self.times = step, times

    def on_step(self, run):
        if run.step == self.at:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_at_the_next_step_with_the_best_parameters():
    bests = []
    trainer = fr.Trainer(
        classifier(),
        optimizer=fr.optim.Adam(0.1),
        callbacks=[
            lambda history: bests.append(trainer.model.parameter_vector.copy()),
            PressCtrlC(17),
        ],
    )
    held_out = sums(24, seed=5)
    history = trainer.fit(sums(32), held_out, epochs=50, batch_size=8, seed=0, progress=False)
    assert history.interrupted
    assert history.steps == 18
    assert len(history.epochs) == 4
    losses = history.values("validation_loss")
    assert history.best_epoch == int(np.argmin(losses))
    assert_same_bits(trainer.model.parameter_vector, bests[history.best_epoch], "parameters")
    assert trainer.evaluate(held_out).loss == min(losses)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_behind_the_last_step_is_not_lost():
    class PressAtTheEnd(fr.callbacks.Callback):
        def on_epoch(self, run):
            os.kill(os.getpid(), signal.SIGINT)

    trainer = fr.Trainer(classifier(), callbacks=[PressAtTheEnd()])
    history = trainer.fit(sums(8), epochs=1, seed=0, progress=False)
    assert history.interrupted
    assert len(history.epochs) == 1


def test_a_second_ctrl_c_ends_at_once():
    trainer = fr.Trainer(classifier(), callbacks=[PressCtrlC(3, times=2)])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(sums(32), epochs=5, batch_size=8, seed=0, progress=False)
    assert trainer.history.steps == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_programs_own_handler_stays():
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        trainer = fr.Trainer(classifier(), callbacks=[PressCtrlC(2)])
        history = trainer.fit(sums(32), epochs=1, batch_size=8, seed=0, progress=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIGINT]
    assert not history.interrupted
