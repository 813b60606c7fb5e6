"""Optimisers and learning-rate schedules, in Keras's names. The steps themselves run in the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyrnn.optimizers import schedules
from pyrnn.optimizers.adadelta import Adadelta
from pyrnn.optimizers.adagrad import Adagrad
from pyrnn.optimizers.adam import Adam, AdamW
from pyrnn.optimizers.adamax import Adamax
from pyrnn.optimizers.base import Optimizer
from pyrnn.optimizers.nadam import Nadam
from pyrnn.optimizers.rmsprop import RMSprop
from pyrnn.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_CLASSES: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (Adadelta, Adagrad, Adam, AdamW, Adamax, Nadam, RMSprop, SGD)
}


def get(identifier: Any) -> Optimizer:
    """An optimiser from its name, its config, or itself.

    >>> type(get("adam")).__name__
    'Adam'
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _CLASSES:
            raise ValueError(f"optimizer: expected one of {', '.join(_CLASSES)}, got {identifier!r}")
        return _CLASSES[identifier.lower()]()
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    raise TypeError(f"optimizer: expected a name or an Optimizer, got {identifier!r}")


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """The config that `deserialize` turns back into the optimiser, without its state."""
    if _CLASSES.get(type(optimizer).__name__.lower()) is not type(optimizer):
        raise TypeError(f"optimizer: {type(optimizer).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(optimizer).__name__, "config": optimizer.get_config()}


def deserialize(config: Mapping[str, Any]) -> Optimizer:
    """An optimiser from its config; only pyrnn's own classes are known."""
    name = str(config.get("class_name")).lower()
    if name not in _CLASSES:
        raise ValueError(f"optimizer: expected one of {', '.join(_CLASSES)}, got {config.get('class_name')!r}")
    return _CLASSES[name].from_config(config["config"])
