"""Gated recurrent unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import activations, ops
from pyrnn._types import Array
from pyrnn.layers import loop
from pyrnn.layers.arguments import check_flag
from pyrnn.layers.cell import Cell, States
from pyrnn.layers.recurrent import Recurrent


class GRUCell(Cell):
    """One step of the gated recurrent unit: h = z * h_prev + (1 - z) * n.

    The arguments are those of `GRU` that do not concern the sequence.

    `cell(x, [h])` with x (B, D) and h (B, H) returns (y, [h]), on arrays or in a model; `RNN(cell)` is a layer.

    >>> import numpy as np
    >>> cell = GRUCell(3, reset_after=False)
    >>> y, (h,) = cell(np.ones((2, 4), np.float32), cell.get_initial_state(2))
    >>> y.shape, [w.shape for w in cell.get_weights()]
    ((2, 3), [(4, 9), (3, 9), (9,)])

    Cho et al. 2014, https://arxiv.org/abs/1406.1078
    """

    arguments: ClassVar[tuple[str, ...]] = (*Cell.arguments, "recurrent_activation", "reset_after")
    engine_activations: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "activation": ("tanh",),
        "recurrent_activation": ("sigmoid",),
    }

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        given = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "kwargs", "__class__", "recurrent_activation", "reset_after")
        }
        owner = kwargs.get("owner") or "GRUCell"
        self.recurrent_activation = activations.get(recurrent_activation, f"{owner}: recurrent_activation")
        self.reset_after = check_flag(owner, "reset_after", reset_after)
        super().__init__(**given, **kwargs)

    @property
    def _engine_name(self) -> str:
        return "gru" if self.reset_after else "gru_reset_before"

    def step(self, x: Array, states: Sequence[Array], scales: loop.Scales = (None, None)) -> loop.Step:
        kernel, recurrent, *bias = (parameter.value for parameter in self.parameters)
        (h_prev,) = states
        x, operand = loop.scaled(x, scales[0]), loop.scaled(h_prev, scales[1])
        b_x, b_h = (None, None) if not bias else (bias[0][0], bias[0][1]) if self.reset_after else (bias[0], None)
        x_z, x_r, x_n = np.split(ops.dense_forward(x, kernel, b_x), 3, axis=1)
        wide = self.units * 2
        if self.reset_after:
            h_zr, h_n = np.split(ops.dense_forward(operand, recurrent, b_h), [wide], axis=1)
        else:
            h_zr, h_n = ops.dense_forward(operand, recurrent[:, :wide]), None
        s_z, s_r = x_z + h_zr[:, : self.units], x_r + h_zr[:, self.units :]
        z, r = (activations.apply(self.recurrent_activation, part) for part in (s_z, s_r))
        reset = None
        if h_n is None:
            reset = r * operand
            s_n = x_n + ops.dense_forward(reset, recurrent[:, wide:])
        else:
            s_n = x_n + r * h_n
        n = activations.apply(self.activation, s_n)
        h = z * h_prev + (1 - z) * n
        return h, (h,), (x, h_prev, operand, h_n, reset, (s_z, s_r, s_n), (z, r, n))

    def step_backward(
        self, dy: Array, dstates: Sequence[Array], kept: Any, scales: loop.Scales = (None, None)
    ) -> tuple[Array, States]:
        x, h_prev, operand, h_n, reset, (s_z, s_r, s_n), (z, r, n) = kept
        kernel, recurrent, *bias = self.parameters
        dh = dy + dstates[0]
        wide = self.units * 2
        ds_n = activations.gradient(self.activation, s_n, n, dh * (1 - z))
        ds_z = activations.gradient(self.recurrent_activation, s_z, z, dh * (h_prev - n))
        if self.reset_after:
            ds_r = activations.gradient(self.recurrent_activation, s_r, r, ds_n * h_n)
            dh_sums = np.concatenate([ds_z, ds_r, ds_n * r], axis=1)
            b_h = None if not bias else np.zeros_like(bias[0].gradient[1])
            d_operand, _, _ = ops.dense_backward(operand, recurrent.value, dh_sums, dW=recurrent.gradient, db=b_h)
            if b_h is not None:
                bias[0].gradient[1] += b_h
        else:
            d_reset, dW_n, _ = ops.dense_backward(reset, recurrent.value[:, wide:], ds_n)
            assert d_reset is not None
            ds_r = activations.gradient(self.recurrent_activation, s_r, r, d_reset * operand)
            ds = np.concatenate([ds_z, ds_r], axis=1)
            d_operand, dW, _ = ops.dense_backward(operand, recurrent.value[:, :wide], ds)
            recurrent.gradient[:, :wide] += dW
            recurrent.gradient[:, wide:] += dW_n
            assert d_operand is not None
            d_operand = d_operand + d_reset * r
        db = None if not bias else np.zeros(3 * self.units, self.dtype)
        dx_sums = np.concatenate([ds_z, ds_r, ds_n], axis=1)
        dx, _, _ = ops.dense_backward(x, kernel.value, dx_sums, dW=kernel.gradient, db=db)
        if db is not None:
            (bias[0].gradient[0] if self.reset_after else bias[0].gradient)[...] += db
        assert dx is not None
        assert d_operand is not None
        return loop.scaled(dx, scales[0]), (loop.scaled(d_operand, scales[1]) + dh * z,)


class GRU(Recurrent):
    """Gated recurrent unit: h_t = z * h_prev + (1 - z) * n.

    z, r = sigmoid of x_t W_x + h_prev W_h + b; n = tanh(x_t W_xn + b_xn + r * (h_prev W_hn + b_hn)), or with
    reset_after=False n = tanh(x_t W_xn + (r * h_prev) W_hn + b_n).

    units: H, width of the hidden state.
    activation, recurrent_activation: "tanh" and "sigmoid" run on the engine's kernel; any others (names, or functions
        with a gradient) step by step in Python, with a `SlowPathWarning`.
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
    activity_regularizer: penalty on the output.
    kernel_constraint, recurrent_constraint, bias_constraint: what the weights are made to fulfil after a step.
    dropout: share of the inputs that is dropped, one mask a sequence, the same for all gates.
    recurrent_dropout: the same for the hidden state where it is multiplied by the recurrent kernel; z * h_prev
        takes the whole state, as in Keras.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    stateful: a batch starts from the states in which the one before ended; `reset_states()` starts anew.
    reset_after: where the reset gate acts; True is the convention of Keras 3, PyTorch and cuDNN.
    unroll, use_cudnn, implementation: taken for Keras's sake; they cannot change a result.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) with return_state.
    Called as layer(x, initial_state=h) or layer([x, h]); mask= (B, T) is False at padding, in any pattern.
    Weights: kernel (D, 3H), recurrent_kernel (H, 3H), bias (2, 3H), or (3H) with reset_after=False;
    gate order z r n.

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> layer = GRU(3)
    >>> layer(np.ones((2, 5, 4), np.float32)).shape
    (2, 3)
    >>> [w.shape for w in layer.get_weights()]
    [(4, 9), (3, 9), (2, 9)]

    Cho et al. 2014, https://arxiv.org/abs/1406.1078
    """

    cell_class = GRUCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        super().__init__(**given, **kwargs)
