"""compile, fit, evaluate and predict, for whatever can run forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from pyrnn.layers.arguments import check_memory_budget, check_positive
from pyrnn.training.arguments import check_validation_freq, check_verbose, class_weights, not_supported, split_off
from pyrnn.training.callbacks import Callback, History, NaNWatch, ProgbarLogger
from pyrnn.training.callbacks.base import Backup, CallbackList, check_callbacks
from pyrnn.training.interrupts import Interrupts
from pyrnn.training.loop import Loop
from pyrnn.training.passes import Predictor, test_pass
from pyrnn.training.sources import ArraySource, Batch, Source, make_source
from pyrnn.training.step import TrainStep
from pyrnn.training.truncated import TruncatedSteps
from pyrnn.utils import next_seed


class Trainer(Predictor):
    """Base of the models. A subclass has layers; it says how they run by `new_pass`."""

    _memory_budget: int | str | None = None

    # Training -----------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        tbptt: int | None = None,
        memory_budget: int | str | None = None,
        **kwargs: Any,
    ) -> History:
        """Train the model.

        x: (N, ...) inputs; a list or dict of arrays for several. Or what gives whole batches (x, y) or
            (x, y, sample_weight): a `utils.PyDataset`, a `data.Dataset`, a generator, any iterable.
        y: (N, ...) targets, a list or dict for several outputs; None where x gives batches.
        batch_size: samples of a step, 32 where it is not given (or what makes steps_per_epoch of the arrays).
        epochs: number of the last epoch; as many passes over the data where initial_epoch is 0.
        verbose: 0 is silent, 1 a progress bar (lines where stdout is no terminal), 2 one line an epoch;
            "auto" is 1.
        callbacks: list of Callbacks.
        validation_split: share of the samples, the last ones, that is not trained on but evaluated after each epoch.
        validation_data: (x, y) or (x, y, sample_weight), or what gives batches; evaluated after each epoch.
        shuffle: draw the order of the samples (of the batches of a PyDataset) anew in each epoch.
        class_weight: dict of class id -> weight of its samples.
        sample_weight: (N,) or (N, T), multiplies the loss; a list or dict for several outputs, or one for all.
        initial_epoch: number of the first epoch, to continue an earlier run.
        steps_per_epoch: batches of an epoch; the next epoch goes on where it ended. Needed with a generator.
        validation_steps: batches of an evaluation.
        validation_batch_size: batch_size of the evaluation.
        validation_freq: evaluate after every so many epochs, or after those of a list (counted from 1).
        tbptt: truncated backpropagation through time. Every batch (N, T, ...) is cut along T into pieces of so many
            steps. The recurrent layers start a batch from zeros and carry their states from piece to piece; each
            piece is a step of the optimiser, and gradients end at its border. x and y need a value at every step,
            the recurrent layers return_sequences=True. The loss of a batch is the mean over its steps.
        memory_budget: bytes (or "256MB") that the recurrent layers may keep of a batch, in equal shares for those that
            have no budget of their own; "segments" for as few as possible. Backward computes again what does not fit.

        Returns the History: `.history["loss"]` is the list of losses, and so on.

        Ctrl-C raises KeyboardInterrupt once the step that is under way is given up or done; the weights are those of
        a whole number of steps, and the message says how to go on.
        """
        not_supported("fit", kwargs)
        self._check_compiled("fit")
        check_positive("fit", "epochs", epochs)
        if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, (int, np.integer)) or initial_epoch < 0:
            raise ValueError(f"fit: initial_epoch: expected an integer >= 0, got {initial_epoch!r}")
        is_validated = check_validation_freq(validation_freq, check_positive)
        budget = check_memory_budget("fit", memory_budget)
        pieces = None if tbptt is None else check_positive("fit", "tbptt", tbptt)
        shown = check_verbose("fit", verbose)
        given = check_callbacks("fit", callbacks)
        size = _optional("fit", "batch_size", batch_size)
        steps = _optional("fit", "steps_per_epoch", steps_per_epoch)
        shapes = self._shapes("fit", class_weight)
        seed = next_seed if shuffle else None
        tested = (
            _optional("fit", "validation_batch_size", validation_batch_size) or size,
            _optional("fit", "validation_steps", validation_steps),
        )
        held: Source | None = None
        if validation_split and validation_data is None:
            # class weights count in training only
            arrays = make_source(shapes._replace(class_weight=None), x, y, sample_weight, size=size, steps=steps)
            source, held = self._split(arrays, class_weight, validation_split, seed, *tested)
        else:
            source = make_source(
                shapes, x, y, sample_weight, size=size, steps=steps, seed=seed, epochs=epochs - initial_epoch
            )
        if validation_data is not None:
            held = self._validation(validation_data, *tested)
        self._build_by(source)
        self.history = History()
        backups = [callback for callback in given if isinstance(callback, Backup)]
        others = [callback for callback in given if callback not in backups]
        if backups and not source.resumable:
            raise ValueError(
                "fit: x: expected arrays or a PyDataset with BackupAndRestore, which must read the data from any "
                f"position, got {type(x).__name__}"
            )
        bars: list[Callback] = [ProgbarLogger()] if shown else []
        watchers = [NaNWatch(), *bars, *others, self.history, *backups]
        listeners = CallbackList(watchers, self, {"epochs": epochs, "steps": source.expected_steps, "verbose": shown})
        self._limit_memory(budget)
        step: Any = self._training_step()
        if pieces is not None:
            step = TruncatedSteps(self, step, pieces)
        validate = None if held is None else self._validator(held, listeners)
        loop = Loop(self, source, step, validate, is_validated, listeners, int(initial_epoch), epochs, pieces)
        return self._run(loop, backups)

    def _run(self, loop: Loop, backups: Sequence[Backup]) -> History:
        self.stop_training = False
        listeners = loop.listeners
        step = self._training_step()
        with Interrupts() as interrupts:
            step.interrupts = interrupts
            try:
                listeners.on_train_begin()
                for backup in backups:
                    backup.restore(loop)
                logs = loop.run(interrupts)
                listeners.on_train_end(logs)
            except KeyboardInterrupt:
                self._pass = None  # what the step had begun is dropped
                for backup in backups:
                    backup.interrupted(loop)
                raise KeyboardInterrupt(_advice(loop, backups)) from None
            finally:
                step.interrupts = None
                listeners.close()
                self._limit_memory(None)
        return self.history

    def _split(
        self,
        source: Source,
        class_weight: Any,
        share: float,
        seed: Callable[[], int] | None,
        size: int | None,
        steps: int | None,
    ) -> tuple[Source, Source]:
        """The source of the first samples and, to validate with, that of the last."""
        if not isinstance(source, ArraySource):
            raise ValueError(
                f"fit: validation_split: expected 0 where x gives batches, got {share}; give validation_data"
            )
        rest, last = split_off("fit", source.data, share, source.n)
        if class_weight is not None:
            rest[2] = class_weights("fit", class_weight, rest[1], rest[2])
        order = None if seed is None else seed()
        first = ArraySource("fit", Batch(*rest), source.given_size, source.given_steps, order)
        return first, ArraySource("fit", Batch(*last), size, steps)

    def _validation(self, given: Any, size: int | None, steps: int | None) -> Source:
        shapes = self._shapes("fit: validation_data")
        if isinstance(given, (tuple, list)):
            if len(given) not in (2, 3):
                raise ValueError("fit: validation_data: expected (x, y) or (x, y, sample_weight)")
            return make_source(shapes, *given, size=size, steps=steps)
        if hasattr(given, "__array__"):
            raise ValueError("fit: validation_data: expected (x, y) or (x, y, sample_weight)")
        return make_source(shapes, given, steps=steps)

    def _validator(self, source: Source, listeners: CallbackList) -> Callable[[], dict[str, float]]:
        def validate() -> dict[str, float]:
            return test_pass(self, source, listeners, None)

        return validate

    def _training_step(self) -> TrainStep:
        if self._pass is None:
            self._pass = TrainStep(self, self.goals, self._memory_budget)
        else:
            self.goals.attach(self._pass.running)
        return self._pass

    def _limit_memory(self, budget: int | str | None) -> None:
        """For the steps to come; tapes of another budget are not used again."""
        if budget != self._memory_budget:
            self._memory_budget, self._pass = budget, None

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of the optimiser. Returns the loss of this batch before it, or [loss, metric, ...], or a dict."""
        self._check_compiled("train_on_batch")
        batch = self._shapes("train_on_batch", class_weight).batch(x, y, sample_weight)
        self.check_inputs(batch.x)
        self.goals.reset()
        self._training_step()(batch)
        return self._returned(self.goals.results(), return_dict)


def _optional(owner: str, argument: str, value: Any) -> int | None:
    return None if value is None else check_positive(owner, argument, value)


def _advice(loop: Loop, backups: Sequence[Backup]) -> str:
    """What a stopped run says."""
    done = f"fit: stopped in {loop.where()}; the weights are those after step {loop.model.optimizer.iterations}. "
    if backups:
        return done + f"To go on, {backups[0].advice()}."
    return done + (
        f"To go on, call fit(..., initial_epoch={loop.epoch}), which begins that epoch again; with "
        "callbacks=[BackupAndRestore(folder)] a run goes on from where it stopped."
    )
