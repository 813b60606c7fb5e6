"""What the tests of the ops around the recurrent layers share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pyrnn import _engine

Array = npt.NDArray[Any]


def random(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def ran(isa: str, workers: int) -> None:
    """The last call ran on this table with so many workers."""
    report = _engine.last_report()
    assert (report["isa"], report["workers"]) == (isa, workers)


def difference_of(function: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """Gradient of a function by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))
