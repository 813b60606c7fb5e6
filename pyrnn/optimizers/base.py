"""What every optimiser does around its formula: learning rate, clipping, state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.base import refuse
from pyrnn.layers.parameters import Parameter
from pyrnn.optimizers import schedules
from pyrnn.optimizers.schedules import LearningRateSchedule


class Optimizer(ABC):
    """Base of the optimisers.

    learning_rate: number or schedule.
    weight_decay: share of every weight that is taken off a step, times the learning rate; None for none.
    clipnorm: largest L2 norm of the gradient of one array (kernel, recurrent_kernel, ...).
    clipvalue: largest magnitude of one element of a gradient.
    global_clipnorm: largest L2 norm of all gradients together.
    At most one of the three clips is given.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        refuse(kind, kwargs, _NOT_SUPPORTED)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        for argument, value in {**clips, "weight_decay": weight_decay}.items():
            if value is not None and not value > 0 and not (argument == "weight_decay" and value == 0):
                raise ValueError(f"{kind}: {argument}: expected a number > 0 or None, got {value!r}")
        given = [argument for argument, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{kind}: expected at most one of clipnorm, clipvalue, global_clipnorm, got {given}")
        self.name = name if name is not None else kind.lower()
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.iterations = 0
        self.learning_rate = learning_rate
        self._state: list[dict[str, Array]] = []
        self._parameters: Sequence[Parameter] = []
        self._slots_of: list[tuple[Parameter, dict[str, Array]]] = []

    @property
    def learning_rate(self) -> float | LearningRateSchedule:
        """The rate of the next step; a number may be assigned where there is no schedule."""
        return self._schedule if self._schedule is not None else self._rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        kind = type(self).__name__
        self._schedule: LearningRateSchedule | None = None
        self._rate = 0.0
        if isinstance(value, LearningRateSchedule):
            self._schedule = value
        elif isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{kind}: learning_rate: expected a finite number >= 0, got {value}")
            self._rate = float(value)
        else:
            raise TypeError(f"{kind}: learning_rate: expected a number or a schedule, got {value!r}")

    def current_learning_rate(self) -> float:
        """The rate as a number."""
        return self._rate if self._schedule is None else self._schedule(self.iterations)

    # The step -----------------------------------------------------------------------------------------------------

    def build(self, parameters: Sequence[Parameter]) -> None:
        """Make the state for these parameters, all zeros; a second call with the same ones changes nothing."""
        if [id(p) for p in parameters] == [id(p) for p in self._parameters]:
            self._parameters = parameters
            return
        if self._parameters:
            raise ValueError(f"{self.name}: the optimizer has stepped another model; give each compile() a new one")
        self._parameters = parameters
        self._state = [self._new_state(p) for p in parameters]
        self._slots_of = list(zip(parameters, self._state, strict=True))

    def apply(self, parameters: Sequence[Parameter]) -> None:
        """One step, from the parameters' gradients."""
        if parameters is not self._parameters:
            self.build(parameters)
        self.iterations += 1
        rate = self._rate if self._schedule is None else self._schedule(self.iterations - 1)
        scale = 1.0
        if self.global_clipnorm is not None:
            total = sum(ops.sum_of_squares(p.flat_gradient) for p in self._parameters)
            scale = _clip_scale(math.sqrt(total), self.global_clipnorm)
        for parameter, state in self._slots_of:
            gradient = parameter.flat_gradient
            if self.clipnorm is not None:
                _clip_arrays(parameter, gradient, self.clipnorm)
            elif self.clipvalue is not None:
                np.clip(gradient, -self.clipvalue, self.clipvalue, out=gradient)
            self.step(parameter.target, gradient, state, rate, scale)

    @abstractmethod
    def step(self, target: Any, gradient: Array, state: dict[str, Array], rate: float, scale: float) -> None:
        """The formula, on flat vectors; the gradient is multiplied by `scale`."""

    def _new_state(self, parameter: Parameter) -> dict[str, Array]:
        size = sum(math.prod(shape) for shape in parameter.shapes)
        flat = parameter.pack([np.zeros(shape) for shape in parameter.shapes]) if size else np.zeros(0)
        return {slot: np.zeros_like(flat) for slot in self.slots}

    # Saving -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values."""
        rate = self._rate if self._schedule is None else schedules.serialize(self._schedule)
        common = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "name")
        return {"learning_rate": rate} | {a: getattr(self, a) for a in (*self.arguments, *common)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Optimizer:
        """A new optimiser from `get_config()`."""
        rate = config["learning_rate"]
        return cls(**{**config, "learning_rate": schedules.deserialize(rate) if isinstance(rate, dict) else rate})

    def get_state(self) -> list[dict[str, list[Array]]]:
        """The state of each parameter in Keras's shapes: for each slot, one array for each array of the parameter."""
        return [{slot: p.unpack(flat) for slot, flat in state.items()} for p, state in self._slots_of]

    def set_state(
        self, iterations: int, parameters: Sequence[Parameter], state: Sequence[Mapping[str, Sequence[Array]]]
    ) -> None:
        """Continue from the state of another optimiser of the same class."""
        self.build(parameters)
        if len(state) != len(self._slots_of) or any(set(s) != set(self.slots) for s in state):
            raise ValueError(f"{self.name}: state: does not belong to a {type(self).__name__} of this model")
        self.iterations = int(iterations)
        for (parameter, mine), given in zip(self._slots_of, state, strict=True):
            for slot, flat in mine.items():
                flat[...] = parameter.pack(given[slot])


_NOT_SUPPORTED: dict[str, tuple[Any, str]] = {
    "use_ema": (False, "keep the best weights with EarlyStopping(restore_best_weights=True)"),
    "ema_momentum": (0.99, "there is no moving average of the weights"),
    "ema_overwrite_frequency": (None, "there is no moving average of the weights"),
    "loss_scale_factor": (None, "gradients are float32 or float64 and need no scaling"),
    "gradient_accumulation_steps": (None, "use a larger batch_size"),
    "amsgrad": (False, "use Adam without it"),
    "centered": (False, "use RMSprop without it"),
}


def _clip_scale(norm: float, largest: float) -> float:
    """What the gradient is multiplied by; a norm that is not a number is left to be seen in the loss."""
    return largest / norm if norm > largest else 1.0


def _clip_arrays(parameter: Parameter, gradient: Array, largest: float) -> None:
    """Scale the gradient of each array of the parameter to at most this norm, in place."""
    for part in parameter.spans:
        norm = math.sqrt(sum(ops.sum_of_squares(gradient[piece]) for piece in part))
        if norm > largest:
            scale = gradient.dtype.type(_clip_scale(norm, largest))
            for piece in part:
                gradient[piece] *= scale
