"""The shape of what a model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_positive, check_sizes, refuse
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.tensor import Node, Tensor


class InputLayer(Layer):
    """An input of a model: says what one sample looks like. Made by `Input`."""

    arguments = ("shape", "batch_size", "input_dtype")
    shape: Shape

    def __init__(self, shape: Any, batch_size: int | None = None, input_dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = check_sizes("Input", "shape", shape)
        self.batch_size = None if batch_size is None else check_positive("Input", "batch_size", batch_size)
        self.input_dtype = input_dtype if input_dtype in (None, "string") else np.dtype(input_dtype).name
        self.build((self.batch_size, *self.shape))
        self._nodes.append(Node(self, [], False, {}, None, (self.batch_size, *self.shape)))

    def forward(self, x: Array, call: Call) -> Array:
        return x

    def backward(self, dy: Array, call: Call) -> Array:
        return dy

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool = False,
    ragged: bool = False,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
    **kwargs: Any,
) -> Tensor:
    """An input of a model; None stands where a size may differ from batch to batch.

    shape: tuple, the shape of one sample without the batch size, e.g. (T, D) for sequences of vectors, (T,) for
        sequences of ids.
    batch_size: the one that every batch has (stateful layers need it); None for any.
    dtype: what the arrays are ("string" for texts); it need not be given, since every layer converts to its own dtype.
    batch_shape: (batch_size, *shape), in place of both.
    name: what a dict of inputs calls it.

    Returns a Tensor: layers are called on it, or it stands first in a Sequential.
    Raises TypeError and ValueError naming the argument.

    >>> from pyrnn import Model
    >>> from pyrnn.layers import GRU, Input
    >>> x = Input((None, 8))
    >>> Model(x, GRU(4)(x)).output_shape
    (None, 4)
    """
    refused = {"sparse": sparse, "ragged": ragged, "tensor": tensor, "optional": optional}
    refuse("Input", {**refused, **kwargs}, _UNSUPPORTED)
    if batch_shape is not None:
        if shape is not None or batch_size is not None:
            raise ValueError("Input: batch_shape: expected None where shape or batch_size is given")
        batch_size, *shape = check_sizes("Input", "batch_shape", batch_shape)
    if shape is None:
        raise TypeError("Input: shape: expected a tuple such as (steps, width), got None")
    return InputLayer(shape, batch_size, dtype, name=name).output  # type: ignore[no-any-return]


_UNSUPPORTED: Mapping[str, tuple[Any, str]] = {
    "sparse": (False, "give a dense array"),
    "ragged": (False, "use pad_sequences and Embedding(mask_zero=True)"),
    "tensor": (None, "give the array to fit or predict"),
    "optional": (False, "every input is needed"),
}
