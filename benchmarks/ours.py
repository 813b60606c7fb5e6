"""pyrnn, called as the peers are: weights packed once, buffers of a training step used again in the next."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from problem import Problem, Results, Run, gradients_of_layer

import pyrnn
from pyrnn import ops


def version() -> str:
    return pyrnn.__version__


def inference(problem: Problem, **precision: str) -> Run:
    """precision: what ops.pack takes, or nothing."""
    layers = [ops.pack(problem.cell, *layer, **precision) for layer in problem.layers]
    states = [problem.state_of(i) for i in range(len(layers))]

    def call() -> Any:
        y: Any = problem.x
        for layer, state in zip(layers, states, strict=True):
            y, _ = layer.forward(y, state, threads=problem.threads)
        return y

    return Run(call, lambda y: {"y": y})


def inference_bf16(problem: Problem) -> Run:
    return inference(problem, precision="bf16")


def training_bf16(problem: Problem) -> Run:
    return training(problem, precision="bf16")


def training(problem: Problem, *, lengths: NDArray[np.int64] | None = None, tape: Any = True, **precision: str) -> Run:
    """Forward with a tape, then backward; gradients of parameters are added to, so they are cleared first.

    lengths, tape: what ops.forward takes; every layer gets the lengths. precision: what ops.Weights takes, or nothing.
    """
    cell, threads = problem.cell, problem.threads
    weights = [ops.Weights(cell, *layer, **precision) for layer in problem.layers]
    states = [problem.state_of(i) for i in range(len(weights))]
    tapes: list[Any] = [tape] * len(weights)
    gradients: list[Any] = [None] * len(weights)

    def call() -> Any:
        y: Any = problem.x
        dx: Any = problem.dy
        for i, layer in enumerate(weights):
            y, _, tapes[i] = ops.forward(
                cell, y, layer, state=states[i], lengths=lengths, tape=tapes[i], threads=threads
            )
        for i in reversed(range(len(weights))):
            if gradients[i] is not None:
                gradients[i].clear()
            gradients[i] = ops.backward(tapes[i], dx, into=gradients[i], threads=threads)
            dx = gradients[i].x
        return y, dx

    def results(value: Any) -> Results:
        found = dict(zip(("y", "dx"), value, strict=True))
        for i, g in enumerate(gradients):
            found |= gradients_of_layer(i, g.W_x, g.W_h, g.b, g.state if isinstance(g.state, tuple) else [g.state])
        return found

    return Run(call, results)
