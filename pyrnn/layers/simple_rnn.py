"""The vanilla recurrent layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pyrnn import activations, ops
from pyrnn._types import Array
from pyrnn.layers import loop
from pyrnn.layers.cell import Cell, States
from pyrnn.layers.recurrent import Recurrent


class SimpleRNNCell(Cell):
    """One step of the vanilla recurrence: h = activation(x W_x + h_prev W_h + b).

    The arguments are those of `SimpleRNN` that do not concern the sequence.

    `cell(x, [h])` with x (B, D) and h (B, H) returns (y, [h]), on arrays or in a model; `RNN(cell)` is a layer.

    >>> import numpy as np
    >>> y, (h,) = SimpleRNNCell(3)(np.ones((2, 4), np.float32), [np.zeros((2, 3), np.float32)])
    >>> y.shape, bool((y == h).all())
    ((2, 3), True)

    Elman 1990, Finding structure in time, Cognitive Science 14(2).
    """

    engine_activations: ClassVar[Mapping[str, tuple[str, ...]]] = {"activation": ("tanh", "relu")}

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
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
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        super().__init__(**given, **kwargs)

    @property
    def _engine_name(self) -> str:
        return f"rnn_{self.activation if self.activation in ('tanh', 'relu') else 'tanh'}"

    def step(self, x: Array, states: Sequence[Array], scales: loop.Scales = (None, None)) -> loop.Step:
        kernel, recurrent, *bias = (parameter.value for parameter in self.parameters)
        x, h_prev = loop.scaled(x, scales[0]), loop.scaled(states[0], scales[1])
        z = ops.dense_forward(x, kernel, bias[0] if bias else None) + ops.dense_forward(h_prev, recurrent)
        h = activations.apply(self.activation, z)
        return h, (h,), (x, h_prev, z, h)

    def step_backward(
        self, dy: Array, dstates: Sequence[Array], kept: Any, scales: loop.Scales = (None, None)
    ) -> tuple[Array, States]:
        x, h_prev, z, h = kept
        kernel, recurrent, *bias = self.parameters
        dz = activations.gradient(self.activation, z, h, dy + dstates[0])
        dx, _, _ = ops.dense_backward(x, kernel.value, dz, dW=kernel.gradient, db=bias[0].gradient if bias else None)
        dh, _, _ = ops.dense_backward(h_prev, recurrent.value, dz, dW=recurrent.gradient)
        assert dx is not None
        assert dh is not None
        return loop.scaled(dx, scales[0]), (loop.scaled(dh, scales[1]),)


class SimpleRNN(Recurrent):
    """h_t = activation(x_t W_x + h_prev W_h + b).

    units: H, width of the hidden state.
    activation: "tanh" or "relu" run on the engine's kernel, any other (a name, or a function with a gradient) step by
        step in Python, with a `SlowPathWarning`.
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    kernel_regularizer, recurrent_regularizer, bias_regularizer: penalties on the weights, added to the loss.
    activity_regularizer: penalty on the output.
    kernel_constraint, recurrent_constraint, bias_constraint: what the weights are made to fulfil after a step.
    dropout: share of the inputs that is dropped, one mask a sequence.
    recurrent_dropout: the same for the hidden state.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    stateful: a batch starts from the states in which the one before ended; `reset_states()` starts anew.
    unroll, use_cudnn, implementation: taken for Keras's sake; they cannot change a result.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) with return_state.
    Called as layer(x, initial_state=h) or layer([x, h]); mask= (B, T) is False at padding, in any pattern.
    Weights: kernel (D, H), recurrent_kernel (H, H), bias (H).

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> SimpleRNN(3, return_sequences=True)(np.ones((2, 5, 4), np.float32)).shape
    (2, 5, 3)

    Elman 1990, Finding structure in time, Cognitive Science 14(2).
    """

    cell_class = SimpleRNNCell

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
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
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
        super().__init__(**given, **kwargs)
