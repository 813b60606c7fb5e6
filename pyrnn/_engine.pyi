"""Types of the compiled module. `pyrnn.ops` documents the functions; here they take all arguments, by position."""

from typing import Any

import numpy as np

from pyrnn._types import Array

# Recurrent calls

class Weights:
    def __init__(
        self,
        cell: str,
        W_x: Array,
        W_h: Array,
        b: Array | None = None,
        precision: str | None = None,
        *,
        _isa: str | None = None,
    ) -> None: ...
    @property
    def cell(self) -> str: ...
    @property
    def inputs(self) -> int: ...
    @property
    def units(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def precision(self) -> Any: ...  # None or "bf16"
    @property
    def version(self) -> int: ...
    @property
    def flat(self) -> Array: ...
    @property
    def W_x(self) -> Array: ...
    @property
    def W_h(self) -> Array: ...
    @property
    def b(self) -> Any: ...  # None where there is no bias
    def touch(self) -> None: ...
    def set(self, W_x: Array, W_h: Array, b: Array | None = None) -> None: ...

class Tape:
    # One dict, or a pair of them where two directions ran.
    @property
    def states(self) -> Any: ...
    @property
    def gates(self) -> Any: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def consumed(self) -> bool: ...

class Gradients:
    @property
    def x(self) -> Any: ...  # None where need_dx was False
    @property
    def W_x(self) -> Array: ...
    @property
    def W_h(self) -> Array: ...
    @property
    def b(self) -> Any: ...  # None where there was no bias
    @property
    def state(self) -> Any: ...
    @property
    def extra(self) -> None: ...
    @property
    def flat(self) -> Any: ...  # None for plain arrays
    def clear(self) -> None: ...

class Stream:
    def __init__(self, weights: Weights, batch: int = 1) -> None: ...
    def step(self, x: Array, out: Array | None = None) -> Array: ...
    def reset(self, rows: Any = None) -> None: ...
    @property
    def state(self) -> Any: ...
    @state.setter
    def state(self, state: Any) -> None: ...
    @property
    def facts(self) -> dict[str, Any]: ...

def forward(
    cell: Any,
    x: Any,
    W_x: Any,
    W_h: Any,
    b: Any,
    state: Any,
    extra: Any,
    lengths: Any,
    mask: Any,
    masked: Any,
    resets: Any,
    reverse: Any,
    x_scale: Any,
    h_scale: Any,
    zoneout: Any,
    sequences: Any,
    tape: Any,
    out: Any,
    threads: Any,
    precision: Any,
    force: Any,
    /,
) -> tuple[Any, Any, Any]: ...
def backward(tape: Any, dy: Any, dstate: Any, need_dx: Any, into: Any, threads: Any, force: Any, /) -> Gradients: ...
def forward_both(
    cell: Any,
    x: Any,
    forward_weights: Any,
    backward_weights: Any,
    state: Any,
    extra: Any,
    lengths: Any,
    mask: Any,
    masked: Any,
    resets: Any,
    x_scale: Any,
    h_scale: Any,
    zoneout: Any,
    sequences: Any,
    tape: Any,
    out: Any,
    threads: Any,
    precision: Any,
    force: Any,
    /,
) -> tuple[Any, Any, Any]: ...
def backward_both(
    tape: Any, dy: Any, dstate: Any, need_dx: Any, into: Any, threads: Any, force: Any, /
) -> tuple[Gradients, Gradients]: ...

# What runs and why

def set_num_threads(n: int) -> None: ...
def get_num_threads() -> int: ...
def config() -> dict[str, Any]: ...
def cells() -> list[dict[str, Any]]: ...
def tables(precision: str | None = None) -> list[dict[str, Any]]: ...
def last_report() -> dict[str, Any]: ...
def _unary(name: str, x: Array, isa: str = "") -> Array: ...
def _round_bf16(x: Array, isa: str) -> Array: ...
def _dot_bf16(a: Array, b: Array, sums: Array, isa: str) -> Array: ...
def _cgroup_cpu_quota(root: str) -> float: ...
def _choose_isa(statuses: list[tuple[str, bool, str]], forced: str) -> str: ...
def _probe(what: str, bytes: int = 0, milliseconds: float = 5.0, isa: str = "") -> float: ...

# Around the recurrent layers

activation_names: tuple[str, ...]

def dense_forward(x: Any, W: Any, b: Any, out: Any, threads: Any, force: Any, /) -> Array: ...
def dense_backward(
    x: Any, W: Any, dy: Any, need_dx: Any, dW: Any, db: Any, threads: Any, force: Any, /
) -> tuple[Array | None, Array, Array]: ...
def batch_product(a: Any, b: Any, transpose_a: Any, transpose_b: Any, threads: Any, force: Any, /) -> Array: ...
def activation_forward(name: Any, x: Any, out: Any, force: Any, /) -> Array: ...
def activation_backward(name: Any, y: Any, dy: Any, out: Any, force: Any, /) -> Array: ...
def loss(
    name: Any,
    y: Any,
    targets: Any,
    weights: Any,
    scale: Any,
    extra: Any,
    need_grad: Any,
    need_probabilities: Any,
    force: Any,
    /,
) -> tuple[float, Array | None, Array | None]: ...
def embedding_forward(ids: Any, W: Any, out: Any, force: Any, /) -> Array: ...
def embedding_backward(ids: Any, dy: Any, dW: Any, force: Any, /) -> None: ...
def adam_step(
    param: Any,
    grad: Any,
    m: Any,
    v: Any,
    step: Any,
    lr: Any,
    beta_1: Any,
    beta_2: Any,
    epsilon: Any,
    weight_decay: Any,
    scale: Any,
    v_max: Any,
    force: Any,
    /,
) -> None: ...
def sgd_step(
    param: Any, grad: Any, velocity: Any, lr: Any, momentum: Any, nesterov: Any, weight_decay: Any, scale: Any,
    force: Any, /,
) -> None: ...  # fmt: skip
def rmsprop_step(
    param: Any, grad: Any, v: Any, mom: Any, lr: Any, rho: Any, momentum: Any, epsilon: Any, weight_decay: Any,
    scale: Any, mean: Any, force: Any, /,
) -> None: ...  # fmt: skip
def adagrad_step(
    param: Any, grad: Any, sum: Any, lr: Any, epsilon: Any, weight_decay: Any, scale: Any, force: Any, /,
) -> None: ...  # fmt: skip
def adadelta_step(
    param: Any, grad: Any, v: Any, d: Any, lr: Any, rho: Any, epsilon: Any, weight_decay: Any, scale: Any,
    force: Any, /,
) -> None: ...  # fmt: skip
def adamax_step(
    param: Any, grad: Any, m: Any, u: Any, step: Any, lr: Any, beta_1: Any, beta_2: Any, epsilon: Any,
    weight_decay: Any, scale: Any, force: Any, /,
) -> None: ...  # fmt: skip
def nadam_step(
    param: Any, grad: Any, m: Any, v: Any, step: Any, lr: Any, beta_1: Any, beta_2: Any, product: Any, epsilon: Any,
    weight_decay: Any, scale: Any, force: Any, /,
) -> None: ...  # fmt: skip
def sum_of_squares(x: Any, force: Any, /) -> float: ...
def sum_axis(x: Any, axis: Any, force: Any, /) -> Array: ...
def dropout_scales(
    shape: Any, rate: Any, seed: Any, step: Any, layer: Any, t0: Any, sample0: Any, dtype: Any, force: Any, /
) -> Array: ...
