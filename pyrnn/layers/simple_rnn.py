"""The vanilla recurrent layer."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn.layers.recurrent import Recurrent


class SimpleRNN(Recurrent):
    """h_t = tanh(x_t W_x + h_prev W_h + b), or relu of it.

    units: H, width of the hidden state.
    activation: "tanh" or "relu".
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    dropout: share of the inputs that is dropped, one mask a sequence.
    recurrent_dropout: the same for the hidden state.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) with return_state.
    Weights: kernel (D, H), recurrent_kernel (H, H), bias (H).

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> SimpleRNN(3, return_sequences=True)(np.ones((2, 5, 4), np.float32)).shape
    (2, 5, 3)

    Elman 1990, Finding structure in time, Cognitive Science 14(2).
    """

    arguments: ClassVar[tuple[str, ...]] = (*Recurrent.arguments, "activation")

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        *,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        **kwargs: Any,
    ) -> None:
        if activation not in ("tanh", "relu"):
            raise ValueError(f"SimpleRNN: activation: expected 'tanh' or 'relu', got {activation!r}")
        self.activation = activation
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
        return f"rnn_{self.activation}"
