"""One step of training: forward, loss, backward, optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pyrnn._types import Array
from pyrnn.layers.base import Run
from pyrnn.training.goals import Goals
from pyrnn.training.interrupts import Interrupts
from pyrnn.training.sources import Batch

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable


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
        """Whether output i is what its last activation is given, not its value."""


class TrainStep:
    """What is the same in every step, worked out once.

    model: compiled and built.
    budget: of the tapes, or None.
    """

    def __init__(self, model: Compilable, goals: Goals, budget: int | str | None) -> None:
        self.running: Pass = model.new_pass(training=True)
        self.parameters = model.trainable_parameters()
        self.goals, self.optimizer = goals, model.optimizer
        self._penalised = [p for p in self.parameters if p.has_penalty]
        self._constrained = [p for p in self.parameters if p.has_constraint]
        goals.attach(self.running)
        if budget is not None:
            self.running.limit_memory(budget)
        self.interrupts: Interrupts | None = None
        self.count = 1  # what a sample counts in the means of the losses

    def __call__(self, batch: Batch) -> float:
        """One step on one batch. Returns the loss before it; the means of the epoch are gathered."""
        x, y, weights = batch
        running, parameters, goals = self.running, self.parameters, self.goals
        for parameter in parameters:
            parameter.zero_gradient()
        running.run.step = self.optimizer.iterations
        outputs = running.forward(x)
        loss, values, dys = goals.compute(running, outputs, y, weights, True)
        loss += running.penalty
        if parameters:
            running.backward(dys)
            if self._penalised:
                loss += self.penalise()
            if self.interrupts is not None:
                self.interrupts.held = True  # until the loop has counted the batch
            self.optimizer.apply(parameters)
            for parameter in self._constrained:
                parameter.constrain()
        goals.gather(running, outputs, y, weights, loss, values, len(x[0]) * self.count)
        return loss

    def penalise(self) -> float:
        """Add the gradients of the weights' penalties; returns their sum."""
        total = 0.0
        for parameter in self._penalised:
            total += parameter.regularization()
            parameter.add_regularization_gradient()
        return total


class TestStep:
    """The same without training."""

    __test__ = False  # no test of pytest's

    def __init__(self, model: Compilable, goals: Goals) -> None:
        self.running: Pass = model.new_pass(training=False)
        self.goals = goals
        self._penalised = [p for p in model.trainable_parameters() if p.has_penalty]
        goals.attach(self.running)

    def __call__(self, batch: Batch) -> None:
        x, y, weights = batch
        running, goals = self.running, self.goals
        outputs = running.forward(x)
        loss, values, _ = goals.compute(running, outputs, y, weights, False)
        loss += running.penalty
        for parameter in self._penalised:
            loss += parameter.regularization()
        goals.gather(running, outputs, y, weights, loss, values, len(x[0]))
