"""The shape of what a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, check_sizes, refuse


class InputLayer(Layer):
    """Stands first in a Sequential and says what one sample looks like. Made by `Input`."""

    arguments = ("shape",)
    shape: Shape

    def __init__(self, shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = check_sizes("Input", "shape", shape)
        self.build((None, *self.shape))

    def forward(self, x: Array, call: Call) -> Array:
        return x

    def backward(self, dy: Array, call: Call) -> Array:
        return dy


def Input(
    shape: Any = None, batch_size: int | None = None, dtype: Any = None, name: str | None = None, **kwargs: Any
) -> InputLayer:
    """The shape of one sample, without the batch size; None where a size may differ from batch to batch.

    shape: tuple, e.g. (T, D) for sequences of vectors, (T,) for sequences of ids.
    batch_size: None; batches of any size are accepted.
    dtype: what the arrays are; it need not be given, since every layer converts to its own dtype.

    >>> from pyrnn import Sequential
    >>> from pyrnn.layers import GRU, Input
    >>> Sequential([Input((None, 8)), GRU(4)]).output_shape
    (None, 4)
    """
    refuse("Input", {"batch_size": batch_size, **kwargs}, _UNSUPPORTED)
    if shape is None:
        raise TypeError("Input: shape: expected a tuple such as (steps, width), got None")
    if dtype is not None:
        np.dtype(dtype)  # raises TypeError for what is none
    return InputLayer(shape, name=name)


_UNSUPPORTED: Mapping[str, tuple[Any, str]] = {
    "batch_size": (None, "batches of any size are accepted"),
    "batch_shape": (None, "use shape=, without the batch size"),
    "sparse": (None, "give a dense array"),
    "ragged": (None, "use pad_sequences and Embedding(mask_zero=True)"),
    "tensor": (None, "give the array to fit or predict"),
    "optional": (False, "every input is needed"),
}
