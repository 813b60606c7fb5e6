"""What a person wants to know of a model: Keras's metrics, and exact_match.

A metric gathers over the batches of an epoch. Steps that a mask marks as padding do not count.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array


class Metric(ABC):
    """Base of the metrics: a mean over positions.

    name: key in the logs.

    >>> metric = MeanAbsoluteError()
    >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    >>> metric.result()
    0.25
    """

    default_name: ClassVar[str] = "metric"
    # True where the argument of the last softmax does as well as its value
    accepts_logits: ClassVar[bool] = False
    arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str | None = None) -> None:
        self.name = name if name is not None else self.default_name
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was gathered."""
        self.total, self.count = 0.0, 0

    def update_state(self, y_true: Any, y_pred: Any, mask: Array | None = None) -> None:
        """Add one batch. y_true, y_pred: (B, ..., N); mask: (B, T) or None."""
        self.add(self.values(np.asarray(y_true), np.asarray(y_pred)), mask)

    @abstractmethod
    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The value of every position."""

    def add(self, values: Array, mask: Array | None) -> None:
        """Gather the values of one batch."""
        if mask is not None and values.shape == mask.shape:
            values = values[mask]
        self.total += float(np.count_nonzero(values) if values.dtype.kind == "b" else values.sum(dtype=np.float64))
        self.count += values.size

    def result(self) -> float:
        """The mean so far; 0 before the first batch."""
        return self.total / self.count if self.count else 0.0

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {a: getattr(self, a) for a in (*self.arguments, "name")}


class _Hits(Metric):
    """Base of the metrics that ask whether the likeliest class is the right one.

    `values` is a bool a position; MetricSet computes it once for all of them.
    """

    accepts_logits: ClassVar[bool] = True

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return hits(y_true, y_pred)


class CategoricalAccuracy(_Hits):
    """Share of positions whose likeliest class is the one of the one-hot target.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    default_name = "categorical_accuracy"


class SparseCategoricalAccuracy(_Hits):
    """Share of positions whose likeliest class is the target's id.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    default_name = "sparse_categorical_accuracy"


class ExactMatch(_Hits):
    """Share of sequences of which every position is right; padding does not count.

    >>> metric = ExactMatch()
    >>> metric.update_state([[1, 0], [1, 1]], [[[0.2, 0.8], [0.3, 0.7]], [[0.2, 0.8], [0.3, 0.7]]])
    >>> metric.result()
    0.5
    """

    default_name = "exact_match"

    def add(self, values: Array, mask: Array | None) -> None:
        if mask is not None and values.shape == mask.shape:
            values = values | ~mask
        super().add(np.asarray(values.reshape(len(values), -1).all(axis=1)), None)


class BinaryAccuracy(Metric):
    """Share of elements on the right side of the threshold.

    >>> metric = BinaryAccuracy()
    >>> metric.update_state([[1], [0]], [[0.8], [0.7]])
    >>> metric.result()
    0.5
    """

    default_name = "binary_accuracy"
    arguments: ClassVar[tuple[str, ...]] = ("threshold",)

    def __init__(self, name: str | None = None, dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right = (y_pred > self.threshold) == (like(y_true, y_pred) > 0.5)
        shares: Array = right[..., 0] if right.shape[-1] == 1 else right.mean(axis=-1)
        return shares


class MeanSquaredError(Metric):
    """Mean of (y_pred - y_true)^2."""

    default_name = "mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        difference = y_pred - like(y_true, y_pred)
        means: Array = (difference * difference).mean(axis=-1)
        return means


class MeanAbsoluteError(Metric):
    """Mean of |y_pred - y_true|."""

    default_name = "mean_absolute_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        means: Array = np.abs(y_pred - like(y_true, y_pred)).mean(axis=-1)
        return means


class Accuracy(Metric):
    """Stands for the accuracy that fits the shapes of the first batch, as in Keras: binary where the output has
    width 1, sparse where targets are ids, categorical else.
    """

    default_name = "accuracy"

    def choose(self, y_true: Array, y_pred: Array) -> Metric:
        """The metric that is meant."""
        if y_pred.shape[-1] == 1:
            return BinaryAccuracy(self.name)
        sparse = y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1
        return SparseCategoricalAccuracy(self.name) if sparse else CategoricalAccuracy(self.name)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self.choose(y_true, y_pred).values(y_true, y_pred)


def hits(y_true: Array, y_pred: Array) -> Array:
    """Where the likeliest class is right: bool (B, ...). y_true: one-hot rows, or ids."""
    chosen = y_pred.argmax(axis=-1)
    if y_true.shape == y_pred.shape:
        right: Array = chosen == y_true.argmax(axis=-1)
    elif y_true.shape == chosen.shape or y_true.shape == (*chosen.shape, 1):
        right = chosen == y_true.reshape(chosen.shape)
    else:
        raise ValueError(f"y: expected {y_pred.shape} or class ids {chosen.shape}, got {y_true.shape}")
    return right


def like(y_true: Array, y_pred: Array) -> Array:
    """y_true with the axes of y_pred."""
    if y_true.shape == y_pred.shape:
        return y_true
    if (*y_true.shape, 1) == y_pred.shape:
        return y_true[..., None]
    raise ValueError(f"y: expected {y_pred.shape} like the model's output, got {y_true.shape}")


class MetricSet:
    """The metrics of a compiled model: computed together, so that shared work is done once."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names) or "loss" in names:
            raise ValueError(f"metrics: expected names that differ from each other and from 'loss', got {names}")
        self._chosen: list[Metric] = []

    @property
    def names(self) -> list[str]:
        """Keys of the logs."""
        return [metric.name for metric in self.metrics]

    @property
    def first_batch(self) -> bool:
        """Whether nothing was gathered yet."""
        return not self._chosen

    @property
    def accept_logits(self) -> bool:
        """Whether no metric needs the value of the last softmax."""
        return all(metric.accepts_logits for metric in self._chosen)

    def choose(self, y_true: Array, y_pred: Array) -> None:
        """Settle what "accuracy" means for arrays of these shapes."""
        self._chosen = [m.choose(y_true, y_pred) if isinstance(m, Accuracy) else m for m in self.metrics]

    def reset(self) -> None:
        """Forget what was gathered."""
        for metric in self.metrics:
            metric.reset_state()
        self._chosen = []

    def update(self, y_true: Array, y_pred: Array, mask: Array | None) -> None:
        """Add one batch."""
        shared = None
        for metric in self._chosen:
            if isinstance(metric, _Hits):
                shared = hits(y_true, y_pred) if shared is None else shared
                metric.add(shared, mask)
            else:
                metric.add(metric.values(y_true, y_pred), mask)

    def results(self) -> dict[str, float]:
        """The means so far."""
        return {metric.name: metric.result() for metric in self._chosen or self.metrics}


_CLASSES: Mapping[str, type[Metric]] = {
    cls.__name__: cls
    for cls in (
        Accuracy,
        BinaryAccuracy,
        CategoricalAccuracy,
        ExactMatch,
        MeanAbsoluteError,
        MeanSquaredError,
        SparseCategoricalAccuracy,
    )
}
_NAMES: Mapping[str, type[Metric]] = {
    "accuracy": Accuracy,
    "acc": Accuracy,
    "binary_accuracy": BinaryAccuracy,
    "categorical_accuracy": CategoricalAccuracy,
    "sparse_categorical_accuracy": SparseCategoricalAccuracy,
    "exact_match": ExactMatch,
    "mse": MeanSquaredError,
    "mean_squared_error": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
}


def get(identifier: Any) -> Metric:
    """A metric from its name or itself; it is named as it was asked for.

    >>> get("acc").name
    'acc'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        if identifier in _NAMES:
            return _NAMES[identifier](identifier)
        if identifier in _CLASSES:
            return _CLASSES[identifier]()
        raise ValueError(f"metrics: expected names out of {', '.join(_NAMES)}, got {identifier!r}")
    raise TypeError(f"metrics: expected names or Metrics, got {identifier!r}")


def serialize(metric: Metric) -> dict[str, Any]:
    """The config that `deserialize` turns back into the metric."""
    if _CLASSES.get(type(metric).__name__) is not type(metric):
        raise TypeError(f"metrics: {type(metric).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Mapping[str, Any]) -> Metric:
    """A metric from its config; only pyrnn's own classes are known."""
    if config.get("class_name") not in _CLASSES:
        raise ValueError(f"metric: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[config["class_name"]](**config["config"])
