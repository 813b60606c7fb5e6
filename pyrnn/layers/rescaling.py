"""Inputs in another range."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer


class Rescaling(Layer):
    """y = scale x + offset.

    scale, offset: numbers, or lists of one number for each unit.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> Rescaling(1 / 255)(np.array([[0, 255]], np.uint8)).tolist()
    [[0.0, 1.0]]

    Keras, https://keras.io/api/layers/preprocessing_layers/image_preprocessing/rescaling/
    """

    arguments: ClassVar[tuple[str, ...]] = ("scale", "offset")

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        self.scale, self.offset = _numbers("scale", scale), _numbers("offset", offset)
        super().__init__(**kwargs)
        self._scale, self._offset = np.asarray(self.scale, self.dtype), np.asarray(self.offset, self.dtype)

    def forward(self, x: Array, call: Call) -> Array:
        y: Array = self.cast(x) * self._scale + self._offset
        if y.shape != x.shape:
            raise ValueError(f"{self.name}: scale: expected one number a unit of the input {x.shape}, got {self.scale}")
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        dx: Array = self.cast(dy) * self._scale
        return dx


def _numbers(argument: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim > 1:
        raise TypeError(f"Rescaling: {argument}: expected a number or a list of them, got {value!r}")
    return array.astype(float).tolist()
