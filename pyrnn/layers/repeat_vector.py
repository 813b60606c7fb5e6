"""One vector as a sequence."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_positive, check_rank
from pyrnn.layers.base import Call, Layer


class RepeatVector(Layer):
    """Repeats its input n times: y[:, t] = x.

    n: steps of the output.

    Input (B, D), output (B, n, D). No weights.

    >>> import numpy as np
    >>> RepeatVector(2)(np.array([[1.0, 2.0]], np.float32)).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]

    Cho et al. 2014, https://arxiv.org/abs/1406.1078: what the encoder hands to the decoder.
    """

    arguments: ClassVar[tuple[str, ...]] = ("n",)
    supports_masking = False

    def __init__(self, n: int, **kwargs: Any) -> None:
        self.n = check_positive("RepeatVector", "n", n)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 2, "(batch, width)")
        return (input_shape[0], self.n, input_shape[1])

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        return None

    def forward(self, x: Array, call: Call) -> Array:
        y = call.buffer("y", (x.shape[0], self.n, x.shape[1]), self.dtype)
        y[...] = x[:, None, :]
        return y

    def backward(self, dy: Array, call: Call) -> Array | None:
        return ops.sum_axis(self.cast(dy), 1) if call.need_dx else None
