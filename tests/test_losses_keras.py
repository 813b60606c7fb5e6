"""Losses beside Keras's: values, gradients, weights, masks, reductions."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.keras_witness import float64, import_keras

from pyrnn import losses
from pyrnn.losses import Loss

Array = npt.NDArray[Any]
# name, arguments, what y_true and y_pred are like
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("MeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
    ("MeanAbsolutePercentageError", {}, "numbers"),
    ("MeanSquaredLogarithmicError", {}, "numbers"),
    ("Huber", {}, "numbers"),
    ("Huber", {"delta": 0.3}, "numbers"),
    ("LogCosh", {}, "numbers"),
    ("CosineSimilarity", {}, "numbers"),
    ("CosineSimilarity", {"axis": 1}, "numbers"),
    ("Poisson", {}, "counts"),
    ("KLDivergence", {}, "probabilities"),
    ("Hinge", {}, "bits"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "bits"),
    ("CategoricalHinge", {}, "one hot"),
    ("CategoricalCrossentropy", {}, "probabilities"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one hot"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, "probabilities"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "axis": 1}, "one hot"),
    ("SparseCategoricalCrossentropy", {}, "ids"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "ids"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, "ids"),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, "ids with -1"),
    ("BinaryCrossentropy", {}, "bit probabilities"),
    ("BinaryCrossentropy", {"from_logits": True}, "bits"),
    ("BinaryCrossentropy", {"label_smoothing": 0.3}, "bit probabilities"),
    ("BinaryCrossentropy", {"from_logits": True, "axis": 1}, "bits"),
    ("BinaryFocalCrossentropy", {}, "bit probabilities"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "gamma": 3.0}, "bit probabilities"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "bits"),
]
SHAPES = [(1, 2), (7, 3), (3, 5, 4)]


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


def data(kind: str, shape: tuple[int, ...], dtype: str = "float64") -> tuple[Array, Array]:
    rng = np.random.default_rng(len(kind) + len(shape))
    y, width = rng.standard_normal(shape), shape[-1]
    t = rng.standard_normal(shape)
    if kind == "counts":
        t, y = rng.poisson(2.0, shape).astype(dtype), rng.random(shape) * 3 + 0.1
    elif kind == "probabilities":
        t, y = rng.dirichlet(np.ones(width), shape[:-1]), rng.dirichlet(np.ones(width), shape[:-1])
    elif kind in ("bits", "signs", "bit probabilities"):
        t = rng.integers(0, 2, shape).astype(dtype)
        t = 2 * t - 1 if kind == "signs" else t
        y = rng.random(shape) * 0.98 + 0.01 if kind == "bit probabilities" else y
    elif kind == "one hot":
        t = np.eye(width)[rng.integers(0, width, shape[:-1])]
    elif kind.startswith("ids"):
        t = rng.integers(-1 if "-1" in kind else 0, width, shape[:-1])
        y = rng.dirichlet(np.ones(width), shape[:-1])
        return t, y.astype(dtype)
    return t.astype(dtype), y.astype(dtype)


def skip_axis(arguments: dict[str, Any], shape: tuple[int, ...]) -> None:
    if arguments.get("axis") == 1 and len(shape) < 3:
        pytest.skip("axis 1 is the last one here")


def theirs(keras: Any, name: str, arguments: dict[str, Any], t: Array, y: Array, weights: Any, mask: Any) -> Any:
    import jax

    loss = getattr(keras.losses, name)(**arguments)

    def value(predictions: Any) -> Any:
        if mask is not None:
            keras.src.backend.set_keras_mask(predictions, jax.numpy.asarray(mask))
        return loss(t, predictions, sample_weight=weights)

    result, gradient = jax.value_and_grad(value)(jax.numpy.asarray(y))
    return float(result), np.asarray(gradient)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_values_and_gradients(
    keras: Any, name: str, arguments: dict[str, Any], kind: str, shape: tuple[int, ...]
) -> None:
    skip_axis(arguments, shape)
    t, y = data(kind, shape)
    mine = getattr(losses, name)(**arguments)
    with float64():
        value, gradient = theirs(keras, name, arguments, t, y, None, None)
    result = mine.compute(t, y)
    assert result.value == pytest.approx(value, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(result.dy, gradient, rtol=1e-6, atol=1e-9)
    assert mine(t, y) == pytest.approx(value, rel=1e-6, abs=1e-9)
    in_float32 = mine.compute(t, y.astype(np.float32))
    assert in_float32.dy.dtype == np.float32
    assert in_float32.value == pytest.approx(value, rel=2e-4, abs=1e-5)
    np.testing.assert_allclose(in_float32.dy, gradient, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "mask"])
@pytest.mark.parametrize("case", [CASES[i] for i in (0, 1, 16, 22, 23, 24)], ids=lambda case: f"{case[0]} {case[1]}")
def test_weights_and_masks(
    keras: Any, case: tuple[str, dict[str, Any], str], reduction: str, weighted: bool, masked: bool
) -> None:
    name, arguments, kind = case
    arguments = arguments | {"reduction": reduction}
    t, y = data(kind, (4, 5, 3))
    rng = np.random.default_rng(9)
    weights = rng.random((4, 5)) if weighted else None
    mask = rng.random((4, 5)) < 0.6 if masked else None
    with float64():
        value, gradient = theirs(keras, name, arguments, t, y, weights, mask)
    result = getattr(losses, name)(**arguments).compute(t, y, weights, mask=mask)
    assert result.value == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(result.dy, gradient, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(("name", "arguments", "kind"), [case for case in CASES if "axis" not in case[1]])
def test_without_reduction(keras: Any, name: str, arguments: dict[str, Any], kind: str) -> None:
    t, y = data(kind, (2, 3, 4))
    weights = np.random.default_rng(1).random((2, 3))
    for reduction in ("none", None):
        with float64():
            expected = np.asarray(getattr(keras.losses, name)(**arguments, reduction=reduction)(t, y, weights))
        mine = getattr(losses, name)(**arguments, reduction=reduction)
        np.testing.assert_allclose(mine(t, y, weights), expected, rtol=1e-6, atol=1e-9)
        with pytest.raises(ValueError, match="gives no number to train on"):
            mine.compute(t, y)


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_gradients_by_differences(name: str, arguments: dict[str, Any], kind: str) -> None:
    t, y = data(kind, (2, 3, 4))
    mine, step = getattr(losses, name)(**arguments), 1e-6
    weights = np.array([[1.0, 0.5, 0.0], [2.0, 1.0, 0.3]])
    if arguments.get("axis") == 1:
        weights = weights[:, :1] + np.arange(4)
    dy = mine.compute(t, y, weights).dy
    for at in np.ndindex(y.shape):
        up, down = y.copy(), y.copy()
        up[at] += step
        down[at] -= step
        slope = (mine.compute(t, up, weights).value - mine.compute(t, down, weights).value) / (2 * step)
        assert slope == pytest.approx(dy[at], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("name", "arguments", "kind"), CASES)
def test_padding_is_not_read(name: str, arguments: dict[str, Any], kind: str) -> None:
    if arguments.get("axis") == 1:
        pytest.skip("its positions are no steps")
    t, y = data(kind, (2, 3, 4))
    mask = np.array([[True, True, False], [True, False, False]])
    mine = getattr(losses, name)(**arguments)
    clean = mine.compute(t, y, mask=mask)
    y[~mask] = np.nan
    result = mine.compute(t, y, mask=mask)
    assert result.value == clean.value
    np.testing.assert_array_equal(result.dy, clean.dy)
    assert not result.dy[~mask].any()


def test_nothing_but_padding() -> None:
    t, y = data("one hot", (2, 3, 4))
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        result = losses.CategoricalCrossentropy(True, reduction=reduction).compute(t, y, mask=np.zeros((2, 3), bool))
        assert result.value == 0 and not result.dy.any()


@pytest.mark.parametrize("name", sorted({case[0] for case in CASES}))
def test_arguments_are_those_of_keras(keras: Any, name: str) -> None:
    mine, theirs = (inspect.signature(getattr(module, name)).parameters for module in (losses, keras.losses))
    assert list(mine) == list(theirs)
    for argument, parameter in theirs.items():
        if argument != "name":
            assert mine[argument].default == parameter.default, argument
    assert getattr(losses, name)().name == getattr(keras.losses, name)().name


NAMES = (
    "mse MSE mae MAE mape MAPE msle MSLE bce BCE kld KLD mean_squared_error huber log_cosh kl_divergence poisson "
    "cosine_similarity hinge squared_hinge categorical_hinge categorical_crossentropy binary_crossentropy "
    "sparse_categorical_crossentropy binary_focal_crossentropy MeanAbsoluteError Huber KLDivergence"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_those_of_keras(keras: Any, name: str) -> None:
    theirs = keras.losses.get(name)
    mine = losses.get(name)
    known = theirs.__name__ if inspect.isfunction(theirs) else theirs.name
    assert mine.name.removesuffix("_loss") == known.removesuffix("_loss")
    again = losses.get(losses.serialize(mine))
    assert type(again) is type(mine) and again.get_config() == mine.get_config()


def test_functions(keras: Any) -> None:
    t, y = data("numbers", (3, 4))
    with float64():
        expected = np.asarray(keras.losses.huber(t, y, delta=0.4))
    np.testing.assert_allclose(losses.huber(t, y, delta=0.4), expected)
    assert type(losses.get(losses.huber)) is losses.Huber
    assert type(losses.get(losses.Huber)) is losses.Huber


class Own:
    """No subclass of Loss."""

    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        error = y_pred - y_true
        return (error**2).mean(axis=-1), 2 * error / error.shape[-1]


def test_own_losses() -> None:
    t, y = data("numbers", (3, 2, 4))
    weights = np.arange(6.0).reshape(3, 2)
    own, known = losses.get(Own()).compute(t, y, weights), losses.MeanSquaredError().compute(t, y, weights)
    assert own.value == pytest.approx(known.value) and losses.get(Own()).name == "Own"
    np.testing.assert_allclose(own.dy, known.dy)
    assert losses.get(Own()).compute(t, y, need_grad=False).dy is None


class WithoutGradient(Loss):
    def call(self, y_true: Array, y_pred: Array) -> Array:
        return y_pred


class WrongShape(Loss):
    def loss_and_gradient(self, y_true: Array, y_pred: Array) -> tuple[Array, Array]:
        return y_pred, y_pred


T, Y = data("numbers", (3, 2, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.get("dice"), ValueError, "loss: expected one of binary_crossentropy"),
        (lambda: losses.get(np.abs), TypeError, "a function has no gradient; subclass pyrnn.losses.Loss with"),
        (lambda: losses.get(3), TypeError, "loss: expected a name or a Loss, got 3"),
        (lambda: losses.get({"class_name": "os"}), ValueError, "loss: expected one of BinaryCrossentropy"),
        (WithoutGradient, TypeError, "WithoutGradient: expected a method loss_and_gradient"),
        (lambda: WrongShape()(T, Y), ValueError, "expected arrays (3, 2) and (3, 2, 4), got (3, 2, 4) and (3, 2, 4)"),
        (lambda: losses.Huber(delta=0), ValueError, "huber_loss: delta: expected a number > 0, got 0"),
        (lambda: losses.Huber(delta="a"), TypeError, "huber_loss: delta: expected a number > 0, got 'a'"),
        (lambda: losses.MeanSquaredError("avg"), ValueError, "MeanSquaredError: reduction: expected one of sum_over"),
        (lambda: losses.MeanSquaredError(dtype="float16"), ValueError, "dtype='float16' is not supported"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=2), ValueError, "label_smoothing: expected a number"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing="a"), TypeError, "label_smoothing: expected a number"),
        (lambda: losses.CategoricalCrossentropy(axis=None), TypeError, "axis: expected an integer, got None"),
        (lambda: losses.BinaryCrossentropy(axis=5)(T, Y), ValueError, "axis=5: expected an axis of the output"),
        (lambda: losses.CosineSimilarity(axis=1.5), TypeError, "axis: expected an integer, got 1.5"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class="pad"), TypeError, "ignore_class: expected a class"),
        (lambda: losses.MeanSquaredError()(T, Y, np.ones(2)), ValueError, "sample_weight: expected (3,) or (3, 2)"),
        (lambda: losses.MeanSquaredError()(T, Y, 2.0), ValueError, "sample_weight: expected (3,) or (3, 2), got ()"),
        (lambda: losses.MeanAbsoluteError()(T[:2], Y), ValueError, "y: expected (3, 2, 4) like the model's output"),
        (lambda: losses.serialize(losses.get(Own())), TypeError, "_Own is not one of pyrnn's, so it cannot be saved"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
