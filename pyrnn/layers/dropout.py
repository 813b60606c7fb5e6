"""Dropout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, check_rate
from pyrnn.utils import next_seed


class Dropout(Layer):
    """In training, sets a share of the elements to 0 and multiplies the others by 1 / (1 - rate).

    rate: share of the elements that is dropped, in [0, 1).
    seed: of the masks.

    Input and output (B, ...). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = Dropout(0.5, seed=1)(np.ones((2, 100), np.float32), training=True)
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]

    Srivastava et al. 2014, Journal of Machine Learning Research 15.
    """

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed")
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "noise_shape": (None, "every element is dropped on its own; LSTM(dropout=) has one mask a sequence")
    }

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        self.rate = check_rate("Dropout", "rate", rate)
        self.seed = seed
        super().__init__(**kwargs)

    def _build(self, input_shape: Shape) -> None:
        self._dropout_seed = next_seed() if self.seed is None else self.seed

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if not call.run.training or not self.rate:
            call.kept = None
            return x
        # the generator's axes are (sample, unit), or (t, sample, unit)
        sequence = x.ndim == 3
        shape = (x.shape[1], x.shape[0], x.shape[2]) if sequence else (x.shape[0], math.prod(x.shape[1:]))
        scales = ops.dropout_scales(
            shape,
            self.rate,
            seed=self._dropout_seed,
            step=call.run.step,
            layer=call.key * 4,
            dtype=self.dtype,
        )
        call.kept = scales.transpose(1, 0, 2) if sequence else scales.reshape(x.shape)
        y: Array = x * call.kept
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        dy = self.cast(dy)
        dx: Array = dy if call.kept is None else dy * call.kept
        return dx
