"""evaluate and predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.arguments import check_positive
from pyrnn.training.arguments import check_verbose, not_supported
from pyrnn.training.callbacks.base import CallbackList, check_callbacks
from pyrnn.training.compilable import Compilable
from pyrnn.training.progress import PassProgress, show
from pyrnn.training.sources import ArraySource, Source, make_source
from pyrnn.training.step import Pass, TestStep


class Predictor(Compilable):
    """What a model does when it does not train."""

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and the metrics on other data.

        x, y, sample_weight: see fit.
        batch_size: samples computed at once, 32 where it is not given.
        verbose: 0 is silent, 2 prints a line, 1 that and a bar on a terminal where it takes long, "auto" the bar.
        steps: batches, all where it is not given.
        callbacks: list of Callbacks, for their on_test_ events.

        Returns the loss, or a list [loss, metric, ...] in the order of `metrics_names`, or with return_dict a dict.
        """
        not_supported("evaluate", kwargs)
        self._check_compiled("evaluate")
        size = None if batch_size is None else check_positive("evaluate", "batch_size", batch_size)
        count = None if steps is None else check_positive("evaluate", "steps", steps)
        shown = check_verbose("evaluate", verbose)
        source = make_source(self._shapes("evaluate"), x, y, sample_weight, size=size, steps=count)
        self._build_by(source)
        params = {"epochs": 1, "steps": source.expected_steps, "verbose": shown}
        listeners = CallbackList(check_callbacks("evaluate", callbacks), self, params)
        progress = PassProgress("evaluate", source.expected_steps, shown)
        try:
            values = test_pass(self, source, listeners, progress)
        finally:
            progress.close()
            listeners.close()
        if shown == 2 or verbose == 1:
            print(show(values, " - "), flush=True)
        return self._returned(values, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss of one batch, or [loss, metric, ...], or a dict."""
        self._check_compiled("test_on_batch")
        batch = self._shapes("test_on_batch").batch(x, y, sample_weight)
        self.check_inputs(batch.x)
        self.goals.reset()
        TestStep(self, self.goals)(batch)
        return self._returned(self.goals.results(), return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> Any:
        """The model's output.

        x: (N, ...) inputs, a list or dict for several; or what gives batches of them, see fit.
        batch_size: samples computed at once, 32 where it is not given.
        verbose: 0 is silent, 1 or "auto" shows a bar on a terminal where it takes long.
        steps: batches, all where it is not given.
        callbacks: list of Callbacks, for their on_predict_ events.

        Returns (N, ...); a list or dict of that for a model of several outputs.
        """
        if kwargs:
            not_supported("predict", kwargs)
        size = 32 if batch_size is None else check_positive("predict", "batch_size", batch_size)
        shown = check_verbose("predict", verbose)
        if type(x) is np.ndarray and x.ndim and 0 < len(x) <= size and steps is None and callbacks is None:
            return self._predict_one(x)
        count = None if steps is None else check_positive("predict", "steps", steps)
        shapes = self._shapes("predict", need_y=False)
        source = make_source(shapes, x, size=batch_size and size, steps=count)
        self._build_by(source)
        params = {"epochs": 1, "steps": source.expected_steps, "verbose": shown}
        listeners = CallbackList(check_callbacks("predict", callbacks), self, params)
        progress = PassProgress("predict", source.expected_steps, shown)
        try:
            return self.arrange_outputs(predict_pass(self, source, listeners, progress))
        finally:
            progress.close()
            listeners.close()

    def predict_on_batch(self, x: Any) -> Any:
        """The output of one batch."""
        batch = self._shapes("predict_on_batch", need_y=False).batch(x, empty=True)
        self.check_inputs(batch.x)
        return self.arrange_outputs(self._run_forward(batch.x))

    def _predict_one(self, x: Array) -> Any:
        """The output for one array that is one batch, by the shortest way."""
        if x.dtype not in _PLAIN:
            x = self._shapes("predict", need_y=False).batch(x).x[0]
        arrays = [x]
        self.check_inputs(arrays)
        return self.arrange_outputs(self._run_forward(arrays))

    def _run_forward(self, arrays: list[Array]) -> list[Array]:
        """The outputs as arrays of their own, from a pass that is kept from call to call."""
        idle: list[Pass] = self._idle
        try:
            running = idle.pop()  # whoever has it runs alone; a call from another thread makes its own
        except IndexError:
            running = self.new_pass(training=False)
        outputs = [np.array(output) for output in running.forward(arrays)]
        idle.append(running)
        return outputs

    @property
    def _idle(self) -> list[Pass]:
        """Passes for `predict` that nobody uses, for the layers as they are now."""
        plan = self._plan
        if self._idle_passes is None or self._idle_passes[0] is not plan:
            self._idle_passes = (plan, [])
        return self._idle_passes[1]

    _plan: Any = None
    _idle_passes: tuple[Any, list[Pass]] | None = None


_PLAIN = frozenset(np.dtype(kind) for kind in ("f4", "f8", "i4", "i8"))


def test_pass(
    model: Compilable, source: Source, listeners: CallbackList, progress: PassProgress | None
) -> dict[str, float]:
    """One pass of `evaluate`. Returns the loss and the metrics."""
    goals = model.goals
    step = TestStep(model, goals)
    begin, end = listeners.hear("on_test_batch_begin"), listeners.hear("on_test_batch_end")
    for each in listeners.callbacks:
        each.on_test_begin({})
    goals.reset()
    if isinstance(source, ArraySource):
        source.cursor = [0, 0, 0]
    source.begin()
    done = 0
    while (batch := source.next()) is not None:
        for callback in begin:
            callback(done, {})
        step(batch)
        if end:
            logs = goals.results()
            for callback in end:
                callback(done, logs)
        done += 1
        if progress is not None:
            progress.update()
    source.end()
    results = goals.results()
    for each in listeners.callbacks:
        each.on_test_end(results)
    return results


test_pass.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's


def predict_pass(model: Compilable, source: Source, listeners: CallbackList, progress: PassProgress) -> list[Array]:
    """One pass of `predict`. Returns the outputs."""
    begin, end = listeners.hear("on_predict_batch_begin"), listeners.hear("on_predict_batch_end")
    for each in listeners.callbacks:
        each.on_predict_begin({})
    running = model.new_pass(training=False)
    if isinstance(source, ArraySource) and source.n == 0:
        return [np.array(output) for output in running.forward(source.data.x)]
    total = source.n if isinstance(source, ArraySource) and source.steps == source.count else None
    results: list[Array] = []
    pieces: list[list[Array]] = []
    done = begin_at = 0
    source.begin()
    while (batch := source.next()) is not None:
        for callback in begin:
            callback(done, {})
        outputs = running.forward(batch.x)
        if total is None:
            pieces.append([np.array(output) for output in outputs])
        else:
            if not results:
                results = [np.empty((total, *output.shape[1:]), output.dtype) for output in outputs]
            for result, output in zip(results, outputs, strict=True):
                result[begin_at : begin_at + len(output)] = output
            begin_at += len(batch.x[0])
        for callback in end:
            callback(done, {"outputs": model.arrange_outputs(list(outputs))})
        done += 1
        progress.update()
    if total is None:
        results = [np.concatenate(each) for each in zip(*pieces, strict=True)]
    for each in listeners.callbacks:
        each.on_predict_end({})
    return results
