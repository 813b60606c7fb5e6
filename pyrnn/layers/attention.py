"""What of a sequence each step of another attends to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_flag, check_rank, check_rate, show
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.dropout import draw_scales
from pyrnn.layers.options import check_choice, check_integer
from pyrnn.layers.parameters import Parameter
from pyrnn.utils import next_seed

_FAR = 1e9  # Keras takes it off the scores of masked steps


class Attention(Layer):
    """y = softmax(scores) value, where scores are the products of query and key: Luong's attention.

    use_scale: multiply the scores by a number that is learned.
    score_mode: "dot" for query key^T, "concat" for the sum over units of tanh(query + key) times a learned number.
    dropout: share of the attention weights that is dropped in training.
    seed: of the dropout.

    Called on [query (B, Tq, D), value (B, Tv, E)] or [query, value, key (B, Tv, D)]; without key the value is the key.
    Masks: steps of the value that are masked get no attention, masked steps of the query give 0.
    return_attention_scores=True in the call: also return the weights (B, Tq, Tv).
    use_causal_mask=True in the call: step i attends to steps up to i only.

    Returns y (B, Tq, E). Weights: scale () with use_scale, concat_score_weight () with score_mode="concat".
    Raises ValueError for shapes that do not fit.

    >>> import numpy as np
    >>> query, value = np.zeros((1, 1, 2)), np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> Attention()([query, value]).tolist()
    [[[2.0, 3.0]]]

    Luong, Pham & Manning 2015, https://arxiv.org/abs/1508.04025
    """

    arguments: ClassVar[tuple[str, ...]] = ("use_scale", "score_mode", "dropout", "seed")
    several_inputs = True
    _with_scores = False

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.use_scale = check_flag(kind, "use_scale", use_scale)
        self.score_mode = check_choice(kind, "score_mode", score_mode, ("dot", "concat"))
        self.dropout = check_rate(kind, "dropout", dropout)
        self.seed = None if seed is None else check_integer(kind, "seed", seed, 0)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if not isinstance(input_shape, list) or not 2 <= len(input_shape) <= 3:
            got = f"{len(input_shape)} inputs" if isinstance(input_shape, list) else f"one {show(input_shape)}"
            raise ValueError(f"{self.name}: expected [query, value] or [query, value, key], got {got}")
        for shape in input_shape:
            check_rank(self.name, shape, 3, "(batch, steps, width)")
        query, value, key = input_shape[0], input_shape[1], input_shape[-1]
        if query[2] != key[2]:
            raise ValueError(f"{self.name}: expected query and key of one width, got {show(query)} and {show(key)}")
        if value[1] != key[1] and None not in (value[1], key[1]):
            raise ValueError(f"{self.name}: expected value and key of one length, got {show(value)} and {show(key)}")
        shape = (query[0], query[1], value[2])
        return [shape, (query[0], query[1], value[1])] if self._with_scores else shape

    def _connect(self, inputs: Any, several: bool, options: Mapping[str, Any], training: bool | None = None) -> Any:
        self._with_scores = bool(options.get("return_attention_scores", False))
        try:
            return super()._connect(inputs, several, options, training)
        finally:
            self._with_scores = False

    def check_input_shape(self, shape: Any) -> None:
        """Other lengths may follow, other widths only where no weight is as wide as they are."""
        self.compute_output_shape(shape)

    def compute_mask(self, x: Any, mask: Any) -> Array | None:
        return None if mask is None else mask[0]

    def _build(self, input_shape: Any) -> None:
        self._dropout_seed = next_seed() if self.seed is None else self.seed
        one = np.ones((), self.dtype)
        self.scale = Parameter("scale", one.copy()) if self.use_scale else None
        self.concat_score_weight = Parameter("concat_score_weight", one.copy()) if self.score_mode == "concat" else None
        self.parameters = [p for p in (self.scale, self.concat_score_weight) if p is not None]

    def forward(self, x: Any, call: Call, return_attention_scores: bool = False, use_causal_mask: bool = False) -> Any:
        query, value, key = (np.ascontiguousarray(self.cast(array)) for array in (x[0], x[1], x[-1]))
        masks = call.mask if isinstance(call.mask, (list, tuple)) else [None, None]
        scores, kept = self.scores(query, key)
        seen = self._seen(scores.shape, masks[1], use_causal_mask)
        if seen is not None:
            scores = np.where(seen, scores, scores - self.dtype.type(_FAR))
        weights = shares = ops.activation_forward("softmax", scores)
        scales = None
        if call.run.training and self.dropout:
            scales = draw_scales(weights.shape, self.dropout, self._dropout_seed, call, self.dtype)
            weights = shares * scales
        y = ops.batch_product(weights, value)
        query_mask = None if masks[0] is None else masks[0][..., None]
        if query_mask is not None:
            y *= query_mask
        if call.run.training:
            call.kept = query, value, key, kept, shares, scales, weights, query_mask, len(x)
        return (y, weights) if return_attention_scores else y

    def backward(self, dy: Any, call: Call) -> list[Array | None]:
        query, value, key, kept, shares, scales, weights, query_mask, inputs = call.kept
        d_scores_given = None
        if isinstance(dy, tuple):
            dy, d_scores_given = dy
        dy = np.zeros((*query.shape[:2], value.shape[2]), self.dtype) if dy is None else self.cast(dy)
        dy = np.ascontiguousarray(dy if query_mask is None else dy * query_mask)
        d_value = ops.batch_product(weights, dy, transpose_a=True)
        d = ops.batch_product(dy, value, transpose_b=True)
        if d_scores_given is not None:
            d = d + self.cast(d_scores_given)
        if scales is not None:
            d = d * scales
        d_query, d_key = self.scores_backward(query, key, kept, ops.activation_backward("softmax", shares, d))
        return [d_query, d_value, d_key] if inputs == 3 else [d_query, d_value + d_key]

    def _seen(self, shape: tuple[int, ...], value_mask: Array | None, causal: bool) -> Array | None:
        """Which steps of the value (last axis) each step of the query may attend to."""
        seen: Array | None = None if value_mask is None else value_mask[:, None, :]
        if causal:
            past = np.tri(shape[1], shape[2], dtype=bool)
            seen = past if seen is None else seen & past
        return seen

    def scores(self, query: Array, key: Array) -> tuple[Array, Any]:
        """(B, Tq, Tv) before the softmax, and what `scores_backward` needs."""
        scale = None if self.scale is None else self.scale.value
        if self.score_mode == "dot":
            products = ops.batch_product(query, key, transpose_b=True)
            return (products if scale is None else products * scale), products
        assert self.concat_score_weight is not None
        sums = query[:, :, None] + key[:, None]
        bent = np.tanh(sums if scale is None else sums * scale)
        total = bent.sum(axis=-1)
        return total * self.concat_score_weight.value, (sums, bent, total)

    def scores_backward(self, query: Array, key: Array, kept: Any, d: Array) -> tuple[Array, Array]:
        """Gradients of query and key; adds to those of the weights."""
        scale = None if self.scale is None else self.scale.value
        if self.score_mode == "dot":
            if self.scale is not None:
                self.scale.gradient += _total(d * kept)
                d = d * scale
            return ops.batch_product(d, key), ops.batch_product(d, query, transpose_a=True)
        assert self.concat_score_weight is not None
        sums, bent, total = kept
        self.concat_score_weight.gradient += _total(d * total)
        inner = (d * self.concat_score_weight.value)[..., None] * (1 - bent * bent)
        if self.scale is not None:
            self.scale.gradient += _total(inner * sums)
            inner = inner * scale
        return ops.sum_axis(inner, 2), ops.sum_axis(inner, 1)


def _total(x: Array) -> Any:
    """The sum of all elements, by a tree that their number determines."""
    return x.reshape(-1).sum()


class AdditiveAttention(Attention):
    """y = softmax(scores) value, where scores are the sums over units of scale tanh(query + key): Bahdanau's attention.

    use_scale: multiply each unit by a number that is learned.
    dropout: share of the attention weights that is dropped in training.
    seed: of the dropout.

    Called on [query (B, Tq, D), value (B, Tv, D)] or [query, value, key]; masks, return_attention_scores and
    use_causal_mask as for Attention.

    Returns y (B, Tq, D). Weights: scale (D) with use_scale.
    Raises ValueError for shapes that do not fit.

    >>> import numpy as np
    >>> AdditiveAttention()([np.zeros((1, 3, 2)), np.ones((1, 5, 2))]).tolist()
    [[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]]

    Bahdanau, Cho & Bengio 2015, https://arxiv.org/abs/1409.0473
    """

    arguments: ClassVar[tuple[str, ...]] = ("use_scale", "dropout", "seed")

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        if "score_mode" in kwargs:
            raise TypeError("AdditiveAttention: unknown argument 'score_mode'; Attention has it")
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def check_input_shape(self, shape: Any) -> None:
        self.compute_output_shape(shape)
        if self.scale is not None and shape[0][2] != self.scale.value.size:
            raise ValueError(f"{self.name}: expected a query of width {self.scale.value.size}, got {show(shape[0])}")

    def _build(self, input_shape: Any) -> None:
        self._dropout_seed = next_seed() if self.seed is None else self.seed
        width: Shape = input_shape[0][2:]
        if None in width:
            raise ValueError(f"{self.name}: expected a query of known width, got {show(input_shape[0])}")
        draw = initializers.get("glorot_uniform")
        self.scale = Parameter("scale", draw(width, self.dtype)) if self.use_scale else None  # type: ignore[arg-type]
        self.concat_score_weight = None
        self.parameters = [] if self.scale is None else [self.scale]

    def scores(self, query: Array, key: Array) -> tuple[Array, Any]:
        bent = np.tanh(query[:, :, None] + key[:, None])
        if self.scale is None:
            return bent.sum(axis=-1), bent
        return ops.dense_forward(bent, self.scale.value[:, None])[..., 0], bent

    def scores_backward(self, query: Array, key: Array, kept: Any, d: Array) -> tuple[Array, Array]:
        inner = 1 - kept * kept
        if self.scale is None:
            inner *= d[..., None]
        else:
            d_bent, d_scale, _ = ops.dense_backward(kept, self.scale.value[:, None], d[..., None])
            self.scale.gradient += d_scale[:, 0]
            inner *= d_bent
        return ops.sum_axis(inner, 2), ops.sum_axis(inner, 1)
