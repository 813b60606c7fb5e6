"""The ops around the recurrent layers name the argument that is wrong, and what they expected."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pyrnn import ops

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
