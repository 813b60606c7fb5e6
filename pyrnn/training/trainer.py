"""compile, fit, evaluate and predict, for whatever can run forward and backward."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np

from pyrnn import losses, metrics, ops, optimizers
from pyrnn._types import Array
from pyrnn.data.batches import batches
from pyrnn.layers.base import Run, check_memory_budget, check_positive
from pyrnn.layers.parameters import Parameter
from pyrnn.losses import Loss
from pyrnn.metrics import MetricSet
from pyrnn.optimizers import Optimizer
from pyrnn.training.arguments import check_arrays, check_verbose, not_supported, split_off
from pyrnn.training.callbacks import Callback, CallbackList, History, NaNWatch, ProgbarLogger
from pyrnn.training.progress import PassProgress, show
from pyrnn.utils import next_seed


class Pass(Protocol):
    """A model's layers with what they keep from forward to backward."""

    run: Run
    masks: list[Any]
    activations: list[str]
    penalty: float

    def forward(self, inputs: Sequence[Array]) -> list[Array]:
        """The model's inputs -> its outputs; sets `masks`, those of the outputs, and `penalty`."""

    def backward(self, dys: Sequence[Array | None]) -> Any:
        """Add to the gradients of the trainable parameters."""

    def limit_memory(self, budget: int | str) -> None:
        """Keep the tapes of the recurrent layers below so many bytes together, or as small as possible ("segments")."""

    def leave_last_activation(self, i: int, leave: bool) -> None:
        """Whether output i is what the last activation is given, not its value."""


class Trainer(ABC):
    """Base of the models. A subclass has layers; it says how they run by `new_pass`."""

    name: str
    optimizer: Optimizer
    loss: Loss
    history: History
    stop_training = False
    _memory_budget: int | str | None = None
    _metrics: MetricSet
    _compiled = False

    # What a model writes ------------------------------------------------------------------------------------------

    @abstractmethod
    def new_pass(self, training: bool) -> Pass:
        """A pass over the layers, with storage of its own."""

    @abstractmethod
    def trainable_parameters(self) -> list[Parameter]:
        """What the optimiser steps."""

    @abstractmethod
    def check_inputs(self, arrays: Sequence[Array]) -> None:
        """Build the model for the arrays where it is not built; raise ValueError where they do not fit."""

    @abstractmethod
    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and layout."""

    @abstractmethod
    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from arrays in Keras's order and layout."""

    @abstractmethod
    def save(self, filepath: str | PathLike[str]) -> None:
        """Write the model to a file."""

    # Training -----------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Say how the model is trained.

        optimizer: name or Optimizer.
        loss: name or Loss.
        metrics: list of names or Metrics; "accuracy" is the one that fits the shapes.
        """
        not_supported("compile", {"loss_weights": loss_weights, **kwargs})
        if loss is None:
            raise ValueError("compile: loss: expected a name or a Loss, got None")
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(loss)
        self._metrics = _metric_set(metrics)
        self._compiled = True
        self._pass: Pass | None = None

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` returns."""
        self._check_compiled("metrics_names")
        return ["loss", *self._metrics.names]

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[Any] | None = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        memory_budget: int | str | None = None,
        **kwargs: Any,
    ) -> History:
        """Train the model.

        x: (N, ...) inputs.
        y: (N, ...) targets.
        batch_size: samples of a step, 32 where it is not given.
        epochs: number of the last epoch; as many passes over the data where initial_epoch is 0.
        verbose: 0 is silent, 1 a progress bar (lines where stdout is no terminal), 2 one line an epoch;
            "auto" is 1.
        callbacks: list of Callbacks.
        validation_split: share of the samples, the last ones, that is not trained on but evaluated after each epoch.
        validation_data: (x, y) or (x, y, sample_weight) that is evaluated after each epoch.
        shuffle: draw the order of the samples anew in each epoch.
        sample_weight: (N,) or (N, T), multiplies the loss.
        initial_epoch: number of the first epoch, to continue an earlier run.
        validation_batch_size: batch_size of the evaluation.
        validation_freq: evaluate after every so many epochs.
        memory_budget: bytes (or "256MB") that the recurrent layers may keep of a batch, in equal shares for those that
            have no budget of their own; "segments" for as few as possible. Backward computes again what does not fit.

        Returns the History: `.history["loss"]` is the list of losses, and so on.
        """
        not_supported(
            "fit",
            {
                "class_weight": class_weight,
                "steps_per_epoch": steps_per_epoch,
                "validation_steps": validation_steps,
                **kwargs,
            },
        )
        self._check_compiled("fit")
        size = 32 if batch_size is None else check_positive("fit", "batch_size", batch_size)
        check_positive("fit", "epochs", epochs)
        every = check_positive("fit", "validation_freq", validation_freq)
        budget = check_memory_budget("fit", memory_budget)
        data = check_arrays("fit", x, y, sample_weight)
        validation = None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise ValueError("fit: validation_data: expected (x, y) or (x, y, sample_weight)")
            validation = check_arrays("fit: validation_data", *validation_data)
        elif validation_split:
            data, validation = split_off(data, validation_split)
        self.check_inputs([data.x])

        n = len(data.x)
        shown = check_verbose("fit", verbose)
        self.history = History()
        watchers: list[Callback] = [NaNWatch(), self.history]
        if shown:
            watchers.append(ProgbarLogger())
        given = [callbacks] if isinstance(callbacks, Callback) else list(callbacks or ())
        for callback in given:
            if not isinstance(callback, Callback):
                raise TypeError(f"fit: callbacks: expected Callbacks, got {callback!r}")
        listeners = CallbackList(
            [*watchers, *given], self, {"epochs": epochs, "steps": -(-n // size), "verbose": shown}
        )
        rng = np.random.default_rng(next_seed()) if shuffle else None
        self.stop_training = False
        logs: dict[str, float] = {}
        self._limit_memory(budget)
        listeners.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                listeners.on_epoch_begin(epoch)
                logs = self._epoch(data.x, data.y, data.weights, size, rng, listeners)
                if validation is not None and (epoch + 1) % every == 0:
                    values = self._evaluate(*validation, validation_batch_size or size, None)
                    logs |= {f"val_{name}": value for name, value in values.items()}
                listeners.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            listeners.close()
            self._limit_memory(None)
        listeners.on_train_end(logs)
        return self.history

    def _limit_memory(self, budget: int | str | None) -> None:
        """For the steps to come; tapes of another budget are not used again."""
        if budget != self._memory_budget:
            self._memory_budget, self._pass = budget, None

    def _epoch(
        self,
        x: Array,
        y: Array,
        weights: Array | None,
        size: int,
        rng: np.random.Generator | None,
        listeners: CallbackList,
    ) -> dict[str, float]:
        """One pass over the data. Returns the logs."""
        self._metrics.reset()
        total, seen = 0.0, 0
        begin, end = listeners.batch_begin, listeners.batch_end
        for i, index in enumerate(batches(len(x), size, rng)):
            for callback in begin:
                callback(i, {})
            x_batch, y_batch = x[index], y[index]
            loss = self._train_step(x_batch, y_batch, None if weights is None else weights[index])
            total += loss * len(x_batch)
            seen += len(x_batch)
            if end:
                logs = {"loss": total / seen, **self._metrics.results()}
                for callback in end:
                    callback(i, logs)
                if self.stop_training:
                    break
        return {"loss": total / seen, **self._metrics.results()}

    def _train_step(self, x: Array, y: Array, weights: Array | None) -> float:
        """One step of the optimiser on one batch. Returns the loss; the metrics are gathered."""
        if self._pass is None:
            self._pass = self.new_pass(training=True)
            self._parameters = self.trainable_parameters()
            self._fused = not self.loss.from_logits and self.loss.fuses == self._pass.activations[0]
            self._pass.leave_last_activation(0, self._fused)
            if self._memory_budget is not None:
                self._pass.limit_memory(self._memory_budget)
        running, parameters = self._pass, self._parameters
        for parameter in parameters:
            parameter.zero_gradient()
        running.run.step = self.optimizer.iterations
        output = running.forward([x])[0]
        value, dy = self.loss.compute(y, output, weights, mask=running.masks[0], fused=self._fused)
        assert dy is not None
        if parameters:
            running.backward([dy])
            self.optimizer.apply(parameters)
        self._gather_metrics(y, output, running, self._fused)
        return value

    def _gather_metrics(self, y: Array, output: Array, running: Pass, fused: bool) -> None:
        chosen = self._metrics
        if not chosen.metrics:
            return
        if chosen.first_batch:
            chosen.choose(y, output)
        if fused and not chosen.accept_logits:
            output = ops.activation_forward(running.activations[0], output)
        chosen.update(y, output, running.masks[0])

    # Using --------------------------------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics on other data.

        x, y, sample_weight: see fit.
        batch_size: samples computed at once, 32 where it is not given.
        verbose: 0 is silent, 2 prints a line, 1 that and a bar on a terminal where it takes long, "auto" the bar.

        Returns the loss, or a list [loss, metric, ...] in the order of `metrics_names`, or with return_dict a dict.
        """
        not_supported("evaluate", kwargs)
        self._check_compiled("evaluate")
        size = 32 if batch_size is None else check_positive("evaluate", "batch_size", batch_size)
        data = check_arrays("evaluate", x, y, sample_weight)
        self.check_inputs([data.x])
        shown = check_verbose("evaluate", verbose)
        progress = PassProgress("evaluate", -(-len(data.x) // size), shown)
        try:
            values = self._evaluate(*data, size, progress)
        finally:
            progress.close()
        if shown == 2 or verbose == 1:
            print(show(values, " - "), flush=True)
        if return_dict:
            return values
        return list(values.values()) if len(values) > 1 else values["loss"]

    def _evaluate(
        self, x: Array, y: Array, weights: Array | None, size: int, progress: PassProgress | None
    ) -> dict[str, float]:
        running = self.new_pass(training=False)
        fused = not self.loss.from_logits and self.loss.fuses == running.activations[0]
        running.leave_last_activation(0, fused)
        self._metrics.reset()
        total = 0.0
        for index in batches(len(x), size):
            x_batch, y_batch = x[index], y[index]
            output = running.forward([x_batch])[0]
            value, _ = self.loss.compute(
                y_batch,
                output,
                None if weights is None else weights[index],
                mask=running.masks[0],
                fused=fused,
                need_grad=False,
            )
            total += value * len(x_batch)
            self._gather_metrics(y_batch, output, running, fused)
            if progress is not None:
                progress.update()
        return {"loss": total / len(x), **self._metrics.results()}

    def predict(self, x: Any, batch_size: int | None = None, verbose: int | str = "auto", **kwargs: Any) -> Array:
        """The model's output.

        x: (N, ...) inputs.
        batch_size: samples computed at once, 32 where it is not given.
        verbose: 0 is silent, 1 or "auto" shows a bar on a terminal where it takes long.

        Returns (N, ...).
        """
        not_supported("predict", kwargs)
        size = 32 if batch_size is None else check_positive("predict", "batch_size", batch_size)
        data = check_arrays("predict", x)
        self.check_inputs([data.x])
        n = len(data.x)
        running = self.new_pass(training=False)
        progress = PassProgress("predict", -(-n // size), check_verbose("predict", verbose))
        result: Array | None = None
        try:
            for index in batches(n, size) if n else [slice(0, 0)]:
                output = running.forward([data.x[index]])[0]
                if result is None:
                    result = np.empty((n, *output.shape[1:]), output.dtype)
                result[index] = output
                progress.update()
        finally:
            progress.close()
        assert result is not None
        return result

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of the optimiser. Returns the loss of this batch before it, or [loss, metric, ...], or a dict."""
        not_supported("train_on_batch", {"class_weight": class_weight})
        self._check_compiled("train_on_batch")
        data = check_arrays("train_on_batch", x, y, sample_weight)
        self.check_inputs([data.x])
        self._metrics.reset()
        loss = self._train_step(*data)
        values = {"loss": loss, **self._metrics.results()}
        if return_dict:
            return values
        return list(values.values()) if len(values) > 1 else loss

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss of one batch, or [loss, metric, ...], or a dict."""
        return self.evaluate(x, y, max(len(x), 1), 0, sample_weight, return_dict)

    def predict_on_batch(self, x: Any) -> Array:
        """The output of one batch."""
        return self.predict(x, max(len(x), 1), 0)

    def _check_compiled(self, what: str) -> None:
        if not self._compiled:
            raise RuntimeError(f"{what}: the model is not compiled: call compile(optimizer=..., loss=...)")


def _metric_set(given: Sequence[Any] | None) -> MetricSet:
    if given is None:
        return MetricSet([])
    if isinstance(given, (str, dict)):
        raise TypeError(f"compile: metrics: expected a list of names or Metrics, got {given!r}")
    return MetricSet([metrics.get(metric) for metric in given])
