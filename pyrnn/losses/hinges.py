"""Losses with a margin. Targets are -1 and 1; where all are 0 or 1 they are taken for that."""

from __future__ import annotations

import numpy as np

from pyrnn._types import Array
from pyrnn.losses.base import Loss


class Hinge(Loss):
    """mean(max(1 - y_true * y_pred, 0)) over the last axis.

    >>> Hinge()([[1.0, -1.0]], [[0.5, 0.5]])
    1.0
    """

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        t = signs(y_true)
        short = np.maximum(1 - t * y_pred, 0)
        return short.mean(axis=-1), np.where(short > 0, -t, 0) / y_pred.shape[-1]


class SquaredHinge(Loss):
    """mean(max(1 - y_true * y_pred, 0)^2) over the last axis.

    >>> SquaredHinge()([[1.0, -1.0]], [[0.5, 0.5]])
    1.25
    """

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        t = signs(y_true)
        short = np.maximum(1 - t * y_pred, 0)
        return (short * short).mean(axis=-1), -2 * short * t / y_pred.shape[-1]


class CategoricalHinge(Loss):
    """max(neg - pos + 1, 0), where pos = sum(y_true * y_pred) and neg = max((1 - y_true) * y_pred); y_true is 0 or 1.

    >>> CategoricalHinge()([[0.0, 1.0]], [[0.5, 0.75]])
    0.75
    """

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        wrong = (1 - y_true) * y_pred
        worst = wrong.argmax(axis=-1)[..., None]
        values = np.maximum(np.take_along_axis(wrong, worst, -1)[..., 0] - (y_true * y_pred).sum(axis=-1) + 1, 0)
        slope = -y_true
        at_worst = np.take_along_axis(slope, worst, -1) + np.take_along_axis(1 - y_true, worst, -1)
        np.put_along_axis(slope, worst, at_worst, -1)
        return values, np.where(values[..., None] > 0, slope, 0)


def signs(targets: Array) -> Array:
    """-1 and 1 for 0 and 1 where there is nothing else."""
    return 2 * targets - 1 if ((targets == 0) | (targets == 1)).all() else targets
