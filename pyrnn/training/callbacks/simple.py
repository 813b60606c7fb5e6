"""Callbacks of a few lines."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from pyrnn.training.callbacks.base import Callback, Logs
from pyrnn.training.callbacks.monitors import check_rate_is_settable


class LambdaCallback(Callback):
    """Calls functions.

    on_epoch_begin, on_epoch_end: f(epoch, logs).
    on_train_begin, on_train_end: f(logs).
    on_train_batch_begin, on_train_batch_end: f(batch, logs).
    Any other event of Callback may be given by its name too.

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
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name.startswith("on_")} | kwargs
        for name, function in given.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                events = ", ".join(event for event in dir(Callback) if event.startswith("on_"))
                raise TypeError(f"LambdaCallback: unknown argument {name!r}: expected one of {events}")
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback: {name}: expected a function, got {function!r}")
            setattr(self, name, function)


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of every epoch.

    schedule: f(epoch, rate) or f(epoch) -> the new rate.
    verbose: 1 says so.

    The logs get the rate as "learning_rate".

    >>> LearningRateScheduler(lambda epoch, rate: rate * 0.9).verbose
    0
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule: expected a function, got {schedule!r}")
        self.schedule, self.verbose = schedule, verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_rate_is_settable(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        given = (epoch, optimizer.current_learning_rate()) if self._takes_rate else (epoch,)
        rate = self.schedule(*given)
        if isinstance(rate, bool) or not isinstance(rate, (float, int, np.floating)):
            raise TypeError(f"LearningRateScheduler: schedule: expected it to return a number, got {rate!r}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate is {float(rate)}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.current_learning_rate()


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether f(epoch, rate) can be called; else it is f(epoch)."""
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a function of C without a signature
        return True
    return True


class TerminateOnNaN(Callback):
    """Ends training when the loss is no longer a number."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, training ends")
            self.model.stop_training = True


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
