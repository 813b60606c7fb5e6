"""The arrays of a model before there are any: what a layer is called on when models are put together.

A `Node` is one place of a layer in a model; its outputs are `Tensor`s, which know their shape and where they come from.
`Model(inputs, outputs)` follows them from the outputs back to the inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyrnn._types import Shape

if TYPE_CHECKING:
    from pyrnn.layers.base import Layer


class Tensor:
    """An output of a layer, or an input of a model, without values.

    Attributes
        shape: the batch size (None) first; None elsewhere where a size may differ from batch to batch.
        node: the place of the layer that it comes out of.
        index: which of the layer's outputs it is.

    >>> from pyrnn.layers import GRU, Input
    >>> GRU(4)(Input((7, 3))).shape
    (None, 4)
    """

    __slots__ = ("index", "node", "shape")

    def __init__(self, shape: Shape, node: Node, index: int) -> None:
        self.shape, self.node, self.index = shape, node, index

    @property
    def name(self) -> str:
        """That of the layer it comes out of."""
        return self.node.layer.name

    @property
    def ndim(self) -> int:
        """Number of axes, that of the batch included."""
        return len(self.shape)

    @property
    def dtype(self) -> str:
        """What the layer computes in; an Input's is what was said there."""
        layer = self.node.layer
        given: str | None = getattr(layer, "input_dtype", None)
        return layer.dtype.name if given is None else given

    def __getitem__(self, index: Any) -> Any:
        from pyrnn.layers.get_item import GetItem

        return GetItem(index)(self)

    def __add__(self, other: Any) -> Any:
        return self._with(other, "Add", offset=other)

    def __sub__(self, other: Any) -> Any:
        return self._with(other, "Subtract", offset=other if isinstance(other, Tensor) else -other)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, "Multiply", scale=other)

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Tensor):
            raise TypeError(f"{self!r} / Tensor is not supported: divide by a number")
        return self._with(other, "Multiply", scale=1 / other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Any:
        return self * -1 + other

    def __neg__(self) -> Any:
        return self * -1

    def _with(self, other: Any, merging: str, scale: Any = 1.0, offset: Any = 0.0) -> Any:
        """This and another Tensor in a merging layer, or times and plus a number."""
        from pyrnn import layers

        if isinstance(other, Tensor):
            return getattr(layers, merging)()([self, other])
        if isinstance(other, (int, float)) and not isinstance(other, bool):
            return layers.Rescaling(float(scale), float(offset))(self)
        return NotImplemented

    __array_ufunc__ = None  # NumPy leaves `array * tensor` to the tensor, which says what it takes

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"{self!r} has no values: put it into Model(inputs, outputs) and give the model an array, or call a "
            "layer on it; NumPy's functions do not work on it"
        )

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} has no values, so it is neither true nor false")

    def __iter__(self) -> Any:
        raise TypeError(f"{self!r} has no values to go through; a layer of several outputs returns a list of them")

    def __repr__(self) -> str:
        sizes = ", ".join(str(size) for size in self.shape)
        return f"<Tensor ({sizes}{',' if len(self.shape) == 1 else ''}) of {self.name!r}>"


class Node:
    """One place of a layer in a model.

    layer: whose place it is.
    inputs: what it is called on.
    several: whether the layer is given a list, also of one.
    options: keyword arguments of `forward`, plain values.
    training: True where the layer acts as in training, also in `predict`; None where the model says.
    output_shapes: a shape, or a list of them where the layer has several outputs.
    """

    __slots__ = ("inputs", "layer", "options", "outputs", "several", "several_outputs", "training")

    def __init__(
        self,
        layer: Layer,
        inputs: list[Tensor],
        several: bool,
        options: Mapping[str, Any],
        training: bool | None,
        output_shapes: Shape | list[Shape],
    ) -> None:
        self.layer, self.inputs, self.several = layer, inputs, several
        self.options, self.training = dict(options), training
        self.several_outputs = isinstance(output_shapes, list)
        shapes = output_shapes if isinstance(output_shapes, list) else [output_shapes]
        self.outputs = [Tensor(shape, self, i) for i, shape in enumerate(shapes)]

    @property
    def result(self) -> Any:
        """What calling the layer returns: a tensor or a list of them."""
        return self.outputs if self.several_outputs else self.outputs[0]
