"""The one place where tests get their tolerances."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def tolerance(dtype: npt.DTypeLike, *, terms: int, steps: int, difference: float | None = None) -> float:
    """Largest error allowed, relative to the largest expected magnitude (at least 1).

    terms: products summed into one value; steps: time steps that a rounding error passes through.
    Rounding errors of a sum grow with the square root of its terms; a step may add its own to those it was handed.
    difference: the step of central differences, whose own error (truncation, then cancellation) comes on top.
    """
    eps = float(np.finfo(dtype).eps)
    rounding = 2 * eps * math.sqrt(terms + 8) * (steps + 1)
    return rounding if difference is None else rounding / difference + 10 * difference**2 * (steps + 1)


def assert_close(
    actual: object,
    expected: npt.NDArray[np.float64],
    *,
    what: str,
    dtype: npt.DTypeLike,
    terms: int,
    steps: int,
    difference: float | None = None,
) -> None:
    """Shapes equal, every element finite and within `tolerance`."""
    assert isinstance(actual, np.ndarray), f"{what}: expected an array, got {type(actual)}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    allowed = scale * tolerance(dtype, terms=terms, steps=steps, difference=difference)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=allowed, equal_nan=False, err_msg=what)
