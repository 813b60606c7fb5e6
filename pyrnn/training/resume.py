"""A run of `fit` between two batches, as a configuration and arrays, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn._types import Array
from pyrnn.training.metric_state import goals_state, set_goals_state
from pyrnn.training.state import (
    join_arrays,
    layer_seeds,
    optimizer_tensors,
    random_state,
    set_layer_seeds,
    set_optimizer_state,
    set_random_state,
    split_arrays,
)

if TYPE_CHECKING:
    from pyrnn.training.loop import Loop

KIND = "training state"


def capture(loop: Loop) -> tuple[dict[str, Any], dict[str, Array]]:
    """Everything that the rest of the run follows from."""
    model, optimizer = loop.model, loop.model.optimizer
    tensors = {f"weights/{i}": array for i, array in enumerate(model.get_weights())}
    tensors |= optimizer_tensors(optimizer)
    for i, layer in enumerate(model.stateful_layers()):
        for j, array in enumerate(layer.state_arrays()):
            tensors[f"states/{i}/{j}"] = np.asarray(array)
    rate = optimizer.learning_rate
    config = {
        "kind": KIND,
        "epoch": loop.epoch,
        "done": loop.done,
        "begun": loop.begun,
        "cursor": loop.cursor,
        "order_seed": getattr(loop.source, "seed", None),
        "source": loop.source.describe(),
        "run": loop.describe(),
        "model": _signature(loop),
        "optimizer": type(optimizer).__name__,
        "iterations": optimizer.iterations,
        "learning_rate": rate if isinstance(rate, (int, float)) else None,
        "goals": split_arrays("goals", goals_state(model.goals), tensors),
        "callbacks": [
            [name, split_arrays(f"callbacks/{i}", state, tensors)]
            for i, (name, state) in enumerate(loop.listeners.get_states())
        ],
        "random": random_state(),
        "layer_seeds": layer_seeds(model),
        "stop_training": bool(model.stop_training),
    }
    return config, tensors


def begin(loop: Loop, config: Mapping[str, Any], tensors: Mapping[str, Array], path: Path) -> None:
    """Let a run that has not begun go on from what `capture` gave."""
    if config.get("kind") != KIND:
        raise ValueError(f"{path}: expected the state of a run of fit, got another file of pyrnn's")
    _check_same(loop, config, path)
    for _ in range(config["epoch"]):
        loop.source.end()
    loop.epoch, loop.done, loop.cursor = int(config["epoch"]), int(config["done"]), list(config["cursor"])

    def restore() -> None:
        _restore(loop, config, tensors)

    restore()
    if config["begun"]:
        loop.going_on = restore


def _restore(loop: Loop, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    model, optimizer = loop.model, loop.model.optimizer
    model.set_weights([tensors[f"weights/{i}"] for i in range(len(config["model"]))])
    set_optimizer_state(model, config["iterations"], tensors)
    if config["learning_rate"] is not None:
        optimizer.learning_rate = config["learning_rate"]
    for i, layer in enumerate(model.stateful_layers()):
        count = sum(name.startswith(f"states/{i}/") for name in tensors)
        layer.set_state_arrays([tensors[f"states/{i}/{j}"] for j in range(count)])
    if config["order_seed"] is not None:
        loop.source.seed = int(config["order_seed"])  # type: ignore[attr-defined]
    loop.source.cursor = config["cursor"]
    set_goals_state(model.goals, join_arrays(config["goals"], tensors))
    loop.listeners.set_states([(name, join_arrays(state, tensors)) for name, state in config["callbacks"]])
    set_layer_seeds(model, config["layer_seeds"])
    set_random_state(config["random"])
    model.stop_training = bool(config["stop_training"])


def _check_same(loop: Loop, config: Mapping[str, Any], path: Path) -> None:
    """Raise where the run that was stopped was another one."""
    mine = {
        "the data": loop.source.describe(),
        "the arguments of fit": loop.describe(),
        "the optimizer": type(loop.model.optimizer).__name__,
        "the weights": _signature(loop),
    }
    theirs = {
        "the data": config["source"],
        "the arguments of fit": config["run"],
        "the optimizer": config["optimizer"],
        "the weights": config["model"],
    }
    for what, value in mine.items():
        if value != theirs[what]:
            raise ValueError(
                f"fit: {path} is of another run: expected {what} to be {theirs[what]}, got {value}; "
                "delete the folder to begin anew"
            )


def _signature(loop: Loop) -> list[list[Any]]:
    """Names and shapes of the weights."""
    model = loop.model
    return [[name, list(a.shape)] for name, a in zip(model.weight_names, model.get_weights(), strict=True)]
