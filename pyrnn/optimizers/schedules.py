"""Learning rates that change while a model trains: functions of the number of steps taken."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any


class LearningRateSchedule(ABC):
    """Base: a callable step -> learning rate."""

    arguments: tuple[str, ...] = ()

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The rate of a step, counted from 0."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {argument: getattr(self, argument) for argument in self.arguments}


class CosineDecay(LearningRateSchedule):
    """initial * ((1 - alpha) * (1 + cos(pi * step / decay_steps)) / 2 + alpha), after a linear warm-up if there is one.

    initial_learning_rate: rate at step 0, or where the warm-up starts.
    decay_steps: steps over which the rate falls; it stays at its end value after them.
    alpha: end value as a share of the highest rate.
    warmup_target: rate at the end of the warm-up, None for no warm-up.
    warmup_steps: steps of the warm-up, before the decay.

    >>> schedule = CosineDecay(0.002, decay_steps=100)
    >>> [round(schedule(step), 6) for step in (0, 50, 100, 150)]
    [0.002, 0.001, 0.0, 0.0]

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983
    """

    arguments = ("initial_learning_rate", "decay_steps", "alpha", "name", "warmup_target", "warmup_steps")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        if decay_steps <= 0:
            raise ValueError(f"CosineDecay: decay_steps: expected a number > 0, got {decay_steps}")
        if warmup_steps < 0:
            raise ValueError(f"CosineDecay: warmup_steps: expected a number >= 0, got {warmup_steps}")
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        highest = self.initial_learning_rate
        if self.warmup_target is not None:
            highest = self.warmup_target
            if step < self.warmup_steps:
                return self.initial_learning_rate + (highest - self.initial_learning_rate) * step / self.warmup_steps
            step -= self.warmup_steps
        share = 0.5 * (1.0 + math.cos(math.pi * min(step, self.decay_steps) / self.decay_steps))
        return highest * ((1.0 - self.alpha) * share + self.alpha)


class ExponentialDecay(LearningRateSchedule):
    """initial * decay_rate ** (step / decay_steps).

    initial_learning_rate: rate at step 0.
    decay_steps: steps in which the rate falls by the factor `decay_rate`.
    staircase: fall at whole multiples of decay_steps only.

    >>> schedule = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 20)]
    [0.1, 0.0707, 0.05, 0.025]

    Keras, https://keras.io/api/optimizers/learning_rate_schedules/exponential_decay/
    """

    arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        if decay_steps <= 0:
            raise ValueError(f"ExponentialDecay: decay_steps: expected a number > 0, got {decay_steps}")
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**power)


_CLASSES: Mapping[str, type[LearningRateSchedule]] = {cls.__name__: cls for cls in (CosineDecay, ExponentialDecay)}


def serialize(schedule: LearningRateSchedule) -> dict[str, Any]:
    """The config that `deserialize` turns back into the schedule."""
    if _CLASSES.get(type(schedule).__name__) is not type(schedule):
        raise TypeError(f"learning_rate: {type(schedule).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(schedule).__name__, "config": schedule.get_config()}


def deserialize(config: Mapping[str, Any]) -> LearningRateSchedule:
    """A schedule from its config; only pyrnn's own classes are known."""
    if config.get("class_name") not in _CLASSES:
        raise ValueError(f"schedule: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[config["class_name"]](**config["config"])
