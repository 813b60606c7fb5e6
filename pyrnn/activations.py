"""Activation functions: the engine's by their names, others of Keras's in NumPy, and a user's own.

A layer keeps what `get` returns: a name where the engine has the function, else a `Function`. `apply` and `gradient`
take either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pyrnn import ops
from pyrnn._types import Array

NAMES = (
    "linear",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "softplus",
    "softsign",
    "exponential",
    "softmax",
)


class Function:
    """An activation function and its gradient.

    function: x -> y, shaped as x and of its dtype.
    gradient: (x, dy) -> dx, the gradient of the loss by x from that by y.
    name: what errors call it; a name of Keras's where the function is Keras's.

    A layer takes it as `activation=`. A model that holds one of your own can be trained but not saved: files hold
    names only, never code.

    >>> from pyrnn.layers import Dense
    >>> square = Function(lambda x: x * x, lambda x, dy: 2 * x * dy, name="square")
    >>> square(np.array([3.0]))
    array([9.])
    >>> Dense(2, activation=square)(np.zeros((1, 3), np.float32)).tolist()
    [[0.0, 0.0]]

    Keras, https://keras.io/api/layers/activations/
    """

    def __init__(
        self, function: Callable[[Array], Array], gradient: Callable[[Array, Array], Array], name: str | None = None
    ) -> None:
        for argument, value in (("function", function), ("gradient", gradient)):
            if not callable(value):
                raise TypeError(f"Function: {argument}: expected a function, got {value!r}")
        self.function, self.gradient = function, gradient
        self.name = name if name is not None else getattr(function, "__name__", type(function).__name__)

    def __call__(self, x: Any) -> Array:
        y: Array = self.function(_floats(x))
        return y

    def __repr__(self) -> str:
        return f"<activation {self.name}>"


class _Engine(Function):
    """One of NAMES, as a function."""

    def __init__(self, name: str) -> None:
        super().__init__(self._value, self._gradient, name)

    def _value(self, x: Array) -> Array:
        return ops.activation_forward(self.name, x)

    def _gradient(self, x: Array, dy: Array) -> Array:
        return ops.activation_backward(self.name, ops.activation_forward(self.name, x), dy)


def get(identifier: Any, argument: str = "activation") -> str | Function:
    """An activation as layers keep it: a name where the engine has it, else a `Function`. None is "linear".

    identifier: a name, one of this module's functions, a `Function`, or any callable that has an attribute
        `gradient`, a function (x, dy) -> dx.

    Raises ValueError for an unknown name, TypeError for anything else.

    >>> get(None), get(relu), get("swish")
    ('linear', 'relu', <activation silu>)
    """
    if identifier is None:
        return "linear"
    if isinstance(identifier, str):
        if identifier in NAMES:
            return identifier
        if identifier in FUNCTIONS:
            return get(FUNCTIONS[identifier])
        if identifier in _REFUSED:
            raise ValueError(f"{argument}: {identifier!r} is not supported: {_REFUSED[identifier]}")
        raise ValueError(f"{argument}: expected one of {', '.join(FUNCTIONS)}, got {identifier!r}")
    if isinstance(identifier, Function):
        return identifier.name if isinstance(identifier, _Engine) else identifier
    if callable(identifier):
        gradient = getattr(identifier, "gradient", None)
        if gradient is None:
            raise TypeError(
                f"{argument}: {identifier!r} has no gradient: use pyrnn.activations.Function(function, gradient), "
                "where gradient(x, dy) returns dx"
            )
        return Function(identifier, gradient)
    raise TypeError(f"{argument}: expected a name ({', '.join(FUNCTIONS)}), a function or None, got {identifier!r}")


def serialize(activation: str | Function) -> str:
    """The name that `get` turns back into the activation.

    Raises TypeError for a user's own function.

    >>> serialize("relu"), serialize(silu)
    ('relu', 'silu')
    """
    if isinstance(activation, str):
        return activation
    if FUNCTIONS.get(activation.name) is not activation:
        raise TypeError(
            f"activation: {activation.name} is not one of pyrnn's, so it cannot be saved: a file holds names only; "
            f"save the weights (get_weights) and build the model from code, or use one of {', '.join(FUNCTIONS)}"
        )
    return activation.name


def apply(activation: str | Function, x: Array, out: Array | None = None) -> Array:
    """y = activation(x); `out` may be used for y, and may be x itself.

    >>> apply("relu", np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    if isinstance(activation, str):
        return ops.activation_forward(activation, x, out=out)
    y = np.asarray(activation.function(x))
    if y.shape != x.shape:
        raise ValueError(
            f"activation: {activation.name}: expected an output shaped as its input {x.shape}, got {y.shape}"
        )
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def gradient(activation: str | Function, x: Array | None, y: Array, dy: Array) -> Array:
    """dx from dy. x: the input, which only a `Function` needs; y: the output, which only the engine's need.

    >>> gradient("relu", None, np.array([0.0, 2.0]), np.array([5.0, 5.0]))
    array([0., 5.])
    """
    if isinstance(activation, str):
        return ops.activation_backward(activation, y, dy)
    dx = np.asarray(activation.gradient(x, dy))  # type: ignore[arg-type]
    if dx.shape != dy.shape:
        raise ValueError(
            f"activation: {activation.name}: expected a gradient shaped as the input {dy.shape}, got {dx.shape}"
        )
    return dx if dx.dtype == dy.dtype else dx.astype(dy.dtype)


def _floats(x: Any) -> Array:
    array = np.asarray(x)
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


# Keras's functions that the engine does not have --------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    return ops.activation_forward("sigmoid", x)


def _silu_gradient(x: Array, dy: Array) -> Array:
    s = _sigmoid(x)
    return np.asarray(dy * s * (1 + x * (1 - s)))


def _normal_cdf(x: Array) -> Array:
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _gelu_gradient(x: Array, dy: Array) -> Array:
    density = np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return dy * (_normal_cdf(x) + x * density)


def _mish(x: Array) -> Array:
    return x * np.tanh(ops.activation_forward("softplus", x))


def _mish_gradient(x: Array, dy: Array) -> Array:
    t = np.tanh(ops.activation_forward("softplus", x))
    return np.asarray(dy * (t + x * (1 - t * t) * _sigmoid(x)))


def _hard_silu_gradient(x: Array, dy: Array) -> Array:
    return dy * (ops.activation_forward("hard_sigmoid", x) + x * (np.abs(x) < 3) / 6)


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=-1, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return y


def _log_softmax_gradient(x: Array, dy: Array) -> Array:
    dx: Array = dy - ops.activation_forward("softmax", x) * dy.sum(axis=-1, keepdims=True)
    return dx


def _soft_shrink(x: Array) -> Array:
    return np.asarray(x - np.clip(x, -0.5, 0.5))


def _hard_shrink(x: Array) -> Array:
    return np.where(np.abs(x) <= 0.5, 0, x).astype(x.dtype)


def _shrink_gradient(x: Array, dy: Array) -> Array:
    return dy * (np.abs(x) > 0.5)


def _squareplus_gradient(x: Array, dy: Array) -> Array:
    return np.asarray(dy * (0.5 + 0.5 * x / np.sqrt(x * x + 4)))


def _sparse_plus(x: Array) -> Array:
    inside = np.clip(x, -1, 1) + 1
    return np.asarray(0.25 * inside * inside + np.maximum(x - 1, 0))


def erf(x: Array) -> Array:
    """The error function, to double precision (W. J. Cody 1969, Mathematics of Computation 23).

    >>> erf(np.array([0.0, 1.0])).round(6)
    array([0.      , 0.842701])
    """
    z = np.abs(x).astype(np.float64)
    square = z * z
    low = z * _ratio(_ERF_LOW, square)
    middle = np.exp(-square) * _ratio(_ERF_MIDDLE, z)
    far = 1 / np.maximum(square, 1)
    tail = np.exp(-square) / np.maximum(z, 1) * (1 / math.sqrt(math.pi) - far * _ratio(_ERF_HIGH, far))
    result = np.where(z <= 0.46875, low, 1 - np.where(z <= 4, middle, tail))
    result = np.where(z > 6, 1.0, result)
    signed: Array = np.copysign(np.where(np.isnan(z), z, result), x).astype(x.dtype)
    return signed


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """A quotient of polynomials, the highest power first."""
    above, below = (np.full_like(x, terms[0]) for terms in coefficients)
    for value, terms in zip((above, below), coefficients, strict=True):
        for term in terms[1:]:
            value *= x
            value += term
    return above / below


_ERF_LOW = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_ERF_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
     8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERF_HIGH = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip

linear = _Engine("linear")
tanh = _Engine("tanh")
sigmoid = _Engine("sigmoid")
hard_sigmoid = _Engine("hard_sigmoid")
relu = _Engine("relu")
relu6 = _Engine("relu6")
leaky_relu = _Engine("leaky_relu")
elu = _Engine("elu")
celu = elu  # for alpha = 1, Keras's default in both
selu = _Engine("selu")
softplus = _Engine("softplus")
softsign = _Engine("softsign")
exponential = _Engine("exponential")
softmax = _Engine("softmax")
silu = swish = Function(lambda x: x * _sigmoid(x), _silu_gradient, "silu")
gelu = Function(lambda x: x * _normal_cdf(x), _gelu_gradient, "gelu")
mish = Function(_mish, _mish_gradient, "mish")
hard_silu = hard_swish = Function(
    lambda x: x * ops.activation_forward("hard_sigmoid", x), _hard_silu_gradient, "hard_silu"
)
hard_tanh = Function(lambda x: np.clip(x, -1, 1), lambda x, dy: dy * (np.abs(x) < 1), "hard_tanh")
log_sigmoid = Function(
    lambda x: -ops.activation_forward("softplus", -x), lambda x, dy: dy * _sigmoid(-x), "log_sigmoid"
)
log_softmax = Function(_log_softmax, _log_softmax_gradient, "log_softmax")
tanh_shrink = Function(lambda x: x - np.tanh(x), lambda x, dy: dy * np.square(np.tanh(x)), "tanh_shrink")
soft_shrink = Function(_soft_shrink, _shrink_gradient, "soft_shrink")
hard_shrink = Function(_hard_shrink, _shrink_gradient, "hard_shrink")
squareplus = Function(lambda x: 0.5 * (x + np.sqrt(x * x + 4)), _squareplus_gradient, "squareplus")
sparse_plus = Function(_sparse_plus, lambda x, dy: dy * (0.5 * (np.clip(x, -1, 1) + 1)), "sparse_plus")
sparse_sigmoid = Function(
    lambda x: 0.5 * (np.clip(x, -1, 1) + 1), lambda x, dy: dy * (0.5 * (np.abs(x) < 1)), "sparse_sigmoid"
)

# Every name that `get` knows.
FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        linear, tanh, sigmoid, hard_sigmoid, relu, relu6, leaky_relu, elu, selu, softplus, softsign, exponential,
        softmax, silu, gelu, mish, hard_silu, hard_tanh, log_sigmoid, log_softmax, tanh_shrink, soft_shrink,
        hard_shrink, squareplus, sparse_plus, sparse_sigmoid,
    )
} | {"swish": silu, "hard_swish": hard_silu, "celu": celu}  # fmt: skip
_REFUSED = {
    "glu": "it halves the width; multiply two Dense layers, one of them with activation='sigmoid'",
    "sparsemax": "use 'softmax'",
    "threshold": "use the layer ReLU(threshold=...)",
}
