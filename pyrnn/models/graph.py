"""From the tensors of a model to the order in which its layers run.

A `Plan` numbers the values that flow: `Step`s take some and make others. Whatever layers a model has, one after the
other or a graph, runs as a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyrnn.layers.base import Layer
from pyrnn.layers.input import InputLayer
from pyrnn.layers.tensor import Node, Tensor


class Step(NamedTuple):
    """One place of a layer: the values it takes and makes.

    drop: values that nothing needs after it.
    """

    node: Node
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    drop: tuple[int, ...]


class Plan(NamedTuple):
    """steps: in the order in which they run; inputs, outputs: numbers of the model's values; values: how many."""

    steps: list[Step]
    inputs: list[int]
    outputs: list[int]
    values: int
    layers: list[Layer]


def trace(inputs: Sequence[Tensor], outputs: Sequence[Tensor], owner: str) -> Plan:
    """The plan that computes outputs from inputs.

    Raises ValueError where an output needs an Input that is not among the inputs.
    """
    given = {id(x): x for x in inputs}
    order, first_seen = _nodes_of(outputs, given, owner)
    number = {key: i for i, key in enumerate(given)}
    for node in order:
        for out in node.outputs:
            number.setdefault(id(out), len(number))
    wanted = [number[id(out)] for out in outputs]
    last: dict[int, int] = {}
    places = []
    for i, node in enumerate(order):
        takes = tuple(number[id(x)] for x in node.inputs)
        makes = tuple(number[id(x)] for x in node.outputs)
        places.append((node, takes, makes))
        last |= dict.fromkeys((*makes, *takes), i)
    steps = [
        Step(node, takes, makes, tuple(v for v, end in last.items() if end == i and v not in wanted))
        for i, (node, takes, makes) in enumerate(places)
    ]
    layers = _layers_of(inputs, order, first_seen)
    return Plan(steps, [number[id(x)] for x in inputs], wanted, len(number), layers)


def _nodes_of(outputs: Sequence[Tensor], given: dict[int, Tensor], owner: str) -> tuple[list[Node], dict[int, int]]:
    """Nodes so that each stands behind those it needs, and for each layer when it was met on the way back."""
    order: list[Node] = []
    done: set[int] = set()
    open_nodes: set[int] = set()
    first_seen: dict[int, int] = {}
    # a stack, not recursion: a model may be deeper than Python's stack
    stack: list[tuple[Tensor, bool]] = [(out, False) for out in reversed(outputs)]
    while stack:
        tensor, left = stack.pop()
        node = tensor.node
        if left:
            if id(node) not in done:
                done.add(id(node))
                order.append(node)
            continue
        if id(tensor) in given or id(node) in done or id(node) in open_nodes:
            first_seen.setdefault(id(node.layer), len(first_seen))
            continue
        if isinstance(node.layer, InputLayer):
            raise ValueError(f"{owner}: outputs: {tensor!r} is needed, but is not among the inputs")
        first_seen.setdefault(id(node.layer), len(first_seen))
        open_nodes.add(id(node))
        stack.append((tensor, True))
        stack.extend((x, False) for x in reversed(node.inputs))
    return order, first_seen


def _layers_of(inputs: Sequence[Tensor], order: Sequence[Node], first_seen: dict[int, int]) -> list[Layer]:
    """The layers in Keras's order: by the longest way to an output, then as they are met on the way back."""
    depth: dict[int, int] = {}
    layers: dict[int, Layer] = {}
    of_node: dict[int, int] = {}
    for node in reversed(order):
        key = id(node.layer)
        layers[key] = node.layer
        depth[key] = max(of_node.get(id(node), 0), depth.get(key, 0))
        for x in node.inputs:
            of_node[id(x.node)] = max(of_node.get(id(x.node), 0), depth[key] + 1)
    for x in inputs:
        if isinstance(x.node.layer, InputLayer):
            layers[id(x.node.layer)] = x.node.layer
            depth[id(x.node.layer)] = of_node.get(id(x.node), 0)
    for key in layers:
        first_seen.setdefault(key, len(first_seen))
    return sorted(layers.values(), key=lambda layer: (-depth[id(layer)], first_seen[id(layer)]))
