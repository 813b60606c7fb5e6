"""pyrnn, called as the peers are: weights packed once, buffers of a training step used again in the next."""

from __future__ import annotations

from typing import Any

from problem import Problem, Results, Run, gradients_of_layer

import pyrnn
from pyrnn import ops


def version() -> str:
    return pyrnn.__version__


def inference(problem: Problem) -> Run:
    layers = [ops.pack(problem.cell, *layer) for layer in problem.layers]

    def call() -> Any:
        y: Any = problem.x
        for layer in layers:
            y, _ = layer.forward(y, threads=problem.threads)
        return y

    return Run(call, lambda y: {"y": y})


def training(problem: Problem) -> Run:
    """Forward with a tape, then backward; gradients of parameters are added to, so they are set to zero first."""
    weights = [ops.Weights(problem.cell, *layer) for layer in problem.layers]
    tapes: list[Any] = [True] * len(weights)
    gradients: list[Any] = [None] * len(weights)

    def call() -> Any:
        y: Any = problem.x
        dx: Any = problem.dy
        for i, layer in enumerate(weights):
            y, _, tapes[i] = ops.forward(problem.cell, y, layer, tape=tapes[i], threads=problem.threads)
        for i in reversed(range(len(weights))):
            if gradients[i] is not None:
                gradients[i].flat.fill(0)
            gradients[i] = ops.backward(tapes[i], dx, into=gradients[i], threads=problem.threads)
            dx = gradients[i].x
        return y, dx

    def results(value: Any) -> Results:
        found = dict(zip(("y", "dx"), value, strict=True))
        for i, g in enumerate(gradients):
            found |= gradients_of_layer(i, g.W_x, g.W_h, g.b)
        return found

    return Run(call, results)
