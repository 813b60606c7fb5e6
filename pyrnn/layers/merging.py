"""Several inputs, element by element."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import show
from pyrnn.layers.base import Call, Layer


class SeveralInputs(Layer):
    """Base of the layers that take a list of inputs and return one output."""

    several_inputs = True
    fewest, most = 1, 1_000_000

    def check_shapes(self, shapes: Any) -> list[Shape]:
        """The shapes of a list of inputs; raises ValueError for one input without a list."""
        if not isinstance(shapes, list):
            raise ValueError(f"{self.name}: expected a list of inputs, got one {show(shapes)}")
        if not self.fewest <= len(shapes) <= self.most:
            wanted = "at least one input" if self.most > 9 else f"{self.fewest} to {self.most} inputs"
            raise ValueError(f"{self.name}: expected a list of {wanted}, got {len(shapes)}")
        return shapes

    def check_input_shape(self, shape: Any) -> None:
        """There are no weights to fit: other shapes may follow."""
        self.compute_output_shape(shape)


class Merge(SeveralInputs):
    """Base of the layers that merge their inputs element by element.

    Sizes of 1 stretch; an input of fewer axes gets axes of size 1 behind the batch.
    """

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = self.check_shapes(input_shape)
        rank = max(len(shape) for shape in shapes)
        result: list[int | None] = [1] * rank
        for shape in shapes:
            for i, size in enumerate(_with_rank(shape, rank)):
                if result[i] == 1:
                    result[i] = size
                elif size is None and i > 0:
                    result[i] = None
                elif size not in (1, result[i]) and None not in (size, result[i]):
                    raise ValueError(f"{self.name}: expected inputs of one shape, got {', '.join(map(show, shapes))}")
        return tuple(result)

    def compute_mask(self, x: Any, mask: Any) -> Array | None:
        """A step counts where it does in any of the inputs; without a mask on each of them all count."""
        if mask is None or any(m is None for m in mask):
            return None
        together: Array = mask[0]
        for m in mask[1:]:
            together = together | m
        return together

    def forward(self, x: Any, call: Call) -> Array:
        arrays = [self.cast(array) for array in x]
        rank = max(array.ndim for array in arrays)
        arrays = [array.reshape(_with_rank(array.shape, rank)) for array in arrays]
        masks = list(call.mask) if call.mask is not None else [None] * len(arrays)
        y, kept = self.merge(arrays, masks)
        if call.run.training:
            call.kept = [array.shape for array in x], kept
        return y

    def backward(self, dy: Array, call: Call) -> list[Array | None] | None:
        if not call.need_dx:
            return None
        shapes, kept = call.kept
        return [_shrunk(d, shape) for d, shape in zip(self.split(self.cast(dy), kept), shapes, strict=True)]

    @abstractmethod
    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        """The output, and what `split` needs."""

    @abstractmethod
    def split(self, dy: Array, kept: Any) -> list[Array]:
        """The gradient of each input, shaped as dy or as the input."""


def _with_rank(shape: Any, rank: int) -> Any:
    return (shape[0], *(1,) * (rank - len(shape)), *shape[1:])


def _shrunk(d: Array, shape: tuple[int, ...]) -> Array:
    """A gradient added up over the axes along which the input was stretched."""
    for axis, (size, wanted) in enumerate(zip(d.shape, _with_rank(shape, d.ndim), strict=True)):
        if size != wanted:
            d = d.sum(axis=axis, keepdims=True)
    return d.reshape(shape)


class Add(Merge):
    """y = x_0 + x_1 + ...

    Inputs (B, ...) of one shape, output (B, ...). No weights.

    >>> import numpy as np
    >>> Add()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
    [[2.0, 2.0]]

    He et al. 2016, https://arxiv.org/abs/1512.03385: residual connections.
    """

    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        y = arrays[0]
        for x in arrays[1:]:
            y = y + x
        return y, len(arrays)

    def split(self, dy: Array, kept: Any) -> list[Array]:
        return [dy] * kept


class Average(Add):
    """y = (x_0 + x_1 + ...) / n.

    Inputs (B, ...) of one shape, output (B, ...). No weights.

    >>> import numpy as np
    >>> Average()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[0.5, 0.5]]

    Keras, https://keras.io/api/layers/merging_layers/average/
    """

    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        y, n = super().merge(arrays, masks)
        return y / n, n

    def split(self, dy: Array, kept: Any) -> list[Array]:
        return [dy / kept] * kept


class Subtract(Merge):
    """y = x_0 - x_1.

    Two inputs (B, ...) of one shape, output (B, ...). No weights.

    >>> import numpy as np
    >>> Subtract()([np.ones((1, 2)), np.zeros((1, 2))]).tolist()
    [[1.0, 1.0]]

    Keras, https://keras.io/api/layers/merging_layers/subtract/
    """

    fewest = most = 2

    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        return arrays[0] - arrays[1], None

    def split(self, dy: Array, kept: Any) -> list[Array]:
        return [dy, -dy]


class Multiply(Merge):
    """y = x_0 x_1 ..., where masked steps count as 1; steps that are masked in every input are 0.

    Inputs (B, ...) of one shape, output (B, ...). No weights.

    >>> import numpy as np
    >>> Multiply()([np.full((1, 2), 3.0), np.full((1, 2), 2.0)]).tolist()
    [[6.0, 6.0]]

    Keras, https://keras.io/api/layers/merging_layers/multiply/
    """

    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        factors = [x if m is None else np.where(m[..., None], x, 1) for x, m in zip(arrays, masks, strict=True)]
        y = factors[0]
        for x in factors[1:]:
            y = y * x
        both = self.compute_mask(arrays, masks)
        if both is not None:
            y = np.where(both[..., None], y, 0)
        return y.astype(self.dtype, copy=False), (factors, masks, both)

    def split(self, dy: Array, kept: Any) -> list[Array]:
        factors, masks, both = kept
        if both is not None:
            dy = np.where(both[..., None], dy, 0)
        gradients = []
        for i, mask in enumerate(masks):
            d = dy
            for j, x in enumerate(factors):
                if j != i:
                    d = d * x
            gradients.append((d if mask is None else np.where(mask[..., None], d, 0)).astype(self.dtype, copy=False))
        return gradients


class _Choice(Merge):
    """Base of Maximum and Minimum: masked steps of an input leave the choice to the others."""

    @abstractmethod
    def choose(self, a: Array, b: Array) -> Array:
        """Element by element, one of two arrays."""

    def merge(self, arrays: list[Array], masks: list[Array | None]) -> tuple[Array, Any]:
        y, mask = arrays[0], masks[0]
        rounds = []
        for b, m in zip(arrays[1:], masks[1:], strict=True):
            a = y
            if m is not None:
                b = np.where(m[..., None], b, a)
            if mask is not None:
                a = np.where(mask[..., None], a, b)
            y = self.choose(a, b)
            rounds.append((a == b, y == a, m, mask))
            mask = mask | m if mask is not None and m is not None else None
        return y, rounds

    def split(self, dy: Array, kept: Any) -> list[Array]:
        gradients = []
        for equal, first, m, mask in reversed(kept):
            da = np.where(equal, 0.5 * dy, np.where(first, dy, 0)).astype(dy.dtype)
            db = dy - da
            if mask is not None:  # a was where(mask, a, b)
                db = np.where(mask[..., None], db, db + da)
                da = np.where(mask[..., None], da, 0)
            if m is not None:  # b was where(m, b, a)
                da = np.where(m[..., None], da, da + db)
                db = np.where(m[..., None], db, 0)
            gradients.append(db.astype(dy.dtype, copy=False))
            dy = da.astype(dy.dtype, copy=False)
        return [dy, *reversed(gradients)]


class Maximum(_Choice):
    """y = the largest of x_0, x_1, ..., element by element.

    Inputs (B, ...) of one shape, output (B, ...). No weights. Where two are equal, each gets half of the gradient.

    >>> import numpy as np
    >>> Maximum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])]).tolist()
    [[2.0, 5.0]]

    Keras, https://keras.io/api/layers/merging_layers/maximum/
    """

    def choose(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)


class Minimum(_Choice):
    """y = the smallest of x_0, x_1, ..., element by element.

    Inputs (B, ...) of one shape, output (B, ...). No weights. Where two are equal, each gets half of the gradient.

    >>> import numpy as np
    >>> Minimum()([np.array([[1.0, 5.0]]), np.array([[2.0, 3.0]])]).tolist()
    [[1.0, 3.0]]

    Keras, https://keras.io/api/layers/merging_layers/minimum/
    """

    def choose(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)
