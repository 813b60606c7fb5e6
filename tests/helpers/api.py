"""One small call of each cell, and comparison to the bit, for tests of the functional API."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyrnn import ops

from .engine import CELLS

T, B, D, H = 6, 5, 7, 19


def random(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    return np.random.default_rng(seed + sum(shape)).uniform(-1, 1, shape).astype(dtype)


def arrays(cell: str, dtype: str = "float32", seed: int = 0) -> tuple[Any, Any, Any]:
    facts = CELLS[cell]
    columns = len(facts["gates"]) * H
    bias = (columns,) if facts["bias_rows"] == 1 else (facts["bias_rows"], columns)
    W_x, W_h = random(D, columns, dtype=dtype, seed=seed), random(H, columns, dtype=dtype, seed=seed + 1)
    return W_x, 0.3 * W_h, random(*bias, dtype=dtype, seed=seed + 2)


def parts_of(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


def assert_equal(actual: Any, expected: Any) -> None:
    for a, e in zip(parts_of(actual), parts_of(expected), strict=True):
        assert a.dtype == e.dtype
        assert np.array_equal(a, e)


def assert_gradients_equal(actual: ops.Gradients, expected: ops.Gradients) -> None:
    for name in ("x", "W_x", "W_h", "b", "state"):
        assert_equal(getattr(actual, name), getattr(expected, name))
