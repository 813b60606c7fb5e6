"""Base of the metrics: what they gather over the batches of an epoch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array


class Metric(ABC):
    """Base of the metrics: a mean over positions, or what a subclass makes of it. Padding does not count.

    name: key in the logs.
    dtype: None; metrics are gathered in float64.

    >>> from pyrnn.metrics import MeanAbsoluteError
    >>> metric = MeanAbsoluteError()
    >>> metric.update_state(np.array([[1.0], [2.0]]), np.array([[1.5], [2.0]]))
    >>> metric.result()
    0.25
    """

    default_name: ClassVar[str] = "metric"
    # True where the argument of the last softmax does as well as its value
    accepts_logits: ClassVar[bool] = False
    arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        if dtype is not None:
            raise ValueError(
                f"{type(self).__name__}: dtype={dtype!r} is not supported: metrics are gathered in float64"
            )
        self.name = name if name is not None else self.default_name
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was gathered."""
        self.total, self.count = 0.0, 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> None:
        """Add one batch.

        y_true, y_pred: (B, ..., N).
        sample_weight: (B,) or (B, T), or None: what a position counts.
        mask: (B, T) or None; false steps are padding.
        """
        weights = None if sample_weight is None else np.asarray(sample_weight)
        self.gather(np.asarray(y_true), np.asarray(y_pred), None if mask is None else np.asarray(mask, bool), weights)

    def gather(self, y_true: Array, y_pred: Array, mask: Array | None, weights: Array | None) -> None:
        """`update_state` for arrays."""
        self.add(self.values(y_true, y_pred), mask, weights)

    @abstractmethod
    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The value of every position."""

    def add(self, values: Array, mask: Array | None, weights: Array | None = None) -> None:
        """Gather the values of one batch."""
        counts = position_weights(values.shape, mask, weights)
        if weights is None:
            if counts is not None:
                values = values[counts != 0]
            self.total += float(np.count_nonzero(values) if values.dtype.kind == "b" else values.sum(dtype=np.float64))
            self.count += values.size
            return
        assert counts is not None
        self.total += float(np.where(counts != 0, values * counts, 0).sum(dtype=np.float64))
        self.count += float(counts.sum(dtype=np.float64))

    def result(self) -> Any:
        """The mean so far; 0 before the first batch."""
        return self.total / self.count if self.count else 0.0

    def state_arrays(self) -> list[Array]:
        """What was gathered; with `set_state_arrays` a run that was stopped in an epoch goes on with the same bits."""
        return [np.array([self.total, self.count])]

    def set_state_arrays(self, arrays: Sequence[Array]) -> None:
        """Go on from the `state_arrays` of a metric of the same arguments."""
        (both,) = arrays
        self.total, self.count = float(both[0]), float(both[1])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {a: getattr(self, a) for a in (*self.arguments, "name")}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Metric:
        """A new metric from `get_config()`."""
        return cls(**config)


class Chosen(Metric):
    """Stands for the metric that fits the shapes of the first batch."""

    @abstractmethod
    def choose(self, y_true: Array, y_pred: Array) -> Metric:
        """The metric that is meant."""

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return self.choose(y_true, y_pred).values(y_true, y_pred)


def position_weights(positions: tuple[int, ...], mask: Array | None, weights: Array | None) -> Array | None:
    """What every position counts, in float64; None for 1 each. A mask of other axes belongs to something else."""
    if mask is not None and mask.shape != positions[: mask.ndim]:
        mask = None
    if mask is None and weights is None:
        return None
    counts = np.ones(positions)
    if weights is not None:
        if weights.ndim == len(positions) + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        if weights.ndim == 0 or weights.shape != positions[: weights.ndim]:
            expected = f"{positions[:1]}" + (f" or {positions}" if len(positions) > 1 else "")
            raise ValueError(f"sample_weight: expected {expected}, got {weights.shape}")
        counts *= weights.reshape(weights.shape + (1,) * (len(positions) - weights.ndim))
    if mask is not None:
        counts *= mask.reshape(mask.shape + (1,) * (len(positions) - mask.ndim))
    return counts


def like(y_true: Array, y_pred: Array) -> Array:
    """y_true with the axes of y_pred."""
    if y_true.shape == y_pred.shape:
        return y_true
    if (*y_true.shape, 1) == y_pred.shape:
        return y_true[..., None]
    if y_true.shape == (*y_pred.shape, 1):
        return y_true[..., 0]
    raise ValueError(f"y: expected {y_pred.shape} like the model's output, got {y_true.shape}")
