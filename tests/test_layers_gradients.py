"""Every layer's gradients are the slopes of its outputs (central differences, float64, through the engine)."""

from typing import Any

import numpy as np
import pytest
from helpers.tolerances import tolerance

from pyrnn import activations, ops
from pyrnn.layers import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Call,
    Dense,
    Dropout,
    Embedding,
    Layer,
    RepeatVector,
    Run,
    SimpleRNN,
    TimeDistributed,
)
from pyrnn.layers.parameters import RecurrentParameter

B, T, D, H = 3, 4, 3, 5
DIFFERENCE = 1e-5
F64: dict[str, Any] = {"dtype": "float64"}


def outputs_of(y: Any) -> list[np.ndarray]:
    return list(y) if isinstance(y, tuple) else [y]


class Slope:
    """A layer in training mode, and the sum of its outputs times fixed random numbers."""

    def __init__(self, layer: Layer, x: np.ndarray, mask: np.ndarray | None = None) -> None:
        self.layer, self.x, self.mask = layer, x, mask
        layer.build((None, *x.shape[1:]))
        rng = np.random.default_rng(7)
        layer.set_weights([0.5 * rng.standard_normal(w.shape) for w in layer.get_weights()])
        self.factors = [rng.standard_normal(y.shape) for y in outputs_of(self.run(self.new_call()))]

    def new_call(self) -> Call:
        call = Call(Run(training=True, step=3), key=1)
        call.mask = self.mask
        return call

    def run(self, call: Call) -> Any:
        return self.layer.forward(self.x, call)

    def value(self) -> float:
        return sum(
            float((y * r).sum()) for y, r in zip(outputs_of(self.run(self.new_call())), self.factors, strict=True)
        )

    def gradients(self) -> tuple[Any, list[np.ndarray]]:
        call = self.new_call()
        self.run(call)
        for parameter in self.layer.parameters:
            parameter.zero_gradient()
        factors = self.factors[0] if len(self.factors) == 1 else tuple(self.factors)
        dx = self.layer.backward(factors, call)
        return dx, [g for p in self.layer.parameters for g in p.unpack(p.flat_gradient)]

    def differences(self, array: np.ndarray, put: Any) -> np.ndarray:
        """Central differences of the value by each element of the array."""
        slopes = np.zeros_like(array)
        for i in np.ndindex(array.shape):
            sides = []
            for side in (1, -1):
                moved = array.copy()
                moved[i] += side * DIFFERENCE
                put(moved)
                sides.append(self.value())
            slopes[i] = (sides[0] - sides[1]) / (2 * DIFFERENCE)
        put(array)
        return slopes

    def check(self, *, dx: bool = True) -> None:
        allowed = 10 * tolerance(np.float64, terms=100, steps=T, difference=DIFFERENCE)
        gradient_x, gradients = self.gradients()
        if dx:
            x = self.x
            expected = self.differences(x, lambda moved: setattr(self, "x", moved))
            np.testing.assert_allclose(gradient_x, expected, rtol=0, atol=allowed, err_msg="dx")
        weights = self.layer.get_weights()
        for i, (name, w, actual) in enumerate(zip(self.layer.weight_names, weights, gradients, strict=True)):

            def put(moved: np.ndarray, i: int = i) -> None:
                self.layer.set_weights([*weights[:i], moved, *weights[i + 1 :]])

            np.testing.assert_allclose(actual, self.differences(w, put), rtol=0, atol=allowed, err_msg=name)


def sequence(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((B, T, D))


RECURRENT: dict[str, Any] = {
    "lstm": LSTM,
    "gru": GRU,
    "gru_reset_before": lambda *a, **k: GRU(*a, reset_after=False, **k),
    "rnn": SimpleRNN,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "last": {},
    "sequences": {"return_sequences": True},
    "state": {"return_sequences": True, "return_state": True},
    "last_state": {"return_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "no_bias": {"use_bias": False},
    "dropout": {"return_sequences": True, "dropout": 0.4, "recurrent_dropout": 0.4, "seed": 3},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", RECURRENT)
def test_recurrent(kind: str, variant: str) -> None:
    Slope(RECURRENT[kind](H, **VARIANTS[variant], **F64), sequence()).check()


@pytest.mark.parametrize("zero", [False, True], ids=["hold", "zero"])
@pytest.mark.parametrize("kind", RECURRENT)
def test_masked(kind: str, zero: bool) -> None:
    mask = np.array([[True, True, False, False], [False, True, False, True], [True, True, True, True]])
    layer = RECURRENT[kind](H, return_sequences=True, zero_output_for_mask=zero, **F64)
    Slope(layer, sequence(), mask).check()


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("variant", ["last", "sequences", "state", "dropout"])
def test_bidirectional(variant: str, mode: str | None) -> None:
    Slope(Bidirectional(GRU(2, **VARIANTS[variant], **F64), merge_mode=mode), sequence()).check()


def test_bidirectional_lstm_with_mask() -> None:
    mask = np.array([[True, True, False, False], [False, True, False, True], [True, True, True, True]])
    Slope(Bidirectional(LSTM(2, return_sequences=True, return_state=True, **F64)), sequence(), mask).check()


@pytest.mark.parametrize("activation", activations.NAMES)
def test_dense_and_activation(activation: str) -> None:
    Slope(Dense(4, activation, **F64), sequence()).check()
    Slope(Dense(4, activation, use_bias=False, **F64), sequence()[:, 0]).check()
    Slope(Activation(activation, **F64), sequence()).check()


@pytest.mark.parametrize("inner", [lambda: Dense(2, "softmax", **F64), lambda: GRU(2, **F64)], ids=["dense", "gru"])
def test_time_distributed(inner: Any) -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 2, D))
    Slope(TimeDistributed(inner()), x).check()


def test_repeat_vector() -> None:
    Slope(RepeatVector(3, **F64), sequence()[:, 0]).check()


@pytest.mark.parametrize("axes", [2, 3, 4])
def test_dropout(axes: int) -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 2, 5)[4 - axes :])
    Slope(Dropout(0.4, seed=3, **F64), x).check()


def test_embedding_adds_the_gradients_of_equal_ids() -> None:
    Slope(Embedding(6, 3, **F64), np.array([[1, 5, 1, 0], [5, 5, 2, 1]])).check(dx=False)


def test_gradients_of_parameters_accumulate() -> None:
    for layer in (LSTM(H, **F64), Dense(H, **F64), Bidirectional(GRU(2, **F64))):
        slope = Slope(layer, sequence())
        _, once = slope.gradients()
        call = slope.new_call()
        slope.run(call)
        layer.backward(slope.factors[0], call)
        for parameter, expected in zip(
            [g for p in layer.parameters for g in p.unpack(p.flat_gradient)], once, strict=True
        ):
            np.testing.assert_allclose(parameter, 2 * expected, rtol=1e-12, atol=1e-14)


def test_dx_is_left_out_where_nobody_needs_it() -> None:
    for layer in (LSTM(H, **F64), Bidirectional(GRU(2, **F64)), Dense(2, **F64), TimeDistributed(Dense(2, **F64))):
        slope = Slope(layer, sequence())
        call = slope.new_call()
        call.need_dx = False
        slope.run(call)
        assert layer.backward(slope.factors[0], call) is None


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn_tanh"])
def test_parts_of_the_packed_vector(cell: str, use_bias: bool) -> None:
    """What an optimiser clips by: each array's elements in the packed layout, each once."""
    G = {"lstm": 4, "gru": 3, "rnn_tanh": 1}[cell]
    rng = np.random.default_rng(1)
    b_shape = (2, G * H) if cell == "gru" else (G * H,)
    W_x, W_h, b = (rng.standard_normal(s) for s in ((D, G * H), (H, G * H), b_shape))
    parameter = RecurrentParameter(ops.Weights(cell, W_x, W_h, b if use_bias else None), use_bias)
    arrays = [W_x, W_h, b] if use_bias else [W_x, W_h]
    for part, array in zip(parameter.parts, arrays, strict=True):
        values = np.concatenate([parameter.weights.flat[piece] for piece in part])
        assert np.array_equal(np.sort(values[values != 0]), np.sort(array.ravel()))
    for actual, expected in zip(parameter.unpack(parameter.pack(arrays)), arrays, strict=True):
        assert np.array_equal(actual, expected)


def test_packed_padding_and_missing_bias_stay_zero() -> None:
    """Lanes past H and the rows of a bias that is not there get no gradient, so that no optimiser moves them."""
    for use_bias in (True, False):
        layer = LSTM(H, use_bias=use_bias, **F64)
        Slope(layer, sequence()).gradients()
        parameter = layer.parameters[0]
        outside = np.ones(parameter.flat_gradient.size, bool)
        for part in parameter.parts:
            for piece in part:
                outside[piece] = False
        assert not parameter.flat_gradient[outside].any()
