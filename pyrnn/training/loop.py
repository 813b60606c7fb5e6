"""The loop of `fit`: epochs, batches, validation, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyrnn.training.callbacks.base import CallbackList
from pyrnn.training.interrupts import Interrupts
from pyrnn.training.sources import Batch, Source

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable


class Loop:
    """One call of `fit`.

    epoch, done: the epoch it is in, and batches of it that are done.
    epochs: number of the last epoch.
    cursor: of the source, after the batches that are done.
    begun: its callbacks have heard of the beginning of the epoch.
    between: the model stands between two batches, so that a run can go on from here to the bit.
    """

    def __init__(
        self,
        model: Compilable,
        source: Source,
        step: Callable[[Batch], float],
        validate: Callable[[], dict[str, float]] | None,
        is_validated: Callable[[int], bool],
        listeners: CallbackList,
        first: int,
        epochs: int,
        tbptt: int | None = None,
    ) -> None:
        self.model, self.source, self.step = model, source, step
        self.validate, self.is_validated = validate, is_validated
        self.listeners = listeners
        self.epoch, self.epochs = first, epochs
        self.done = 0
        self.cursor = source.cursor
        self.between = True
        self.begun = False
        self.tbptt = tbptt
        # layers that forward alone changes make the middle of a step no place to go on from
        self._step_changes = (
            tbptt is not None
            or bool(model.stateful_layers())
            or any(not getattr(p, "trainable", True) for layer in model.flat_layers() for p in layer.parameters)
        )
        self.going_on: Callable[[], None] | None = None

    def run(self, interrupts: Interrupts) -> dict[str, float]:
        """Returns the logs of the last epoch."""
        logs: dict[str, float] = {}
        model = self.model
        while self.epoch < self.epochs and not model.stop_training:
            logs = self._epoch(interrupts)
            self.epoch, self.done, self.begun = self.epoch + 1, 0, False
            self.cursor = self.source.cursor
            self.listeners.backup(self)
            self.between = True
            if self.source.exhausted:
                break
        return logs

    def _epoch(self, interrupts: Interrupts) -> dict[str, float]:
        goals = self.model.goals
        epoch = self.epoch
        if self.going_on is None:
            goals.reset()
            self.source.begin()
            self.cursor = self.source.cursor
        self.between = False
        self.listeners.on_epoch_begin(epoch)
        self.begun = True
        if self.going_on is not None:  # callbacks may have changed what was restored
            self.going_on()
            self.going_on = None
        self._batches(interrupts)
        self.between = False
        logs = goals.results()
        self.source.end()
        if self.validate is not None and self.is_validated(epoch + 1):
            logs |= {f"val_{name}": value for name, value in self.validate().items()}
        self.listeners.on_epoch_end(epoch, logs)
        return logs

    def _batches(self, interrupts: Interrupts) -> None:
        model, source, goals, step = self.model, self.source, self.model.goals, self.step
        begin, end, backup = self.listeners.batch_begin, self.listeners.batch_end, self.listeners.backs_up_batches
        between = not self._step_changes
        while True:
            self.between = True
            batch = source.next()
            if batch is None:
                return
            for callback in begin:
                callback(self.done, {})
            self.between = between
            step(batch)
            self.between = False
            self.done += 1
            self.cursor = source.cursor
            if not end:
                self.between = True
                interrupts.release()
                continue
            interrupts.held = False
            logs = goals.results()
            for callback in end:
                callback(self.done - 1, logs)
            if backup:
                self.listeners.backup_batch(self)
            self.between = True
            interrupts.release()
            if model.stop_training:
                return

    def describe(self) -> dict[str, Any]:
        """What must be the same where a run goes on."""
        return {"tbptt": self.tbptt}

    def where(self) -> str:
        """Where it stands, as text."""
        expected = self.source.expected_steps
        steps = "" if expected is None else f" of {expected}"
        return f"epoch {self.epoch + 1} of {self.epochs} after batch {self.done}{steps}"
