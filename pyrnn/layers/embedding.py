"""A vector for each id."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, check_flag, check_positive
from pyrnn.layers.parameters import Parameter


class Embedding(Layer):
    """y[...] = W[ids[...]].

    input_dim: V, number of ids.
    output_dim: E, width of a vector.
    embeddings_initializer: name or initialiser.
    mask_zero: id 0 is padding: recurrent layers that follow skip it, and the loss does not count it.
    input_length: steps of the input, where it is known; Keras's old way to say input_shape=(steps,).

    Input (B, ...) ids in [0, V), output (B, ..., E). Weights: embeddings (V, E).

    Raises ValueError naming the first id outside [0, V).

    >>> import numpy as np
    >>> layer = Embedding(10, 3)
    >>> layer(np.array([[1, 2, 1]])).shape
    (1, 3, 3)

    Bengio et al. 2003, A neural probabilistic language model, Journal of Machine Learning Research 3.
    """

    arguments: ClassVar[tuple[str, ...]] = ("input_dim", "output_dim", "embeddings_initializer", "mask_zero")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        *,
        mask_zero: bool = False,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.input_dim = check_positive("Embedding", "input_dim", input_dim)
        self.output_dim = check_positive("Embedding", "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer, "Embedding: embeddings_initializer")
        self.mask_zero = check_flag("Embedding", "mask_zero", mask_zero)
        self.makes_mask = self.mask_zero
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        return x != 0 if self.mask_zero else mask

    def _build(self, input_shape: Shape) -> None:
        self.embeddings = Parameter(
            "embeddings", self.embeddings_initializer((self.input_dim, self.output_dim), self.dtype)
        )
        self.parameters = [self.embeddings]

    def check_input_shape(self, shape: Shape) -> None:
        """Ids may come in any shape."""

    def forward(self, x: Array, call: Call) -> Array:
        ids = self._ids(x)
        if call.run.training:
            call.kept = ids
        return ops.embedding_forward(ids, self.embeddings.value)

    def backward(self, dy: Array, call: Call) -> None:
        ops.embedding_backward(call.kept, np.ascontiguousarray(self.cast(dy)), self.embeddings.gradient)

    def _ids(self, x: Array) -> Array:
        """x as integers; Keras's models often hand ids on as floats."""
        if x.dtype.kind in "iu":
            return x
        with np.errstate(invalid="ignore"):  # NaN and infinities are found below
            whole = x.astype(np.int64)
        if not (whole == x).all():
            raise TypeError(f"{self.name}: expected integer ids, got {x.dtype} with values that are not whole")
        return whole
