"""Activation functions beside Keras and their gradients by central differences; a user's own; what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import float64, import_keras

from pyrnn import Sequential, activations
from pyrnn.layers import Activation, Dense, Input

X = np.concatenate([np.linspace(-7.03, 7.01, 29), [-100.0, 100.0]])


@pytest.mark.parametrize("name", activations.FUNCTIONS)
def test_agree_with_keras(name: str) -> None:
    keras = import_keras()
    x = np.where(abs(X) > 80, np.sign(X) * 80, X) if name == "exponential" else X
    x = x[None]
    with float64():
        expected = np.asarray(keras.activations.get(name)(keras.ops.convert_to_tensor(x)))
    np.testing.assert_allclose(activations.apply(activations.get(name), x), expected, rtol=1e-6, atol=1e-6)
    assert activations.FUNCTIONS[name](x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", activations.FUNCTIONS)
def test_gradients_are_slopes(name: str) -> None:
    function = activations.get(name)
    x = np.linspace(-4.03, 4.01, 20)[None]
    dy = np.random.default_rng(1).standard_normal(x.shape)
    dx = activations.gradient(function, x, activations.apply(function, x), dy)
    towards, step = np.random.default_rng(2).standard_normal(x.shape), 1e-6
    sides = [float((activations.apply(function, x + side * towards) * dy).sum()) for side in (step, -step)]
    assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(float((dx * towards).sum()), rel=1e-6, abs=1e-7)


def test_erf_is_exact_to_double_precision() -> None:
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.46875, 4.0, 1e-300, np.inf, -np.inf]])
    expected = [math.erf(v) for v in x]
    np.testing.assert_allclose(activations.erf(x), expected, rtol=1e-14, atol=0)
    assert np.isnan(activations.erf(np.array([np.nan]))[0])


def test_a_function_of_ones_own_trains_and_is_not_saved(tmp_path: Any) -> None:
    square = activations.Function(lambda x: x * x, lambda x, dy: 2 * x * dy, name="square")
    model = Sequential([Input((3,)), Dense(4, activation=square), Dense(1)])
    model.compile(loss="mse", optimizer="sgd")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 3)).astype(np.float32)
    history = model.fit(x, (x**2).sum(1, keepdims=True), epochs=20, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    with pytest.raises(TypeError, match="activation: square is not one of pyrnn's, so it cannot be saved"):
        model.save(tmp_path / "model.pyrnn")


def test_a_callable_with_a_gradient() -> None:
    def cube(x: Any) -> Any:
        return x**3

    cube.gradient = lambda x, dy: 3 * x * x * dy  # type: ignore[attr-defined]
    assert Activation(cube)(np.array([[2.0]], np.float32)).tolist() == [[8.0]]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("nope", ValueError, "activation: expected one of linear"),
        ("glu", ValueError, "'glu' is not supported: it halves the width"),
        ("sparsemax", ValueError, "'sparsemax' is not supported: use 'softmax'"),
        ("threshold", ValueError, "'threshold' is not supported: use the layer ReLU"),
        (np.tanh, TypeError, "has no gradient: use pyrnn.activations.Function"),
        (3, TypeError, "activation: expected a name"),
    ],
)
def test_refused(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        activations.get(value)


def test_shapes_of_a_function_are_checked() -> None:
    wide = activations.Function(lambda x: x[..., :1], lambda x, dy: dy, name="wide")
    with pytest.raises(ValueError, match="activation: wide: expected an output shaped as its input"):
        Activation(wide)(np.zeros((2, 3), np.float32))
