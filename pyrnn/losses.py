"""What training makes small: Keras's losses. The sums and gradients are the engine's.

A loss is a mean over the positions of a batch: samples, and steps where the model's output is a sequence. A
cross-entropy that follows the activation it belongs to (softmax, sigmoid) is computed from what that activation is
given: exact where a probability has come to 0 or 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pyrnn import ops
from pyrnn._types import Array


class LossResult(NamedTuple):
    """A loss over one batch.

    value: mean over the positions (or the sum, as `reduction` says).
    dy: gradient of `value` by the model's output, or None.
    """

    value: float
    dy: Array | None


class Loss(ABC):
    """Base of the losses.

    reduction: "sum_over_batch_size" (the mean over all positions) or "sum".
    name: shown in messages.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    # the activation that this loss takes over when the model ends with it
    fuses: ClassVar[str | None] = None
    from_logits = False

    def __init__(self, reduction: str = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in ("sum_over_batch_size", "sum"):
            raise ValueError(
                f"{type(self).__name__}: reduction: expected 'sum_over_batch_size' or 'sum', got {reduction!r}"
            )
        self.reduction = reduction
        self.name = name if name is not None else _snake_names[type(self).__name__]

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """The loss of predictions. y_true, y_pred: arrays; sample_weight: (B,) or (B, T), or None."""
        predictions = np.asarray(y_pred)
        if predictions.dtype.kind != "f":
            predictions = predictions.astype(np.float32)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return self.compute(np.asarray(y_true), predictions, weights, need_grad=False).value

    def compute(
        self,
        y_true: Array,
        y_pred: Array,
        weights: Array | None = None,
        *,
        mask: Array | None = None,
        fused: bool = False,
        need_grad: bool = True,
    ) -> LossResult:
        """The loss and its gradient.

        y_true: targets.
        y_pred: (B, ..., N) the model's output, or with `fused` what its last activation is given.
        weights: (B,) or (B, T), multiplies the loss of a position.
        mask: (B, T); false positions do not count.
        """
        positions = y_pred.shape[:-1]
        count = math.prod(positions)
        rows = None
        if weights is not None or mask is not None:
            rows, count = _row_weights(positions, weights, mask, y_pred.dtype)
        scale = 1.0 if self.reduction == "sum" else 1.0 / max(count, 1)
        targets = self._targets(y_true, y_pred)
        total, dy = self._sum(targets, y_pred, rows, scale, fused or self.from_logits, need_grad)
        return LossResult(total * scale, dy)

    def _targets(self, y_true: Array, y_pred: Array) -> Array:
        """y_true as the engine takes it: shape and dtype of y_pred."""
        shape = y_pred.shape
        if y_true.shape != shape:
            if y_true.shape != shape[:-1] or shape[-1] != 1:  # (B,) stands for (B, 1)
                raise ValueError(f"y: expected {self._expected(shape)}, got {y_true.shape}")
            y_true = y_true[..., None]
        if y_true.dtype != y_pred.dtype:
            y_true = y_true.astype(y_pred.dtype)
        return y_true

    def _expected(self, shape: tuple[int, ...]) -> str:
        return f"{shape} like the model's output for {self.name}"

    @abstractmethod
    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        """The sum over the positions, and `scale` times its gradient."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {a: getattr(self, a) for a in (*self.arguments, "reduction", "name")}


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


class BinaryCrossentropy(Loss):
    """-mean(t log p + (1 - t) log(1 - p)) over the last axis.

    from_logits: the model's output is the argument of the sigmoid, not its value.
    label_smoothing: s turns t into t (1 - s) + s / 2.

    >>> round(BinaryCrossentropy()([[1.0]], [[0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing")
    fuses: ClassVar[str | None] = "sigmoid"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing = bool(from_logits), _smoothing(self.name, label_smoothing)

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

    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits", "label_smoothing")
    fuses: ClassVar[str | None] = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        if axis != -1:
            raise ValueError(f"{self.name}: axis={axis} is not supported: classes are the last axis")
        self.from_logits, self.label_smoothing = bool(from_logits), _smoothing(self.name, label_smoothing)

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

    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    arguments: ClassVar[tuple[str, ...]] = ("from_logits",)
    fuses: ClassVar[str | None] = "softmax"

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        reduction: str = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        if ignore_class is not None:
            raise ValueError(f"{self.name}: ignore_class={ignore_class} is not supported: use sample_weight of fit")
        if axis != -1:
            raise ValueError(f"{self.name}: axis={axis} is not supported: classes are the last axis")
        self.from_logits = bool(from_logits)

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
    if not 0 <= value <= 1:
        raise ValueError(f"{owner}: label_smoothing: expected a number in [0, 1], got {value}")
    return float(value)


def _row_weights(
    positions: tuple[int, ...], weights: Array | None, mask: Array | None, dtype: Any
) -> tuple[Array, int]:
    """Weights of the positions, and the number of positions that the mean is over."""
    count = math.prod(positions)
    rows = np.ones(positions, dtype)
    if weights is not None:
        if weights.shape != positions[: weights.ndim] or weights.ndim == 0:
            expected = f"{positions[:1]}" + (f" or {positions}" if len(positions) > 1 else "")
            raise ValueError(f"sample_weight: expected {expected}, got {weights.shape}")
        rows *= weights.reshape(weights.shape + (1,) * (len(positions) - weights.ndim)).astype(dtype)
    if mask is not None and mask.shape == positions:
        rows *= mask
        count = int(np.count_nonzero(mask))
    return rows, count


_CLASSES: Mapping[str, type[Loss]] = {
    cls.__name__: cls
    for cls in (MeanSquaredError, BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy)
}
_snake_names: Mapping[str, str] = {
    "MeanSquaredError": "mean_squared_error",
    "BinaryCrossentropy": "binary_crossentropy",
    "CategoricalCrossentropy": "categorical_crossentropy",
    "SparseCategoricalCrossentropy": "sparse_categorical_crossentropy",
}
_NAMES: Mapping[str, type[Loss]] = {
    **{name: _CLASSES[cls] for cls, name in _snake_names.items()},
    "mse": MeanSquaredError,
    "MSE": MeanSquaredError,
    "bce": BinaryCrossentropy,
    "BCE": BinaryCrossentropy,
    **_CLASSES,
}


def get(identifier: Any) -> Loss:
    """A loss from its name or itself.

    >>> get("mse").name
    'mean_squared_error'
    """
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _NAMES:
            raise ValueError(f"loss: expected one of {', '.join(_snake_names.values())}, got {identifier!r}")
        return _NAMES[identifier]()
    raise TypeError(f"loss: expected a name or a Loss, got {identifier!r}")


def serialize(loss: Loss) -> dict[str, Any]:
    """The config that `deserialize` turns back into the loss."""
    if _CLASSES.get(type(loss).__name__) is not type(loss):
        raise TypeError(f"loss: {type(loss).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(loss).__name__, "config": loss.get_config()}


def deserialize(config: Mapping[str, Any]) -> Loss:
    """A loss from its config; only pyrnn's own classes are known."""
    if config.get("class_name") not in _CLASSES:
        raise ValueError(f"loss: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[config["class_name"]](**config["config"])
