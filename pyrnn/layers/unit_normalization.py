"""Vectors of length 1."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import AxesLast, axes_of, check_axes


def _inverse_length(rows: Array, epsilon: float) -> Array:
    with np.errstate(divide="ignore"):
        inverse: Array = 1 / np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    limited: Array = np.minimum(inverse, rows.dtype.type(1 / epsilon))
    return limited


def normalise(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """x divided by its length along the axes, or by epsilon where that is more."""
    last = AxesLast(x.shape, axes)
    rows = last.pack(x)
    return last.unpack(rows * _inverse_length(rows, epsilon))


def normalise_gradient(x: Array, dy: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """dx of `normalise`."""
    last = AxesLast(x.shape, axes)
    rows, d = last.pack(x), last.pack(dy)
    inverse = _inverse_length(rows, epsilon)
    y = rows * inverse
    along = np.where(inverse < rows.dtype.type(1 / epsilon), (d * y).sum(axis=1, keepdims=True), 0).astype(x.dtype)
    return last.unpack(inverse * (d - y * along))


class UnitNormalization(Layer):
    """y = x / |x|, so that the vectors along an axis have length 1.

    axis: the axis or axes of a vector.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> UnitNormalization()(np.array([[3.0, 4.0]], np.float32)).round(2)
    array([[0.6, 0.8]], dtype=float32)

    Keras, https://keras.io/api/layers/normalization_layers/unit_normalization/
    """

    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int | list[int] = -1, **kwargs: Any) -> None:
        self.axis = check_axes("UnitNormalization", axis)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        axes_of(self.name, self.axis, input_shape)
        return input_shape

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if call.run.training:
            call.kept = x
        return normalise(x, axes_of(self.name, self.axis, x.shape), 1e-12)

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        x = call.kept
        return normalise_gradient(x, self.cast(dy), axes_of(self.name, self.axis, x.shape), 1e-12)
