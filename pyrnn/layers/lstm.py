"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.base import check_flag, refuse
from pyrnn.layers.recurrent import Recurrent


class LSTM(Recurrent):
    """Long short-term memory: c_t = f * c_prev + i * g, h_t = o * tanh(c_t).

    i, f, o = sigmoid and g = tanh of x_t W_x + h_prev W_h + b.

    units: H, width of the hidden state.
    activation, recurrent_activation: "tanh" and "sigmoid"; the engine's cell has no others.
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    unit_forget_bias: start the forget gate's bias at 1 (Jozefowicz et al. 2015).
    dropout: share of the inputs that is dropped, one mask a sequence.
    recurrent_dropout: the same for the hidden state where it is multiplied by the recurrent kernel.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h and c too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) and c (B, H) with return_state.
    Weights: kernel (D, 4H), recurrent_kernel (H, 4H), bias (4H); gate order i f g o.

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> y, h, c = LSTM(3, return_sequences=True, return_state=True)(np.ones((2, 5, 4), np.float32))
    >>> y.shape, h.shape, bool((y[:, -1] == h).all())
    ((2, 5, 3), (2, 3), True)

    Hochreiter & Schmidhuber 1997, Long short-term memory, Neural Computation 9(8); the forget gate: Gers et al. 2000.
    """

    arguments: ClassVar[tuple[str, ...]] = (*Recurrent.arguments, "unit_forget_bias")

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse("LSTM", {"activation": activation, "recurrent_activation": recurrent_activation}, FIXED)
        self.unit_forget_bias = check_flag("LSTM", "unit_forget_bias", unit_forget_bias)
        super().__init__(
            units,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            **kwargs,
        )

    @property
    def cell(self) -> str:
        return "lstm"

    def initial_bias(self) -> Array:
        bias = super().initial_bias()
        if self.unit_forget_bias:
            f = self._facts["gates"].index("f")
            bias[f * self.units : (f + 1) * self.units] = np.ones(self.units, self.dtype)
        return bias


FIXED: Mapping[str, tuple[Any, str]] = {
    "activation": ("tanh", "the engine's cell has tanh there"),
    "recurrent_activation": ("sigmoid", "the engine's cell has the logistic function there"),
}
