"""Products of two inputs, sample by sample."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_flag, show
from pyrnn.layers.base import Call
from pyrnn.layers.merging import SeveralInputs
from pyrnn.layers.options import axes_of, check_axes
from pyrnn.layers.unit_normalization import normalise, normalise_gradient


class Dot(SeveralInputs):
    """Products of the samples of two inputs, summed over one axis of each.

    axes: the axis of both inputs, or one for each; not that of the batch.
    normalize: divide by the lengths along the axes first, so that the products are cosines.

    Inputs (B, ...) twice; output: the axes of the first without the one that is summed, then those of the second
    without it and the batch; (B, 1) where none is left. No weights, no mask.

    >>> import numpy as np
    >>> Dot(axes=(1, 2))([np.ones((2, 3, 5)), np.ones((2, 10, 3))]).shape
    (2, 5, 10)

    Keras, https://keras.io/api/layers/merging_layers/dot/
    """

    arguments: ClassVar[tuple[str, ...]] = ("axes", "normalize")
    fewest = most = 2

    def __init__(self, axes: int | tuple[int, int], normalize: bool = False, **kwargs: Any) -> None:
        checked = check_axes("Dot", axes)
        if isinstance(checked, list) and len(checked) != 2:
            raise ValueError(f"Dot: axes: expected one axis or two, got {axes!r}")
        self.axes: int | list[int] = checked
        self.normalize = check_flag("Dot", "normalize", normalize)
        super().__init__(**kwargs)

    def _axes(self, shapes: list[Shape]) -> tuple[int, int]:
        given = self.axes if isinstance(self.axes, list) else [self.axes, self.axes]
        first, second = (axes_of(self.name, axis, shape)[0] for axis, shape in zip(given, shapes, strict=True))
        if first == 0 or second == 0:
            raise ValueError(f"{self.name}: axes: expected other axes than that of the batch, got {self.axes}")
        return first, second

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = self.check_shapes(input_shape)
        first, second = self._axes(shapes)
        a, b = shapes[0][first], shapes[1][second]
        if a != b and None not in (a, b):
            raise ValueError(
                f"{self.name}: expected inputs of one size along axes {first} and {second}, "
                f"got {', '.join(map(show, shapes))}"
            )
        left = [size for i, size in enumerate(shapes[0]) if i != first]
        right = [size for i, size in enumerate(shapes[1]) if i not in (0, second)]
        return tuple(left + right) if len(left + right) > 1 else (left[0], 1)

    def compute_mask(self, x: Any, mask: Any) -> None:
        return None

    def forward(self, x: Any, call: Call) -> Array:
        arrays = [self.cast(array) for array in x]
        axes = self._axes([array.shape for array in arrays])
        originals = arrays
        if self.normalize:
            arrays = [normalise(array, (axis,), 1e-7) for array, axis in zip(arrays, axes, strict=True)]
        matrices = [_matrices(array, axis) for array, axis in zip(arrays, axes, strict=True)]
        y = ops.batch_product(*matrices, transpose_b=True)
        if call.run.training:
            call.kept = axes, originals, matrices, y.shape
        shape = self.compute_output_shape([array.shape for array in arrays])
        return y.reshape([len(y) if size is None else size for size in shape])

    def backward(self, dy: Array, call: Call) -> list[Array | None] | None:
        if not call.need_dx:
            return None
        axes, originals, (a, b), shape = call.kept
        dy = np.ascontiguousarray(self.cast(dy)).reshape(shape)
        gradients = ops.batch_product(dy, b), ops.batch_product(dy, a, transpose_a=True)
        dxs: list[Array | None] = []
        for d, x, axis in zip(gradients, originals, axes, strict=True):
            moved = np.moveaxis(x, axis, -1).shape
            dx = np.ascontiguousarray(np.moveaxis(d.reshape(moved), -1, axis))
            dxs.append(normalise_gradient(x, dx, (axis,), 1e-7) if self.normalize else dx)
        return dxs


def _matrices(x: Array, axis: int) -> Array:
    """(B, others, axis)"""
    moved = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    return moved.reshape(len(moved), math.prod(moved.shape[1:-1]), moved.shape[-1])


def dot(inputs: Any, axes: int | tuple[int, int] = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes, **kwargs)(inputs)
