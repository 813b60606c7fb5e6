"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.arguments import check_flag
from pyrnn.optimizers.base import Optimizer, Rate, check_share


class SGD(Optimizer):
    """w -= rate * g, or with momentum u = momentum * u - rate * g, w += u.

    learning_rate: number or schedule.
    momentum: how much of the velocity u is kept a step.
    nesterov: w += momentum * u - rate * g.
    weight_decay, clipnorm, clipvalue, global_clipnorm: see Optimizer.

    >>> SGD(0.1, momentum=0.9, nesterov=True).get_config()["momentum"]
    0.9

    Sutskever et al. 2013, http://proceedings.mlr.press/v28/sutskever13.html
    """

    arguments: ClassVar[tuple[str, ...]] = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: Rate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        self.momentum = check_share("SGD", "momentum", momentum, one=True)
        self.nesterov = check_flag("SGD", "nesterov", nesterov)
        self.slots = ("momentum",) if momentum else ()
        super().__init__(learning_rate, **kwargs)

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.sgd_step(
            target,
            gradient,
            state.get("momentum"),
            lr=rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=decay,
            scale=scale,
        )
