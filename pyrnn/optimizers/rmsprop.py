"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer
from pyrnn.optimizers.schedules import LearningRateSchedule


class RMSprop(Optimizer):
    """v = rho * v + (1 - rho) * g^2, w -= rate * g / sqrt(v + epsilon); with momentum the steps are gathered in it.

    learning_rate: number or schedule.
    rho: how much of v is kept a step.
    momentum: how much of the last step is added.
    epsilon: added under the root.
    weight_decay, clipnorm, clipvalue, global_clipnorm: see Optimizer.

    >>> RMSprop().get_config()["rho"]
    0.9

    Tieleman & Hinton 2012, Lecture 6.5 of Neural Networks for Machine Learning.
    """

    arguments: ClassVar[tuple[str, ...]] = ("rho", "momentum", "epsilon")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        if not 0 <= rho < 1:
            raise ValueError(f"RMSprop: rho: expected a number in [0, 1), got {rho}")
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon
        self.slots = ("velocity", "momentum") if momentum else ("velocity",)
        super().__init__(learning_rate, **kwargs)

    def step(self, target: Any, gradient: Array, state: dict[str, Array], rate: float, scale: float) -> None:
        ops.rmsprop_step(
            target,
            gradient,
            state["velocity"],
            state.get("momentum"),
            lr=rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay or 0.0,
            scale=scale,
        )
