"""Optimisers, metrics and random generators as plain values and named arrays."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn import utils
from pyrnn._types import Array
from pyrnn.layers.base import Layer
from pyrnn.optimizers import Optimizer

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable


def layers_below(layer: Layer) -> Iterator[Layer]:
    """The layers that a layer or model holds, those inside them too."""
    for value in vars(layer).values():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(one, Layer):
                yield one
                yield from layers_below(one)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Array]:
    """The state of an optimiser as arrays named optimizer/<parameter>/<slot>/<array>."""
    return {
        f"optimizer/{i}/{slot}/{j}": np.asarray(array, order="C")
        for i, slots in enumerate(optimizer.get_state())
        for slot, arrays in slots.items()
        for j, array in enumerate(arrays)
    }


def set_optimizer_state(model: Compilable, iterations: int, tensors: Mapping[str, Array]) -> None:
    """The way back from `optimizer_tensors`."""
    found: dict[int, dict[str, dict[int, Array]]] = {}
    for name, array in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, slot, j = name.split("/")
            found.setdefault(int(parameter), {}).setdefault(slot, {})[int(j)] = array
    state = [{slot: [arrays[j] for j in sorted(arrays)] for slot, arrays in found[i].items()} for i in sorted(found)]
    if state:
        model.optimizer.set_state(iterations, model.trainable_parameters(), state)
    else:
        model.optimizer.iterations = int(iterations)


def random_state() -> dict[str, Any]:
    """All random generators that pyrnn and its users draw from."""
    version, keys, gauss = random.getstate()
    name, words, position, has_gauss, cached = np.random.get_state()
    return {
        "seeds": utils._seeds.bit_generator.state,
        "python": [version, list(keys), gauss],
        "numpy": [name, np.asarray(words).tolist(), position, has_gauss, cached],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    """The way back from `random_state`."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    name, words, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(words, np.uint32), position, has_gauss, cached))
    generator = np.random.default_rng()
    generator.bit_generator.state = state["seeds"]
    utils._seeds = generator


def layer_seeds(model: Compilable) -> list[dict[str, int]]:
    """The seeds of the layers' own random masks."""
    return [{name: int(getattr(layer, name)) for name in _seed_names(layer)} for layer in model.flat_layers()]


def set_layer_seeds(model: Compilable, seeds: list[dict[str, int]]) -> None:
    """The way back from `layer_seeds`."""
    for layer, mine in zip(model.flat_layers(), seeds, strict=True):
        for name, seed in mine.items():
            setattr(layer, name, seed)


def _seed_names(layer: Layer) -> list[str]:
    return [name for name, value in vars(layer).items() if name.endswith("_seed") and isinstance(value, int)]


def split_arrays(prefix: str, value: Any, tensors: dict[str, Array]) -> Any:
    """A state with its arrays put into `tensors`, and their names in their places."""
    if isinstance(value, np.ndarray):
        tensors[prefix] = np.asarray(value, order="C")
        return {"array": prefix}
    if isinstance(value, (list, tuple)):
        return [split_arrays(f"{prefix}/{i}", item, tensors) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        return {"dict": {str(key): split_arrays(f"{prefix}/{key}", item, tensors) for key, item in value.items()}}
    if isinstance(value, np.generic):
        return value.item()
    return value


def join_arrays(value: Any, tensors: Mapping[str, Array]) -> Any:
    """The way back from `split_arrays`; tuples come back as lists."""
    if isinstance(value, dict):
        if "array" in value:
            return tensors[value["array"]]
        return {key: join_arrays(item, tensors) for key, item in value["dict"].items()}
    if isinstance(value, list):
        return [join_arrays(item, tensors) for item in value]
    return value
