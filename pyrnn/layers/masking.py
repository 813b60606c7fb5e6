"""Steps that later layers skip."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import check_number


class Masking(Layer):
    """Steps all of whose numbers are mask_value are padding: recurrent layers that follow skip them.

    mask_value: the number that padding is filled with.

    Input (B, T, D), output (B, T, D) with 0 for padding. No weights.

    >>> import numpy as np
    >>> layer = Masking(mask_value=-1.0)
    >>> x = np.array([[[-1.0, -1.0], [-1.0, 2.0]]])
    >>> layer.compute_mask(x, None).tolist(), layer(x).tolist()
    ([[False, True]], [[[0.0, 0.0], [-1.0, 2.0]]])

    Keras, https://keras.io/api/layers/core_layers/masking/
    """

    arguments: ClassVar[tuple[str, ...]] = ("mask_value",)
    makes_mask = True

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        self.mask_value = check_number("Masking", "mask_value", mask_value)
        super().__init__(**kwargs)

    def compute_mask(self, x: Array, mask: Array | None) -> Array:
        found: Array = (self.cast(x) != self.dtype.type(self.mask_value)).any(axis=-1)
        return found

    def forward(self, x: Array, call: Call) -> Array:
        kept = self.compute_mask(x, None)[..., None]
        if call.run.training:
            call.kept = kept
        return np.where(kept, self.cast(x), 0).astype(self.dtype, copy=False)

    def backward(self, dy: Array, call: Call) -> Array:
        return np.where(call.kept, self.cast(dy), 0).astype(self.dtype, copy=False)
