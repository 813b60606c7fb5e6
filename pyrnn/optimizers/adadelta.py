"""Adadelta."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon, check_share


class Adadelta(Optimizer):
    """v = rho * v + (1 - rho) * g^2, s = g * sqrt(d + epsilon) / sqrt(v + epsilon), w -= rate * s, where d is to s
    what v is to g.

    learning_rate: number or schedule; 1.0 is the rate of the paper.
    rho: how much of v and d is kept a step.
    epsilon: added under the roots.
    weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps: see Optimizer.

    >>> Adadelta(1.0).get_config()["rho"]
    0.95

    Zeiler 2012, https://arxiv.org/abs/1212.5701
    """

    arguments: ClassVar[tuple[str, ...]] = ("rho", "epsilon")
    slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        self.rho, self.epsilon = check_share("Adadelta", "rho", rho), check_epsilon("Adadelta", epsilon)
        super().__init__(learning_rate, **kwargs)

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.adadelta_step(
            target,
            gradient,
            state["accumulated_grad"],
            state["accumulated_delta_var"],
            lr=rate,
            rho=self.rho,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
        )
