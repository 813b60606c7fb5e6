"""Gated recurrent unit."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn.layers.base import check_flag, refuse
from pyrnn.layers.lstm import FIXED
from pyrnn.layers.recurrent import Recurrent


class GRU(Recurrent):
    """Gated recurrent unit: h_t = z * h_prev + (1 - z) * n.

    z, r = sigmoid of x_t W_x + h_prev W_h + b; n = tanh(x_t W_xn + b_xn + r * (h_prev W_hn + b_hn)), or with
    reset_after=False n = tanh(x_t W_xn + (r * h_prev) W_hn + b_n).

    units: H, width of the hidden state.
    activation, recurrent_activation: "tanh" and "sigmoid"; the engine's cell has no others.
    use_bias: add b.
    kernel_initializer, recurrent_initializer, bias_initializer: names or initialisers.
    dropout: share of the inputs that is dropped, one mask a sequence.
    recurrent_dropout: the same for the hidden state where it is multiplied by the recurrent kernel; z * h_prev
        takes the whole state.
    seed: of the dropout masks.
    return_sequences: return h of every step, not only of the last.
    return_state: return the last h too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    reset_after: where the reset gate acts; True is the convention of Keras 3, PyTorch and cuDNN.
    zero_output_for_mask: the output of a masked step is 0, not the previous output.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`. What does not fit is computed again in backward.
    precision: "bf16" for products of bfloat16, faster where the machine has them; weights and outputs stay float32.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; then h (B, H) with return_state.
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

    arguments: ClassVar[tuple[str, ...]] = (*Recurrent.arguments, "reset_after")

    def __init__(
        self,
        units: int,
        activation: str = "tanh",
        recurrent_activation: str = "sigmoid",
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
        reset_after: bool = True,
        **kwargs: Any,
    ) -> None:
        refuse("GRU", {"activation": activation, "recurrent_activation": recurrent_activation}, FIXED)
        self.reset_after = check_flag("GRU", "reset_after", reset_after)
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
        return "gru" if self.reset_after else "gru_reset_before"
