"""Means over positions: errors, divergences, cross-entropies; and means and sums of numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyrnn import losses, ops
from pyrnn._types import Array
from pyrnn.metrics.base import Chosen, Metric, like


class MeanSquaredError(Metric):
    """Mean of (y_pred - y_true)^2."""

    default_name = "mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        difference = y_pred - like(y_true, y_pred)
        squares = difference * difference
        means: Array = squares.mean(axis=-1) if squares.ndim > 1 else squares
        return means


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of (y_pred - y_true)^2.

    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0.0], [0.0]], [[3.0], [4.0]])
    >>> round(metric.result(), 4)
    3.5355
    """

    default_name = "root_mean_squared_error"

    def result(self) -> Any:
        return math.sqrt(super().result())


class _OfLoss(Metric):
    """Base of the metrics that are a loss, looked at."""

    loss_class: ClassVar[type[losses.Loss]]

    def __init__(self, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name, dtype)
        self.loss = self.loss_class(**kwargs)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float64)
        if y_pred.ndim == 1:
            y_true, y_pred = y_true.reshape(-1, 1), y_pred[:, None]
        targets, y_pred, _ = self.loss._prepare(y_true, y_pred)
        return self.loss.loss_and_gradient(targets, y_pred)[0]


class MeanAbsoluteError(_OfLoss):
    """Mean of |y_pred - y_true|."""

    default_name = "mean_absolute_error"
    loss_class = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(_OfLoss):
    """100 times the mean of |y_pred - y_true| / |y_true|."""

    default_name = "mean_absolute_percentage_error"
    loss_class = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(_OfLoss):
    """Mean of (log(1 + y_pred) - log(1 + y_true))^2."""

    default_name = "mean_squared_logarithmic_error"
    loss_class = losses.MeanSquaredLogarithmicError


class LogCoshError(_OfLoss):
    """Mean of log(cosh(y_pred - y_true))."""

    default_name = "logcosh"
    loss_class = losses.LogCosh


class KLDivergence(_OfLoss):
    """Mean of sum(y_true * log(y_true / y_pred))."""

    default_name = "kl_divergence"
    loss_class = losses.KLDivergence


class Poisson(_OfLoss):
    """Mean of y_pred - y_true * log(y_pred)."""

    default_name = "poisson"
    loss_class = losses.Poisson


class Hinge(_OfLoss):
    """Mean of max(1 - y_true * y_pred, 0)."""

    default_name = "hinge"
    loss_class = losses.Hinge


class SquaredHinge(_OfLoss):
    """Mean of max(1 - y_true * y_pred, 0)^2."""

    default_name = "squared_hinge"
    loss_class = losses.SquaredHinge


class CategoricalHinge(_OfLoss):
    """Mean of max(neg - pos + 1, 0), see the loss."""

    default_name = "categorical_hinge"
    loss_class = losses.CategoricalHinge


class CosineSimilarity(_OfLoss):
    """Mean cosine of the angle between y_true and y_pred: 1 where they point the same way, unlike the loss.

    axis: the axis that the vectors run along.
    """

    default_name = "cosine_similarity"
    loss_class = losses.CosineSimilarity
    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        super().__init__(name, dtype, axis=axis)
        self.axis = axis

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return -super().values(y_true, y_pred)


class BinaryCrossentropy(Metric):
    """Mean of -(t log p + (1 - t) log(1 - p)).

    from_logits: the model's output is the argument of the sigmoid, not its value.
    label_smoothing: s turns t into t (1 - s) + s / 2.
    """

    default_name = "binary_crossentropy"
    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing")

    def __init__(
        self, name: str | None = None, dtype: Any = None, from_logits: bool = False, label_smoothing: float = 0
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits, self.label_smoothing = bool(from_logits), label_smoothing

    def values(self, y_true: Array, y_pred: Array) -> Array:
        p = _floats(y_pred)
        t = like(y_true, y_pred) * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.from_logits:
            p = ops.activation_forward("sigmoid", p)
        q = np.clip(p, 1e-7, 1 - 1e-7)
        entropy = -(t * np.log(q) + (1 - t) * np.log(1 - q))
        means: Array = entropy.mean(axis=-1) if entropy.ndim > 1 else entropy
        return means


class CategoricalCrossentropy(Metric):
    """Mean of -sum(t log p).

    from_logits: the model's output is the argument of the softmax, not its value.
    label_smoothing: s turns t into t (1 - s) + s / N.
    axis: -1, the axis of the classes.
    """

    default_name = "categorical_crossentropy"
    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.from_logits, self.label_smoothing = bool(from_logits), label_smoothing
        self.axis = _last_axis(self.name, axis)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        t = like(y_true, y_pred) * (1 - self.label_smoothing) + self.label_smoothing / y_pred.shape[-1]
        entropy: Array = -(t * log_probabilities(y_pred, self.from_logits)).sum(axis=-1)
        return entropy


class SparseCategoricalCrossentropy(Metric):
    """Mean of -log p[id].

    from_logits: the model's output is the argument of the softmax, not its value.
    axis: -1, the axis of the classes.
    """

    default_name = "sparse_categorical_crossentropy"
    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "axis")

    def __init__(self, name: str | None = None, dtype: Any = None, from_logits: bool = False, axis: int = -1) -> None:
        super().__init__(name, dtype)
        self.from_logits, self.axis = bool(from_logits), _last_axis(self.name, axis)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        ids = y_true.reshape(y_pred.shape[:-1]).astype(np.int64)
        logs = log_probabilities(y_pred, self.from_logits)
        entropy: Array = -np.take_along_axis(logs, ids[..., None], -1)[..., 0]
        return entropy


class Perplexity(SparseCategoricalCrossentropy):
    """exp of the mean cross-entropy a position; targets are ids or one-hot rows. Keras has it in keras_hub only.

    from_logits: the model's output is the argument of the softmax, not its value.

    >>> metric = Perplexity()
    >>> metric.update_state([[0, 1]], [[[0.5, 0.5], [0.5, 0.5]]])
    >>> round(metric.result(), 4)
    2.0
    """

    default_name = "perplexity"
    arguments: ClassVar[tuple[str, ...]] = ("from_logits",)

    def __init__(self, name: str | None = None, dtype: Any = None, from_logits: bool = False) -> None:
        super().__init__(name, dtype, from_logits)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return super().values(y_true.argmax(axis=-1) if y_true.shape == y_pred.shape else y_true, y_pred)

    def result(self) -> Any:
        return math.exp(min(super().result(), 700.0)) if self.count else 0.0


class ChosenCrossentropy(Chosen):
    """Stands for the cross-entropy that fits the shapes of the first batch: binary where the output has width 1,
    sparse where targets are ids, categorical else.
    """

    default_name = "crossentropy"

    def choose(self, y_true: Array, y_pred: Array) -> Metric:
        """The metric that is meant."""
        if y_pred.shape[-1] == 1:
            return BinaryCrossentropy(self.name)
        sparse = y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1
        return SparseCategoricalCrossentropy(self.name) if sparse else CategoricalCrossentropy(self.name)


class Mean(Metric):
    """Mean of numbers.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.result()
    2.0
    """

    default_name = "mean"

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add numbers, each with its weight."""
        array = np.atleast_1d(np.asarray(values, np.float64))
        weights = None if sample_weight is None else np.broadcast_to(np.asarray(sample_weight, np.float64), array.shape)
        self.add(array, None, weights)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        raise TypeError(f"{self.name}: expected numbers by update_state(values): it is no metric for compile()")


class Sum(Mean):
    """Sum of numbers.

    >>> metric = Sum()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.result()
    4.0
    """

    default_name = "sum"

    def result(self) -> Any:
        return self.total


class MeanMetricWrapper(Metric):
    """Mean of a function of y_true and y_pred that returns one value a position.

    fn: function of y_true, y_pred and the keyword arguments.

    >>> metric = MeanMetricWrapper(lambda t, y: abs(t - y).max(axis=-1), name="worst")
    >>> metric.update_state([[1.0, 2.0]], [[1.0, 4.0]])
    >>> metric.result()
    2.0
    """

    def __init__(self, fn: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        if not callable(fn):
            raise TypeError(f"MeanMetricWrapper: fn: expected a function of y_true and y_pred, got {fn!r}")
        super().__init__(name if name is not None else getattr(fn, "__name__", "function"), dtype)
        self.fn, self.kwargs = fn, kwargs

    def values(self, y_true: Array, y_pred: Array) -> Array:
        values = np.asarray(self.fn(y_true, y_pred, **self.kwargs))
        return values[None] if values.ndim == 0 else values


def log_probabilities(y_pred: Array, from_logits: bool) -> Array:
    """log p along the last axis, as Keras clips it."""
    y = _floats(y_pred)
    if from_logits:
        y = y - y.max(axis=-1, keepdims=True)
        logs: Array = y - np.log(np.exp(y).sum(axis=-1, keepdims=True))
        return logs
    logs = np.log(np.clip(y / y.sum(axis=-1, keepdims=True), 1e-7, 1 - 1e-7))
    return logs


def _floats(y: Array) -> Array:
    return y if y.dtype.kind == "f" else y.astype(np.float32)


def _last_axis(owner: str, axis: Any) -> int:
    if axis != -1:
        raise ValueError(f"{owner}: axis={axis!r} is not supported: classes are the last axis")
    return -1
