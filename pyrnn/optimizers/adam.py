"""Adam."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer
from pyrnn.optimizers.schedules import LearningRateSchedule


class Adam(Optimizer):
    """m += (1 - beta_1) (g - m), v += (1 - beta_2) (g^2 - v), w -= rate * m^ / (sqrt(v^) + epsilon).

    learning_rate: number or schedule.
    beta_1, beta_2: how much of the moments is kept a step.
    epsilon: added to the root.
    weight_decay, clipnorm, clipvalue, global_clipnorm: see Optimizer.

    >>> Adam(1e-2, clipnorm=1.0).get_config()["beta_2"]
    0.999

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        for argument, value in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= value < 1:
                raise ValueError(f"{kind}: {argument}: expected a number in [0, 1), got {value}")
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        super().__init__(learning_rate, **kwargs)

    def step(self, target: Any, gradient: Array, state: dict[str, Array], rate: float, scale: float) -> None:
        ops.adam_step(
            target,
            gradient,
            state["momentum"],
            state["velocity"],
            step=self.iterations,
            lr=rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay or 0.0,
            scale=scale,
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient, 0.004 by default.

    >>> AdamW().weight_decay
    0.004

    Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **kwargs)
