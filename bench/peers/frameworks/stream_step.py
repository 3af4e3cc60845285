"""fastrnn: the object for one step at a time, which keeps the state itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import fastrnn as fr
from bench.peers.frameworks.layer_call import make_layer, set_num_threads, state_arrays, version
from bench.peers.frameworks.program import Arrays, Program, Unsupported
from bench.peers.problem import Problem

__all__ = ["prepare", "set_num_threads", "version"]

if not hasattr(fr, "Stream"):
    raise ImportError("this fastrnn has no Stream")


def prepare(problem: Problem) -> Program:
    """Build the step of a stream; its output goes to the same array each time."""
    point = problem.point
    if not point.carries_state:
        raise Unsupported("single steps only")
    stream: Any = fr.Stream(make_layer(problem), batch_size=point.case.batch)
    x = np.ascontiguousarray(problem.x[:, 0])
    out = np.empty((point.case.batch, point.case.hidden_size), point.dtype)

    def step() -> Any:
        return stream.step(x, out=out)

    def result(y: Any) -> Arrays:
        return {"y": y[:, None]} | state_arrays(stream.state)

    return Program(step, result)
