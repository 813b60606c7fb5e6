"""Adamax."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon, check_share


class Adamax(Optimizer):
    """m += (1 - beta_1) (g - m), u = max(beta_2 * u, |g|), w -= rate * m^ / (u + epsilon): Adam in the largest norm.

    learning_rate: number or schedule.
    beta_1, beta_2: how much of m and u is kept a step.
    epsilon: added to u.
    weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps: see Optimizer.

    >>> Adamax().get_config()["beta_1"]
    0.9

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "norm")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.beta_1, self.beta_2 = check_share(kind, "beta_1", beta_1), check_share(kind, "beta_2", beta_2)
        self.epsilon = check_epsilon(kind, epsilon)
        super().__init__(learning_rate, **kwargs)

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.adamax_step(
            target,
            gradient,
            state["momentum"],
            state["norm"],
            step=self.updates,
            lr=rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
        )
