"""A vector for each id."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.arguments import check_flag, check_positive
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.parameters import Parameter


class Embedding(Layer):
    """y[...] = W[ids[...]].

    input_dim: V, number of ids.
    output_dim: E, width of a vector.
    embeddings_initializer: name or initialiser; `Constant(matrix)` for vectors from elsewhere.
    embeddings_regularizer, embeddings_constraint: penalty on W, and what W is held to after every step.
    mask_zero: id 0 is padding: recurrent layers that follow skip it, and the loss does not count it.
    weights: [matrix] or matrix (V, E), in place of what the initialiser draws; trainable=False keeps them.
    input_length: steps of the input, where it is known; Keras's old way to say input_shape=(steps,).

    Input (B, ...) ids in [0, V), output (B, ..., E). Weights: embeddings (V, E).

    Raises ValueError naming the first id outside [0, V).

    >>> import numpy as np
    >>> layer = Embedding(10, 3)
    >>> layer(np.array([[1, 2, 1]])).shape
    (1, 3, 3)
    >>> Embedding(2, 2, weights=[np.eye(2)], trainable=False)(np.array([[1]])).tolist()
    [[[0.0, 1.0]]]

    Bengio et al. 2003, A neural probabilistic language model, Journal of Machine Learning Research 3.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "input_dim",
        "output_dim",
        "embeddings_initializer",
        "embeddings_regularizer",
        "embeddings_constraint",
        "mask_zero",
    )

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        *,
        input_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        kind = "Embedding"
        self.input_dim = check_positive(kind, "input_dim", input_dim)
        self.output_dim = check_positive(kind, "output_dim", output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer, f"{kind}: embeddings_initializer")
        self.embeddings_regularizer = options.regularizer(kind, "embeddings_regularizer", embeddings_regularizer)
        self.embeddings_constraint = options.constraint(kind, "embeddings_constraint", embeddings_constraint)
        self.mask_zero = check_flag(kind, "mask_zero", mask_zero)
        self.makes_mask = self.supports_masking = self.mask_zero
        self._given = None if weights is None else self._check_weights(weights)
        if input_length is not None:
            kwargs.setdefault("input_shape", (input_length,))
        super().__init__(**kwargs)

    def _check_weights(self, weights: Any) -> Array:
        if isinstance(weights, (list, tuple)) and len(weights) == 1:
            weights = weights[0]
        matrix = np.asarray(weights)
        shape = (self.input_dim, self.output_dim)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"Embedding: weights: expected real numbers, got {matrix.dtype}")
        if matrix.shape != shape:
            raise ValueError(f"Embedding: weights: expected [matrix] of shape {shape}, got {matrix.shape}")
        return matrix

    def build(self, input_shape: Any) -> None:
        """Make the table. A shape of one axis, Keras's `build((1,))`, says nothing about the samples."""
        known = self.input_shape
        super().build(input_shape)
        if known is None and len(tuple(input_shape)) < 2:
            self.input_shape = None

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        return x != 0 if self.mask_zero else None

    def _build(self, input_shape: Shape) -> None:
        shape = (self.input_dim, self.output_dim)
        given, self._given = self._given, None
        self.embeddings = Parameter(
            "embeddings",
            self.embeddings_initializer(shape, self.dtype) if given is None else np.array(given, self.dtype),
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
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
