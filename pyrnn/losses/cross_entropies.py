"""Cross-entropies. The sums and gradients are the engine's.

A cross-entropy that follows the activation it belongs to (softmax, sigmoid) is computed from what that activation is
given: exact where a probability has come to 0 or 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.losses.base import Loss


class BinaryCrossentropy(Loss):
    """-mean(t log p + (1 - t) log(1 - p)) over the last axis.

    from_logits: the model's output is the argument of the sigmoid, not its value.
    label_smoothing: s turns t into t (1 - s) + s / 2.
    axis: the axis that the mean is over.

    >>> round(BinaryCrossentropy()([[1.0]], [[0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits, self.label_smoothing = bool(from_logits), _smoothing(self.name, label_smoothing)
        self.axis = _check_axis(self.name, axis)
        self.fuses = "sigmoid" if axis == -1 else None

    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        width = y_pred.shape[-1]
        if self.label_smoothing:
            targets = targets * targets.dtype.type(1 - self.label_smoothing) + targets.dtype.type(
                self.label_smoothing / 2
            )
        function = ops.sigmoid_cross_entropy if logits else ops.binary_cross_entropy_from_probabilities
        total, dy = function(y_pred, targets, weights=rows, scale=scale / width, need_grad=need_grad)
        return total / width, dy


class CategoricalCrossentropy(Loss):
    """-sum(t log p) over the last axis; t are probabilities, such as one-hot rows.

    from_logits: the model's output is the argument of the softmax, not its value.
    label_smoothing: s turns t into t (1 - s) + s / N.
    axis: the axis of the classes.

    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits, self.label_smoothing = bool(from_logits), _smoothing(self.name, label_smoothing)
        self.axis = _check_axis(self.name, axis)
        self.fuses = "softmax" if axis == -1 else None

    def _expected(self, shape: tuple[int, ...]) -> str:
        return (
            f"{shape} like the model's output for {self.name} (one-hot rows; "
            "for class ids use sparse_categorical_crossentropy)"
        )

    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        if self.label_smoothing:
            targets = targets * targets.dtype.type(1 - self.label_smoothing) + targets.dtype.type(
                self.label_smoothing / y_pred.shape[-1]
            )
        return _cross_entropy(targets, y_pred, rows, scale, logits, need_grad)


class SparseCategoricalCrossentropy(Loss):
    """-log p[id] over the last axis; targets are class ids.

    from_logits: the model's output is the argument of the softmax, not its value.
    ignore_class: an id whose positions do not count, such as -1 or that of padding.
    axis: the axis of the classes.

    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        if ignore_class is not None and (
            isinstance(ignore_class, bool) or not isinstance(ignore_class, (int, np.integer))
        ):
            raise TypeError(f"{self.name}: ignore_class: expected a class id or None, got {ignore_class!r}")
        self.ignore_class = None if ignore_class is None else int(ignore_class)
        self.from_logits = bool(from_logits)
        self.axis = _check_axis(self.name, axis)
        self.fuses = "softmax" if axis == -1 else None

    def _prepare(self, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array | None]:
        targets, y_pred, _ = super()._prepare(y_true, y_pred)
        if self.ignore_class is None:
            return targets, y_pred, None
        valid = targets != self.ignore_class
        return np.where(valid, targets, 0), y_pred, valid

    def _targets(self, y_true: Array, y_pred: Array) -> Array:
        positions = y_pred.shape[:-1]
        if y_true.shape != positions and y_true.shape != (*positions, 1):
            raise ValueError(f"y: expected class ids {positions} for {self.name}, got {y_true.shape}")
        if y_true.dtype.kind == "f":
            whole = y_true.astype(np.int64)
            if not (whole == y_true).all():
                raise TypeError(f"y: expected integer class ids for {self.name}, got {y_true.dtype} that are not whole")
            y_true = whole
        elif y_true.dtype.kind == "b":
            y_true = y_true.astype(np.int64)
        return y_true.reshape(positions)

    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        return _cross_entropy(targets, y_pred, rows, scale, logits, need_grad)


def _cross_entropy(
    targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
) -> tuple[float, Array | None]:
    if logits:
        total, dy, _ = ops.softmax_cross_entropy(y_pred, targets, weights=rows, scale=scale, need_grad=need_grad)
        return total, dy
    return ops.cross_entropy_from_probabilities(y_pred, targets, weights=rows, scale=scale, need_grad=need_grad)


def _smoothing(owner: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: label_smoothing: expected a number, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{owner}: label_smoothing: expected a number in [0, 1], got {value}")
    return float(value)


class BinaryFocalCrossentropy(Loss):
    """(1 - p_t)^gamma times the binary cross-entropy, where p_t is the probability of what is right.

    apply_class_balancing: multiply by alpha where t is 1, by 1 - alpha where it is 0.
    alpha, gamma: see there and above.
    from_logits: the model's output is the argument of the sigmoid, not its value.
    label_smoothing: s turns t into t (1 - s) + s / 2.
    axis: the axis that the mean is over.

    >>> round(BinaryFocalCrossentropy()([[1.0]], [[0.5]]), 4)
    0.1733

    Lin et al. 2018, https://arxiv.org/abs/1708.02002
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "apply_class_balancing",
        "alpha",
        "gamma",
        "from_logits",
        "label_smoothing",
        "axis",
    )

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.apply_class_balancing, self.alpha, self.gamma = bool(apply_class_balancing), alpha, gamma
        self.from_logits, self.label_smoothing = bool(from_logits), _smoothing(self.name, label_smoothing)
        self.axis = _check_axis(self.name, axis)

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        t = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
        p = ops.activation_forward("sigmoid", y_pred) if self.from_logits else y_pred
        q = np.clip(p, 1e-7, 1 - 1e-7)
        entropy = -(t * np.log(q) + (1 - t) * np.log(1 - q))
        entropy_slope = np.where(q == p, (q - t) / (q * (1 - q)), 0)
        missed = 1 - (t * p + (1 - t) * (1 - p))
        focus = missed**self.gamma
        focus_slope = self.gamma * missed ** (self.gamma - 1) * (1 - 2 * t)
        slope = focus_slope * entropy + focus * entropy_slope
        values = focus * entropy
        if self.apply_class_balancing:
            share = t * self.alpha + (1 - t) * (1 - self.alpha)
            values, slope = values * share, slope * share
        if self.from_logits:
            slope = slope * p * (1 - p)
        return values.mean(axis=-1), slope / y_pred.shape[-1]


def _check_axis(owner: str, axis: Any) -> int:
    if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
        raise TypeError(f"{owner}: axis: expected an integer, got {axis!r}")
    return int(axis)
