"""Long short-term memory."""

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


class LSTMCell(Cell):
    """One step of long short-term memory: c = f * c_prev + i * g, h = o * tanh(c).

    The arguments are those of `LSTM` that do not concern the sequence.

    `cell(x, [h, c])` with x (B, D), h and c (B, H) returns (y, [h, c]), on arrays or in a model; `RNN(cell)` is a
    layer.

    >>> import numpy as np
    >>> cell = LSTMCell(3)
    >>> y, (h, c) = cell(np.ones((2, 4), np.float32), cell.get_initial_state(2))
    >>> y.shape, bool((y == h).all()), cell.state_size
    ((2, 3), True, [3, 3])

    Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8).
    """

    arguments: ClassVar[tuple[str, ...]] = (*Cell.arguments, "recurrent_activation", "unit_forget_bias")
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
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        given = {
            name: value
            for name, value in locals().items()
            if name not in ("self", "kwargs", "__class__", "recurrent_activation", "unit_forget_bias")
        }
        owner = kwargs.get("owner") or "LSTMCell"
        self.recurrent_activation = activations.get(recurrent_activation, f"{owner}: recurrent_activation")
        self.unit_forget_bias = check_flag(owner, "unit_forget_bias", unit_forget_bias)
        super().__init__(**given, **kwargs)

    @property
    def _engine_name(self) -> str:
        return "lstm"

    def initial_bias(self) -> Array:
        bias = super().initial_bias()
        if self.unit_forget_bias:
            f = self._facts["gates"].index("f")
            bias[f * self.units : (f + 1) * self.units] = np.ones(self.units, self.dtype)
        return bias

    def step(self, x: Array, states: Sequence[Array], scales: loop.Scales = (None, None)) -> loop.Step:
        kernel, recurrent, *bias = (parameter.value for parameter in self.parameters)
        x, h_prev, c_prev = loop.scaled(x, scales[0]), loop.scaled(states[0], scales[1]), states[1]
        z = ops.dense_forward(x, kernel, bias[0] if bias else None) + ops.dense_forward(h_prev, recurrent)
        z_i, z_f, z_g, z_o = sums = [np.ascontiguousarray(part) for part in np.split(z, 4, axis=1)]
        i, f, o = (activations.apply(self.recurrent_activation, part) for part in (z_i, z_f, z_o))
        g = activations.apply(self.activation, z_g)
        c = f * c_prev + i * g
        a = activations.apply(self.activation, c)
        h = o * a
        return h, (h, c), (x, h_prev, c_prev, sums, (i, f, g, o), c, a)

    def step_backward(
        self, dy: Array, dstates: Sequence[Array], kept: Any, scales: loop.Scales = (None, None)
    ) -> tuple[Array, States]:
        x, h_prev, c_prev, (z_i, z_f, z_g, z_o), (i, f, g, o), c, a = kept
        kernel, recurrent, *bias = self.parameters
        dh = dy + dstates[0]
        dc = dstates[1] + activations.gradient(self.activation, c, a, dh * o)
        gate = self.recurrent_activation
        dz = np.concatenate(
            [
                activations.gradient(gate, z_i, i, dc * g),
                activations.gradient(gate, z_f, f, dc * c_prev),
                activations.gradient(self.activation, z_g, g, dc * i),
                activations.gradient(gate, z_o, o, dh * a),
            ],
            axis=1,
        )
        dx, _, _ = ops.dense_backward(x, kernel.value, dz, dW=kernel.gradient, db=bias[0].gradient if bias else None)
        dh_prev, _, _ = ops.dense_backward(h_prev, recurrent.value, dz, dW=recurrent.gradient)
        assert dx is not None
        assert dh_prev is not None
        return loop.scaled(dx, scales[0]), (loop.scaled(dh_prev, scales[1]), dc * f)


class LSTM(Recurrent):
    """Long short-term memory: c_t = f * c_prev + i * g, h_t = o * tanh(c_t).

    i, f, o = sigmoid and g = tanh of x_t W_x + h_prev W_h + b.

    units: H, width of the hidden state.
    activation, recurrent_activation: "tanh" and "sigmoid" run on the engine's kernel; any others (names, or functions
        with a gradient) step by step in Python, with a `SlowPathWarning`.
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    unit_forget_bias: start the forget gate's bias at 1 (Jozefowicz et al. 2015).
    kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
    activity_regularizer: penalty on the output.
    kernel_constraint, recurrent_constraint, bias_constraint: what the weights are made to fulfil after a step.
    dropout: share of the inputs that is dropped, one mask a sequence, the same for all gates.
    recurrent_dropout: the same for the hidden state where it is multiplied by the recurrent kernel.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h and c too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    stateful: a batch starts from the states in which the one before ended; `reset_states()` starts anew.
    unroll, use_cudnn, implementation: taken for Keras's sake; they cannot change a result.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) and c (B, H) with return_state.
    Called as layer(x, initial_state=[h, c]) or layer([x, h, c]); mask= (B, T) is False at padding, in any pattern.
    Weights: kernel (D, 4H), recurrent_kernel (H, 4H), bias (4H); gate order i f g o.

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> y, h, c = LSTM(3, return_sequences=True, return_state=True)(np.ones((2, 5, 4), np.float32))
    >>> y.shape, h.shape, bool((y[:, -1] == h).all())
    ((2, 5, 3), (2, 3), True)

    Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8); the forget gate: Gers et al. 2000.
    """

    cell_class = LSTMCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
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
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        super().__init__(**given, **kwargs)
