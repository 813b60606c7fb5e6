"""Steps of the optimisers beyond Adam, SGD and RMSprop. `pyrnn.ops` re-exports them; see `_training_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: F401  the examples use it
import numpy.typing as npt

from . import _engine

Array = npt.NDArray[Any]
Force = dict[str, Any] | None


def adagrad_step(
    param: Array | _engine.Weights,
    grad: Array,
    sum: Array,
    *,
    lr: float,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    _force: Force = None,
) -> None:
    """One step of Adagrad, in place, by Keras's formula.

    sum += g^2, where g = scale * grad; param -= lr g / sqrt(sum + epsilon).

    param, grad, weight_decay, scale: as in `adam_step`
    sum: shaped as param; starts at 0.1 in Keras

    Raises as `adam_step`.

    >>> w, s = np.ones(1), np.zeros(1)
    >>> adagrad_step(w, np.array([5.0]), s, lr=0.25)
    >>> w.round(4), s
    (array([0.75]), array([25.]))

    Duchi, Hazan & Singer 2011, https://jmlr.org/papers/v12/duchi11a.html
    """
    _engine.adagrad_step(_array_of(param), grad, sum, lr, epsilon, weight_decay, scale, _force)
    _touch(param)


def adadelta_step(
    param: Array | _engine.Weights,
    grad: Array,
    v: Array,
    d: Array,
    *,
    lr: float,
    rho: float = 0.95,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    _force: Force = None,
) -> None:
    """One step of Adadelta, in place, by Keras's formula.

    v += (g^2 - v) (1 - rho), where g = scale * grad; s = g sqrt(d + epsilon) / sqrt(v + epsilon);
    d += (s^2 - d) (1 - rho); param -= lr s.

    param, grad, weight_decay, scale: as in `adam_step`
    v, d: shaped as param, start at zero

    Raises as `adam_step`.

    >>> w, v, d = np.ones(1), np.zeros(1), np.ones(1)
    >>> adadelta_step(w, np.array([5.0]), v, d, lr=0.25, rho=0.75)
    >>> w.round(4)
    array([0.5])

    Zeiler 2012, https://arxiv.org/abs/1212.5701
    """
    _engine.adadelta_step(_array_of(param), grad, v, d, lr, rho, epsilon, weight_decay, scale, _force)
    _touch(param)


def adamax_step(
    param: Array | _engine.Weights,
    grad: Array,
    m: Array,
    u: Array,
    *,
    step: int,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    _force: Force = None,
) -> None:
    """One step of Adamax, in place, by Keras's formula.

    m += (g - m) (1 - beta_1), where g = scale * grad; u = max(beta_2 u, |g|);
    param -= lr / (1 - beta_1^step) m / (u + epsilon).

    param, grad, step, weight_decay, scale: as in `adam_step`
    m, u: shaped as param, start at zero

    Raises as `adam_step`.

    >>> w, m, u = np.ones(1), np.zeros(1), np.zeros(1)
    >>> adamax_step(w, np.array([3.0]), m, u, step=1, lr=0.25)
    >>> w.round(4)
    array([0.75])

    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980
    """
    _engine.adamax_step(_array_of(param), grad, m, u, step, lr, beta_1, beta_2, epsilon, weight_decay, scale, _force)
    _touch(param)


def nadam_step(
    param: Array | _engine.Weights,
    grad: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    product: float | None = None,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.0,
    scale: float = 1.0,
    _force: Force = None,
) -> None:
    """One step of Adam with Nesterov's momentum, in place, by Keras's formula.

    m and v as in `adam_step`; with u_t = beta_1 (1 - 0.96^t / 2) and product_t = u_1 ... u_t,
    param -= lr (u_t+1 m / (1 - product_t+1) + (1 - u_t) g / (1 - product_t)) / (sqrt(v / (1 - beta_2^t)) + epsilon).

    param, grad, m, v, step, weight_decay, scale: as in `adam_step`
    product: product_step, for a caller that keeps it from step to step; None to compute it

    Raises as `adam_step`.

    >>> w, m, v = np.ones(1), np.zeros(1), np.zeros(1)
    >>> nadam_step(w, np.array([3.0]), m, v, step=1, lr=0.25, beta_1=0.0)
    >>> w.round(4)
    array([0.75])

    Dozat 2016, http://cs229.stanford.edu/proj2015/054_report.pdf
    """
    if product is None:
        product = 1.0
        for t in range(1, step + 1):
            product *= beta_1 * (1 - 0.5 * 0.96**t)
    _engine.nadam_step(
        _array_of(param), grad, m, v, step, lr, beta_1, beta_2, product, epsilon, weight_decay, scale, _force
    )
    _touch(param)


def _array_of(param: Array | _engine.Weights) -> Array:
    return param.flat if isinstance(param, _engine.Weights) else param


def _touch(param: Array | _engine.Weights) -> None:
    if isinstance(param, _engine.Weights):
        param.touch()
