"""The GRU whose reset gate acts on the state before the recurrent product (Cho et al., 2014), Keras's gate order.

z, r = sigmoid(x W_x + h_prev W_h + b);  n = tanh(x W_n + (r h_prev) W_hn + b_n);  h = z h_prev + (1 - z) n
"""

from __future__ import annotations

import numpy as np

from ..cell import Array, Cell, Slots, States, StepGradients, sigmoid


def step(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> tuple[States, Slots]:
    (h_prev,) = state
    W_hz, W_hr, W_hn = np.split(W_h, 3, axis=1)
    operand = h_prev * h_scale
    x_z, x_r, x_n = np.split(x @ W_x + b, 3, axis=1)
    z, r = sigmoid(x_z + operand @ W_hz), sigmoid(x_r + operand @ W_hr)
    n = np.tanh(x_n + (r * operand) @ W_hn)
    h = z * h_prev + (1 - z) * n
    return (h,), {"z": z, "r": r, "n": n}


def step_backward(
    dstate: States, x: Array, state: States, slots: Slots, W_x: Array, W_h: Array, h_scale: Array
) -> StepGradients:
    (dh,) = dstate
    (h_prev,) = state
    z, r, n = slots["z"], slots["r"], slots["n"]
    W_hz, W_hr, W_hn = np.split(W_h, 3, axis=1)
    operand = h_prev * h_scale

    dz, dn = dh * (h_prev - n), dh * (1 - z)
    dsum_n = dn * (1 - n**2)
    dreset = dsum_n @ W_hn.T  # gradient of r * operand
    dsum_z, dsum_r = dz * z * (1 - z), dreset * operand * r * (1 - r)
    dsums = np.concatenate([dsum_z, dsum_r, dsum_n], axis=1)
    doperand = dsum_z @ W_hz.T + dsum_r @ W_hr.T + dreset * r

    return StepGradients(
        x=dsums @ W_x.T,
        state=(dh * z + doperand * h_scale,),
        W_x=x.T @ dsums,
        W_h=np.concatenate([operand.T @ dsum_z, operand.T @ dsum_r, (r * operand).T @ dsum_n], axis=1),
        b=dsums.sum(axis=0),
    )


CELLS = [Cell("gru_reset_before", ("z", "r", "n"), ("h",), ("z", "r", "n"), 1, step, step_backward)]
