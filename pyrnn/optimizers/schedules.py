"""Learning rates that change while a model trains: functions of the number of steps taken."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np


class LearningRateSchedule(ABC):
    """Base: a callable step -> learning rate."""

    arguments: tuple[str, ...] = ()

    @abstractmethod
    def __call__(self, step: int) -> float:
        """The rate of a step, counted from 0."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {argument: getattr(self, argument) for argument in self.arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LearningRateSchedule:
        """A new schedule from `get_config()`."""
        return cls(**config)


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
        _check_steps("CosineDecay", "decay_steps", decay_steps)
        _check_steps("CosineDecay", "warmup_steps", warmup_steps, zero=True)
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
        _check_steps("ExponentialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        power = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate**power)


class PiecewiseConstantDecay(LearningRateSchedule):
    """values[i] up to and with step boundaries[i], values[-1] after the last boundary.

    boundaries: steps, rising.
    values: rates, one more than boundaries.

    >>> schedule = PiecewiseConstantDecay([10, 20], [0.1, 0.05, 0.01])
    >>> [schedule(step) for step in (0, 10, 11, 20, 21)]
    [0.1, 0.1, 0.05, 0.05, 0.01]

    Keras, https://keras.io/api/optimizers/learning_rate_schedules/piecewise_constant_decay/
    """

    arguments = ("boundaries", "values", "name")

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                f"PiecewiseConstantDecay: values: expected {len(boundaries) + 1}, one more than boundaries, "
                f"got {len(values)}"
            )
        if any(low >= high for low, high in pairwise(boundaries)):
            raise ValueError(f"PiecewiseConstantDecay: boundaries: expected rising steps, got {list(boundaries)}")
        self.boundaries, self.values, self.name = list(boundaries), list(values), name

    def __call__(self, step: int) -> float:
        return float(self.values[bisect_left(self.boundaries, step)])


class PolynomialDecay(LearningRateSchedule):
    """(initial - end) * (1 - step / decay_steps) ** power + end.

    initial_learning_rate: rate at step 0.
    decay_steps: steps over which the rate falls; it stays at its end value after them.
    end_learning_rate: rate at the end.
    power: 1 falls along a line.
    cycle: start again at each multiple of decay_steps, ever slower.

    >>> schedule = PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.0)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 20)]
    [0.1, 0.05, 0.0, 0.0]

    Keras, https://keras.io/api/optimizers/learning_rate_schedules/polynomial_decay/
    """

    arguments = ("initial_learning_rate", "decay_steps", "end_learning_rate", "power", "cycle", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_steps("PolynomialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step: int) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / self.decay_steps))
        share = 1.0 - min(step, steps) / steps
        return float((self.initial_learning_rate - self.end_learning_rate) * share**self.power + self.end_learning_rate)


class InverseTimeDecay(LearningRateSchedule):
    """initial / (1 + decay_rate * step / decay_steps).

    initial_learning_rate: rate at step 0.
    decay_steps: the unit of time.
    decay_rate: share by which the divisor grows in it.
    staircase: fall at whole multiples of decay_steps only.

    >>> schedule = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
    >>> [round(schedule(step), 4) for step in (0, 10, 30)]
    [0.1, 0.05, 0.025]

    Keras, https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    arguments = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _check_steps("InverseTimeDecay", "decay_steps", decay_steps)
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step: int) -> float:
        time = step // self.decay_steps if self.staircase else step / self.decay_steps
        return float(self.initial_learning_rate / (1.0 + self.decay_rate * time))


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again, each time over a period t_mul times as long and from a rate m_mul times as high.

    initial_learning_rate: rate at step 0.
    first_decay_steps: length of the first period.
    t_mul: factor of the periods, >= 1.
    m_mul: factor of the rates that periods start from.
    alpha: end value as a share of initial_learning_rate.

    >>> schedule = CosineDecayRestarts(0.1, first_decay_steps=10)
    >>> [round(schedule(step), 4) for step in (0, 5, 10, 20, 30)]
    [0.1, 0.05, 0.1, 0.05, 0.1]

    Loshchilov & Hutter 2017, https://arxiv.org/abs/1608.03983
    """

    arguments = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _check_steps("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        if not t_mul >= 1:
            raise ValueError(f"CosineDecayRestarts: t_mul: expected a number >= 1, got {t_mul}")
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step: int) -> float:
        restarts, length, left = 0, float(self.first_decay_steps), float(step)
        if self.t_mul == 1:
            restarts, left = int(left // length), left % length
        else:
            while left >= length:
                left -= length
                length *= self.t_mul
                restarts += 1
        share = 0.5 * self.m_mul**restarts * (1.0 + math.cos(math.pi * left / length))
        return float(self.initial_learning_rate * ((1.0 - self.alpha) * share + self.alpha))


def _check_steps(owner: str, argument: str, value: Any, zero: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number of steps, got {value!r}")
    if not (value > 0 or (zero and value == 0)):
        raise ValueError(f"{owner}: {argument}: expected a number {'>=' if zero else '>'} 0, got {value}")


_CLASSES: Mapping[str, type[LearningRateSchedule]] = {
    cls.__name__: cls
    for cls in (
        CosineDecay,
        CosineDecayRestarts,
        ExponentialDecay,
        InverseTimeDecay,
        PiecewiseConstantDecay,
        PolynomialDecay,
    )
}


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
