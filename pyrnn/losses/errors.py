"""Errors of regressions, divergences and similarities: Keras's formulas with their gradients."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.losses.base import Loss

EPSILON = 1e-7  # Keras's


class MeanSquaredError(Loss):
    """mean((y_pred - y_true)^2) over the last axis.

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    2.5
    """

    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        width = y_pred.shape[-1]
        total, dy = ops.squared_error(y_pred, targets, weights=rows, scale=scale / width, need_grad=need_grad)
        return total / width, dy


class _Mean(Loss):
    """Base of the losses that are a mean over the last axis."""

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        values, slopes = self.elements(y_true, y_pred)
        return values.mean(axis=-1), slopes / y_pred.dtype.type(y_pred.shape[-1])

    @abstractmethod
    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        """The loss of every element and its derivative by y."""


class MeanAbsoluteError(_Mean):
    """mean(|y_pred - y_true|) over the last axis.

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    1.5
    """

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        error = y - t
        return np.abs(error), np.sign(error)


class MeanAbsolutePercentageError(_Mean):
    """100 * mean(|y_pred - y_true| / |y_true|) over the last axis; a target of 0 counts as 1e-7.

    >>> MeanAbsolutePercentageError()([[2.0, 1.0]], [[1.0, 2.0]])
    75.0
    """

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        error, share = y - t, 100 / np.maximum(np.abs(t), t.dtype.type(EPSILON))
        return np.abs(error) * share, np.sign(error) * share


class MeanSquaredLogarithmicError(_Mean):
    """mean((log(1 + y_pred) - log(1 + y_true))^2) over the last axis; numbers below 1e-7 count as that.

    >>> round(MeanSquaredLogarithmicError()([[0.0]], [[1.0]]), 4)
    0.4805
    """

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        least = y.dtype.type(EPSILON)
        positive = np.maximum(y, least) + 1
        error = np.log(positive) - np.log(np.maximum(t, least) + 1)
        return error * error, np.where(y < least, 0, 2 * error / positive)


class Huber(_Mean):
    """mean of e^2 / 2 where |e| <= delta, of delta |e| - delta^2 / 2 elsewhere; e = y_pred - y_true.

    delta: where the square goes over into a line.

    >>> Huber(delta=1.0)([[0.0, 0.0]], [[1.0, 3.0]])
    1.5

    Huber 1964, https://doi.org/10.1214/aoms/1177703732
    """

    arguments: ClassVar[tuple[str, ...]] = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, "huber_loss" if name is None else name, dtype)  # Keras's name for it
        if isinstance(delta, bool) or not isinstance(delta, (int, float, np.integer, np.floating)):
            raise TypeError(f"{self.name}: delta: expected a number > 0, got {delta!r}")
        if not (math.isfinite(delta) and delta > 0):
            raise ValueError(f"{self.name}: delta: expected a number > 0, got {delta}")
        self.delta = float(delta)

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        error, delta = y - t, y.dtype.type(self.delta)
        size, half = np.abs(error), y.dtype.type(0.5)
        values = np.where(size > delta, delta * size - half * delta * delta, half * error * error)
        return values, np.clip(error, -delta, delta)


class LogCosh(_Mean):
    """mean(log(cosh(y_pred - y_true))) over the last axis.

    >>> round(LogCosh()([[0.0]], [[1.0]]), 4)
    0.4338
    """

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        error = y - t
        size = np.abs(error)
        return size + np.log1p(np.exp(-2 * size)) - y.dtype.type(math.log(2)), np.tanh(error)


class Poisson(_Mean):
    """mean(y_pred - y_true * log(y_pred)) over the last axis.

    >>> round(Poisson()([[1.0]], [[1.0]]), 4)
    1.0
    """

    def elements(self, t: Array, y: Array) -> tuple[Array, Array]:
        moved = y + y.dtype.type(EPSILON)
        return y - t * np.log(moved), 1 - t / moved


class KLDivergence(Loss):
    """sum(y_true * log(y_true / y_pred)) over the last axis, both clipped to 1e-7 .. 1.

    >>> round(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]]), 4)
    0.1438
    """

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        least, most = y_pred.dtype.type(EPSILON), y_pred.dtype.type(1)
        t, y = np.clip(y_true, least, most), np.clip(y_pred, least, most)
        return (t * np.log(t / y)).sum(axis=-1), np.where(y == y_pred, -t / y, 0)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between y_true and y_pred: -1 where they point the same way.

    axis: the axis that the vectors run along.

    >>> round(CosineSimilarity()([[1.0, 0.0]], [[3.0, 4.0]]), 6)
    -0.6
    """

    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{self.name}: axis: expected an integer, got {axis!r}")
        self.axis = int(axis)

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        (t, _), (y, inverse) = _unit(y_true), _unit(y_pred)
        cosine = (t * y).sum(axis=-1, keepdims=True)
        along = np.where(inverse < 1 / EPSILON, cosine, 0)  # a vector shorter than that keeps its length
        return -cosine[..., 0], inverse * (along * y - t)


def _unit(x: Array) -> tuple[Array, Array]:
    """x divided by its length along the last axis, and 1 / length."""
    with np.errstate(divide="ignore"):
        inverse = 1 / np.sqrt((x * x).sum(axis=-1, keepdims=True))
    inverse = np.minimum(inverse, x.dtype.type(1 / EPSILON))
    return x * inverse, inverse
