"""What every optimiser does around its formula: learning rate, clipping, state."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.arguments import check_positive, refuse
from pyrnn.layers.parameters import Parameter
from pyrnn.optimizers import schedules
from pyrnn.optimizers.schedules import LearningRateSchedule

Rate = float | LearningRateSchedule | Callable[[], float]
_WAITING = "gradient_accumulator"


class Optimizer(ABC):
    """Base of the optimisers.

    learning_rate: number or schedule, or a function without arguments that returns a number.
    weight_decay: share of every weight that is taken off a step, times the learning rate; None for none.
    clipnorm: largest L2 norm of the gradient of one array (kernel, recurrent_kernel, ...).
    clipvalue: largest magnitude of one element of a gradient.
    global_clipnorm: largest L2 norm of all gradients together.
    gradient_accumulation_steps: so many batches make one step, of the mean of their gradients; None for 1.
    At most one of the three clips is given.

    Attributes
        iterations: batches so far, also those whose gradients only wait. A schedule counts these, as in Keras.
        updates: steps so far.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: Rate = 0.001,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        refuse(kind, kwargs, _NOT_SUPPORTED)
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        for argument, value in {**clips, "weight_decay": weight_decay}.items():
            _check_positive_or_none(kind, argument, value, zero=argument == "weight_decay")
        given = [argument for argument, value in clips.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"{kind}: expected at most one of clipnorm, clipvalue, global_clipnorm, got {given}")
        if gradient_accumulation_steps is not None:
            argument = "gradient_accumulation_steps"
            if check_positive(kind, argument, gradient_accumulation_steps) < 2:
                raise ValueError(f"{kind}: {argument}: expected an integer >= 2 or None, got 1")
            self.slots = (*self.slots, _WAITING)
        self.name = name if name is not None else kind.lower()
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.iterations = 0
        self.learning_rate = learning_rate
        self._state: list[dict[str, Array]] = []
        self._parameters: Sequence[Parameter] = []
        self._slots_of: list[tuple[Parameter, dict[str, Array]]] = []
        self._kept_whole: tuple[list[Parameter], list[str]] = ([], [])

    @property
    def learning_rate(self) -> Rate:
        """The rate of the next step; a number may be assigned where there is no schedule."""
        return self._schedule if self._schedule is not None else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Rate) -> None:
        kind = type(self).__name__
        self._schedule: LearningRateSchedule | Callable[[], float] | None = None
        self._rate = 0.0
        if isinstance(value, LearningRateSchedule) or callable(value):
            self._schedule = value
        elif isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{kind}: learning_rate: expected a finite number >= 0, got {value}")
            self._rate = float(value)
        else:
            raise TypeError(f"{kind}: learning_rate: expected a number or a schedule, got {value!r}")

    def current_learning_rate(self) -> float:
        """The rate as a number."""
        schedule = self._schedule
        if schedule is None:
            return self._rate
        return schedule(self.iterations) if isinstance(schedule, LearningRateSchedule) else float(schedule())

    @property
    def updates(self) -> int:
        """Steps so far; within `step` the number of this one, from 1."""
        return self.iterations // (self.gradient_accumulation_steps or 1)

    def exclude_from_weight_decay(
        self, var_list: Sequence[Parameter] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Take no weight decay off these weights; to be called before the first step.

        var_list: parameters of layers.
        var_names: regular expressions; one that is found in an array's name ("bias", "kernel", ...) excludes it.

        >>> from pyrnn.optimizers import AdamW
        >>> AdamW().exclude_from_weight_decay(var_names=["bias"])
        """
        if self._parameters:
            raise ValueError(f"{self.name}: exclude_from_weight_decay: call it before the first step")
        for entry in var_list or ():
            if not isinstance(entry, Parameter):
                raise TypeError(
                    f"{self.name}: exclude_from_weight_decay: var_list: expected entries of layer.parameters, "
                    f"got {entry!r}; var_names=['bias'] excludes by name"
                )
        if isinstance(var_names, str) or any(not isinstance(entry, str) for entry in var_names or ()):
            raise TypeError(
                f"{self.name}: exclude_from_weight_decay: var_names: expected a list of names, got {var_names!r}"
            )
        self._kept_whole = (list(var_list or ()), list(var_names or ()))

    # The step -----------------------------------------------------------------------------------------------------

    def build(self, parameters: Sequence[Parameter]) -> None:
        """Make the state for these parameters; a second call with the same ones changes nothing."""
        if [id(p) for p in parameters] == [id(p) for p in self._parameters]:
            self._parameters = parameters
            return
        if self._parameters:
            raise ValueError(f"{self.name}: the optimizer has stepped another model; give each compile() a new one")
        self._parameters = parameters
        self._state = [self._new_state(p) for p in parameters]
        self._slots_of = list(zip(parameters, self._state, strict=True))
        self._decayed = [self._decayed_spans(p) for p in parameters]

    def apply(self, parameters: Sequence[Parameter]) -> None:
        """One step, from the parameters' gradients, or with gradient_accumulation_steps what leads to one."""
        if parameters is not self._parameters:
            self.build(parameters)
        rate = self._rate if self._schedule is None else self.current_learning_rate()
        self.iterations += 1
        if self.gradient_accumulation_steps is not None and not self._gather():
            return
        scale = 1.0
        if self.global_clipnorm is not None:
            total = sum(ops.sum_of_squares(p.flat_gradient) for p in self._parameters)
            scale = _clip_scale(math.sqrt(total), self.global_clipnorm)
        decay = self.weight_decay or 0.0
        for (parameter, state), spans in zip(self._slots_of, self._decayed, strict=True):
            gradient = parameter.flat_gradient
            if self.clipnorm is not None:
                _clip_arrays(parameter, gradient, self.clipnorm)
            elif self.clipvalue is not None:
                np.clip(gradient, -self.clipvalue, self.clipvalue, out=gradient)
            if decay and spans is not None:
                _decay_spans(parameter, spans, rate * decay)
                self.step(parameter.target, gradient, state, rate, 0.0, scale)
            else:
                self.step(parameter.target, gradient, state, rate, decay, scale)

    @abstractmethod
    def step(
        self, target: Any, gradient: Array, state: dict[str, Array], rate: float, decay: float, scale: float
    ) -> None:
        """The formula, on flat vectors: `decay` times `rate` is taken off, the gradient is multiplied by `scale`."""

    def initial(self, slot: str) -> float:
        """Where a slot starts."""
        return 0.0

    def _gather(self) -> bool:
        """Add the gradients to those that wait. True where it is time for a step, from their mean."""
        steps = self.gradient_accumulation_steps
        assert steps is not None
        complete = self.iterations % steps == 0
        for parameter, state in self._slots_of:
            waiting, gradient = state[_WAITING], parameter.flat_gradient
            if complete:
                gradient += waiting
                gradient /= steps
                waiting.fill(0)
            else:
                waiting += gradient
        return complete

    def _new_state(self, parameter: Parameter) -> dict[str, Array]:
        return {
            slot: parameter.pack([np.full(shape, self.initial(slot)) for shape in parameter.shapes])
            for slot in self.slots
        }

    def _decayed_spans(self, parameter: Parameter) -> list[slice] | None:
        """The slices that weight decay acts on; None where it is all of them."""
        parameters, names = self._kept_whole
        whole = [
            any(parameter is entry for entry in parameters) or any(re.search(pattern, name) for pattern in names)
            for name in parameter.names
        ]
        if not any(whole):
            return None
        return [span for spans, kept in zip(parameter.spans, whole, strict=True) if not kept for span in spans]

    # Saving -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values."""
        rate: Any = self._rate
        if isinstance(self._schedule, LearningRateSchedule):
            rate = schedules.serialize(self._schedule)
        elif self._schedule is not None:
            raise TypeError(f"{self.name}: learning_rate: a function cannot be saved: use a LearningRateSchedule")
        common = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps", "name")
        config = {"learning_rate": rate} | {a: getattr(self, a) for a in (*self.arguments, *common)}
        parameters, names = self._kept_whole
        if parameters:
            raise TypeError(
                f"{self.name}: exclude_from_weight_decay(var_list=...) cannot be saved: use var_names=['bias', ...]"
            )
        return config | ({"exclude_from_weight_decay": names} if names else {})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Optimizer:
        """A new optimiser from `get_config()`."""
        arguments = dict(config)
        rate, names = arguments["learning_rate"], arguments.pop("exclude_from_weight_decay", None)
        arguments["learning_rate"] = schedules.deserialize(rate) if isinstance(rate, dict) else rate
        optimizer = cls(**arguments)
        if names:
            optimizer.exclude_from_weight_decay(var_names=names)
        return optimizer

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
    "decay": (None, "use weight_decay= or a schedule of pyrnn.optimizers.schedules as learning_rate"),
    "lr": (None, "use learning_rate="),
}


def check_share(owner: str, argument: str, value: Any, one: bool = False) -> float:
    """`value` as a number in [0, 1), or [0, 1] with `one`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number, got {value!r}")
    if not (0 <= value < 1 or (one and value == 1)):
        raise ValueError(f"{owner}: {argument}: expected a number in [0, 1{']' if one else ')'}, got {value}")
    return float(value)


def check_epsilon(owner: str, value: Any) -> float:
    """`value` as a number > 0."""
    _check_positive_or_none(owner, "epsilon", value, zero=False)
    if value is None:
        raise TypeError(f"{owner}: epsilon: expected a number > 0, got None")
    return float(value)


def _check_positive_or_none(owner: str, argument: str, value: Any, zero: bool) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number > 0 or None, got {value!r}")
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        raise ValueError(f"{owner}: {argument}: expected a number > 0 or None, got {value!r}")


def _decay_spans(parameter: Parameter, spans: Sequence[slice], share: float) -> None:
    """Take a share off some of the parameter's arrays, in place; the step that follows says that they changed."""
    target = parameter.target
    flat = target.flat if isinstance(target, ops.Weights) else target
    for span in spans:
        piece = flat[span]
        piece -= piece * piece.dtype.type(share)


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
