"""RMSprop."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.arguments import check_flag
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon, check_share


class RMSprop(Optimizer):
    """v = rho * v + (1 - rho) * g^2, w -= rate * g / sqrt(v + epsilon); with momentum the steps are gathered in it.

    learning_rate: number or schedule.
    rho: how much of v is kept a step.
    momentum: how much of the last step is added.
    epsilon: added under the root.
    centered: the square of the mean gradient is taken off v.
    weight_decay, clipnorm, clipvalue, global_clipnorm: see Optimizer.

    >>> RMSprop().get_config()["rho"]
    0.9

    Tieleman & Hinton 2012, Lecture 6.5 of Neural Networks for Machine Learning.
    """

    arguments: ClassVar[tuple[str, ...]] = ("rho", "momentum", "epsilon", "centered")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        self.rho = check_share("RMSprop", "rho", rho)
        self.momentum = check_share("RMSprop", "momentum", momentum)
        self.epsilon = check_epsilon("RMSprop", epsilon)
        self.centered = check_flag("RMSprop", "centered", centered)
        self.slots = (
            "velocity",
            *(["momentum"] if momentum else []),
            *(["average_gradient"] if centered else []),
        )
        super().__init__(learning_rate, **kwargs)

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.rmsprop_step(
            target,
            gradient,
            state["velocity"],
            state.get("momentum"),
            lr=rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
            mean=state.get("average_gradient"),
        )
