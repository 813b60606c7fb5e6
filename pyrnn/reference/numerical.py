"""Gradients by finite differences: slow, independent of every formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .cell import Array


def numerical_gradient(function: Callable[[], float], a: Array, step: float = 1e-5) -> Array:
    """d function() / d a by central differences; `a` is nudged in place and put back. Error about step**2."""
    gradient = np.zeros_like(a)
    for where in np.ndindex(*a.shape):
        kept = a[where]
        a[where] = kept + step
        above = function()
        a[where] = kept - step
        below = function()
        a[where] = kept
        gradient[where] = (above - below) / (2 * step)
    return gradient
