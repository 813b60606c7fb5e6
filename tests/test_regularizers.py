"""Regularisers and constraints beside Keras's, and what parameters do with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.keras_witness import float64, import_keras, value_and_gradient

from pyrnn import constraints, ops, regularizers
from pyrnn.constraints import Constraint
from pyrnn.layers.parameters import Parameter, RecurrentParameter
from pyrnn.regularizers import Regularizer

Array = npt.NDArray[Any]
REGULARIZERS = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 0.3}),
    ("L1L2", {}),
    ("OrthogonalRegularizer", {"factor": 0.4}),
    ("OrthogonalRegularizer", {"factor": 0.4, "mode": "columns"}),
]
CONSTRAINTS = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.7}),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}),
    ("MaxNorm", {"max_value": 1.1, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.3, "axis": -1}),
]


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


def random(*shape: int) -> Array:
    return np.random.default_rng(7).standard_normal(shape)


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
@pytest.mark.parametrize("shape", [(5, 3), (1, 7), (4, 4)])
def test_penalties_and_gradients_are_those_of_keras(
    keras: Any, name: str, arguments: dict[str, Any], shape: tuple[int, ...]
) -> None:
    if name == "OrthogonalRegularizer" and shape[0] == 1:
        shape = (2, 7)
    x = random(*shape)
    mine = getattr(regularizers, name)(**arguments)
    with float64():
        value, gradient = value_and_gradient(getattr(keras.regularizers, name)(**arguments), x)
    # Keras keeps the factors of L1 and OrthogonalRegularizer in float32
    assert mine(x) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(mine.gradient(x), gradient, rtol=1e-6, atol=1e-9)
    assert mine.gradient(x.astype(np.float32)).dtype == np.float32
    again = regularizers.get(regularizers.serialize(mine))
    assert again is not None and type(again) is type(mine) and again.get_config() == mine.get_config()


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
def test_gradients_of_penalties_by_differences(name: str, arguments: dict[str, Any]) -> None:
    mine, x, step = getattr(regularizers, name)(**arguments), random(4, 3), 1e-6
    gradient = mine.gradient(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += step
        down[at] -= step
        assert (mine(up) - mine(down)) / (2 * step) == pytest.approx(gradient[at], abs=1e-7)


def test_the_slope_of_l1_at_zero_is_zero() -> None:
    """As in TensorFlow and PyTorch; JAX takes that of positive numbers, which would move what is 0 already."""
    np.testing.assert_array_equal(regularizers.L1(0.5).gradient(np.array([-1.0, 0.0, 2.0])), [-0.5, 0, 0.5])


def test_a_single_row_has_no_pairs() -> None:
    mine = regularizers.OrthogonalRegularizer()
    assert mine(random(1, 3)) == 0 and not mine.gradient(random(1, 3)).any()


@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constraints_are_those_of_keras(keras: Any, name: str, arguments: dict[str, Any], dtype: str) -> None:
    w = random(5, 3).astype(dtype)
    mine = getattr(constraints, name)(**arguments)
    with float64():
        expected = np.asarray(getattr(keras.constraints, name)(**arguments)(w))
    result = mine(w)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, expected, rtol=1e-6 if dtype == "float32" else 1e-12)
    again = constraints.get(constraints.serialize(mine))
    assert again is not None and type(again) is type(mine) and again.get_config() == mine.get_config()


@pytest.mark.parametrize("name", ["l1", "l2", "l1l2", "orthogonal_regularizer", "L1", "OrthogonalRegularizer"])
def test_regularizers_have_keras_names(keras: Any, name: str) -> None:
    mine, theirs = regularizers.get(name), keras.regularizers.get(name)
    assert type(mine).__name__ == type(theirs).__name__
    assert mine is not None and list(mine.get_config()) == list(theirs.get_config())
    for argument, value in theirs.get_config().items():
        assert mine.get_config()[argument] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-6))


@pytest.mark.parametrize("name", ["max_norm", "min_max_norm", "non_neg", "unit_norm", "MaxNorm"])
def test_constraints_have_keras_names(keras: Any, name: str) -> None:
    mine, theirs = constraints.get(name), keras.constraints.get(name)
    assert type(mine).__name__ == type(theirs).__name__
    assert mine is not None and mine.get_config() == theirs.get_config()


# ---- parameters


def recurrent(units: int, use_bias: bool = True, **kwargs: Any) -> RecurrentParameter:
    rng = np.random.default_rng(units)
    W_x, W_h, b = (rng.standard_normal(s) for s in ((3, 4 * units), (units, 4 * units), (4 * units,)))
    return RecurrentParameter(ops.Weights("lstm", W_x, W_h, b if use_bias else None), use_bias, **kwargs)


def with_gradient(parameter: RecurrentParameter) -> RecurrentParameter:
    weights = parameter.weights
    x = np.ones((2, 1, weights.inputs))
    y, _, tape = ops.forward("lstm", x, weights, tape=True)
    parameter.gradients = ops.backward(tape, np.ones_like(y))
    return parameter


PENALTIES = (regularizers.L2(0.1), regularizers.OrthogonalRegularizer(0.2, "columns"), regularizers.L1(0.3))


@pytest.mark.parametrize("units", [1, 5, 16, 20])
@pytest.mark.parametrize("use_bias", [True, False])
def test_penalties_of_packed_weights_are_those_of_the_arrays(units: int, use_bias: bool) -> None:
    penalties = PENALTIES if use_bias else PENALTIES[:2]
    parameter = with_gradient(recurrent(units, use_bias, regularizers=penalties))
    arrays = parameter.arrays()
    assert parameter.has_penalty and not parameter.has_constraint
    assert parameter.regularization() == pytest.approx(sum(p(a) for p, a in zip(penalties, arrays, strict=True)))
    before = parameter.unpack(parameter.flat_gradient)
    parameter.add_regularization_gradient()
    after = parameter.unpack(parameter.flat_gradient)
    for penalty, array, old, new in zip(penalties, arrays, before, after, strict=True):
        np.testing.assert_allclose(new, old + penalty.gradient(array), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("units", [1, 5, 16, 20])
def test_constraints_of_packed_weights_are_those_of_the_arrays(units: int) -> None:
    chosen: tuple[Constraint, ...] = (constraints.NonNeg(), constraints.UnitNorm(1), constraints.NonNeg())
    parameter = recurrent(units, constraints=chosen)
    expected = [constraint(array) for constraint, array in zip(chosen, parameter.arrays(), strict=True)]
    version = parameter.weights.version
    parameter.constrain()
    assert parameter.has_constraint and parameter.weights.version > version
    for array, wanted in zip(parameter.arrays(), expected, strict=True):
        np.testing.assert_array_equal(array, wanted)
    parameter = recurrent(units, constraints=(None, constraints.NonNeg()))
    expected = parameter.arrays()
    parameter.constrain()
    for array, wanted in zip(parameter.arrays(), (expected[0], expected[1].clip(0), expected[2]), strict=True):
        np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("units", [1, 5, 16, 20, 100])
def test_spans_hold_an_array_and_zeros(units: int) -> None:
    parameter = with_gradient(recurrent(units))
    flat, gradient = parameter.weights.flat, parameter.flat_gradient
    for parts, spans, array in zip(parameter.parts, parameter.spans, parameter.arrays(), strict=True):
        assert len(spans) <= len(parts)
        assert sum(piece.stop - piece.start for piece in parts) == array.size
        assert sum((flat[s] ** 2).sum() for s in spans) == pytest.approx((array**2).sum(), rel=1e-12)
        held = sum((gradient[p] ** 2).sum() for p in parts)
        assert sum((gradient[s] ** 2).sum() for s in spans) == pytest.approx(held, rel=1e-12)


def test_plain_parameters() -> None:
    value = random(3, 2)
    parameter = Parameter("kernel", value.copy(), regularizer=regularizers.L2(0.5), constraint=constraints.NonNeg())
    parameter.gradient += 1
    assert parameter.has_penalty and parameter.has_constraint
    assert parameter.regularization() == pytest.approx(0.5 * (value**2).sum())
    parameter.add_regularization_gradient()
    np.testing.assert_allclose(parameter.gradient, 1 + value)
    parameter.constrain()
    np.testing.assert_array_equal(parameter.value, value.clip(0))
    plain = Parameter("bias", value)
    assert not plain.has_penalty and not plain.has_constraint and plain.regularization() == 0
    frozen = Parameter("moving_mean", value, regularizer=regularizers.L2(), trainable=False)
    frozen.zero_gradient()
    assert not frozen.trainable and not frozen.has_penalty and frozen.gradient.size == 0


def test_constraint_that_needs_the_whole_array() -> None:
    value = random(3, 2)
    parameter = Parameter("kernel", value.copy(), constraint=constraints.UnitNorm())
    parameter.constrain()
    np.testing.assert_array_equal(parameter.value, constraints.UnitNorm()(value))


class Cubes(Regularizer):
    def __call__(self, x: Array) -> float:
        return float((np.abs(x) ** 3).sum())

    def gradient(self, x: Array) -> Array:
        return 3 * x * np.abs(x)


def test_own_regularizers_and_constraints() -> None:
    parameter = with_gradient(recurrent(5, regularizers=(Cubes(),), constraints=(constraints.get(np.tanh),)))
    array = parameter.arrays()[0]
    assert parameter.regularization() == pytest.approx((np.abs(array) ** 3).sum())
    before = parameter.unpack(parameter.flat_gradient)[0]
    parameter.add_regularization_gradient()
    np.testing.assert_allclose(parameter.unpack(parameter.flat_gradient)[0], before + 3 * array * np.abs(array))
    parameter.constrain()
    np.testing.assert_array_equal(parameter.arrays()[0], np.tanh(array))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: regularizers.get("l3"), ValueError, "regularizer: expected one of l1, l2"),
        (lambda: regularizers.get("l3", "LSTM: kernel_regularizer"), ValueError, "LSTM: kernel_regularizer: expected"),
        (lambda: regularizers.get(np.sum), TypeError, "a function has no gradient; subclass"),
        (lambda: regularizers.get(3), TypeError, "expected None, a name or a Regularizer, got 3"),
        (lambda: regularizers.get({"class_name": "os.system"}), ValueError, "expected one of L1"),
        (lambda: regularizers.L1(-1), ValueError, "L1: l1: expected a finite number >= 0, got -1"),
        (lambda: regularizers.L2(float("inf")), ValueError, "L2: l2: expected a finite number >= 0, got inf"),
        (lambda: regularizers.L2("much"), TypeError, "L2: l2: expected a number >= 0, got 'much'"),
        (lambda: regularizers.L2(True), TypeError, "L2: l2: expected a number >= 0, got True"),
        (lambda: regularizers.OrthogonalRegularizer(1, "diagonal"), ValueError, "mode: expected 'rows' or 'columns'"),
        (
            lambda: regularizers.OrthogonalRegularizer()(np.ones(3)),
            ValueError,
            r"expected an array of 2 axes, got (3,)",
        ),
        (lambda: regularizers.serialize(Cubes()), TypeError, "Cubes is not one of pyrnn's, so it cannot be saved"),
        (lambda: constraints.get("max"), ValueError, "constraint: expected one of max_norm"),
        (lambda: constraints.get(2), TypeError, "expected None, a name, a Constraint or a function, got 2"),
        (lambda: constraints.get({"class_name": "eval"}), ValueError, "expected one of MaxNorm"),
        (lambda: constraints.MaxNorm(-1), ValueError, "MaxNorm: max_value: expected a finite number >= 0, got -1"),
        (lambda: constraints.MinMaxNorm(2, 1), ValueError, "max_value: expected a number >= min_value = 2, got 1"),
        (lambda: constraints.UnitNorm(axis="rows"), TypeError, "UnitNorm: axis: expected an integer or several"),
        (lambda: constraints.get(np.sum)(np.ones(3)), ValueError, "expected an array (3,), got ()"),
        (lambda: constraints.serialize(constraints.get(np.abs)), TypeError, "cannot be saved"),
        (
            lambda: recurrent(2, use_bias=False, regularizers=(None, None, regularizers.L1())),
            ValueError,
            "regularizers: expected one for each of kernel, recurrent_kernel, got 3",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
