"""Loss and metrics of a model over data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrnn.data import Source
from fastrnn.training.history import Evaluation
from fastrnn.training.loop import own_rows
from fastrnn.training.metrics import Metric
from fastrnn.training.parts import continued, weight_of
from fastrnn.training.rules import Rules


def evaluated(
    rules: Rules, metrics: Mapping[str, Metric], source: Source, batch_size: int
) -> Evaluation:
    """Run a model over data, without changing anything.

    Parameters
    ----------
    rules : Rules
    metrics : mapping of str to metric
    source : Source
    batch_size : int
    """
    state: Any = None
    sums = np.zeros((1 + len(metrics), 2))  # of the loss and of each metric: total and weight
    for batch in source.batches(None, batch_size=batch_size):
        own = own_rows(batch, rules.communicator)
        if own is None:
            continue
        state = continued(rules.model, own, state)
        outputs, state = rules.model(own.x, state, lengths=own.lengths)
        value, _ = rules.loss(outputs, own.y, own.mask)
        weight = weight_of(own.y, own.mask)
        if not weight:
            continue  # a mean over nothing may be NaN
        sums[0] += value * weight, weight
        for row, metric in enumerate(metrics.values(), 1):
            found = metric(outputs, own.y, own.mask)
            sums[row] += found if isinstance(found, tuple) else (found * weight, weight)
    if rules.communicator is not None:
        rules.communicator.sum(sums.reshape(-1))
    loss, *means = (sums[:, 0] / np.maximum(sums[:, 1], 1e-300)).tolist()
    return Evaluation(loss, dict(zip(metrics, means, strict=True)))
