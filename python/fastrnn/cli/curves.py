"""Training curves as a picture, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
import os

from fastrnn.training import History


def save_curves(
    history: History, path: str | os.PathLike[str], title: str, loss: str = "loss"
) -> bool:
    """Write loss and accuracy over epochs as a picture; False where matplotlib is not installed.

    Parameters
    ----------
    history : History
    path : path-like
        Its suffix chooses the format.
    title : str
    loss : str, default "loss"
        What it is measured in.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.figure import Figure  # no pyplot: no windows, no global state

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(history.epochs) + 1)
    axes.plot(epochs, history.values("loss"), label="training loss")
    if held_out := history.values("validation_loss"):
        axes.plot(epochs, held_out, label="held-out loss")
    axes.set(xlabel="epoch", ylabel=loss, yscale="log", title=title)
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    if accuracy := history.values("validation_accuracy"):
        right = axes.twinx()
        right.plot(epochs, accuracy, color="tab:green", label="held-out accuracy")
        right.set(ylabel="accuracy", ylim=(0, 1.02))
        more = right.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    axes.legend(handles, labels, loc="center right")
    figure.savefig(path, dpi=120)
    return True
