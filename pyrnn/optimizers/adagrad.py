"""Adagrad."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.optimizers.base import Optimizer, Rate, check_epsilon


class Adagrad(Optimizer):
    """s += g^2, w -= rate * g / sqrt(s + epsilon): weights that are seldom stepped take longer steps.

    learning_rate: number or schedule.
    initial_accumulator_value: where s starts.
    epsilon: added under the root.
    weight_decay, clipnorm, clipvalue, global_clipnorm, gradient_accumulation_steps: see Optimizer.

    >>> Adagrad(0.1).get_config()["initial_accumulator_value"]
    0.1

    Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    arguments: ClassVar[tuple[str, ...]] = ("initial_accumulator_value", "epsilon")
    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        if not 0 <= initial_accumulator_value < float("inf"):
            raise ValueError(
                f"Adagrad: initial_accumulator_value: expected a number >= 0, got {initial_accumulator_value}"
            )
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.epsilon = check_epsilon("Adagrad", epsilon)
        super().__init__(learning_rate, **kwargs)

    def initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        ops.adagrad_step(
            target,
            gradient,
            state["accumulator"],
            lr=rate,
            epsilon=self.epsilon,
            weight_decay=decay,
            scale=scale,
        )
