"""Initialisers: names and arguments of Keras's, arrays, functions, and what they refuse."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import import_keras

from pyrnn import initializers

CLASSES = (
    "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones Orthogonal "
    "RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros"
).split()


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_those_of_keras(keras: Any, name: str) -> None:
    mine, theirs = (inspect.signature(getattr(m, name)).parameters for m in (initializers, keras.initializers))
    wanted = {k: v.default for k, v in theirs.items() if k not in ("input_axes", "output_axes")}  # of convolutions
    assert {k: v.default for k, v in mine.items()} == wanted


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("shape", [(40, 60), (70, 30)])
def test_distributions_are_those_of_keras(keras: Any, name: str, shape: tuple[int, ...]) -> None:
    """Other numbers of the same mean, spread and bounds."""
    known = "seed" in inspect.signature(getattr(initializers, name)).parameters
    arguments = {"seed": 3} if known else {}
    mine = getattr(initializers, name)(**arguments)(shape)
    theirs = np.asarray(getattr(keras.initializers, name)(**arguments)(shape))
    assert mine.shape == theirs.shape and mine.dtype == np.float32
    scale = float(theirs.std()) or 1.0
    assert mine.std() == pytest.approx(float(theirs.std()), rel=0.1, abs=1e-9)
    assert mine.mean() == pytest.approx(float(theirs.mean()), abs=0.15 * scale)
    assert np.abs(mine).max() == pytest.approx(float(np.abs(theirs).max()), rel=0.4)
    assert np.array_equal(getattr(initializers, name)(**arguments)(shape), mine)


def test_constants_may_be_arrays() -> None:
    value = np.arange(6.0).reshape(2, 3)
    mine = initializers.Constant(value)
    np.testing.assert_array_equal(mine((2, 3), "float64"), value)
    again = initializers.get(initializers.serialize(mine))
    np.testing.assert_array_equal(again((2, 3)), value)
    with pytest.raises(ValueError, match=r"Constant: value: expected an array \(3, 2\), got \(2, 3\)"):
        mine((3, 2))
    with pytest.raises(ValueError, match="Constant: value: expected finite numbers"):
        initializers.Constant(float("nan"))


def test_functions_are_initializers() -> None:
    mine = initializers.get(lambda shape, dtype: np.full(shape, 0.5, dtype))
    values = mine((2, 3), "float64")
    assert values.dtype == np.float64 and (values == 0.5).all()
    assert initializers.get(initializers.Ones)((1,)).tolist() == [1]
    with pytest.raises(TypeError, match="cannot be saved"):
        initializers.serialize(mine)
    with pytest.raises(ValueError, match=r"Dense: kernel_initializer: .* expected an array \(2, 3\), got \(1,\)"):
        initializers.get(lambda shape, dtype: np.zeros(1), "Dense: kernel_initializer")((2, 3))
    with pytest.raises(TypeError, match="expected a name or an Initializer, got 3"):
        initializers.get(3)
