"""What `fit` calls as it goes: Keras's callbacks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn._types import Array
from pyrnn.training.progress import Progress

if TYPE_CHECKING:
    from pyrnn.training.trainer import Trainer

Logs = Mapping[str, float]


class Callback:
    """Base of the callbacks: a subclass overrides the events that it wants to hear of.

    Attributes
        model: what is trained; `model.stop_training = True` ends `fit` after the epoch.
        params: "epochs", "steps" (batches of an epoch) and "verbose".

    >>> class Count(Callback):
    ...     epochs = 0
    ...
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.epochs += 1
    """

    model: Trainer
    params: Mapping[str, Any]

    def set_model(self, model: Trainer) -> None:
        """Called before training."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Called before training."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch; logs are those of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch; logs have the loss, the metrics, and those of validation with the prefix "val_"."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; logs have the means of the epoch so far."""

    def close(self) -> None:
        """Training is over, or was abandoned by an exception: give back what is open."""


class History(Callback):
    """Gathers the logs of every epoch; `fit` returns it.

    Attributes
        epoch: numbers of the epochs.
        history: name -> one value an epoch.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class _Monitor(Callback):
    """Base of the callbacks that watch one value for getting better."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        kind = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{kind}: mode: expected 'auto', 'min' or 'max', got {mode!r}")
        if mode == "auto":
            # everything else that can be watched is a loss or an error
            grows = any(word in monitor for word in ("acc", "exact_match"))
            mode = "max" if grows else "min"
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


class EarlyStopping(_Monitor):
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
        self._best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.value(logs)
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self._best_weights is None:
            self._best_weights = self.model.get_weights()  # something to restore where nothing gets better
        self.wait += 1
        if self.is_better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.get_weights()
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
                return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self._best_weights is not None:
            self.model.set_weights(self._best_weights)
            if self.verbose:
                print(f"Weights are those of the best epoch, {self.best_epoch + 1}")


class ModelCheckpoint(_Monitor):
    """Saves the model after every epoch, or after those that are better than all before.

    filepath: file; `{epoch}` (from 1) and names of logs are filled in, as in "m-{epoch:02d}-{val_loss:.2f}.pyrnn".
    monitor, mode: see EarlyStopping.
    verbose: 1 says so.
    save_best_only: only where the watched value is the best so far.

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
        save_freq: str = "epoch",
    ) -> None:
        super().__init__(monitor, mode)
        if save_weights_only:
            raise ValueError("ModelCheckpoint: save_weights_only=True is not supported: a file holds the whole model")
        if save_freq != "epoch":
            raise ValueError(f"ModelCheckpoint: save_freq={save_freq!r} is not supported: expected 'epoch'")
        self.filepath, self.verbose, self.save_best_only = fspath(filepath), verbose, save_best_only

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_best_only:
            value = self.value(logs)
            if not self.is_better(value, self.best):
                return
            self.best = value
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        self.model.save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


class LambdaCallback(Callback):
    """Calls functions.

    on_epoch_begin, on_epoch_end: f(epoch, logs).
    on_train_begin, on_train_end: f(logs).
    on_train_batch_begin, on_train_batch_end: f(batch, logs).

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: None).on_epoch_end(0, {})
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
    ) -> None:
        for name, function in list(locals().items()):
            if name.startswith("on_") and function is not None:
                if not callable(function):
                    raise TypeError(f"LambdaCallback: {name}: expected a function, got {function!r}")
                setattr(self, name, function)


class TerminateOnNaN(Callback):
    """Ends training when the loss is no longer a number."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, training ends")
            self.model.stop_training = True


class ProgbarLogger(Callback):
    """Shows how training goes: a bar on a terminal, one line an epoch in a log.

    Where `fit` is given verbose=1 or "auto" it adds one itself.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._progress = Progress(self.params["epochs"], self.params["steps"], self.params["verbose"])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.begin_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.update(batch + 1, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._progress is not None:
            self._progress.end_epoch(logs or {})

    def close(self) -> None:
        if self._progress is not None:
            self._progress.close()


class NaNWatch(Callback):
    """Warns once where the loss is no longer a number; `fit` always has one."""

    def __init__(self) -> None:
        self._warned = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self._warned or logs is None:
            return
        bad = [name for name in ("loss", "val_loss") if name in logs and not np.isfinite(logs[name])]
        if bad:
            self._warned = True
            warnings.warn(
                f"epoch {epoch + 1}: {bad[0]} is {logs[bad[0]]}: lower the learning rate, set clipnorm= of the "
                "optimizer, or look for NaN in x and y",
                RuntimeWarning,
                stacklevel=4,
            )


class CallbackList:
    """Hands every event to every callback; events that nobody hears of cost nothing."""

    def __init__(self, callbacks: Sequence[Callback], model: Trainer, params: Mapping[str, Any]) -> None:
        self._callbacks = list(callbacks)
        for callback in self._callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self.batch_begin = self._heard("on_train_batch_begin")
        self.batch_end = self._heard("on_train_batch_end")

    def _heard(self, event: str) -> list[Callable[..., Any]]:
        empty = getattr(Callback, event)
        bound = [getattr(callback, event) for callback in self._callbacks]
        return [method for method in bound if getattr(method, "__func__", method) is not empty]

    def on_train_begin(self) -> None:
        for callback in self._callbacks:
            callback.on_train_begin({})

    def on_train_end(self, logs: Logs) -> None:
        for callback in self._callbacks:
            callback.on_train_end(logs)

    def close(self) -> None:
        for callback in self._callbacks:
            callback.close()

    def on_epoch_begin(self, epoch: int) -> None:
        for callback in self._callbacks:
            callback.on_epoch_begin(epoch, {})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for callback in self._callbacks:
            callback.on_epoch_end(epoch, logs)
