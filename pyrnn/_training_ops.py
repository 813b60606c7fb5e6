"""The functional API's other half: what a network needs around its recurrent layers. `pyrnn.ops` re-exports it.

Arrays are float32 or float64, all of one dtype in a call; whatever their memory layout, results are C-contiguous.
A row's result depends neither on the other rows nor on threads. `_force` is the tests' and private.
Letters: K inputs, N outputs, V classes or vocabulary, `...` any leading axes, whose positions are the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _engine

Array = npt.NDArray[Any]
Force = dict[str, Any] | None


def dense_forward(
    x: Array,
    W: Array,
    b: Array | None = None,
    *,
    out: Array | None = None,
    threads: int | None = None,
    _force: Force = None,
) -> Array:
    """y = x W + b.

    x: (..., K) inputs
    W: (K, N) weights
    b: (N,) bias; None for none
    out: (..., N) where to put y
    threads: at most so many; None for `get_num_threads()`

    Returns y (..., N).
    Raises ValueError for shapes and an unusable `out`, TypeError for dtypes, each naming the argument.

    >>> dense_forward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    return _engine.dense_forward(x, W, b, out, threads, _force)


def dense_backward(
    x: Array,
    W: Array,
    dy: Array,
    *,
    need_dx: bool = True,
    dW: Array | None = None,
    db: Array | None = None,
    threads: int | None = None,
    _force: Force = None,
) -> tuple[Array | None, Array, Array]:
    """Gradients of `dense_forward`: dx = dy W^T, dW += x^T dy, db += sum of the rows of dy.

    x, W: as in forward
    dy: (..., N) gradient of y
    need_dx: False leaves dx out
    dW, db: (K, N) and (N,), added to; None for new arrays
    threads: at most so many; None for `get_num_threads()`

    Returns (dx (..., K) or None, dW, db). Blocks of 256 rows are summed, and the sums added from the latest to the
    earliest, so the bits do not depend on threads.
    Raises as `dense_forward`.

    >>> dense_backward(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([[10.0]]))
    (array([[30., 40.]]), array([[10.],
           [20.]]), array([10.]))
    """
    return _engine.dense_backward(x, W, dy, need_dx, dW, db, threads, _force)


def batch_product(
    a: Array,
    b: Array,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
    threads: int | None = None,
    _force: Force = None,
) -> Array:
    """c[i] = a[i] b[i] for each i: the products of two batches of matrices.

    a: (batch, M, K), or (batch, K, M) with transpose_a
    b: (batch, K, N), or (batch, N, K) with transpose_b; not both transposed
    threads: at most so many; None for `get_num_threads()`

    Returns c (batch, M, N). The bits of c[i] depend neither on the rest of the batch nor on threads.
    Raises ValueError for shapes, TypeError for dtypes, each naming the argument.

    >>> batch_product(np.array([[[1.0, 2.0]]]), np.array([[[3.0, 4.0]]]), transpose_b=True)
    array([[[11.]]])
    """
    return _engine.batch_product(a, b, transpose_a, transpose_b, threads, _force)


def activation_forward(name: str, x: Array, *, out: Array | None = None, _force: Force = None) -> Array:
    """y = name(x), element by element; "softmax" over the last axis.

    name: linear, tanh, sigmoid, hard_sigmoid, relu, relu6, leaky_relu (slope 0.2), elu, selu, softplus, softsign,
        exponential or softmax, each as in Keras
    x: any shape; softmax: (..., V)
    out: where to put y; may be x itself

    Returns y, shaped as x. NaN gives NaN; softmax gives a logit of minus infinity the probability 0.
    Raises ValueError for an unknown name or an unusable `out`, TypeError for dtypes.

    >>> activation_forward("relu", np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    return _engine.activation_forward(name, x, out, _force)


def activation_backward(name: str, y: Array, dy: Array, *, out: Array | None = None, _force: Force = None) -> Array:
    """dx of `activation_forward` from its output y.

    name: as in forward
    y, dy: of one shape
    out: where to put dx; may be y or dy itself

    Returns dx, shaped as y.
    Raises as `activation_forward`.

    >>> activation_backward("sigmoid", np.array([0.5]), np.array([4.0]))
    array([1.])
    """
    return _engine.activation_backward(name, y, dy, out, _force)


def softmax_cross_entropy(
    logits: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    scale: float = 1.0,
    need_grad: bool = True,
    need_probabilities: bool = False,
    _force: Force = None,
) -> tuple[float, Array | None, Array | None]:
    """Sum over the rows of weight * -sum(t log p), where p = softmax(logits).

    logits: (..., V)
    targets: (...) class ids of any integer dtype, or (..., V) probabilities in the dtype of logits
    weights: (...) of the rows; a row of weight 0 counts for nothing, whatever is in it
    scale: multiplies the gradient, not the loss
    need_grad, need_probabilities: what to compute besides the loss

    Returns (loss, dlogits (..., V) = scale * weight * (p - t) or None, p (..., V) or None). The loss is summed in
    double precision by a tree that the number of rows determines.
    Raises ValueError for shapes and ids out of range, TypeError for dtypes.

    >>> loss, dlogits, p = softmax_cross_entropy(np.zeros((1, 2)), np.array([1]))
    >>> round(loss, 4), dlogits
    (0.6931, array([[ 0.5, -0.5]]))
    """
    return _engine.loss(
        "softmax_cross_entropy", logits, targets, weights, scale, 0.0, need_grad, need_probabilities, _force
    )


def sigmoid_cross_entropy(
    logits: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    scale: float = 1.0,
    need_grad: bool = True,
    _force: Force = None,
) -> tuple[float, Array | None]:
    """Sum over the elements of weight * -(t log p + (1 - t) log(1 - p)), where p = sigmoid(logits).

    logits, targets: (..., K)
    weights: (...) of the rows; a row of weight 0 counts for nothing
    scale: multiplies the gradient, not the loss

    Returns (loss, dlogits (..., K) = scale * weight * (p - t), or None).
    Raises ValueError for shapes, TypeError for dtypes.

    >>> loss, dlogits = sigmoid_cross_entropy(np.zeros((1, 1)), np.ones((1, 1)))
    >>> round(loss, 4), dlogits
    (0.6931, array([[-0.5]]))
    """
    loss, dlogits, _ = _engine.loss(
        "sigmoid_cross_entropy", logits, targets, weights, scale, 0.0, need_grad, False, _force
    )
    return loss, dlogits


def cross_entropy_from_probabilities(
    probabilities: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    scale: float = 1.0,
    epsilon: float = 1e-7,
    need_grad: bool = True,
    _force: Force = None,
) -> tuple[float, Array | None]:
    """Sum over the rows of weight * -sum(t log q), where q is the row divided by its sum, then clipped.

    probabilities: (..., V)
    targets, weights, scale: as in `softmax_cross_entropy`, which is more exact where there are logits
    epsilon: q is clipped to epsilon .. 1 - epsilon, and has no gradient outside

    Returns (loss, dprobabilities (..., V) or None).
    Raises ValueError for shapes and ids out of range, TypeError for dtypes.

    >>> loss, dp = cross_entropy_from_probabilities(np.array([[0.5, 0.5]]), np.array([0]))
    >>> round(loss, 4), dp
    (0.6931, array([[-1.,  1.]]))
    """
    loss, dp, _ = _engine.loss(
        "cross_entropy_from_probabilities", probabilities, targets, weights, scale, epsilon, need_grad, False, _force
    )
    return loss, dp


def binary_cross_entropy_from_probabilities(
    probabilities: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    scale: float = 1.0,
    epsilon: float = 1e-7,
    need_grad: bool = True,
    _force: Force = None,
) -> tuple[float, Array | None]:
    """Sum over the elements of weight * -(t log q + (1 - t) log(1 - q)), where q is the probability, clipped.

    probabilities, targets: (..., K)
    weights, scale: as in `sigmoid_cross_entropy`, which is more exact where there are logits
    epsilon: q is clipped to epsilon .. 1 - epsilon, and has no gradient outside

    Returns (loss, dprobabilities (..., K) or None).
    Raises ValueError for shapes, TypeError for dtypes.

    >>> loss, dp = binary_cross_entropy_from_probabilities(np.full((1, 1), 0.5), np.ones((1, 1)))
    >>> round(loss, 4), dp
    (0.6931, array([[-2.]]))
    """
    loss, dp, _ = _engine.loss(
        "binary_cross_entropy_from_probabilities",
        probabilities,
        targets,
        weights,
        scale,
        epsilon,
        need_grad,
        False,
        _force,
    )
    return loss, dp


def squared_error(
    y: Array,
    targets: Array,
    *,
    weights: Array | None = None,
    scale: float = 1.0,
    need_grad: bool = True,
    _force: Force = None,
) -> tuple[float, Array | None]:
    """Sum over the elements of weight * (y - t)^2.

    y, targets: (..., K)
    weights: (...) of the rows; a row of weight 0 counts for nothing
    scale: multiplies the gradient, not the loss

    Returns (loss, dy (..., K) = scale * weight * 2 (y - t), or None).
    Raises ValueError for shapes, TypeError for dtypes.

    >>> squared_error(np.array([[3.0]]), np.array([[1.0]]))
    (4.0, array([[4.]]))
    """
    loss, dy, _ = _engine.loss("squared_error", y, targets, weights, scale, 0.0, need_grad, False, _force)
    return loss, dy


def embedding_forward(ids: Array, W: Array, *, out: Array | None = None, _force: Force = None) -> Array:
    """Rows of W: y[...] = W[ids[...]].

    ids: (...) of any integer dtype, 0 to V - 1
    W: (V, K)
    out: (..., K) where to put y

    Returns y (..., K).
    Raises ValueError that names the first id out of range; ValueError for shapes, TypeError for dtypes.

    >>> embedding_forward(np.array([1, 0]), np.array([[1.0], [2.0]]))
    array([[2.],
           [1.]])
    """
    return _engine.embedding_forward(ids, W, out, _force)


def embedding_backward(ids: Array, dy: Array, dW: Array, *, _force: Force = None) -> None:
    """dW[ids[...]] += dy[...]; an id that comes twice adds in the order of positions.

    ids: (...) of any integer dtype, 0 to V - 1
    dy: (..., K) gradient of y
    dW: (V, K), added to

    Raises as `embedding_forward`.

    >>> dW = np.zeros((2, 1))
    >>> embedding_backward(np.array([1, 1]), np.array([[1.0], [2.0]]), dW)
    >>> dW
    array([[0.],
           [3.]])
    """
    _engine.embedding_backward(ids, dy, dW, _force)


def adam_step(
    param: Array | _engine.Weights,
    grad: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    v_max: Array | None = None,
    _force: Force = None,
) -> None:
    """One step of Adam, in place, by Keras's formula.

    m += (g - m) (1 - beta_1); v += (g^2 - v) (1 - beta_2); param -= alpha m / (sqrt(v) + epsilon),
    where alpha = lr sqrt(1 - beta_2^step) / (1 - beta_1^step) and g = scale * grad.

    param: C-contiguous, any shape; or `ops.Weights`, whose `flat` is then meant and whose version advances
    grad, m, v: shaped as param; m and v start at zero
    step: 1 in the first step
    weight_decay: param -= param * lr * weight_decay before the step
    scale: multiplies grad, for clipping by norm
    v_max: shaped as param, starts at zero; where it is given, v_max = max(v_max, v) divides in place of v (AMSGrad)

    Raises ValueError for shapes and numbers out of range, TypeError for dtypes; then nothing has changed.

    >>> w, m, v = np.ones(1), np.zeros(1), np.zeros(1)
    >>> adam_step(w, np.array([3.0]), m, v, step=1, lr=0.25)
    >>> w.round(4)
    array([0.75])

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """
    array = _array_of(param)
    _engine.adam_step(array, grad, m, v, step, lr, beta_1, beta_2, epsilon, weight_decay, scale, v_max, _force)
    if isinstance(param, _engine.Weights):
        param.touch()


def sgd_step(
    param: Array | _engine.Weights,
    grad: Array,
    velocity: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    _force: Force = None,
) -> None:
    """One step of gradient descent, in place, by Keras's formula.

    Without velocity: param -= lr g, where g = scale * grad. With it: velocity = momentum velocity - lr g, then
    param += velocity, or param += momentum velocity - lr g with nesterov.

    param, grad, weight_decay, scale: as in `adam_step`
    velocity: shaped as param, starts at zero; None for none, then momentum is 0

    Raises as `adam_step`.

    >>> w = np.ones(1)
    >>> sgd_step(w, np.array([2.0]), lr=0.25)
    >>> w
    array([0.5])
    """
    array = _array_of(param)
    _engine.sgd_step(array, grad, velocity, lr, momentum, nesterov, weight_decay, scale, _force)
    if isinstance(param, _engine.Weights):
        param.touch()


def rmsprop_step(
    param: Array | _engine.Weights,
    grad: Array,
    v: Array,
    mom: Array | None = None,
    *,
    lr: float,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    mean: Array | None = None,
    _force: Force = None,
) -> None:
    """One step of RMSprop, in place, by Keras's formula.

    v = rho v + (1 - rho) g^2, where g = scale * grad; d = lr g / sqrt(v + epsilon); with momentum
    d = mom = momentum mom + d; param -= d.

    param, grad, weight_decay, scale: as in `adam_step`
    v, mom: shaped as param, start at zero; mom None for none, then momentum is 0
    mean: shaped as param, starts at zero; where it is given, mean = rho mean + (1 - rho) g, and its square is taken
        off v under the root

    Raises as `adam_step`.

    >>> w, v = np.ones(1), np.zeros(1)
    >>> rmsprop_step(w, np.array([5.0]), v, lr=0.25, rho=0.75)
    >>> w.round(4)
    array([0.5])
    """
    array = _array_of(param)
    _engine.rmsprop_step(array, grad, v, mom, lr, rho, momentum, epsilon, weight_decay, scale, mean, _force)
    if isinstance(param, _engine.Weights):
        param.touch()


def sum_of_squares(x: Array, *, _force: Force = None) -> float:
    """Sum of x^2 over all elements, in double precision, by a tree that the size of x determines.

    x: any shape

    Returns the sum; the same bits on every instruction set.
    Raises TypeError for dtypes.

    >>> sum_of_squares(np.array([[3.0, 4.0]]))
    25.0
    """
    return _engine.sum_of_squares(x, _force)


def sum_axis(x: Array, axis: int, *, _force: Force = None) -> Array:
    """Sum over one axis, in order.

    x: any shape with at least one axis
    axis: from -rank to rank - 1

    Returns the sums, shaped as x without the axis.
    Raises ValueError for the axis, TypeError for dtypes.

    >>> sum_axis(np.array([[1.0, 2.0], [3.0, 4.0]]), 0)
    array([4., 6.])
    """
    return _engine.sum_axis(x, axis, _force)


def dropout_scales(
    shape: tuple[int, ...],
    rate: float,
    *,
    seed: int,
    step: int,
    layer: int,
    t0: int = 0,
    sample0: int = 0,
    dtype: npt.DTypeLike = "float32",
    _force: Force = None,
) -> Array:
    """Multipliers for dropout: 0 with probability `rate`, else 1 / (1 - rate).

    Each element's draw depends on (seed, step, layer, t, sample, unit) only, so a slice of a batch draws what the
    whole batch does: Philox4x32-10 on the counter (unit, sample, t, layer) under a key made of seed and step.

    shape: (B, H) or (T, B, H); without T, t is t0
    rate: 0 to 1; 1 drops everything
    seed, step, layer: integers >= 0; layer below 2^32
    t0, sample0: coordinates of the first element
    dtype: float32 or float64, which draw alike

    Returns the multipliers.
    Raises ValueError for numbers out of range, TypeError for types.

    >>> dropout_scales((1, 4), 0.5, seed=1, step=0, layer=0)
    array([[0., 0., 2., 0.]], dtype=float32)

    Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    return _engine.dropout_scales(shape, rate, seed, step, layer, t0, sample0, name, _force)


def _array_of(param: Array | _engine.Weights) -> Array:
    return param.flat if isinstance(param, _engine.Weights) else param
