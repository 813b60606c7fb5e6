"""Callbacks that watch one value for getting better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pyrnn._types import Array
from pyrnn.training.callbacks.base import Callback, Logs

_GROWING = ("acc", "exact_match", "auc", "precision", "recall", "top_k", "f1", "fbeta", "iou", "r2", "cosine")


class Monitor(Callback):
    """Base of the callbacks that watch one value.

    monitor: its name in the logs.
    mode: "min", "max", or "auto": accuracies and the like grow, everything else falls.
    min_delta: smallest change that counts.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        kind = type(self).__name__
        if not isinstance(monitor, str):
            raise TypeError(f"{kind}: monitor: expected the name of a value such as 'val_loss', got {monitor!r}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{kind}: mode: expected 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            # everything else that can be watched is a loss or an error
            mode = "max" if any(word in monitor.lower() for word in _GROWING) else "min"
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = math.inf if self.mode == "min" else -math.inf

    def value(self, logs: Logs | None) -> float:
        """The watched value of this epoch."""
        if logs is None or self.monitor not in logs:
            raise ValueError(
                f"{type(self).__name__}: monitor: expected one of {', '.join(logs or ())}, got {self.monitor!r}"
                + ("; give fit validation_data or validation_split" if self.monitor.startswith("val_") else "")
            )
        return logs[self.monitor]

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` beats `than` by more than min_delta."""
        if self.mode == "min":
            return value < than - self.min_delta
        return value > than + self.min_delta

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best}


class EarlyStopping(Monitor):
    """Ends training when a value no longer gets better.

    monitor: name of the value in the logs.
    min_delta: smallest change that counts.
    patience: epochs without a better value before training ends.
    verbose: 1 says so.
    mode: "min", "max", or "auto": accuracies grow, everything else falls.
    baseline: the value that the first epochs must beat.
    restore_best_weights: end with the weights of the best epoch, also where training runs to its last epoch.
    start_from_epoch: epochs before the watch begins.

    Attributes
        best_epoch: its number, from 0.
        stopped_epoch: the epoch that training was ended after, or 0.

    >>> EarlyStopping(monitor="val_accuracy").mode
    'max'

    Prechelt 1998, Early stopping - but when?, Neural Networks: Tricks of the Trade.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if patience < 0:
            raise ValueError(f"EarlyStopping: patience: expected a number >= 0, got {patience}")
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.best_epoch = self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.wait = self.best_epoch = self.stopped_epoch = 0
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()  # something to restore where nothing gets better
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                print(f"Weights are those of the best epoch, {self.best_epoch + 1}")

    def get_state(self) -> dict[str, Any]:
        names = ("best", "wait", "best_epoch", "stopped_epoch", "best_weights")
        return {name: getattr(self, name) for name in names}


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate when a value no longer gets better.

    monitor: name of the value in the logs.
    factor: < 1, multiplies the rate.
    patience: epochs without a better value before that.
    verbose: 1 says so.
    mode: see EarlyStopping.
    min_delta: smallest change that counts.
    cooldown: epochs after that in which nothing is counted.
    min_lr: the rate does not fall below it.

    The logs get the rate of the epoch as "learning_rate".

    >>> ReduceLROnPlateau("loss", factor=0.5).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor: expected a number in (0, 1), got {factor}")
        if patience < 0 or cooldown < 0 or min_lr < 0:
            raise ValueError(
                "ReduceLROnPlateau: patience, cooldown, min_lr: expected numbers >= 0, got "
                f"{patience}, {cooldown}, {min_lr}"
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        self.cooldown_counter = self.wait = 0
        check_rate_is_settable(self)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        rate = optimizer.current_learning_rate()
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.value(logs)
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate lowered to {optimizer.learning_rate}")
                self.cooldown_counter, self.wait = self.cooldown, 0

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}


class ModelCheckpoint(Monitor):
    """Saves the model after every epoch, or after those that are better than all before.

    filepath: file; `{epoch}` (from 1), with a number as save_freq `{batch}` (from 1), and names of logs are filled
        in, as in "m-{epoch:02d}-{val_loss:.2f}.pyrnn". Folders that are missing are made.
    monitor, mode: see EarlyStopping.
    verbose: 1 says so.
    save_best_only: only where the watched value is the best so far.
    save_weights_only: `save_weights` instead of `save`.
    save_freq: "epoch", or a number of batches.
    initial_value_threshold: the value that the first epochs must beat, with save_best_only.

    >>> ModelCheckpoint("best.pyrnn", monitor="val_exact_match", save_best_only=True).mode
    'max'
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath, self.verbose, self.save_best_only = fspath(filepath), verbose, save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = check_save_freq("ModelCheckpoint", save_freq)
        self.initial_value_threshold = initial_value_threshold

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        if self.initial_value_threshold is not None:
            self.best = self.initial_value_threshold
        self.epoch = self.batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            return
        self.batches += 1
        if self.batches >= int(self.save_freq):
            self.batches = 0
            self._save({"epoch": self.epoch + 1, "batch": batch + 1, **(logs or {})}, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save({"epoch": epoch + 1, **(logs or {})}, logs)

    def _save(self, names: Mapping[str, float], logs: Logs | None) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.is_better(value, self.best):
                return
            self.best = value
        try:
            path = Path(self.filepath.format(**names))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath: expected names out of {', '.join(names)}, got {self.filepath!r} ({error})"
            ) from None
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {names['epoch']}: saved {path}")

    def get_state(self) -> dict[str, Any]:
        return {"best": self.best, "batches": self.batches}


def check_save_freq(owner: str, value: Any) -> str | int:
    """ "epoch" or a number of batches."""
    if value == "epoch" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        result: str | int = value
        return result
    raise ValueError(f"{owner}: save_freq: expected 'epoch' or a number of batches >= 1, got {value!r}")


def check_rate_is_settable(callback: Callback) -> None:
    """Raise where the optimiser has a schedule, which a callback cannot change."""
    if not isinstance(callback.model.optimizer.learning_rate, (int, float)):
        raise ValueError(
            f"{type(callback).__name__}: expected an optimizer with a number as learning_rate, got a schedule: use "
            "one of the two"
        )
