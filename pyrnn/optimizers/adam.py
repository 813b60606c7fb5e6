"""Adam."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.arguments import check_flag
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon, check_share


class Adam(Optimizer):
    """m += (1 - beta_1) (g - m), v += (1 - beta_2) (g^2 - v), w -= rate * m^ / (sqrt(v^) + epsilon).

    learning_rate: number or schedule.
    beta_1, beta_2: how much of the moments is kept a step.
    epsilon: added to the root.
    amsgrad: divide by the largest v so far (Reddi, Kale & Kumar 2018).
    weight_decay, clipnorm, clipvalue, global_clipnorm: see Optimizer.

    >>> Adam(1e-2, clipnorm=1.0).get_config()["beta_2"]
    0.999

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon", "amsgrad")

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.beta_1, self.beta_2 = check_share(kind, "beta_1", beta_1), check_share(kind, "beta_2", beta_2)
        self.epsilon = check_epsilon(kind, epsilon)
        self.amsgrad = check_flag(kind, "amsgrad", amsgrad)
        self.slots = ("momentum", "velocity", "velocity_hat") if amsgrad else ("momentum", "velocity")
        super().__init__(learning_rate, **kwargs)

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.adam_step(
            target,
            gradient,
            state["momentum"],
            state["velocity"],
            step=self.updates,
            lr=rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
            v_max=state.get("velocity_hat"),
        )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient, 0.004 by default.

    >>> AdamW().weight_decay
    0.004

    Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)
