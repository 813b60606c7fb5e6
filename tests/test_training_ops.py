"""Dense, activations, embedding and sums, against NumPy in float64 and finite differences."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.engine import TABLES
from helpers.tolerances import assert_close
from helpers.training import difference_of, ran, random, sigmoid, softmax
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrnn import _engine, ops

Array = npt.NDArray[Any]
# Around the lanes of every table, the packed columns, and the 256 rows of a block of dW.
DENSE_SIZES = ((1, 1, 1), (5, 7, 3), (17, 33, 65), (257, 16, 15), (600, 9, 130), (3, 600, 17), (4, 0, 3), (0, 3, 4))


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


# ---- sums


@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 4095, 4096, 4097, 50_001])
def test_sum_of_squares(n: int, dtype: str) -> None:
    x = random((n,), dtype)
    expected = math.fsum(float(a) ** 2 for a in x)
    sums = {ops.sum_of_squares(x, _force={"isa": isa, "workers": w}) for isa in TABLES for w in (1, 2, 3)}
    assert len(sums) == 1
    assert math.isclose(sums.pop(), expected, rel_tol=1e-14)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 7, 33), (2, 3, 4, 1)], ids=str)
def test_sum_axis(shape: tuple[int, ...], isa: str, dtype: str) -> None:
    x = random(shape, dtype)
    for axis in range(-len(shape), len(shape)):
        y = ops.sum_axis(x, axis, _force={"isa": isa})
        assert_close(y, x.astype(np.float64).sum(axis=axis), what=str(axis), dtype=dtype, terms=shape[axis], steps=0)
        assert np.array_equal(y, ops.sum_axis(x, axis, _force={"isa": isa, "workers": 2}))
