"""What `fit`, `evaluate` and `predict` call as they go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable
    from pyrnn.training.loop import Loop

Logs = Mapping[str, float]


class Callback:
    """Base of the callbacks: a subclass overrides the events that it wants to hear of.

    Attributes
        model: what is trained; `model.stop_training = True` ends `fit` after the batch and its epoch's end.
        params: "epochs", "steps" (batches of an epoch, None where that is not known) and "verbose".

    A callback that counts or remembers gives what it holds by `get_state`, so that BackupAndRestore can save it.

    >>> class Count(Callback):
    ...     epochs = 0
    ...
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         self.epochs += 1

    Keras, https://keras.io/api/callbacks/base_callback/
    """

    model: Compilable
    params: Mapping[str, Any]

    def set_model(self, model: Compilable) -> None:
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

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The same as on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The same as on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; logs have the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, that of an epoch's validation too."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`; logs are what it found."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`; logs have the means so far."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a batch of `predict`; logs["outputs"] is the model's output."""

    def get_state(self) -> dict[str, Any]:
        """What it remembers: plain values, and arrays or lists of arrays."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` gave, after `on_train_begin`."""
        for name, value in state.items():
            setattr(self, name, value)

    def close(self) -> None:
        """Training is over, or was abandoned by an exception: give back what is open."""


class History(Callback):
    """Gathers the logs of every epoch; `fit` returns it.

    Attributes
        epoch: numbers of the epochs.
        history: name -> one value an epoch.

    >>> history = History()
    >>> history.on_epoch_end(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch, self.history = [], {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> dict[str, Any]:
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}


class Backup(Callback):
    """Base of what saves a run so that it can go on; `fit` calls it after all other callbacks."""

    every_batches: int | None = None

    def backup(self, loop: Loop) -> None:
        """An epoch is over."""

    def backup_batch(self, loop: Loop) -> None:
        """A batch is over."""

    def interrupted(self, loop: Loop) -> None:
        """Ctrl-C came; where `loop.between`, everything that is needed to go on is there."""

    def restore(self, loop: Loop) -> None:
        """Training is about to begin."""

    def advice(self) -> str:
        """How to go on."""
        return ""


class CallbackList:
    """Hands every event to every callback; events that nobody hears of cost nothing."""

    def __init__(self, callbacks: Iterable[Callback], model: Compilable, params: Mapping[str, Any]) -> None:
        self.callbacks = list(callbacks)
        self.backups = [callback for callback in self.callbacks if isinstance(callback, Backup)]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self.batch_begin = self._heard("on_train_batch_begin", "on_batch_begin")
        self.batch_end = self._heard("on_train_batch_end", "on_batch_end")
        self.backs_up_batches = any(callback.every_batches for callback in self.backups)
        if self.backs_up_batches and not self.batch_end:
            self.batch_end = [_nothing]

    def _heard(self, *events: str) -> list[Callable[..., Any]]:
        """The methods of the callbacks that listen to an event, or to the one that it calls."""
        found = []
        for callback in self.callbacks:
            for event in events:
                method = getattr(callback, event)
                if getattr(method, "__func__", method) is not getattr(Callback, event):
                    found.append(getattr(callback, events[0]))
                    break
        return found

    def hear(self, event: str) -> list[Callable[..., Any]]:
        """Who listens to an event of `evaluate` or `predict`."""
        return self._heard(event)

    def on_train_begin(self) -> None:
        for callback in self.callbacks:
            callback.on_train_begin({})

    def on_train_end(self, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_train_end(logs)

    def close(self) -> None:
        for callback in self.callbacks:
            callback.close()

    def on_epoch_begin(self, epoch: int) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, {})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def backup(self, loop: Loop) -> None:
        for callback in self.backups:
            callback.backup(loop)

    def backup_batch(self, loop: Loop) -> None:
        for callback in self.backups:
            callback.backup_batch(loop)

    def get_states(self) -> list[tuple[str, dict[str, Any]]]:
        """Class names and states of the callbacks that have one."""
        return [(type(c).__name__, state) for c in self.callbacks if (state := c.get_state())]

    def set_states(self, states: list[tuple[str, dict[str, Any]]]) -> None:
        """Go on from `get_states` of the same callbacks."""
        mine = [c for c in self.callbacks if c.get_state()]
        kinds = [type(c).__name__ for c in mine]
        if kinds != [kind for kind, _ in states]:
            raise ValueError(
                f"fit: callbacks: expected those of the stopped run, {[k for k, _ in states]}, got {kinds}"
            )
        for callback, (_, state) in zip(mine, states, strict=True):
            callback.set_state(state)


def _nothing(batch: int, logs: Logs | None = None) -> None:
    """Stands for a callback where only a backup is made."""


def check_callbacks(owner: str, given: Any) -> list[Callback]:
    """`callbacks=` as a list."""
    callbacks = [given] if isinstance(given, Callback) else list(given or ())
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"{owner}: callbacks: expected Callbacks, got {callback!r}")
    return callbacks
