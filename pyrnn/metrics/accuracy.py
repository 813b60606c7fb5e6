"""How often the model is right."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array
from pyrnn.metrics.base import Chosen, Metric, like


class Accuracy(Metric):
    """Share of elements where y_pred equals y_true; the name "accuracy" chooses by the shapes instead.

    >>> metric = Accuracy()
    >>> metric.update_state([[1], [2]], [[1], [3]])
    >>> metric.result()
    0.5
    """

    default_name = "accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right = y_pred == like(y_true, y_pred)
        shares: Array = right.mean(axis=-1) if right.ndim > 1 else right
        return shares


class Hits(Metric):
    """Base of the metrics that ask whether the likeliest class is the right one.

    `values` is a bool a position; MetricSet computes it once for all of them.
    """

    accepts_logits: ClassVar[bool] = True

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return hits(y_true, y_pred)


class CategoricalAccuracy(Hits):
    """Share of positions whose likeliest class is the one of the one-hot target.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    default_name = "categorical_accuracy"


class SparseCategoricalAccuracy(Hits):
    """Share of positions whose likeliest class is the target's id.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.2, 0.8], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    default_name = "sparse_categorical_accuracy"


class ExactMatch(Hits):
    """Share of sequences of which every position is right; padding does not count.

    >>> metric = ExactMatch()
    >>> metric.update_state([[1, 0], [1, 1]], [[[0.2, 0.8], [0.3, 0.7]], [[0.2, 0.8], [0.3, 0.7]]])
    >>> metric.result()
    0.5
    """

    default_name = "exact_match"

    def add(self, values: Array, mask: Array | None, weights: Array | None = None) -> None:
        if mask is not None and values.shape == mask.shape:
            values = values | ~mask
        if weights is not None and weights.ndim > 1:
            raise ValueError(
                f"{self.name}: sample_weight: expected ({len(values)},), one a sequence, got {weights.shape}"
            )
        super().add(np.asarray(values.reshape(len(values), -1).all(axis=1)), None, weights)


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
        super().__init__(name, dtype)
        if not 0 < threshold < 1:
            raise ValueError(f"BinaryAccuracy: threshold: expected a number in (0, 1), got {threshold}")
        self.threshold = threshold

    def values(self, y_true: Array, y_pred: Array) -> Array:
        right = (y_pred > self.threshold) == (like(y_true, y_pred) > 0.5)
        shares: Array = right[..., 0] if right.shape[-1] == 1 else right.mean(axis=-1)
        return shares


class ChosenAccuracy(Chosen):
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


class TopKCategoricalAccuracy(Metric):
    """Share of positions where the class of the one-hot target is among the k likeliest.

    k: how many.

    >>> metric = TopKCategoricalAccuracy(k=2)
    >>> metric.update_state([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.9, 0.05, 0.8]])
    >>> metric.result()
    0.5
    """

    default_name = "top_k_categorical_accuracy"
    accepts_logits: ClassVar[bool] = True
    arguments: ClassVar[tuple[str, ...]] = ("k",)

    def __init__(self, k: int = 5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"{type(self).__name__}: k: expected an integer >= 1, got {k!r}")
        self.k = int(k)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if y_true.shape != y_pred.shape:
            raise ValueError(f"y: expected {y_pred.shape}, one-hot rows, got {y_true.shape}")
        return self._found(y_true.argmax(axis=-1), y_pred)

    def _found(self, ids: Array, y_pred: Array) -> Array:
        chosen = np.take_along_axis(y_pred, ids[..., None].astype(np.int64), -1)
        found: Array = ((y_pred > chosen).sum(axis=-1) < self.k) & np.isfinite(chosen[..., 0])
        return found


class SparseTopKCategoricalAccuracy(TopKCategoricalAccuracy):
    """Share of positions where the target's id is among the k likeliest.

    k: how many.

    >>> metric = SparseTopKCategoricalAccuracy(k=2)
    >>> metric.update_state([2, 1], [[0.1, 0.9, 0.8], [0.9, 0.05, 0.8]])
    >>> metric.result()
    0.5
    """

    default_name = "sparse_top_k_categorical_accuracy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        positions = y_pred.shape[:-1]
        if y_true.shape != positions and y_true.shape != (*positions, 1):
            raise ValueError(f"y: expected class ids {positions}, got {y_true.shape}")
        return self._found(y_true.reshape(positions), y_pred)


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
