"""The same numbers in another shape or order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import show
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import check_data_format, check_integer


class _Reshaping(Layer):
    """Base of the layers whose gradient is the same numbers in the shape of the input."""

    supports_masking = False

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        call.kept = x.shape
        shape = self.compute_output_shape(x.shape)
        return np.ascontiguousarray(x).reshape([-1 if size is None else size for size in shape])

    def backward(self, dy: Array, call: Call) -> Array:
        return np.asarray(np.ascontiguousarray(self.cast(dy)).reshape(call.kept))


class Flatten(_Reshaping):
    """All numbers of a sample in one row.

    Input (B, ...), output (B, product of the sizes). No weights.

    >>> import numpy as np
    >>> Flatten()(np.ones((3, 4, 5), np.float32)).shape
    (3, 20)

    Keras, https://keras.io/api/layers/reshaping_layers/flatten/
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        check_data_format("Flatten", data_format)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        sizes = input_shape[1:]
        return (input_shape[0], None if None in sizes else math.prod(size for size in sizes if size is not None))


class Reshape(_Reshaping):
    """The numbers of a sample in another shape.

    target_shape: sizes of one sample, without the batch; -1 for one that follows from the others.

    Input (B, ...), output (B, *target_shape). No weights.

    Raises ValueError where the number of elements differs.

    >>> import numpy as np
    >>> Reshape((-1, 2))(np.ones((3, 8), np.float32)).shape
    (3, 4, 2)

    Keras, https://keras.io/api/layers/reshaping_layers/reshape/
    """

    arguments: ClassVar[tuple[str, ...]] = ("target_shape",)

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        if not isinstance(target_shape, (tuple, list)):
            raise TypeError(f"Reshape: target_shape: expected a tuple such as (steps, width), got {target_shape!r}")
        sizes = [check_integer("Reshape", "target_shape", size, -1) for size in target_shape]
        if sizes.count(-1) > 1:
            raise ValueError(f"Reshape: target_shape: expected at most one -1, got {tuple(sizes)}")
        self.target_shape = sizes
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        known = [size for size in input_shape[1:] if size is not None]
        given, wanted = math.prod(known), math.prod(size for size in self.target_shape if size != -1)
        whole = len(known) == len(input_shape) - 1
        fits = given % wanted == 0 if wanted else given == 0
        if whole and (not fits if -1 in self.target_shape else given != wanted):
            raise ValueError(
                f"{self.name}: target_shape: expected the {given} elements of an input {show(input_shape)}, "
                f"got {tuple(self.target_shape)}"
            )
        rest = given // wanted if whole and wanted else None
        return (input_shape[0], *(rest if size == -1 else size for size in self.target_shape))


class Permute(Layer):
    """The axes of a sample in another order.

    dims: for each axis of the output the axis of the input, counted from 1, the batch left out.

    Input (B, ...), output (B, ...). No weights.

    >>> import numpy as np
    >>> Permute((2, 1))(np.ones((3, 4, 5), np.float32)).shape
    (3, 5, 4)

    Keras, https://keras.io/api/layers/reshaping_layers/permute/
    """

    arguments: ClassVar[tuple[str, ...]] = ("dims",)
    supports_masking = False

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        if not isinstance(dims, (tuple, list)):
            raise TypeError(f"Permute: dims: expected a tuple such as (2, 1), got {dims!r}")
        self.dims = [check_integer("Permute", "dims", axis, 1) for axis in dims]
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute: dims: expected each of 1 to {len(self.dims)} once, got {tuple(self.dims)}")
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != len(self.dims) + 1:
            raise ValueError(
                f"{self.name}: expected an input of {len(self.dims)} axes and the batch, as dims={tuple(self.dims)} "
                f"says, got {show(input_shape)}"
            )
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))

    def forward(self, x: Array, call: Call) -> Array:
        return np.ascontiguousarray(self.cast(x).transpose((0, *self.dims)))

    def backward(self, dy: Array, call: Call) -> Array:
        return np.ascontiguousarray(self.cast(dy).transpose(np.argsort((0, *self.dims))))
