"""Models as a plain config and named arrays, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from pyrnn import _files, optimizers
from pyrnn._types import Array
from pyrnn.layers.base import deserialize, serialize
from pyrnn.models.model import Model
from pyrnn.training.goals import compiled_from_config
from pyrnn.training.state import optimizer_tensors, set_optimizer_state
from pyrnn.training.weights import check_overwrite


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
    config, tensors = _files.read(filepath)
    try:
        return model_from_state(config, tensors)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{fspath(filepath)}: does not describe a model: {error}") from error


def save_model(model: Model, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model to a file: layers, weights, and what it was compiled with; `load_model` reads it.

    The name of the file says nothing about its format: "m.keras" is written in pyrnn's too.

    Raises FileExistsError with overwrite=False where the file exists.
    """
    check_overwrite("save", Path(fspath(filepath)), overwrite)
    _files.write(filepath, *state_of(model))


def state_of(model: Model) -> tuple[dict[str, Any], dict[str, Array]]:
    """A model as a JSON-able config and named arrays."""
    config: dict[str, Any] = {"model": serialize(model), "names": model.weight_names}
    tensors: dict[str, Array] = {}
    for i, array in enumerate(model.get_weights()):
        tensors[f"weights/{i}"] = np.asarray(array, order="C")
    if model.compiled:
        config["compile"] = model.get_compile_config()
        tensors |= optimizer_tensors(model.optimizer)
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
        made = compiled_from_config(compiled)
        model.compile(optimizers.deserialize(compiled["optimizer"]), **made._asdict())
        set_optimizer_state(model, int(compiled["iterations"]), tensors)
    return model
