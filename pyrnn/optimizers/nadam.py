"""Nadam."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon, check_share


class Nadam(Optimizer):
    """Adam with Nesterov's momentum: the step looks one momentum ahead.

    learning_rate: number or schedule.
    beta_1, beta_2: how much of the moments is kept a step.
    epsilon: added to the root.
    weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps: see Optimizer.

    >>> Nadam(0.01).get_config()["beta_2"]
    0.999

    Dozat 2016, http://cs229.stanford.edu/proj2015/054_report.pdf
    """

    arguments: ClassVar[tuple[str, ...]] = ("beta_1", "beta_2", "epsilon")
    slots = ("momentum", "velocity")

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
        self._product, self._factors = 1.0, 0
        super().__init__(learning_rate, **kwargs)

    def _momentum_product(self) -> float:
        """u_1 ... u_t. The factors are multiplied in order, so that a run that is continued has the same bits."""
        if self._factors > self.updates:
            self._product, self._factors = 1.0, 0
        while self._factors < self.updates:
            self._factors += 1
            self._product *= self.beta_1 * (1 - 0.5 * 0.96**self._factors)
        return self._product

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.nadam_step(
            target,
            gradient,
            state["momentum"],
            state["velocity"],
            step=self.updates,
            lr=rate,
            product=self._momentum_product(),
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
        )
