"""Several inputs side by side."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import show
from pyrnn.layers.base import Call
from pyrnn.layers.merging import SeveralInputs
from pyrnn.layers.options import axes_of, check_axes


class Concatenate(SeveralInputs):
    """y = the inputs one after the other along an axis.

    axis: along which; -1 puts the units side by side, 1 the steps one after the other.

    Inputs (B, ...) that differ along the axis only, output (B, ...). No weights.

    >>> import numpy as np
    >>> Concatenate()([np.ones((2, 3, 4)), np.ones((2, 3, 1))]).shape
    (2, 3, 5)

    Keras, https://keras.io/api/layers/merging_layers/concatenate/
    """

    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        checked = check_axes("Concatenate", axis)
        if isinstance(checked, list) or checked == 0:
            raise ValueError(f"Concatenate: axis: expected one axis other than that of the batch (0), got {axis!r}")
        self.axis: int = checked
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = self.check_shapes(input_shape)
        (axis,) = axes_of(self.name, self.axis, shapes[0])
        result = list(shapes[0])
        total: int | None = 0
        for shape in shapes:
            rest = zip(shape, result, strict=False)
            if len(shape) != len(result) or any(
                a != b and i != axis and None not in (a, b) for i, (a, b) in enumerate(rest)
            ):
                raise ValueError(
                    f"{self.name}: expected inputs that differ along axis {self.axis} only, "
                    f"got {', '.join(map(show, shapes))}"
                )
            size = shape[axis]
            total = None if total is None or size is None else total + size
            result = [b if a is None else a for a, b in zip(result, shape, strict=True)]
        result[axis] = total
        return (shapes[0][0], *result[1:])

    def compute_mask(self, x: Any, mask: Any) -> Array | None:
        if mask is None or all(m is None for m in mask):
            return None
        marks = []
        for array, m in zip(x, mask, strict=True):
            if m is None:
                marks.append(np.ones(array.shape, bool))
            else:
                marks.append(np.broadcast_to(m[..., None], array.shape) if m.ndim < array.ndim else m)
        return np.asarray(np.concatenate(marks, axis=self.axis).any(axis=-1))

    def forward(self, x: Any, call: Call) -> Array:
        call.kept = [array.shape[self.axis] for array in x]
        return np.concatenate([self.cast(array) for array in x], axis=self.axis)

    def backward(self, dy: Array, call: Call) -> list[Array | None] | None:
        if not call.need_dx:
            return None
        edges = list(accumulate(call.kept))[:-1]
        return [np.ascontiguousarray(part) for part in np.split(self.cast(dy), edges, axis=self.axis)]


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis, **kwargs)(inputs)
