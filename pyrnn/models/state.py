"""Models as a plain config and named arrays, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from pyrnn import losses, metrics, optimizers, saving
from pyrnn._types import Array
from pyrnn.layers.base import deserialize, serialize
from pyrnn.models.model import Model


def load_model(filepath: str | PathLike[str]) -> Model:
    """The model that `Model.save` wrote to a file, ready to predict or to train on.

    Raises FileNotFoundError where there is no file, ValueError where it is damaged or something else.

    >>> import tempfile
    >>> from pyrnn import Sequential
    >>> from pyrnn.layers import GRU, Input
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Sequential([Input((None, 3)), GRU(2)]).save(folder + "/model.pyrnn")
    ...     load_model(folder + "/model.pyrnn").count_params()
    42
    """
    config, tensors = saving.read(filepath)
    try:
        return model_from_state(config, tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{fspath(filepath)}: does not describe a model: {error}") from error


def state_of(model: Model) -> tuple[dict[str, Any], dict[str, Array]]:
    """A model as a JSON-able config and named arrays."""
    config: dict[str, Any] = {"model": serialize(model)}
    tensors: dict[str, Array] = {}
    for i, array in enumerate(model.get_weights()):
        tensors[f"weights/{i}"] = np.ascontiguousarray(array)
    if model._compiled:
        config["compile"] = {
            "optimizer": optimizers.serialize(model.optimizer),
            "loss": losses.serialize(model.loss),
            "metrics": [metrics.serialize(metric) for metric in model._metrics.metrics],
            "iterations": model.optimizer.iterations,
        }
        for i, slots in enumerate(model.optimizer.get_state()):
            for slot, arrays in slots.items():
                for j, array in enumerate(arrays):
                    tensors[f"optimizer/{i}/{slot}/{j}"] = np.ascontiguousarray(array)
    return config, tensors


def model_from_state(config: Mapping[str, Any], tensors: Mapping[str, Array]) -> Model:
    """The way back from `state_of`."""
    model = deserialize(config["model"])
    if not isinstance(model, Model):
        raise ValueError(f"expected a model, got the layer {type(model).__name__}")
    weights = [tensors[f"weights/{i}"] for i in range(sum(name.startswith("weights/") for name in tensors))]
    if model.built:
        model.set_weights(weights)
    elif weights:
        raise ValueError("there are weights without a shape of the input")
    compiled = config.get("compile")
    if compiled is not None:
        model.compile(
            optimizer=optimizers.deserialize(compiled["optimizer"]),
            loss=losses.deserialize(compiled["loss"]),
            metrics=[metrics.deserialize(metric) for metric in compiled["metrics"]],
        )
        state = _optimizer_state(tensors)
        if state:
            model.optimizer.set_state(compiled["iterations"], model.trainable_parameters(), state)
        else:
            model.optimizer.iterations = int(compiled["iterations"])
    return model


def _optimizer_state(tensors: Mapping[str, Array]) -> list[dict[str, list[Array]]]:
    """The arrays named optimizer/<parameter>/<slot>/<array>, in order."""
    found: dict[int, dict[str, dict[int, Array]]] = {}
    for name, array in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, slot, j = name.split("/")
            found.setdefault(int(parameter), {}).setdefault(slot, {})[int(j)] = array
    return [{slot: [arrays[j] for j in sorted(arrays)] for slot, arrays in found[i].items()} for i in sorted(found)]
