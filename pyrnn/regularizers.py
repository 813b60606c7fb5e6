"""Penalties on weights or activations that are added to the loss: Keras's names, and their gradients.

A penalty is a sum over the array, not a mean: `L2(0.01)` adds 0.01 * sum(w^2). The gradient is written out, so a
function cannot stand for one: subclass `Regularizer` and write both methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array


class Regularizer(ABC):
    """Base: a number from an array, and its gradient.

    Attributes
        elementwise: the penalty is a sum of f(element) with f(0) = 0 and f'(0) = 0, so that arrays may come in pieces,
            in any order and padded by zeros.

    >>> class Cubes(Regularizer):
    ...     def __call__(self, x):
    ...         return float((abs(x) ** 3).sum())
    ...
    ...     def gradient(self, x):
    ...         return 3 * x * abs(x)
    >>> Cubes()(np.array([1.0, -2.0]))
    9.0
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, x: Array) -> float:
        """The penalty of an array."""

    @abstractmethod
    def gradient(self, x: Array) -> Array:
        """The derivative of the penalty by each element: shape and dtype of x."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {argument: getattr(self, argument) for argument in self.arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Regularizer:
        """A new one from `get_config()`."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2).

    l1, l2: numbers >= 0.

    >>> penalty = L1L2(l1=0.5, l2=0.25)
    >>> penalty(np.array([1.0, -2.0]))
    2.75
    >>> penalty.gradient(np.array([1.0, -2.0]))
    array([ 1. , -1.5])
    """

    arguments: ClassVar[tuple[str, ...]] = ("l1", "l2")
    elementwise: ClassVar[bool] = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        kind = type(self).__name__
        # Keras takes None for 0 here
        self.l1, self.l2 = (check_factor(kind, name, value or 0.0) for name, value in (("l1", l1), ("l2", l2)))

    def __call__(self, x: Array) -> float:
        penalty = 0.0
        if self.l1:
            penalty += self.l1 * float(np.abs(x).sum(dtype=np.float64))
        if self.l2:
            penalty += self.l2 * ops.sum_of_squares(x)
        return penalty

    def gradient(self, x: Array) -> Array:
        slope: Array = x * x.dtype.type(2 * self.l2)
        if self.l1:
            slope += np.sign(x) * x.dtype.type(self.l1)
        return slope


class L1(L1L2):
    """l1 * sum(|x|).

    >>> L1(0.5)(np.array([1.0, -2.0]))
    1.5
    """

    arguments: ClassVar[tuple[str, ...]] = ("l1",)

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=check_factor("L1", "l1", l1))


class L2(L1L2):
    """l2 * sum(x^2).

    >>> L2(0.25)(np.array([1.0, -2.0]))
    1.25
    """

    arguments: ClassVar[tuple[str, ...]] = ("l2",)

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=check_factor("L2", "l2", l2))


class OrthogonalRegularizer(Regularizer):
    """factor * mean |cosine| between any two rows (or columns) of a matrix.

    factor: number >= 0.
    mode: "rows" or "columns".

    >>> round(OrthogonalRegularizer(0.5)(np.array([[2.0, 0.0], [3.0, 4.0]])), 6)
    0.3
    """

    arguments: ClassVar[tuple[str, ...]] = ("factor", "mode")

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = check_factor("OrthogonalRegularizer", "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode: expected 'rows' or 'columns', got {mode!r}")
        self.mode = mode

    def __call__(self, x: Array) -> float:
        _, _, cosines = self._directions(x)
        return self._share(len(cosines)) * float(np.abs(cosines).sum(dtype=np.float64))

    def gradient(self, x: Array) -> Array:
        inverse, rows, cosines = self._directions(x)
        slope: Array = ops.dense_forward(np.sign(cosines), rows)
        slope *= slope.dtype.type(2 * self._share(len(rows)))
        # what would only change the length of a row has no effect; a row shorter than epsilon keeps its length
        along = (slope * rows).sum(axis=1, keepdims=True)
        slope = inverse * (slope - np.where(inverse < _LONGEST, along, 0) * rows)
        return np.ascontiguousarray(slope if self.mode == "rows" else slope.T)

    def _share(self, n: int) -> float:
        """What |cosine| counts; each pair comes twice."""
        return self.factor / (n * (n - 1)) if n > 1 else 0.0

    def _directions(self, x: Array) -> tuple[Array, Array, Array]:
        """1 / length of the rows, the rows of length 1, and the cosines between them, 0 on the diagonal."""
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: expected an array of 2 axes, got {x.shape}")
        rows = x if self.mode == "rows" else x.T
        with np.errstate(divide="ignore"):
            inverse = 1 / np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        inverse = np.minimum(inverse, rows.dtype.type(_LONGEST))
        rows = np.ascontiguousarray(rows * inverse)
        cosines: Array = ops.dense_forward(rows, np.ascontiguousarray(rows.T))
        np.fill_diagonal(cosines, 0)
        return inverse, rows, cosines


_LONGEST = 1e7  # 1 / Keras's epsilon


def check_factor(owner: str, argument: str, value: Any) -> float:
    """`value` as a finite number >= 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number >= 0, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{owner}: {argument}: expected a finite number >= 0, got {value}")
    return float(value)


_CLASSES: Mapping[str, type[Regularizer]] = {cls.__name__: cls for cls in (L1, L2, L1L2, OrthogonalRegularizer)}
_NAMES: Mapping[str, type[Regularizer]] = {
    "l1": L1,
    "l2": L2,
    "l1_l2": L1L2,
    "l1l2": L1L2,
    "orthogonal_regularizer": OrthogonalRegularizer,
    **_CLASSES,
}


def get(identifier: Any, argument: str = "regularizer") -> Regularizer | None:
    """A regulariser from its name, its config, or itself; None for None.

    argument: named in errors.

    >>> get("l2").get_config()
    {'l2': 0.01}
    """
    if identifier is None or isinstance(identifier, Regularizer):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ValueError(f"{argument}: expected one of {', '.join(_NAMES)}, got {identifier!r}")
        return _NAMES[identifier]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier, argument)
    if callable(identifier):
        raise TypeError(
            f"{argument}: expected a name or a Regularizer, got {identifier!r}: a function has no gradient; "
            "subclass pyrnn.regularizers.Regularizer with __call__ and gradient"
        )
    raise TypeError(f"{argument}: expected None, a name or a Regularizer, got {identifier!r}")


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """The config that `get` turns back into the regulariser."""
    if _CLASSES.get(type(regularizer).__name__) is not type(regularizer):
        raise TypeError(f"regularizer: {type(regularizer).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(regularizer).__name__, "config": regularizer.get_config()}


def deserialize(config: Mapping[str, Any], argument: str = "regularizer") -> Regularizer:
    """A regulariser from its config; only pyrnn's own classes are known."""
    name = str(config.get("class_name"))
    if name not in _CLASSES:
        raise ValueError(f"{argument}: expected one of {', '.join(_CLASSES)}, got {name!r}")
    return _CLASSES[name].from_config(config.get("config", {}))


def l1(l1: float = 0.01) -> L1:
    """`L1`, under Keras's other name."""
    return L1(l1)


def l2(l2: float = 0.01) -> L2:
    """`L2`, under Keras's other name."""
    return L2(l2)


def l1_l2(l1: float = 0.0, l2: float = 0.0) -> L1L2:
    """`L1L2`, under Keras's other name."""
    return L1L2(l1, l2)


orthogonal_regularizer = OrthogonalRegularizer
