"""Resuming with other options, and training that a callback had ended."""

import numpy as np
import pytest

import fastrnn as fr
from fastrnn.testing import assert_same_bits
from training_cases import classifier, sums


@pytest.mark.parametrize("step", [3, 4])
def test_training_that_a_callback_stopped_goes_on(step, tmp_path):
    class Stop(fr.callbacks.Callback):
        at = step

        def on_step(self, run):
            if run.step == self.at:
                run.stop()

    path, stop = tmp_path / "run.safetensors", Stop()
    checkpoint = fr.callbacks.Checkpoint(path, every_steps=1)
    arguments = {"epochs": 3, "batch_size": 8, "progress": False}
    history = fr.Trainer(classifier(), callbacks=[stop, checkpoint]).fit(
        sums(32), seed=0, **arguments
    )
    assert (history.steps, history.stopped_early) == (step, True)
    stop.at = None
    resumed = fr.Trainer(classifier(seed=5), callbacks=[stop, checkpoint])
    history = resumed.fit(sums(32), resume=path, **arguments)
    assert (history.steps, len(history.epochs), history.stopped_early) == (12, 3, False)
    whole = fr.Trainer(classifier())
    whole.fit(sums(32), seed=0, **arguments)
    assert_same_bits(resumed.model.parameter_vector, whole.model.parameter_vector, "parameters")


def test_more_patience_goes_on(tmp_path):
    path = tmp_path / "run.safetensors"
    trainer = fr.Trainer(
        classifier(), optimizer=fr.optim.Adam(0.2), callbacks=[fr.callbacks.Checkpoint(path)]
    )
    arguments = {"epochs": 60, "progress": False}
    history = trainer.fit(sums(16), sums(16, seed=1), seed=0, patience=1, **arguments)
    assert history.stopped_early
    more = trainer.fit(sums(16), sums(16, seed=1), patience=9, resume=path, **arguments)
    assert more.steps > history.steps


@pytest.mark.parametrize(
    ("name", "message"), [("loss", "loss: expected .*2.0.* as given"), ("class_weight", "class_we")]
)
def test_other_options_of_training_are_refused(name, message, tmp_path):
    path = tmp_path / "run.safetensors"
    x, y = sums(8)
    numbers = {"loss": y[:, None].astype(np.float32), "class_weight": y}
    options = {
        "loss": [{"loss": fr.losses.Huber(delta)} for delta in (1.0, 2.0)],
        "class_weight": [{"class_weight": {0: weight}} for weight in (1.0, 2.0)],
    }[name]
    outputs = 1 if name == "loss" else 2
    for given in (options[0], *options):
        model = fr.Sequential([fr.GRU(1, 4, seed=0), fr.Last(), fr.Linear(4, outputs, seed=1)])
        trainer = fr.Trainer(model, callbacks=[fr.callbacks.Checkpoint(path)], **given)
        resume = path if path.exists() else None
        if given is options[1]:
            with pytest.raises(ValueError, match=message):
                trainer.fit((x, numbers[name]), epochs=2, progress=False, resume=resume)
        else:
            trainer.fit((x, numbers[name]), epochs=1, progress=False, resume=resume)
