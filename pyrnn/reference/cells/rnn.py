"""The vanilla recurrent network: h = f(x W_x + h_prev W_h + b), with f = tanh or relu."""

from __future__ import annotations

import numpy as np

from ..cell import Array, Cell, Slots, States, StepGradients


def _sums(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> Array:
    (h_prev,) = state
    return x @ W_x + (h_prev * h_scale) @ W_h + b


def _gradients(dsums: Array, x: Array, state: States, W_x: Array, W_h: Array, h_scale: Array) -> StepGradients:
    (h_prev,) = state
    return StepGradients(
        x=dsums @ W_x.T,
        state=(dsums @ W_h.T * h_scale,),
        W_x=x.T @ dsums,
        W_h=(h_prev * h_scale).T @ dsums,
        b=dsums.sum(axis=0),
    )


def tanh_step(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> tuple[States, Slots]:
    h = np.tanh(_sums(x, state, W_x, W_h, b, h_scale))
    return (h,), {"h": h}


def tanh_step_backward(
    dstate: States, x: Array, state: States, slots: Slots, W_x: Array, W_h: Array, h_scale: Array
) -> StepGradients:
    (dh,) = dstate
    return _gradients(dh * (1 - slots["h"] ** 2), x, state, W_x, W_h, h_scale)


def relu_step(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> tuple[States, Slots]:
    h = np.maximum(_sums(x, state, W_x, W_h, b, h_scale), 0)
    return (h,), {"h": h}


def relu_step_backward(
    dstate: States, x: Array, state: States, slots: Slots, W_x: Array, W_h: Array, h_scale: Array
) -> StepGradients:
    (dh,) = dstate
    return _gradients(np.where(slots["h"] > 0, dh, 0), x, state, W_x, W_h, h_scale)


CELLS = [
    Cell("rnn_tanh", ("h",), ("h",), ("h",), 1, tanh_step, tanh_step_backward),
    Cell("rnn_relu", ("h",), ("h",), ("h",), 1, relu_step, relu_step_backward),
]
