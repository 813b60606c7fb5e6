"""A model as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pyrnn.layers.arguments import show
from pyrnn.layers.input import InputLayer

if TYPE_CHECKING:
    from pyrnn.layers.base import Layer
    from pyrnn.models.model import Model


def summary_lines(model: Model) -> list[str]:
    """The lines that `Model.summary` prints."""
    rows = [("Layer (type)", "Output shape", "Weights", "Connected to")]
    rows += [(*_about(layer, model), _connected(layer, model)) for layer in model.layers]
    plain = _is_chain(model)
    if plain:  # what each stands on is the line above it
        rows = [(*row[:3], "") for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    rule = "-" * (sum(widths[:3]) + 4 + (0 if plain else widths[3] + 2))
    lines = [f'Model "{model.name}"']
    for i, (first, second, third, last) in enumerate(rows):
        lines.append(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third:>{widths[2]}}  {last}".rstrip())
        if i == 0:
            lines.append(rule)
    lines.append(rule)
    if not model.built:
        return [*lines, "Weights: not built yet; give the first layer an input_shape, or fit"]
    trained = sum(math.prod(shape) for p in model.trainable_parameters() for shape in p.shapes)
    total = model.count_params()
    return [*lines, f"Weights: {total:,}" + (f", of which trainable: {trained:,}" if trained != total else "")]


def _about(layer: Layer, model: Model) -> tuple[str, str, str]:
    tensors = [x for x in model.inputs if x.node.layer is layer]
    for step in model._plan.steps if model._plan else ():
        if step.node.layer is layer and not tensors:
            tensors = step.node.outputs
    shapes = [x.shape for x in tensors] or [None]
    count = f"{layer.count_params():,}" if tensors else "?"
    return f"{layer.name} ({type(layer).__name__})", ", ".join(show(shape) for shape in shapes), count


def _connected(layer: Layer, model: Model) -> str:
    plan = model._plan
    if plan is None:
        return ""
    names = [x.name for step in plan.steps if step.node.layer is layer for x in step.node.inputs]
    return ", ".join(dict.fromkeys(names))


def _is_chain(model: Model) -> bool:
    layers = [layer for layer in model.layers if not isinstance(layer, InputLayer)]
    plan = model._plan
    return plan is None or (
        len(model.inputs) == 1
        and len(plan.steps) == len(layers)
        and all(len(step.inputs) == len(step.outputs) == 1 for step in plan.steps)
        and all(a.outputs[0] == b.inputs[0] for a, b in zip(plan.steps, plan.steps[1:], strict=False))
    )
