"""The one place where tests get their tolerances."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

BF16_EPS = 2.0**-8  # between a bf16 and the next


def tolerance(dtype: npt.DTypeLike, *, terms: int, steps: int, difference: float | None = None) -> float:
    """Largest error allowed, relative to the largest expected magnitude (at least 1).

    terms: products summed into one value; steps: time steps that a rounding error passes through.
    An addition is off by eps/2 of its partial sum at most, with any sign. After k of n terms of size s the partial sum
    is about sqrt(k) s, so all n errors together are about eps/2 sqrt(1/3 sum of k) s = 0.2 eps n s: 0.2 sqrt(n) eps of
    the result, which is about sqrt(n) s. The largest of many elements is off by five times as much, so a sum takes
    sqrt(n) eps, and activations as much again; 8 terms on top are for short sums. A step hands on less than the error
    it got (the cases' W_h contracts) and adds its own: T steps add up to T + 1 times that at most.
    dtype: "bf16" where the engine in float and the reference in double round products alike: now and then a number lies
    on the border between two bf16, goes another way in each, and one term of a sum, 1/sqrt(n) of it, differs.
    difference: the step of central differences, whose own error (truncation, then cancellation) comes on top.
    """
    eps = float(np.finfo("float32" if dtype == "bf16" else dtype).eps)
    rounding = 2 * eps * math.sqrt(terms + 8) * (steps + 1)
    if dtype == "bf16":
        rounding += BF16_EPS * (steps + 1) / math.sqrt(max(terms, 1))
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
