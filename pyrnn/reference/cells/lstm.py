"""The LSTM with a forget gate (Gers, Schmidhuber, Cummins, 2000), Keras's gate order.

i, f, o = sigmoid(sums), g = tanh(sums);  c = f c_prev + i g;  h = o tanh(c)
"""

from __future__ import annotations

import numpy as np

from ..cell import Array, Cell, Slots, States, StepGradients, sigmoid


def step(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> tuple[States, Slots]:
    h_prev, c_prev = state
    sums = x @ W_x + (h_prev * h_scale) @ W_h + b
    sum_i, sum_f, sum_g, sum_o = np.split(sums, 4, axis=1)
    i, f, g, o = sigmoid(sum_i), sigmoid(sum_f), np.tanh(sum_g), sigmoid(sum_o)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return (h, c), {"i": i, "f": f, "g": g, "o": o}


def step_backward(
    dstate: States, x: Array, state: States, slots: Slots, W_x: Array, W_h: Array, h_scale: Array
) -> StepGradients:
    dh, dc = dstate
    h_prev, c_prev = state
    i, f, g, o = slots["i"], slots["f"], slots["g"], slots["o"]
    tanh_c = np.tanh(f * c_prev + i * g)

    dc = dc + dh * o * (1 - tanh_c**2)
    di, df, dg, do = dc * g, dc * c_prev, dc * i, dh * tanh_c
    dsums = np.concatenate([di * i * (1 - i), df * f * (1 - f), dg * (1 - g**2), do * o * (1 - o)], axis=1)

    return StepGradients(
        x=dsums @ W_x.T,
        state=(dsums @ W_h.T * h_scale, dc * f),
        W_x=x.T @ dsums,
        W_h=(h_prev * h_scale).T @ dsums,
        b=dsums.sum(axis=0),
    )


CELLS = [Cell("lstm", ("i", "f", "g", "o"), ("h", "c"), ("i", "f", "g", "o"), 1, step, step_backward)]
