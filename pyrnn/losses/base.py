"""What every loss does around its formula: targets, weights, masks, reduction."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pyrnn._types import Array

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


class LossResult(NamedTuple):
    """A loss over one batch.

    value: mean over the positions (or the sum, as `reduction` says).
    dy: gradient of `value` by the model's output, or None.
    """

    value: float
    dy: Array | None


class Loss:
    """Base of the losses.

    reduction: "sum_over_batch_size" or "mean" (the mean over all positions that are no padding), "sum",
        "mean_with_sample_weight" (divided by the sum of the weights), or "none" (no number but an array, for calls;
        nothing that can be trained on).
    name: shown in messages.
    dtype: None; a loss is computed in the dtype of the model's output.

    There is no automatic differentiation: a loss of one's own says its gradient.

    >>> class Fourth(Loss):
    ...     def loss_and_gradient(self, y_true, y_pred):
    ...         error = y_pred - y_true
    ...         return (error**4).mean(axis=-1), 4 * error**3 / error.shape[-1]
    >>> Fourth()([[0.0, 0.0]], [[1.0, 2.0]])
    8.5
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    # the activation that this loss takes over when the model ends with it
    fuses: str | None = None
    from_logits = False
    axis = -1

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        kind = type(self).__name__
        if type(self)._sum is Loss._sum and type(self).loss_and_gradient is Loss.loss_and_gradient:
            raise TypeError(
                f"{kind}: expected a method loss_and_gradient(y_true, y_pred) -> (losses (B, ...), gradient of them "
                "by y_pred): there is no automatic differentiation, so call() is not enough"
            )
        if reduction not in REDUCTIONS:
            raise ValueError(f"{kind}: reduction: expected one of {', '.join(map(str, REDUCTIONS))}, got {reduction!r}")
        if dtype is not None:
            raise ValueError(
                f"{kind}: dtype={dtype!r} is not supported: a loss is computed in the dtype of the model's output"
            )
        self.reduction = reduction
        self.name = name if name is not None else snake(kind)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss of predictions.

        y_true, y_pred: arrays.
        sample_weight: (B,) or (B, T), or None.

        Returns a number; with reduction="none" an array, one loss a position.
        """
        predictions = np.asarray(y_pred)
        if predictions.dtype.kind != "f":
            predictions = predictions.astype(np.float32)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        if self.reduction not in ("none", None):
            return self.compute(np.asarray(y_true), predictions, weights, need_grad=False).value
        y_true, predictions, mask = self._prepare(np.asarray(y_true), predictions)
        positions = predictions.shape[:-1]
        rows = None
        if weights is not None or mask is not None:
            rows, _ = row_weights(positions, weights, mask, predictions.dtype)
        return self._each(y_true, predictions, rows)

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
        targets, y_pred, valid = self._prepare(y_true, y_pred)
        positions = y_pred.shape[:-1]
        if valid is not None:
            mask = valid & mask if mask is not None and mask.shape == positions else valid
        divisor: float = math.prod(positions)
        rows = None
        if weights is not None or mask is not None:
            rows, divisor = row_weights(positions, weights, mask, y_pred.dtype)
        if self.reduction == "mean_with_sample_weight" and rows is not None:
            divisor = float(rows.sum(dtype=np.float64))
        elif self.reduction in ("none", None):
            raise ValueError(
                f"{self.name}: reduction={self.reduction!r} gives no number to train on: use 'sum_over_batch_size'"
            )
        scale = 1.0 if self.reduction == "sum" else 1.0 / divisor if divisor else 0.0
        total, dy = self._sum(targets, y_pred, rows, scale, fused or self.from_logits, need_grad)
        if dy is not None and self._moves(dy.ndim):
            dy = np.ascontiguousarray(np.moveaxis(dy, -1, self.axis))
        return LossResult(total * scale, dy)

    def _prepare(self, y_true: Array, y_pred: Array) -> tuple[Array, Array, Array | None]:
        """Targets and predictions with the axis of the loss last, and which positions count, or None for all."""
        if self._moves(y_pred.ndim):
            if not -y_pred.ndim <= self.axis < y_pred.ndim:
                raise ValueError(f"{self.name}: axis={self.axis}: expected an axis of the output {y_pred.shape}")
            if y_true.ndim == y_pred.ndim:
                y_true = np.moveaxis(y_true, self.axis, -1)
            y_pred = np.ascontiguousarray(np.moveaxis(y_pred, self.axis, -1))
        return self._targets(y_true, y_pred), y_pred, None

    def _moves(self, rank: int) -> bool:
        return self.axis not in (-1, rank - 1)

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

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        """The losses (B, ...) of the positions, and (B, ..., N) the gradient of each by its own row of y_pred."""
        kind = type(self).__name__
        raise TypeError(f"{kind}: expected a method loss_and_gradient(y_true, y_pred) -> (losses, gradient)")

    def _sum(
        self, targets: Array, y_pred: Array, rows: Array | None, scale: float, logits: bool, need_grad: bool
    ) -> tuple[float, Array | None]:
        """The sum over the positions, and `scale` times its gradient."""
        values, dy = self.loss_and_gradient(targets, y_pred)
        values, dy = np.asarray(values), np.asarray(dy)
        if values.shape != y_pred.shape[:-1] or dy.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: loss_and_gradient: expected arrays {y_pred.shape[:-1]} and {y_pred.shape}, "
                f"got {values.shape} and {dy.shape}"
            )
        if rows is not None:  # a position of weight 0 counts for nothing, whatever is in it
            values = np.where(rows != 0, values * rows, 0)
        total = float(values.sum(dtype=np.float64))
        if not need_grad:
            return total, None
        if rows is None:
            return total, (dy * y_pred.dtype.type(scale)).astype(y_pred.dtype, copy=False)
        factors = (rows * y_pred.dtype.type(scale))[..., None]
        return total, np.where(factors != 0, dy * factors, 0).astype(y_pred.dtype, copy=False)

    def _each(self, targets: Array, y_pred: Array, rows: Array | None) -> Array:
        """The losses of the positions, one call a position."""
        positions = y_pred.shape[:-1]
        values = np.zeros(positions, y_pred.dtype)
        for at in np.ndindex(positions):
            part = tuple(slice(i, i + 1) for i in at)
            weights = None if rows is None else rows[part]
            values[at], _ = self._sum(targets[part], y_pred[part], weights, 1.0, self.from_logits, False)
        return values

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {a: getattr(self, a) for a in (*self.arguments, "reduction", "name")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """A new loss from `get_config()`."""
        return cls(**config)


def row_weights(
    positions: tuple[int, ...], weights: Array | None, mask: Array | None, dtype: Any
) -> tuple[Array, float]:
    """Weights of the positions, and the number of positions that a mean is over: those that the mask lets through."""
    count = math.prod(positions)
    rows = np.ones(positions, dtype)
    if weights is not None:
        if weights.ndim == len(positions) + 1 and weights.shape[-1] == 1:
            weights = weights[..., 0]
        shape = weights.shape + (1,) * (len(positions) - weights.ndim)
        fits = len(shape) == len(positions) and all(a in (1, b) for a, b in zip(shape[1:], positions[1:], strict=True))
        if weights.ndim == 0 or not fits or shape[0] != positions[0]:
            expected = f"{positions[:1]}" + (f" or {positions}" if len(positions) > 1 else "")
            raise ValueError(f"sample_weight: expected {expected}, got {weights.shape}")
        rows *= weights.reshape(shape).astype(dtype)
    if mask is not None and mask.shape == positions:
        rows *= mask
        count = int(np.count_nonzero(mask))
    return rows, count


def snake(name: str) -> str:
    """MeanSquaredError -> mean_squared_error, KLDivergence -> kl_divergence."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
