"""What weights are made to fulfil after every step of the optimiser: Keras's names.

A constraint is a projection: it takes an array and returns the array that it is replaced by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array
from pyrnn.regularizers import check_factor

_EPSILON = 1e-7  # Keras's


class Constraint(ABC):
    """Base: an array from an array.

    Attributes
        elementwise: each element is mapped by itself, and 0 to 0, so that arrays may come in pieces, in any order and
            padded by zeros.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, w: Array) -> Array:
        """What w is replaced by: same shape."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {argument: getattr(self, argument) for argument in self.arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Constraint:
        """A new one from `get_config()`."""
        return cls(**config)


class NonNeg(Constraint):
    """max(w, 0).

    >>> NonNeg()(np.array([1.0, -2.0]))
    array([1., 0.])
    """

    elementwise: ClassVar[bool] = True

    def __call__(self, w: Array) -> Array:
        positive: Array = np.maximum(w, w.dtype.type(0))
        return positive


class _Norm(Constraint):
    """Base of the constraints on the length of vectors.

    axis: integer or several, the axes along which the squares are summed; 0 is one vector a unit.
    """

    def __init__(self, axis: Any = 0) -> None:
        self.axis = _check_axis(type(self).__name__, axis)

    @abstractmethod
    def wanted(self, norms: Array) -> Array | float:
        """The lengths that vectors of these lengths are given."""

    def __call__(self, w: Array) -> Array:
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        norms = np.sqrt((w * w).sum(axis=axis, keepdims=True))
        scaled: Array = (w * (self.wanted(norms) / (norms + w.dtype.type(_EPSILON)))).astype(w.dtype, copy=False)
        return scaled


class MaxNorm(_Norm):
    """Vectors longer than `max_value` are scaled to that length.

    max_value: largest length.
    axis: the axes that a vector runs along; 0 is one vector a unit.

    >>> MaxNorm(1.0)(np.array([[3.0, 0.3], [4.0, 0.4]])).round(3)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """

    arguments: ClassVar[tuple[str, ...]] = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        super().__init__(axis)
        self.max_value = check_factor("MaxNorm", "max_value", max_value)

    def wanted(self, norms: Array) -> Array | float:
        clipped: Array = np.clip(norms, 0, self.max_value)
        return clipped


class UnitNorm(_Norm):
    """Every vector is scaled to length 1.

    axis: the axes that a vector runs along; 0 is one vector a unit.

    >>> UnitNorm()(np.array([[3.0], [4.0]])).round(3)
    array([[0.6],
           [0.8]])
    """

    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def wanted(self, norms: Array) -> Array | float:
        return 1.0


class MinMaxNorm(_Norm):
    """Vectors are scaled to lengths from `min_value` to `max_value`.

    min_value, max_value: the bounds.
    rate: share of the way that is gone in one step; 1 goes all of it.
    axis: the axes that a vector runs along; 0 is one vector a unit.

    >>> MinMaxNorm(0.5, 1.0)(np.array([[3.0, 0.03], [4.0, 0.04]])).round(3)
    array([[0.6, 0.3],
           [0.8, 0.4]])
    """

    arguments: ClassVar[tuple[str, ...]] = ("min_value", "max_value", "rate", "axis")

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        super().__init__(axis)
        self.min_value = check_factor("MinMaxNorm", "min_value", min_value)
        self.max_value = check_factor("MinMaxNorm", "max_value", max_value)
        self.rate = check_factor("MinMaxNorm", "rate", rate)
        if self.max_value < self.min_value:
            raise ValueError(f"MinMaxNorm: max_value: expected a number >= min_value = {min_value}, got {max_value}")

    def wanted(self, norms: Array) -> Array | float:
        clipped: Array = self.rate * np.clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return clipped


class _Function(Constraint):
    """A function of the user's; it can be used, not saved."""

    def __init__(self, function: Callable[[Array], Any]) -> None:
        self.function = function

    def __call__(self, w: Array) -> Array:
        result = np.asarray(self.function(w), w.dtype)
        if result.shape != w.shape:
            raise ValueError(f"constraint: {self.function!r}: expected an array {w.shape}, got {result.shape}")
        return result


def _check_axis(owner: str, axis: Any) -> int | list[int]:
    several = isinstance(axis, (list, tuple))
    axes = list(axis) if several else [axis]
    if any(isinstance(a, bool) or not isinstance(a, (int, np.integer)) for a in axes):
        raise TypeError(f"{owner}: axis: expected an integer or several, got {axis!r}")
    return [int(a) for a in axes] if several else int(axis)


_CLASSES: Mapping[str, type[Constraint]] = {cls.__name__: cls for cls in (MaxNorm, MinMaxNorm, NonNeg, UnitNorm)}
_NAMES: Mapping[str, type[Constraint]] = {
    "max_norm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "non_neg": NonNeg,
    "unit_norm": UnitNorm,
    **_CLASSES,
}


def get(identifier: Any, argument: str = "constraint") -> Constraint | None:
    """A constraint from its name, its config, a function (array -> array), or itself; None for None.

    argument: named in errors.

    >>> get("max_norm").get_config()
    {'max_value': 2.0, 'axis': 0}
    """
    if identifier is None or isinstance(identifier, Constraint):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ValueError(f"{argument}: expected one of {', '.join(_NAMES)}, got {identifier!r}")
        return _NAMES[identifier]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier, argument)
    if callable(identifier):
        return _Function(identifier)
    raise TypeError(f"{argument}: expected None, a name, a Constraint or a function, got {identifier!r}")


def serialize(constraint: Constraint) -> dict[str, Any]:
    """The config that `get` turns back into the constraint."""
    if _CLASSES.get(type(constraint).__name__) is not type(constraint):
        raise TypeError(f"constraint: {type(constraint).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(constraint).__name__, "config": constraint.get_config()}


def deserialize(config: Mapping[str, Any], argument: str = "constraint") -> Constraint:
    """A constraint from its config; only pyrnn's own classes are known."""
    name = str(config.get("class_name"))
    if name not in _CLASSES:
        raise ValueError(f"{argument}: expected one of {', '.join(_CLASSES)}, got {name!r}")
    return _CLASSES[name].from_config(config.get("config", {}))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm  # Keras's other names
