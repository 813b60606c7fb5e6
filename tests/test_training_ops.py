"""The ops around the recurrent layers, against NumPy in float64 and finite differences."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.tolerances import assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrnn import _engine, ops

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

ELEMENTWISE = tuple(name for name in _engine.activation_names if name != "softmax")
LOSSES = (
    "softmax_cross_entropy",
    "sigmoid_cross_entropy",
    "cross_entropy_from_probabilities",
    "binary_cross_entropy_from_probabilities",
    "squared_error",
)
STEPS = ("adam", "sgd", "momentum", "nesterov", "rmsprop", "rmsprop momentum")
# Around the lanes of every table, the packed columns, and the 256 rows of a block of dW.
DENSE_SIZES = ((1, 1, 1), (5, 7, 3), (17, 33, 65), (257, 16, 15), (600, 9, 130), (3, 600, 17), (4, 0, 3), (0, 3, 4))


def random(shape: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def ran(isa: str, workers: int) -> None:
    """The last call ran on this table with so many workers."""
    report = _engine.last_report()
    assert (report["isa"], report["workers"]) == (isa, workers)


def difference_of(function: Callable[[Array], float], x: Array, step: float = 1e-6) -> Array:
    """Gradient of a function by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


# ---- dense


def dense_case(rows: int, K: int, N: int, dtype: str) -> tuple[Array, Array, Array, Array]:
    return random((rows, K), dtype), random((K, N), dtype, 1), random((N,), dtype, 2), random((rows, N), dtype, 3)


@pytest.mark.parametrize("sizes", DENSE_SIZES, ids=str)
def test_dense_agrees_with_numpy(sizes: tuple[int, int, int], isa: str, dtype: str) -> None:
    x, W, b, dy = dense_case(*sizes, dtype)
    rows, K, N = sizes
    exact = [a.astype(np.float64) for a in (x, W, b, dy)]
    y = ops.dense_forward(x, W, b, _force={"isa": isa, "workers": 1})
    ran(isa, 1)
    dx, dW, db = ops.dense_backward(x, W, dy, _force={"isa": isa, "workers": 1})
    assert y.dtype == dx.dtype == dW.dtype == db.dtype == dtype
    assert_close(y, exact[0] @ exact[1] + exact[2], what="y", dtype=dtype, terms=K, steps=0)
    assert_close(dx, exact[3] @ exact[1].T, what="dx", dtype=dtype, terms=N, steps=0)
    assert_close(dW, exact[0].T @ exact[3], what="dW", dtype=dtype, terms=rows, steps=0)
    assert_close(db, exact[3].sum(axis=0), what="db", dtype=dtype, terms=rows, steps=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 80), st.integers(1, 80), st.integers(2, 4), st.data())
def test_dense_bits_depend_neither_on_threads_nor_on_the_batch(
    rows: int, K: int, N: int, workers: int, data: st.DataObject
) -> None:
    x, W, b, dy = dense_case(rows, K, N, "float32")
    y = ops.dense_forward(x, W, b)
    gradients = ops.dense_backward(x, W, dy)
    assert np.array_equal(y, ops.dense_forward(x, W, b, _force={"workers": workers}))
    assert _engine.last_report()["workers"] == workers
    split = ops.dense_backward(x, W, dy, _force={"workers": workers})
    assert all(np.array_equal(a, b) for a, b in zip(gradients, split, strict=True))
    first = data.draw(st.integers(0, rows - 1))
    last = data.draw(st.integers(first + 1, rows))
    assert np.array_equal(y[first:last], ops.dense_forward(x[first:last], W, b))
    dx, _, _ = ops.dense_backward(x[first:last], W, dy[first:last])
    assert np.array_equal(gradients[0][first:last], dx)


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("N", [12, 700], ids=["split by rows", "split by columns"])
def test_dense_bits_do_not_depend_on_the_split(N: int, workers: int, isa: str, dtype: str) -> None:
    x, W, b, dy = dense_case(530, 40, N, dtype)
    one = (ops.dense_forward(x, W, b, _force={"isa": isa}), *ops.dense_backward(x, W, dy, _force={"isa": isa}))
    force = {"isa": isa, "workers": workers}
    y = ops.dense_forward(x, W, b, _force=force)
    ran(isa, workers)
    many = (y, *ops.dense_backward(x, W, dy, _force=force))
    ran(isa, workers)
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


def test_dense_gradients_are_sums_of_blocks_of_256_rows_the_latest_first() -> None:
    x, W, _, dy = dense_case(600, 20, 30, "float32")
    _, dW, db = ops.dense_backward(x, W, dy)
    total, total_b = np.zeros_like(dW), np.zeros_like(db)
    for begin in (512, 256, 0):
        piece = slice(begin, begin + 256)
        dx, *_ = ops.dense_backward(x[piece], W, dy[piece], need_dx=False, dW=total, db=total_b)
        assert dx is None
    assert np.array_equal(dW, total) and np.array_equal(db, total_b)


def test_dense_gradients_accumulate() -> None:
    x, W, _, dy = dense_case(9, 5, 4, "float64")
    dW, db = random(W.shape, seed=4), random((4,), seed=5)
    expected = dW + x.T @ dy, db + dy.sum(axis=0)
    _, same_dW, same_db = ops.dense_backward(x, W, dy, dW=dW, db=db)
    assert same_dW is dW and same_db is db
    assert_close(dW, expected[0], what="dW", dtype="float64", terms=9, steps=0)
    assert_close(db, expected[1], what="db", dtype="float64", terms=9, steps=0)


def test_dense_takes_any_leading_axes_and_layouts() -> None:
    W, b = random((6, 3)), random((3,), seed=1)
    x = random((4, 5, 6))
    y = ops.dense_forward(x, W, b)
    assert y.shape == (4, 5, 3)
    assert np.array_equal(y[2, 3], ops.dense_forward(x[2, 3], W, b))
    turned = x.transpose(1, 0, 2)
    assert np.array_equal(ops.dense_forward(turned, W, b), y.transpose(1, 0, 2))
    swapped = x.astype(x.dtype.newbyteorder())
    assert np.array_equal(ops.dense_forward(swapped, W[:, ::-1], b[::-1]), y[..., ::-1])
    out = np.empty((4, 5, 3))
    assert ops.dense_forward(x, W, b, out=out) is out and np.array_equal(out, y)


def test_dense_is_split_where_it_is_worth_it() -> None:
    x, W, _, _ = dense_case(512, 256, 256, "float32")
    ops.dense_forward(x, W, threads=2)
    report = _engine.last_report()
    assert report["workers"] == 2 and report["gil_released"]
    ops.dense_forward(x, W, threads=1)
    assert _engine.last_report()["workers"] == 1
    ops.dense_forward(x[:2], W[:, :16], threads=2)
    report = _engine.last_report()
    assert report["workers"] == 1 and not report["gil_released"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer on this platform")
def test_an_interrupted_dense_call_changes_nothing() -> None:
    class Alarm(Exception):
        pass

    def ring(*_: object) -> None:
        raise Alarm

    x, W = random((20_000, 600), "float32"), random((600, 600), "float32")
    out, dW, db = np.full((20_000, 600), 7, np.float32), np.ones_like(W), np.ones(600, np.float32)
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for call in (
            lambda: ops.dense_forward(x, W, out=out, threads=1),
            lambda: ops.dense_backward(x, W, x, need_dx=False, dW=dW, db=db, threads=1),
        ):
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            with pytest.raises(Alarm):
                call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (out == 7).all() and (dW == 1).all() and (db == 1).all()


# ---- activations


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "exponential": np.exp,
    "softmax": softmax,
}


def test_every_activation_is_tested() -> None:
    assert set(_engine.activation_names) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_agree_with_numpy(name: str, isa: str, dtype: str) -> None:
    for shape in ((1,), (3, 17), (2, 3, 33)):
        x = 3 * random(shape, dtype)
        y = ops.activation_forward(name, x, _force={"isa": isa})
        assert y.dtype == dtype
        exact = ACTIVATIONS[name](x.astype(np.float64))
        np.testing.assert_allclose(y, exact, rtol=16 * np.finfo(dtype).eps, atol=0, err_msg=f"{name} {shape}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_activations_agree_with_differences(name: str, isa: str) -> None:
    x, dy = 3 * random((3, 17)), random((3, 17), seed=1)
    y = ops.activation_forward(name, x, _force={"isa": isa})
    dx = ops.activation_backward(name, y, dy, _force={"isa": isa})
    expected = difference_of(lambda x: float((ACTIVATIONS[name](x) * dy).sum()), x)
    np.testing.assert_allclose(dx, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_nan_and_infinities(name: str, isa: str, dtype: str) -> None:
    x = np.full((2, 3), np.nan, dtype)
    x[1] = -1
    y = ops.activation_forward(name, x, _force={"isa": isa})
    assert np.isnan(y[0]).all() and not np.isnan(y[1]).any()
    dx = ops.activation_backward(name, y, np.ones_like(y), _force={"isa": isa})
    if name != "linear":  # whose gradient is dy whatever y is
        assert np.isnan(dx[0]).all()
    assert not np.isnan(dx[1]).any()
    if name != "softmax":
        limits = {"softsign": [-1.0, 1.0]}.get(name)
        with np.errstate(all="ignore"):
            ends = np.array([-np.inf, np.inf], dtype)
            expected = ACTIVATIONS[name](ends.astype(np.float64)) if limits is None else np.array(limits)
        np.testing.assert_allclose(ops.activation_forward(name, ends, _force={"isa": isa}), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["softplus", "elu", "selu"])
def test_activations_stay_exact_near_their_limits(name: str, dtype: str) -> None:
    x = np.array([-30, -10, -1e-3, -1e-6, 1e-6, 1e-3], dtype)
    y = ops.activation_forward(name, x)
    np.testing.assert_allclose(y, ACTIVATIONS[name](x.astype(np.float64)), rtol=16 * np.finfo(dtype).eps, atol=0)


def test_softmax_of_minus_infinity_is_zero(isa: str) -> None:
    x = np.array([[0.0, -np.inf, 0.0], [-1e4, -1e4, -1e4], [1e4, -1e4, -np.inf]])
    y = ops.activation_forward("softmax", x, _force={"isa": isa})
    np.testing.assert_allclose(y, [[0.5, 0, 0.5], [1 / 3] * 3, [1, 0, 0]], rtol=1e-15)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bits_of_activations_depend_neither_on_threads_nor_on_position(name: str, isa: str, dtype: str) -> None:
    x = random((41, 37), dtype)
    y = ops.activation_forward(name, x, _force={"isa": isa})
    assert np.array_equal(y, ops.activation_forward(name, x, _force={"isa": isa, "workers": 3}))
    ran(isa, 3)
    assert np.array_equal(y[5:17], ops.activation_forward(name, x[5:17], _force={"isa": isa}))
    dx = ops.activation_backward(name, y, x, _force={"isa": isa})
    assert np.array_equal(dx, ops.activation_backward(name, y, x, _force={"isa": isa, "workers": 2}))
    assert np.array_equal(dx[5:17], ops.activation_backward(name, y[5:17], x[5:17], _force={"isa": isa}))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_work_in_place(name: str) -> None:
    x, dy = random((5, 19)), random((5, 19), seed=1)
    y = ops.activation_forward(name, x)
    dx = ops.activation_backward(name, y, dy)
    assert ops.activation_forward(name, x, out=x) is x and np.array_equal(x, y)
    assert ops.activation_backward(name, y, dy, out=dy) is dy and np.array_equal(dy, dx)


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
    loss, dx = call_loss(name, x, t, _force={"isa": isa})
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


# ---- embedding


@pytest.mark.parametrize("width", [1, 7, 16, 33, 200])
def test_embedding(width: int, isa: str, dtype: str) -> None:
    W, ids = random((11, width), dtype), np.random.default_rng(0).integers(0, 11, (6, 9))
    y = ops.embedding_forward(ids, W, _force={"isa": isa})
    ran(isa, 1)
    assert np.array_equal(y, W[ids])
    assert np.array_equal(y, ops.embedding_forward(ids, W, _force={"isa": isa, "workers": 3}))
    dy, dW = random((6, 9, width), dtype, 1), random((11, width), dtype, 2)
    expected = dW.copy()
    for position in np.ndindex(ids.shape):  # in order: the bits must agree
        expected[ids[position]] += dy[position]
    split = dW.copy()
    ops.embedding_backward(ids, dy, dW, _force={"isa": isa})
    assert np.array_equal(dW, expected)
    ops.embedding_backward(ids, dy, split, _force={"isa": isa, "workers": 2})
    ran(isa, 2)
    assert np.array_equal(split, expected)


def test_embedding_takes_scalars_and_empty_ids() -> None:
    W = random((3, 4))
    assert np.array_equal(ops.embedding_forward(np.array(2), W), W[2])
    assert ops.embedding_forward(np.zeros((0, 5), np.int32), W).shape == (0, 5, 4)


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


# ---- sums


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 4095, 4096, 4097, 50_001])
def test_sum_of_squares(n: int, dtype: str) -> None:
    x = random((n,), dtype)
    expected = math.fsum(float(a) ** 2 for a in x)
    sums = {ops.sum_of_squares(x, _force={"isa": isa, "workers": w}) for isa in tables() for w in (1, 2, 3)}
    assert len(sums) == 1
    assert math.isclose(sums.pop(), expected, rel_tol=1e-14)


def tables() -> list[str]:
    return [table["isa"] for table in _engine.tables()]


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 7, 33), (2, 3, 4, 1)], ids=str)
def test_sum_axis(shape: tuple[int, ...], isa: str, dtype: str) -> None:
    x = random(shape, dtype)
    for axis in range(-len(shape), len(shape)):
        y = ops.sum_axis(x, axis, _force={"isa": isa})
        assert_close(y, x.astype(np.float64).sum(axis=axis), what=str(axis), dtype=dtype, terms=shape[axis], steps=0)
        assert np.array_equal(y, ops.sum_axis(x, axis, _force={"isa": isa, "workers": 2}))


# ---- dropout


def philox(key: tuple[int, int], counter: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 as in the paper."""
    k0, k1 = key
    c0, c1, c2, c3 = counter
    for _ in range(10):
        high_0, low_0 = divmod(0xD2511F53 * c0, 2**32)
        high_1, low_1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c0, c1, c2, c3


def mix(z: int) -> int:
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_philox_is_the_published_generator() -> None:
    assert philox((0, 0), (0, 0, 0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    assert philox((0xA4093822, 0x299F31D0), (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)) == (
        0xD16CFE09,
        0x94FDCCEB,
        0x5001E420,
        0x24126EA1,
    )


def test_dropout_draws_from_philox(isa: str, dtype: str) -> None:
    seed, step, layer, t0, sample0, rate = 2**40 + 5, 123456, 7, 1000, 2000, 0.3
    scales = ops.dropout_scales(
        (2, 3, 150),
        rate,
        seed=seed,
        step=step,
        layer=layer,
        t0=t0,
        sample0=sample0,
        dtype=dtype,
        _force={"isa": isa, "workers": 2},
    )
    ran(isa, 2)
    key = mix((mix(seed) + step * 0x9E3779B97F4A7C15) % 2**64)
    for t, b, u in np.ndindex(2, 3, 150):
        words = philox((key % 2**32, key >> 32), (u // 64 * 16 + u % 16, sample0 + b, t0 + t, layer))
        kept = words[u % 64 // 16] >= round(rate * 2**32)
        assert scales[t, b, u] == (np.dtype(dtype).type(1 / (1 - rate)) if kept else 0)


def test_dropout_of_a_slice_is_the_slice() -> None:
    keys = {"seed": 3, "step": 4, "layer": 5}
    whole = ops.dropout_scales((6, 7, 70), 0.5, **keys)
    assert np.array_equal(ops.dropout_scales((2, 3, 50), 0.5, **keys, t0=3, sample0=2), whole[3:5, 2:5, :50])
    assert np.array_equal(ops.dropout_scales((7, 70), 0.5, **keys, t0=4), whole[4])
    assert np.array_equal(ops.dropout_scales((6, 7, 70), 0.5, **keys, dtype=np.float64), whole)
    for other in ({"seed": 4}, {"step": 5}, {"layer": 6}, {"t0": 1}, {"sample0": 1}):
        assert 0.4 < (ops.dropout_scales((6, 7, 70), 0.5, **(keys | other)) == whole).mean() < 0.6


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_dropout_rate(rate: float) -> None:
    n = 1000
    scales = ops.dropout_scales((n, n), rate, seed=1, step=2, layer=3, dtype="float64")
    dropped = scales == 0
    assert abs(dropped.mean() - rate) <= 5 * math.sqrt(rate * (1 - rate)) / n
    for axis in (0, 1):  # rows and columns alike
        assert abs(dropped.mean(axis=axis) - rate).max() <= 6 * math.sqrt(rate * (1 - rate) / n)
    assert (scales[~dropped] == (1 / (1 - rate) if rate < 1 else 0)).all()


# ---- errors

F32, F64 = np.float32, np.float64
W, X = np.ones((3, 2)), np.ones((4, 3))
V = np.ones(4)
ADAM = {"step": 1, "lr": 0.1}

BAD_CALLS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.dense_forward(np.ones((5, 9)), W), ValueError, r"x: expected \(..., K\) with K = 3, .*got \(5, 9\)"),
    (lambda: ops.dense_forward(np.array(1.0), W), ValueError, r"x: expected \(..., K\), got \(\)"),
    (lambda: ops.dense_forward(X, np.ones(3)), ValueError, r"W: expected \(K, N\), got \(3,\)"),
    (lambda: ops.dense_forward(X, W, np.ones(3)), ValueError, r"b: expected \(N,\) with N = 2, .*got \(3,\)"),
    (lambda: ops.dense_forward(X, W.astype(F32)), TypeError, r"W: expected float64, the dtype of x, got float32"),
    (lambda: ops.dense_forward(X.astype(int), W), TypeError, r"x: expected float32 or float64, got int64"),
    (lambda: ops.dense_forward(X.astype(complex), W), TypeError, r"x: expected float32 or float64, got complex128"),
    (lambda: ops.dense_forward([[1.0]], W), TypeError, r"x: expected an array of float32 or float64, got list"),
    (lambda: ops.dense_forward(np.ma.masked_array(X), W), TypeError, r"x: expected a plain array, got a masked array"),
    (lambda: ops.dense_forward(X, W, out=np.ones((4, 3))), ValueError, r"out: expected \(4, 2\), got \(4, 3\)"),
    (lambda: ops.dense_forward(X, W, out=np.ones((2, 4)).T), ValueError, r"out: expected a C-contiguous"),
    (lambda: ops.dense_forward(X, W, out=np.broadcast_to(1.0, (4, 2))), ValueError, r"out: expected a writable"),
    (lambda: ops.dense_forward(np.ones((4, 3)), W, out=W), ValueError, r"out: expected \(4, 2\)"),
    (lambda: ops.dense_forward(S := np.ones((2, 2)), S, out=S), ValueError, r"out: .* shares no memory with x"),
    (lambda: ops.dense_forward(X, W, threads=0), ValueError, r"threads: expected an integer from 1"),
    (lambda: ops.dense_forward(X, W, threads=1.5), TypeError, r"threads: expected an integer from 1"),
    (lambda: ops.dense_backward(X, W, np.ones((4, 3))), ValueError, r"dy: expected \(4, 2\), got \(4, 3\)"),
    (lambda: ops.dense_backward(X, W, np.ones((4, 2)), dW=np.ones((2, 3))), ValueError, r"dW: expected \(3, 2\)"),
    (lambda: ops.dense_backward(X, W, np.ones((4, 2)), db=np.ones((2, 1))), ValueError, r"db: expected \(2,\)"),
    (lambda: ops.dense_backward(X, W, np.ones((4, 2)), dW=W), ValueError, r"dW: .* shares no memory with W"),
    (lambda: ops.dense_backward(X, W, np.ones((4, 2)), need_dx=1), TypeError, r"need_dx: expected True or False"),
    (lambda: ops.activation_forward("selo", X), ValueError, r"name: expected one of 'linear', .*got 'selo'"),
    (lambda: ops.activation_forward(3, X), TypeError, r"name: expected one of"),
    (lambda: ops.activation_forward("softmax", np.array(1.0)), ValueError, r"x: expected \(..., V\), got \(\)"),
    (lambda: ops.activation_forward("relu", W, out=X[:3, :2]), ValueError, r"out: expected a C-contiguous"),
    (lambda: ops.activation_backward("relu", X, W), ValueError, r"dy: expected \(4, 3\), got \(3, 2\)"),
    (lambda: ops.activation_backward("relu", X, X.astype(F32)), TypeError, r"dy: expected float64, the dtype of y"),
    (
        lambda: ops.softmax_cross_entropy(X, np.array([0, 1, 3, 0])),
        ValueError,
        r"targets: expected 0 to V - 1 = 2, got 3 at index 2",
    ),
    (
        lambda: ops.softmax_cross_entropy(X[None], np.array([[0, 1, 1, -1]])),
        ValueError,
        r"targets: expected 0 to V - 1 = 2, got -1 at index \(0, 3\)",
    ),
    (
        lambda: ops.softmax_cross_entropy(X, np.array([0, 1, 2**64 - 1, 0], np.uint64)),
        ValueError,
        r"targets: .* got 18446744073709551615 at index 2",
    ),
    (lambda: ops.softmax_cross_entropy(X, np.zeros(3, int)), ValueError, r"targets: expected \(4,\), got \(3,\)"),
    (lambda: ops.softmax_cross_entropy(X, X.astype(F32)), TypeError, r"targets: expected float64, the dtype of logits"),
    (lambda: ops.softmax_cross_entropy(X, X, weights=np.ones(3)), ValueError, r"weights: expected \(4,\), got \(3,\)"),
    (lambda: ops.softmax_cross_entropy(X, X, scale="a"), TypeError, r"scale: expected a number, got 'a'"),
    (lambda: ops.softmax_cross_entropy(np.ones((2, 0)), np.ones((2, 0))), ValueError, r"logits: .* V >= 1"),
    (lambda: ops.sigmoid_cross_entropy(X, np.zeros((4, 3), int)), TypeError, r"targets: expected float32 or float64"),
    (lambda: ops.squared_error(X, W), ValueError, r"targets: expected \(4, 3\), got \(3, 2\)"),
    (lambda: ops.embedding_forward(np.array([0, 5]), W), ValueError, r"ids: expected 0 to V - 1 = 2, got 5 at index 1"),
    (lambda: ops.embedding_forward(np.array([0.0]), W), TypeError, r"ids: expected an array of integers"),
    (lambda: ops.embedding_forward([0], W), TypeError, r"ids: expected an array of integers, got list"),
    (lambda: ops.embedding_forward(np.array([0]), V), ValueError, r"W: expected \(V, K\), got \(4,\)"),
    (lambda: ops.embedding_backward(np.array([0]), W, W.copy()), ValueError, r"dy: expected \(1, 2\), got \(3, 2\)"),
    (lambda: ops.embedding_backward(np.array([3]), W[:1], W.copy()), ValueError, r"ids: expected 0 to V - 1 = 2"),
    (lambda: ops.adam_step(V.copy(), np.ones(5), V, V, **ADAM), ValueError, r"grad: expected \(4,\), got \(5,\)"),
    (lambda: ops.adam_step(V.copy(), V, V[:3].copy(), V, **ADAM), ValueError, r"m: expected \(4,\), got \(3,\)"),
    (lambda: ops.adam_step(P := V.copy(), V, P, V.copy(), **ADAM), ValueError, r"m: .* shares no memory with param"),
    (lambda: ops.adam_step(V.copy(), V, V.copy(), V.copy(), step=0, lr=1), ValueError, r"step: expected an integer"),
    (lambda: ops.adam_step(V.copy(), V, V.copy(), V.copy(), step=1, lr=math.nan), ValueError, r"lr: expected a finite"),
    (
        lambda: ops.adam_step(V.copy(), V, V.copy(), V.copy(), **ADAM, beta_1=1.0),
        ValueError,
        r"beta_1: expected a number from 0 up to",
    ),
    (
        lambda: ops.adam_step(V.copy(), V, V.copy(), V.copy(), **ADAM, epsilon=0.0),
        ValueError,
        r"epsilon: expected a finite number > 0",
    ),
    (lambda: ops.sgd_step(V.copy(), V, lr=0.1, momentum=0.5), ValueError, r"velocity: expected an array, as momentum"),
    (lambda: ops.sgd_step(V.copy(), V, lr="x"), TypeError, r"lr: expected a finite number"),
    (lambda: ops.sgd_step(V[::2], V[::2].copy(), lr=0.1), ValueError, r"param: expected a C-contiguous"),
    (lambda: ops.rmsprop_step(V.copy(), V, V.copy(), lr=0.1, momentum=0.5), ValueError, r"mom: expected an array"),
    (lambda: ops.sum_of_squares([1.0]), TypeError, r"x: expected an array of float32 or float64"),
    (lambda: ops.sum_axis(X, 2), ValueError, r"axis: expected an integer from -2 to 1"),
    (lambda: ops.dropout_scales((2,), 0.5, seed=0, step=0, layer=0), ValueError, r"shape: expected \(B, H\) or"),
    (lambda: ops.dropout_scales([2, 3], 0.5, seed=0, step=0, layer=0), TypeError, r"shape: expected \(B, H\) or"),
    (lambda: ops.dropout_scales((2, -3), 0.5, seed=0, step=0, layer=0), ValueError, r"shape\[1\]: expected an integer"),
    (lambda: ops.dropout_scales((2, 3), 1.5, seed=0, step=0, layer=0), ValueError, r"rate: expected a number from 0"),
    (lambda: ops.dropout_scales((2, 3), 0.5, seed=-1, step=0, layer=0), ValueError, r"seed: expected an integer"),
    (lambda: ops.dropout_scales((2, 3), 0.5, seed=0, step=0, layer=2**32), ValueError, r"layer: expected an integer"),
    (
        lambda: ops.dropout_scales((2, 3), 0.5, seed=0, step=0, layer=0, dtype="float16"),
        ValueError,
        r"dtype: expected one of 'float32', 'float64'",
    ),
    (
        lambda: ops.dropout_scales((2**31, 2**31), 0.5, seed=0, step=0, layer=0),
        ValueError,
        r"shape: expected sizes whose arrays can be addressed",
    ),
    (lambda: ops.sum_of_squares(X, _force={"isa": "mmx"}), ValueError, r"mmx"),
    (lambda: ops.sum_of_squares(X, _force={"is": "avx2"}), ValueError, r"_force: expected keys"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS, ids=[message[:60] for *_, message in BAD_CALLS])
def test_bad_arguments_are_named(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
