"""Losses and optimiser steps, against NumPy in float64 and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.tolerances import assert_close
from helpers.training import difference_of, ran, random, sigmoid, softmax

from pyrnn import ops

Array = npt.NDArray[Any]
LOSSES = (
    "softmax_cross_entropy",
    "sigmoid_cross_entropy",
    "cross_entropy_from_probabilities",
    "binary_cross_entropy_from_probabilities",
    "squared_error",
)
STEPS = ("adam", "sgd", "momentum", "nesterov", "rmsprop", "rmsprop momentum")


# ---- losses


def loss_inputs(name: str, shape: tuple[int, ...], dtype: str) -> tuple[Array, Array]:
    x, t = random(shape, dtype), random(shape, dtype, 1)
    if "probabilities" in name:
        x = (0.05 + np.abs(x)) / (1 + np.abs(x)).max() / 1.1
    if name == "squared_error":
        return x, t
    return x.astype(dtype), (softmax(t) if name in LOSSES[::2] else sigmoid(t)).astype(dtype)


def numpy_loss(name: str, x: Array, t: Array, weights: Array | float) -> float:
    with np.errstate(divide="ignore"):
        if name == "softmax_cross_entropy":
            rows = -(t * np.log(softmax(x))).sum(axis=-1)
        elif name == "cross_entropy_from_probabilities":
            rows = -(t * np.log(x / x.sum(axis=-1, keepdims=True))).sum(axis=-1)
        elif name == "squared_error":
            rows = ((x - t) ** 2).sum(axis=-1)
        else:
            p = sigmoid(x) if name == "sigmoid_cross_entropy" else x
            rows = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=-1)
    return float((weights * rows).sum())


def call_loss(name: str, *arguments: Any, **keywords: Any) -> tuple[float, Array]:
    loss, dx, *_ = getattr(ops, name)(*arguments, **keywords)
    return loss, dx


@pytest.mark.parametrize("shape", [(7, 5), (3, 2, 17), (2, 40), (4, 1)], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_agree_with_numpy_and_differences(name: str, shape: tuple[int, ...], isa: str) -> None:
    x, t = loss_inputs(name, shape, "float64")
    weights = np.abs(random(shape[:-1], seed=2))
    keywords = {"weights": weights, "scale": 0.25, "_force": {"isa": isa}}
    if "probabilities" in name:
        keywords["epsilon"] = 0.0
    loss, dx = call_loss(name, x, t, **keywords)
    ran(isa, 1)
    assert math.isclose(loss, numpy_loss(name, x, t, weights), rel_tol=1e-12, abs_tol=1e-12)
    expected = difference_of(lambda x: numpy_loss(name, x, t, weights), x)
    np.testing.assert_allclose(dx, 0.25 * expected, rtol=1e-6, atol=1e-7)
    same, nothing = call_loss(name, x, t, need_grad=False, **keywords)
    assert same == loss and nothing is None


@pytest.mark.parametrize("name", LOSSES)
def test_losses_in_float32(name: str, isa: str) -> None:
    x, t = loss_inputs(name, (50, 23), "float32")
    loss, dx = call_loss(name, x, t, _force={"isa": isa})
    assert dx.dtype == np.float32
    exact, dexact = call_loss(name, x.astype(np.float64), t.astype(np.float64), _force={"isa": isa})
    assert math.isclose(loss, exact, rel_tol=1e-5)
    np.testing.assert_allclose(dx, dexact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [LOSSES[0], LOSSES[2]])
@pytest.mark.parametrize("ids_dtype", ["int8", "uint16", "int32", "int64", "uint64"])
def test_ids_mean_one_hot_targets(name: str, ids_dtype: str, dtype: str) -> None:
    x, _ = loss_inputs(name, (4, 3, 19), dtype)
    ids = np.arange(12).reshape(4, 3).astype(ids_dtype)
    loss, dx = call_loss(name, x, ids)
    expected, dexpected = call_loss(name, x, np.eye(19, dtype=dtype)[ids.astype(int)])
    assert math.isclose(loss, expected, rel_tol=8 * float(np.finfo(dtype).eps))
    np.testing.assert_allclose(dx, dexpected, rtol=1e-5, atol=4 * np.finfo(dtype).eps * np.abs(dexpected).max())
    turned = np.ascontiguousarray(ids.T).T
    assert call_loss(name, x, turned)[0] == loss


def test_probabilities_of_softmax_cross_entropy(isa: str, dtype: str) -> None:
    x, t = loss_inputs("softmax_cross_entropy", (9, 21), dtype)
    p = ops.activation_forward("softmax", x, _force={"isa": isa})
    for need_grad in (False, True):
        _, dx, same = ops.softmax_cross_entropy(x, t, need_grad=need_grad, need_probabilities=True, _force={"isa": isa})
        assert np.array_equal(p, same) and (dx is not None) == need_grad
    assert ops.softmax_cross_entropy(x, t)[2] is None


def test_losses_of_infinite_logits(isa: str) -> None:
    force = {"isa": isa}
    x = np.array([[0.0, -np.inf, 0.0]])
    loss, dx, _ = ops.softmax_cross_entropy(x, np.array([0]), _force=force)
    assert math.isclose(loss, math.log(2))
    np.testing.assert_allclose(dx, [[-0.5, 0, 0.5]])
    assert math.isclose(ops.softmax_cross_entropy(x, np.array([[1.0, 0, 0]]), _force=force)[0], math.log(2))
    loss, dx, _ = ops.softmax_cross_entropy(x, np.array([1]), _force=force)
    assert loss == math.inf
    np.testing.assert_allclose(dx, [[0.5, -1, 0.5]])
    loss, dx = ops.sigmoid_cross_entropy(np.array([[np.inf, -np.inf]]), np.array([[1.0, 0.0]]), _force=force)
    assert loss == 0 and (dx == 0).all()
    assert ops.sigmoid_cross_entropy(np.array([[np.inf]]), np.array([[0.0]]), _force=force)[0] == math.inf


@pytest.mark.parametrize("name", LOSSES)
def test_nan_in_a_row_stays_in_that_row(name: str, isa: str) -> None:
    x, t = loss_inputs(name, (3, 18), "float64")
    _, dx = call_loss(name, x, t, _force={"isa": isa})
    broken = x.copy()
    broken[1, 4] = np.nan
    loss_nan, dx_nan = call_loss(name, broken, t, _force={"isa": isa})
    assert math.isnan(loss_nan) and np.isnan(dx_nan[1, 4]) and np.array_equal(dx_nan[[0, 2]], dx[[0, 2]])
    weights = np.array([1.0, 0.0, 1.0])  # a row without weight counts for nothing, whatever is in it
    loss_0, dx_0 = call_loss(name, broken, t, weights=weights, _force={"isa": isa})
    assert loss_0 == call_loss(name, x, t, weights=weights, _force={"isa": isa})[0]
    assert (dx_0[1] == 0).all() and np.array_equal(dx_0[[0, 2]], dx[[0, 2]])


@pytest.mark.parametrize("name", LOSSES)
def test_bits_of_losses_depend_neither_on_threads_nor_on_the_batch(name: str, isa: str, dtype: str) -> None:
    x, t = loss_inputs(name, (101, 23), dtype)
    loss, dx = call_loss(name, x, t, _force={"isa": isa})
    for workers in (2, 3, 4):
        split, dsplit = call_loss(name, x, t, _force={"isa": isa, "workers": workers})
        ran(isa, workers)
        assert split == loss and np.array_equal(dsplit, dx)
    assert np.array_equal(call_loss(name, x[30:77], t[30:77], _force={"isa": isa})[1], dx[30:77])


def test_clipped_probabilities_have_no_gradient() -> None:
    loss, dp = ops.cross_entropy_from_probabilities(np.array([[0.0, 1.0]]), np.array([0]))
    assert math.isclose(loss, -math.log(1e-7)) and (dp == 0).all()
    loss, dp = ops.binary_cross_entropy_from_probabilities(np.array([[0.0, 1.0, 0.5]]), np.ones((1, 3)))
    assert math.isclose(loss, -math.log(1e-7) - math.log(1 - 1e-7) - math.log(0.5))
    np.testing.assert_allclose(dp, [[0, 0, -2]])


# ---- optimisers


def step_keywords(name: str, step: int) -> dict[str, Any]:
    common = {"lr": 0.05, "weight_decay": 0.1, "scale": 0.5}
    return (
        common
        | {
            "adam": {"step": step, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4},
            "sgd": {},
            "momentum": {"momentum": 0.9},
            "nesterov": {"momentum": 0.9, "nesterov": True},
            "rmsprop": {"rho": 0.8, "epsilon": 1e-4},
            "rmsprop momentum": {"rho": 0.8, "epsilon": 1e-4, "momentum": 0.9},
        }[name]
    )


def kept_arrays(name: str, shape: tuple[int, ...], dtype: str) -> list[Array]:
    n = {"adam": 2, "sgd": 0, "rmsprop momentum": 2}.get(name, 1)
    return [np.zeros(shape, dtype) for _ in range(n)]


def engine_step(name: str, param: Any, grad: Array, kept: list[Array], step: int, **force: Any) -> None:
    function = {"adam": ops.adam_step, "rmsprop": ops.rmsprop_step, "rmsprop momentum": ops.rmsprop_step}.get(
        name, ops.sgd_step
    )
    function(param, grad, *kept, **step_keywords(name, step), **force)


def keras_step(name: str, param: Array, grad: Array, kept: list[Array], step: int) -> None:
    """Keras 3's formulas: weight decay, then the update."""
    k = step_keywords(name, step)
    lr, g = k["lr"], k["scale"] * grad
    param -= param * k["weight_decay"] * lr
    if name == "adam":
        m, v = kept
        alpha = lr * math.sqrt(1 - k["beta_2"] ** step) / (1 - k["beta_1"] ** step)
        m += (g - m) * (1 - k["beta_1"])
        v += (g * g - v) * (1 - k["beta_2"])
        param -= m * alpha / (np.sqrt(v) + k["epsilon"])
    elif name == "sgd":
        param -= g * lr
    elif name in ("momentum", "nesterov"):
        (velocity,) = kept
        velocity[...] = velocity * k["momentum"] - g * lr
        param += velocity * k["momentum"] - g * lr if name == "nesterov" else velocity
    else:
        v = kept[0]
        v[...] = k["rho"] * v + (1 - k["rho"]) * g * g
        increment = lr * g / np.sqrt(v + k["epsilon"])
        if len(kept) == 2:
            kept[1][...] = kept[1] * k["momentum"] + increment
            increment = kept[1]
        param -= increment


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("shape", [(1,), (5, 3), (2, 3, 37)], ids=str)
def test_steps_agree_with_keras(name: str, shape: tuple[int, ...], isa: str, dtype: str) -> None:
    param, kept = random(shape, dtype), kept_arrays(name, shape, dtype)
    exact, exact_kept = param.astype(np.float64), kept_arrays(name, shape, "float64")
    for step in range(1, 5):
        grad = random(shape, dtype, step)
        engine_step(name, param, grad, kept, step, _force={"isa": isa})
        ran(isa, 1)
        keras_step(name, exact, grad.astype(np.float64), exact_kept, step)
        assert_close(param, exact, what="param", dtype=dtype, terms=1, steps=step)
        for one, other in zip(kept, exact_kept, strict=True):
            assert_close(one, other, what="kept", dtype=dtype, terms=1, steps=step)


@pytest.mark.parametrize("name", STEPS)
def test_bits_of_steps_do_not_depend_on_threads(name: str, isa: str, dtype: str) -> None:
    param, grad, kept = random((1234,), dtype), random((1234,), dtype, 1), kept_arrays(name, (1234,), dtype)
    twin, twin_kept = param.copy(), [a.copy() for a in kept]
    for step in (1, 2):
        engine_step(name, param, grad, kept, step, _force={"isa": isa})
        engine_step(name, twin, grad, twin_kept, step, _force={"isa": isa, "workers": 3})
        ran(isa, 3)
    assert all(np.array_equal(a, b) for a, b in zip([param, *kept], [twin, *twin_kept], strict=True))


@pytest.mark.parametrize("name", STEPS)
def test_steps_update_weights_in_place(name: str) -> None:
    weights = ops.Weights("lstm", random((3, 20), "float32"), random((5, 20), "float32"), random((20,), "float32"))
    grad = random(weights.flat.shape, "float32", 1)
    expected, version = weights.flat.copy(), weights.version
    kept = kept_arrays(name, grad.shape, "float32")
    engine_step(name, expected, grad, [a.copy() for a in kept], 1)
    engine_step(name, weights, grad, kept, 1)
    assert np.array_equal(weights.flat, expected) and weights.version > version
