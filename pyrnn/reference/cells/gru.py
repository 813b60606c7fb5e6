"""The GRU whose reset gate acts after the recurrent product (cuDNN, PyTorch, Keras 3), Keras's gate order.

z, r = sigmoid(x W_x + h_prev W_h + b_x + b_h);  n = tanh(x W_n + b_xn + r hn), hn = h_prev W_hn + b_hn
h = z h_prev + (1 - z) n
"""

from __future__ import annotations

import numpy as np

from ..cell import Array, Cell, Slots, States, StepGradients, sigmoid


def step(x: Array, state: States, W_x: Array, W_h: Array, b: Array, h_scale: Array) -> tuple[States, Slots]:
    (h_prev,) = state
    x_z, x_r, x_n = np.split(x @ W_x + b[0], 3, axis=1)
    h_z, h_r, hn = np.split((h_prev * h_scale) @ W_h + b[1], 3, axis=1)
    z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
    n = np.tanh(x_n + r * hn)
    h = z * h_prev + (1 - z) * n
    return (h,), {"z": z, "r": r, "n": n, "hn": hn}


def step_backward(
    dstate: States, x: Array, state: States, slots: Slots, W_x: Array, W_h: Array, h_scale: Array
) -> StepGradients:
    (dh,) = dstate
    (h_prev,) = state
    z, r, n, hn = slots["z"], slots["r"], slots["n"], slots["hn"]

    dz, dn = dh * (h_prev - n), dh * (1 - z)
    dsum_n = dn * (1 - n**2)
    dsum_z, dsum_r = dz * z * (1 - z), dsum_n * hn * r * (1 - r)
    dx_sums = np.concatenate([dsum_z, dsum_r, dsum_n], axis=1)
    dh_sums = np.concatenate([dsum_z, dsum_r, dsum_n * r], axis=1)

    return StepGradients(
        x=dx_sums @ W_x.T,
        state=(dh * z + dh_sums @ W_h.T * h_scale,),
        W_x=x.T @ dx_sums,
        W_h=(h_prev * h_scale).T @ dh_sums,
        b=np.stack([dx_sums.sum(axis=0), dh_sums.sum(axis=0)]),
    )


CELLS = [Cell("gru", ("z", "r", "n"), ("h",), ("z", "r", "n", "hn"), 2, step, step_backward)]
