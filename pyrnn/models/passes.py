"""Forward and backward over the layers of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer, Run
from pyrnn.models.graph import Plan, Step


class _Acting(Run):
    """The run of a place that acts as in training whatever the model does (dropout in `predict`)."""

    __slots__ = ()


class _Place:
    """A step of the plan with what it keeps from forward to backward."""

    __slots__ = ("call", "drop", "input", "inputs", "layer", "learns", "options", "output", "outputs")

    def __init__(self, step: Step, call: Call) -> None:
        node = step.node
        self.layer: Layer = node.layer
        self.call = call
        self.inputs, self.outputs, self.drop = step.inputs, step.outputs, step.drop
        self.input = None if node.several else step.inputs[0]
        self.output = None if node.several_outputs else step.outputs[0]
        self.options = node.options
        self.learns = False


class GraphPass:
    """A pass over a model's layers, and what they keep from forward to backward.

    plan: the steps.
    training: whether dropout is active and backward follows.
    run, key: those of the call, where the model is a layer of another.

    Attributes
        masks: those of the outputs after forward: (B, T) or None each.
        activations: the last activation of each output, "linear" where it cannot be left to a loss.
        penalty: activity regularisation of the last forward.
    """

    def __init__(self, plan: Plan, training: bool, run: Run | None = None, key: int = -1) -> None:
        self.run = Run(training) if run is None else run
        self.masks: list[Any] = [None] * len(plan.outputs)
        self.penalty = 0.0
        self._plan = plan
        self._acting: list[_Acting] = []
        self._places = [_Place(step, self._call(step, (key + 1) * 1024 + i)) for i, step in enumerate(plan.steps)]
        self._masking = any(place.layer.makes_mask for place in self._places)
        self._penalised = any(place.layer.activity_regularizer is not None for place in self._places)
        self._learning = self._find_learning(run is not None)
        self._last = [self._find_last(value) for value in plan.outputs]
        self.activations = ["linear" if place is None else place.layer.final_activation for place in self._last]
        self._kept: dict[int, Array] = {}

    @property
    def acting(self) -> bool:
        """Whether some place acts as in training although the model does not train."""
        return bool(self._acting)

    def _call(self, step: Step, key: int) -> Call:
        run = self.run
        if step.node.training and not run.training:
            run = _Acting(True)
            self._acting.append(run)
        return Call(run, key)

    def _find_learning(self, inner: bool) -> list[_Place]:
        """The places that backward goes through, last first: nothing below the first that learns needs a gradient."""
        reached = set(self._plan.inputs) if inner else set()
        for place in self._places:
            below = any(value in reached for value in place.inputs)
            place.call.need_dx = below
            place.learns = below or bool(place.layer.trainable_parameters())
            if place.learns:
                reached.update(place.outputs)
        return [place for place in reversed(self._places) if place.learns]

    def _find_last(self, value: int) -> _Place | None:
        """The place whose activation ends in an output and nowhere else."""
        users = sum(value in place.inputs for place in self._places) + self._plan.outputs.count(value)
        place = next((place for place in self._places if place.output == value), None)
        if place is None or users != 1 or place.layer.activity_regularizer is not None:
            return None
        return place

    def leave_last_activation(self, i: int, leave: bool) -> None:
        """Whether output i is what its last activation is given, not its value."""
        place = self._last[i]
        if place is not None:
            place.call.logits = leave

    def limit_memory(self, budget: int | str) -> None:
        """Keep the tapes of the recurrent layers below so many bytes together, or as small as can be ("segments")."""
        shares = sum(place.layer.budget_shares for place in self._places)
        if not shares:
            raise ValueError("memory_budget: expected a recurrent layer without one of its own, got none")
        if not isinstance(budget, str):
            budget = max(1, budget // shares)
        self.run.memory_budget = budget

    # Forward ------------------------------------------------------------------------------------------------------

    def forward(self, inputs: Sequence[Array], masks: Sequence[Any] | None = None) -> list[Array]:
        """The model's inputs -> its outputs; sets `masks` and `penalty`.

        masks: of the inputs, where the model is a layer of another.
        """
        values: list[Any] = [None] * self._plan.values
        for value, array in zip(self._plan.inputs, inputs, strict=True):
            values[value] = array
        for run in self._acting:
            run.step = self.run.step
        if self._masking or masks is not None or self._penalised:
            self._forward_with_masks(values, masks)
        else:
            self._forward(values)
        return [values[i] for i in self._plan.outputs]

    def _forward(self, values: list[Any]) -> None:
        for place in self._places:
            x = values[place.input] if place.input is not None else [values[i] for i in place.inputs]
            y = place.layer.forward(x, place.call, **place.options)
            if place.output is not None:
                values[place.output] = y
            else:
                for i, array in zip(place.outputs, y, strict=True):
                    values[i] = array
            for i in place.drop:
                values[i] = None

    def _forward_with_masks(self, values: list[Any], masks: Sequence[Any] | None) -> None:
        marks: list[Any] = [None] * self._plan.values
        for value, mask in zip(self._plan.inputs, masks or (), strict=False):
            marks[value] = mask
        self.penalty = 0.0
        for place in self._places:
            layer, call = place.layer, place.call
            x = values[place.input] if place.input is not None else [values[i] for i in place.inputs]
            mask = marks[place.input] if place.input is not None else [marks[i] for i in place.inputs]
            call.mask = mask
            y = layer.forward(x, call, **place.options)
            if layer.makes_mask or (any(m is not None for m in mask) if isinstance(mask, list) else mask is not None):
                self._mark(place, layer.output_mask(x, mask, call) if layer.supports_masking else None, marks)
            else:
                self._mark(place, None, marks)
            if place.output is not None:
                values[place.output] = y
            else:
                for i, array in zip(place.outputs, y, strict=True):
                    values[i] = array
            if layer.activity_regularizer is not None:
                self._penalise(place, values)
            for i in place.drop:
                values[i] = None
        self.masks = [marks[i] for i in self._plan.outputs]

    @staticmethod
    def _mark(place: _Place, mask: Any, marks: list[Any]) -> None:
        """Put down the mask of a place's outputs; one of several outputs may give its only one for the first."""
        if place.output is not None:
            marks[place.output] = mask[0] if isinstance(mask, (list, tuple)) else mask
            return
        given = mask if isinstance(mask, (list, tuple)) else [mask]
        for j, i in enumerate(place.outputs):
            marks[i] = given[j] if j < len(given) else None

    def _penalise(self, place: _Place, values: list[Any]) -> None:
        """The penalty of a layer's outputs, a sample on the average, as Keras has it."""
        for i in place.outputs:
            self.penalty += float(place.layer.activity_regularizer(values[i])) / max(len(values[i]), 1)
            if self.run.training:
                self._kept[i] = values[i]

    # Backward -----------------------------------------------------------------------------------------------------

    def backward(self, dys: Sequence[Array | None]) -> list[Array | None]:
        """Add to the gradients of the parameters. Returns the gradients of the inputs, where they were asked for."""
        gradients: list[Any] = [None] * self._plan.values
        for i, given in zip(self._plan.outputs, dys, strict=True):
            _add(gradients, i, given)
        dy: Any
        for place in self._learning:
            if self._penalised and place.layer.activity_regularizer is not None:
                for i in place.outputs:
                    y = self._kept.pop(i)
                    penalty = place.layer.activity_regularizer.gradient(y)
                    _add(gradients, i, penalty / y.dtype.type(max(len(y), 1)))
            if place.output is not None:
                dy = gradients[place.output]
                if dy is None:
                    continue
                gradients[place.output] = None
            else:
                dy = tuple(gradients[i] for i in place.outputs)
                if all(part is None for part in dy):
                    continue
            dx = place.layer.backward(dy, place.call)
            if not place.call.need_dx:
                continue
            if place.input is not None:
                _add(gradients, place.input, dx)
            else:
                for i, part in zip(place.inputs, dx, strict=True):
                    _add(gradients, i, part)
        return [gradients[i] for i in self._plan.inputs]


def _add(gradients: list[Any], i: int, gradient: Array | None) -> None:
    """Gradients of a value that several layers take are added, the last layer's first."""
    if gradient is None:
        return
    before = gradients[i]
    gradients[i] = gradient if before is None else np.add(before, gradient)
