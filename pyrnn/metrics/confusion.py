"""What is counted of true and false, positives and negatives: precision, recall, F, areas under curves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.metrics.base import Metric, like, position_weights

_LOWEST = -1e10  # below every prediction
_EPSILON = 1e-7


class Confusion(Metric):
    """Base of the metrics that count, at each of several thresholds.

    `tp`, `fp`, `tn`, `fn` (n,) are what was counted, weighted.
    """

    thresholds: Array
    top_k: int | None = None
    class_id: int | None = None

    def reset_state(self) -> None:
        n = len(self.thresholds)
        self.tp, self.fp, self.tn, self.fn = (np.zeros(n) for _ in range(4))

    def state_arrays(self) -> list[Array]:
        return [self.tp.copy(), self.fp.copy(), self.tn.copy(), self.fn.copy()]

    def set_state_arrays(self, arrays: Sequence[Array]) -> None:
        self.tp, self.fp, self.tn, self.fn = (np.array(array, np.float64) for array in arrays)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        raise TypeError(f"{self.name}: is no mean over positions")

    def gather(self, y_true: Array, y_pred: Array, mask: Array | None, weights: Array | None) -> None:
        y_true = like(y_true, y_pred)
        if y_pred.ndim == 1:
            y_true, y_pred = y_true[:, None], y_pred[:, None]
        counts = position_weights(y_pred.shape[:-1], mask, weights)
        if self.top_k is not None:
            best = np.argsort(-y_pred, axis=-1, kind="stable")[..., : self.top_k]
            kept = np.full(y_pred.shape, _LOWEST, y_pred.dtype)
            np.put_along_axis(kept, best, np.take_along_axis(y_pred, best, -1), -1)
            y_pred = kept
        if self.class_id is not None:
            if not 0 <= self.class_id < y_pred.shape[-1]:
                raise ValueError(f"{self.name}: class_id: expected one of {y_pred.shape[-1]}, got {self.class_id}")
            y_true, y_pred = y_true[..., self.class_id, None], y_pred[..., self.class_id, None]
        each = np.broadcast_to(np.ones(1) if counts is None else counts[..., None], y_pred.shape).reshape(-1)
        # a padded prediction may be anything
        read = each != 0
        self._count(y_true.reshape(-1)[read] != 0, y_pred.reshape(-1)[read], each[read])

    def _count(self, positive: Array, predictions: Array, weights: Array) -> None:
        order = np.argsort(self.thresholds, kind="stable")
        thresholds = self.thresholds[order]
        if predictions.dtype == np.float32:
            thresholds = thresholds.astype(np.float32)
        # how many of the thresholds each prediction is above
        above = np.searchsorted(thresholds, predictions, side="left")
        n = len(thresholds)
        for label, over, under in ((True, self.tp, self.fn), (False, self.fp, self.tn)):
            chosen = positive == label
            counts = np.bincount(above[chosen], weights[chosen], n + 1)
            total = np.cumsum(counts)
            under[order] += total[:-1]
            over[order] += np.cumsum(counts[::-1])[::-1][1:]

    def result(self) -> Any:
        values = self.measure()
        return float(values[0]) if len(values) == 1 else values

    @abstractmethod
    def measure(self) -> Array:
        """The value at each threshold."""


class _AtThresholds(Confusion):
    """Base of the metrics that take thresholds only."""

    arguments: ClassVar[tuple[str, ...]] = ("thresholds",)

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        self._given = thresholds
        self.thresholds = _read_thresholds(type(self).__name__, thresholds, 0.5)
        super().__init__(name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self._given, "name": self.name}


class TruePositives(_AtThresholds):
    """How many positives are predicted as such, weighted.

    thresholds: number in [0, 1] or several that a prediction must exceed; 0.5 where it is not given.

    >>> metric = TruePositives()
    >>> metric.update_state([0, 1, 1], [0.9, 0.8, 0.3])
    >>> metric.result()
    1.0
    """

    default_name = "true_positives"

    def measure(self) -> Array:
        return self.tp


class FalsePositives(_AtThresholds):
    """How many negatives are predicted as positives, weighted.

    thresholds: see TruePositives.
    """

    default_name = "false_positives"

    def measure(self) -> Array:
        return self.fp


class TrueNegatives(_AtThresholds):
    """How many negatives are predicted as such, weighted.

    thresholds: see TruePositives.
    """

    default_name = "true_negatives"

    def measure(self) -> Array:
        return self.tn


class FalseNegatives(_AtThresholds):
    """How many positives are predicted as negatives, weighted.

    thresholds: see TruePositives.
    """

    default_name = "false_negatives"

    def measure(self) -> Array:
        return self.fn


class _Share(Confusion):
    """Base of precision and recall."""

    arguments: ClassVar[tuple[str, ...]] = ("thresholds", "top_k", "class_id")

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        for argument, value, least in (("top_k", top_k, 1), ("class_id", class_id, 0)):
            whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if value is not None and not (whole and value >= least):
                raise ValueError(f"{kind}: {argument}: expected an integer >= {least} or None, got {value!r}")
        self._given, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = _read_thresholds(kind, thresholds, 0.5 if top_k is None else _LOWEST)
        super().__init__(name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self._given, "top_k": self.top_k, "class_id": self.class_id, "name": self.name}


class Precision(_Share):
    """Share of what is predicted positive that is: tp / (tp + fp).

    thresholds: number in [0, 1] or several that a prediction must exceed; 0.5 where it is not given.
    top_k: only the k likeliest classes of a row can be positive.
    class_id: look at this class only.

    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
    >>> round(metric.result(), 4)
    0.6667
    """

    default_name = "precision"

    def measure(self) -> Array:
        return _divide(self.tp, self.tp + self.fp)


class Recall(_Share):
    """Share of the positives that is predicted as such: tp / (tp + fn).

    thresholds, top_k, class_id: see Precision.

    >>> metric = Recall()
    >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
    >>> round(metric.result(), 4)
    0.6667
    """

    default_name = "recall"

    def measure(self) -> Array:
        return _divide(self.tp, self.tp + self.fn)


class AUC(Confusion):
    """Area under a curve, from counts at thresholds.

    num_thresholds: how many, evenly from 0 to 1.
    curve: "ROC" (recall over the share of false positives) or "PR" (precision over recall).
    summation_method: "interpolation" (trapezia; for PR by the formula of Davis & Goadrich), "minoring" or "majoring".
    thresholds: in place of the even ones between 0 and 1.
    from_logits: predictions are arguments of the sigmoid.

    >>> metric = AUC(num_thresholds=3)
    >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    >>> metric.result()
    0.75

    Davis & Goadrich 2006, https://doi.org/10.1145/1143844.1143874
    """

    default_name = "auc"
    arguments: ClassVar[tuple[str, ...]] = ("num_thresholds", "curve", "summation_method", "thresholds", "from_logits")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        for argument, value, off in (
            ("multi_label", multi_label, False),
            ("num_labels", num_labels, None),
            ("label_weights", label_weights, None),
        ):
            if value is not off:
                raise ValueError(f"AUC: {argument}={value!r} is not supported: use one AUC for each label's column")
        if curve not in ("ROC", "PR"):
            raise ValueError(f"AUC: curve: expected 'ROC' or 'PR', got {curve!r}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(
                f"AUC: summation_method: expected 'interpolation', 'minoring' or 'majoring', got {summation_method!r}"
            )
        if isinstance(num_thresholds, bool) or not isinstance(num_thresholds, (int, np.integer)) or num_thresholds < 2:
            raise ValueError(f"AUC: num_thresholds: expected an integer >= 2, got {num_thresholds!r}")
        self._given = thresholds
        if thresholds is None:
            inner = [(i + 1) / (num_thresholds - 1) for i in range(num_thresholds - 2)]
        else:
            inner = sorted(_read_thresholds("AUC", thresholds, 0.5).tolist())
        self.num_thresholds = len(inner) + 2
        self.thresholds = np.array([-_EPSILON, *inner, 1 + _EPSILON])
        self.curve, self.summation_method, self.from_logits = curve, summation_method, bool(from_logits)
        super().__init__(name, dtype)

    def gather(self, y_true: Array, y_pred: Array, mask: Array | None, weights: Array | None) -> None:
        if self.from_logits:
            y_pred = ops.activation_forward(
                "sigmoid", y_pred if y_pred.dtype.kind == "f" else y_pred.astype(np.float32)
            )
        super().gather(y_true, y_pred, mask, weights)

    def measure(self) -> Array:
        if self.curve == "PR" and self.summation_method == "interpolation":
            return np.array([self._precision_recall()])
        recall = _divide(self.tp, self.tp + self.fn)
        if self.curve == "ROC":
            x, y = _divide(self.fp, self.fp + self.tn), recall
        else:
            x, y = recall, _divide(self.tp, self.tp + self.fp)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return np.array([((x[:-1] - x[1:]) * heights).sum()])

    def _precision_recall(self) -> float:
        """Between two thresholds, true positives grow in proportion to all positives."""
        gained = self.tp[:-1] - self.tp[1:]
        p = self.tp + self.fp
        slope = _divide(gained, np.maximum(p[:-1] - p[1:], 0))
        intercept = self.tp[1:] - slope * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        ratio = np.where(both, _divide(p[:-1], np.maximum(p[1:], 0)), 1)
        area = _divide(slope * (gained + intercept * np.log(ratio)), np.maximum(self.tp[1:] + self.fn[1:], 0))
        return float(area.sum())

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {**config, "thresholds": self._given}


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), for one-hot rows.

    average: None for one value a class, "micro" over all, "macro" the mean of the classes, "weighted" by their size.
    beta: what recall counts against precision.
    threshold: what a prediction must exceed; None takes the likeliest class.

    >>> metric = FBetaScore(average="micro", beta=2.0, threshold=0.5)
    >>> metric.update_state([[1, 1, 1], [1, 0, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6]])
    >>> round(metric.result(), 4)
    0.5
    """

    default_name = "fbeta_score"
    arguments: ClassVar[tuple[str, ...]] = ("average", "beta", "threshold")

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        kind = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(f"{kind}: average: expected None, 'micro', 'macro' or 'weighted', got {average!r}")
        if not beta > 0:
            raise ValueError(f"{kind}: beta: expected a number > 0, got {beta}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"{kind}: threshold: expected a number in (0, 1] or None, got {threshold}")
        self.average, self.beta, self.threshold = average, float(beta), threshold
        super().__init__(name, dtype)

    def reset_state(self) -> None:
        self.tp, self.fp, self.fn, self.size = (np.zeros(1) for _ in range(4))

    def state_arrays(self) -> list[Array]:
        return [np.array(array) for array in (self.tp, self.fp, self.fn, self.size)]

    def set_state_arrays(self, arrays: Sequence[Array]) -> None:
        self.tp, self.fp, self.fn, self.size = (np.array(array, np.float64) for array in arrays)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        raise TypeError(f"{self.name}: is no mean over positions")

    def gather(self, y_true: Array, y_pred: Array, mask: Array | None, weights: Array | None) -> None:
        y_true = like(y_true, y_pred)
        if y_pred.ndim < 2:
            raise ValueError(f"{self.name}: expected rows (B, ..., classes), got {y_pred.shape}")
        counts = position_weights(y_pred.shape[:-1], mask, weights)
        width = y_pred.shape[-1]
        if self.threshold is None:
            chosen = (y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            chosen = y_pred > self.threshold
        p, t = chosen.reshape(-1, width).astype(np.float64), y_true.reshape(-1, width).astype(np.float64)
        w = np.ones((len(p), 1)) if counts is None else counts.reshape(-1, 1)
        axis = None if self.average == "micro" else 0
        self.tp = self.tp + (p * t * w).sum(axis=axis)
        self.fp = self.fp + (p * (1 - t) * w).sum(axis=axis)
        self.fn = self.fn + ((1 - p) * t * w).sum(axis=axis)
        self.size = self.size + (t * w).sum(axis=axis)

    def result(self) -> Any:
        precision = self.tp / (self.tp + self.fp + _EPSILON)
        recall = self.tp / (self.tp + self.fn + _EPSILON)
        square = self.beta**2
        scores = precision * recall / (square * precision + recall + _EPSILON) * (1 + square)
        if self.average == "weighted":
            return float((scores * self.size / (self.size.sum() + _EPSILON)).sum())
        return scores if self.average is None else float(scores.mean())


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall), for one-hot rows.

    average, threshold: see FBetaScore.

    >>> metric = F1Score(average="macro", threshold=0.5)
    >>> metric.update_state([[1, 1, 1], [1, 0, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6]])
    >>> round(metric.result(), 4)
    0.4444
    """

    default_name = "f1_score"
    arguments: ClassVar[tuple[str, ...]] = ("average", "threshold")

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


def _read_thresholds(owner: str, given: Any, default: float) -> Array:
    thresholds = np.atleast_1d(np.asarray(default if given is None else given, np.float64))
    if thresholds.ndim != 1 or (given is not None and not ((thresholds >= 0) & (thresholds <= 1)).all()):
        raise ValueError(f"{owner}: thresholds: expected numbers in [0, 1], got {given!r}")
    return thresholds


def _divide(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(a, np.float64), where=b != 0)
