"""Part of an array, as a layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer


class GetItem(Layer):
    """y = x[index]: what indexing a Tensor of a model makes.

    index: integers, slices and `...`, as NumPy takes them; the batch, which comes first, must be taken whole.

    >>> import numpy as np
    >>> GetItem((slice(None), -1))(np.arange(6.0).reshape(1, 3, 2))
    array([[4., 5.]], dtype=float32)

    Keras, https://keras.io/guides/functional_api/
    """

    arguments: ClassVar[tuple[str, ...]] = ("index",)

    def __init__(self, index: Any, **kwargs: Any) -> None:
        given = index if isinstance(index, (tuple, list)) else (index,)
        self._index = tuple(_item(i) for i in given)
        if sum(i is Ellipsis for i in self._index) > 1:
            raise ValueError(f"GetItem: index: expected `...` at most once, got {index!r}")
        if self._index[:1] not in ((slice(None),), (Ellipsis,)):
            raise ValueError(f"GetItem: index: expected the whole batch first, as in x[:, 0], got {index!r}")
        super().__init__(**kwargs)

    @property
    def index(self) -> list[Any]:
        """The index as plain values: an integer, [start, stop, step], or "..."."""
        return [
            "..." if i is Ellipsis else [i.start, i.stop, i.step] if isinstance(i, slice) else i for i in self._index
        ]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        indices = self._of_axes(len(input_shape))
        out: list[int | None] = []
        for axis, (i, size) in enumerate(zip(indices, input_shape, strict=True)):
            if isinstance(i, slice):
                whole = i == slice(None)
                out.append(size if whole or size is None else len(range(*i.indices(size))))
            elif size is not None and not -size <= i < size:
                raise ValueError(f"{self.name}: index: expected {-size} <= i < {size} on axis {axis}, got {i}")
        return tuple(out)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        if mask is None:
            return None
        indices = self._of_axes(x.ndim)
        return mask[:, indices[1]] if isinstance(indices[1], slice) else None

    def _of_axes(self, rank: int) -> list[Any]:
        """One index for every axis."""
        given = len([i for i in self._index if i is not Ellipsis])
        if given > rank:
            raise ValueError(f"{self.name}: index: expected at most {rank} axes, got {given}")
        spread: list[Any] = []
        for i in self._index:
            spread += [slice(None)] * (rank - given) if i is Ellipsis else [i]
        return spread + [slice(None)] * (rank - len(spread))

    def forward(self, x: Array, call: Call) -> Array:
        if call.run.training:
            call.kept = (x.shape, x.dtype)
        return np.ascontiguousarray(self.cast(x)[self._index])

    def backward(self, dy: Any, call: Call) -> Array:
        shape, _ = call.kept
        dx = np.zeros(shape, self.dtype)
        dx[self._index] = dy
        return dx


def _item(i: Any) -> Any:
    """An index from what the user or a config gives."""
    if i is Ellipsis or i == "...":
        return Ellipsis
    if isinstance(i, slice):
        return i
    if isinstance(i, (list, tuple)) and len(i) == 3:
        return slice(*i)
    if isinstance(i, (int, np.integer)) and not isinstance(i, bool):
        return int(i)
    raise TypeError(f"GetItem: index: expected integers, slices or `...`, got {i!r}")
