"""The metrics of a compiled model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyrnn._types import Array
from pyrnn.metrics.accuracy import Hits, hits
from pyrnn.metrics.base import Chosen, Metric


class MetricSet:
    """The metrics of a compiled model: computed together, so that shared work is done once."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = list(metrics)
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names) or "loss" in names:
            raise ValueError(f"metrics: expected names that differ from each other and from 'loss', got {names}")
        self._chosen: list[Metric] = []
        self._waiting: list[list[Array]] | None = None

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
        """Settle what "accuracy" and "crossentropy" mean for arrays of these shapes."""
        self._chosen = [m.choose(y_true, y_pred) if isinstance(m, Chosen) else m for m in self.metrics]
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            for metric, arrays in zip(self._chosen, waiting, strict=True):
                metric.set_state_arrays(arrays)

    def reset(self) -> None:
        """Forget what was gathered."""
        for metric in self.metrics:
            metric.reset_state()
        self._chosen, self._waiting = [], None

    def update(self, y_true: Array, y_pred: Array, mask: Array | None, weights: Array | None = None) -> None:
        """Add one batch. weights: (B,) or (B, T), what a position counts (Keras's weighted_metrics), or None."""
        shared = None
        for metric in self._chosen:
            if isinstance(metric, Hits):
                shared = hits(y_true, y_pred) if shared is None else shared
                metric.add(shared, mask, weights)
            else:
                metric.gather(y_true, y_pred, mask, weights)

    def results(self) -> dict[str, Any]:
        """The values so far."""
        return {metric.name: metric.result() for metric in self._chosen or self.metrics}

    def state_arrays(self) -> list[list[Array]]:
        """What was gathered, for each metric; [] before the first batch."""
        return [metric.state_arrays() for metric in self._chosen]

    def set_state_arrays(self, arrays: Sequence[Sequence[Array]]) -> None:
        """Go on from `state_arrays`; what a name means is settled by the next batch."""
        self.reset()
        if not arrays:
            return
        if len(arrays) != len(self.metrics):
            raise ValueError(f"metrics: state: expected {len(self.metrics)} entries, got {len(arrays)}")
        self._waiting = [list(entry) for entry in arrays]
