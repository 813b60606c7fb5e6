"""What recurrent layers are called on: x, initial states and a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.tensor import Tensor


def join_states(name: str, inputs: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
    """A layer's inputs and initial_state= as one input or a list [x, *states], and the other options."""
    options = {key: value for key, value in kwargs.items() if key != "initial_state"}
    for key in options:
        raise TypeError(f"{name}: unknown argument {key!r}")
    states = _flat(kwargs.get("initial_state"))
    x = inputs
    if isinstance(inputs, (list, tuple)) and len(inputs) and getattr(inputs[0], "ndim", 0) >= 3:
        x, *listed = inputs
        if listed and states:
            raise ValueError(f"{name}: initial_state: expected the states in the list of inputs or here, got both")
        states = states or _flat(listed)
    if not states:
        return x, options
    if not isinstance(x, Tensor):
        states = [state if isinstance(state, Tensor) else np.asarray(state) for state in states]
    return [x, *states], options


def _flat(states: Any) -> list[Any]:
    """States in a flat list: one array, a list of them, or lists of them in a list."""
    if states is None:
        return []
    if not isinstance(states, (list, tuple)):
        return [states]
    return [array for state in states for array in (_flat(state) if isinstance(state, (list, tuple)) else [state])]


def check_mask(name: str, mask: Array, x: Array) -> None:
    """Raise ValueError for a mask (T, B) that does not fit x (B, T, ...)."""
    if mask.shape != (x.shape[1], x.shape[0]):
        raise ValueError(f"{name}: mask: expected {x.shape[:2]}, got {mask.T.shape}")


def leading_mask(mask: Array, reverse: bool) -> Array | None:
    """(T, B): the masked steps before a row's first that is not, in the order of processing; None for none."""
    ordered = mask[::-1] if reverse else mask
    lead: Array = ~np.logical_or.accumulate(ordered, axis=0)
    if not lead.any():
        return None
    return lead[::-1] if reverse else lead
