"""Keras with JAX, the outside witness of the tests that compare with it; where it is missing they skip, by name."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray[Any]


def import_keras() -> Any:
    """The module keras, on JAX."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, while they load
        pytest.importorskip("jax", reason="needs jax, which runs Keras, the witness of this test")
        keras = pytest.importorskip("keras", reason="needs keras, the witness of this test")
    if keras.backend.backend() != "jax":
        pytest.skip(f"needs keras on jax (KERAS_BACKEND=jax), got {keras.backend.backend()}")
    return keras


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """JAX computes in float64 inside."""
    import jax
    import keras

    before = keras.backend.floatx()
    jax.config.update("jax_enable_x64", True)
    keras.backend.set_floatx("float64")
    keras.config.set_dtype_policy("float64")  # Keras remembers the first it was asked for
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", False)
        keras.backend.set_floatx(before)
        keras.config.set_dtype_policy(before)


def value_and_gradient(function: Callable[[Any], Any], x: Array) -> tuple[float, Array]:
    """A function of Keras's at x, and its gradient there."""
    import jax

    value, gradient = jax.value_and_grad(function)(x)
    return float(value), np.asarray(gradient)
