"""A function of every element."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import activations, ops
from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer


class Activation(Layer):
    """y = activation(x).

    activation: one of `pyrnn.activations.NAMES`; "softmax" is over the last axis.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]], np.float32)).tolist()
    [[0.0, 2.0]]

    Keras, https://keras.io/api/layers/activations/
    """

    arguments: ClassVar[tuple[str, ...]] = ("activation",)

    def __init__(self, activation: str | None, **kwargs: Any) -> None:
        self.activation = activations.get(activation, "Activation: activation")
        super().__init__(**kwargs)

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if self.activation == "linear" or call.logits:
            return x
        y = ops.activation_forward(self.activation, x)
        if call.run.training:
            call.kept = y
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        dy = self.cast(dy)
        if self.activation == "linear" or call.logits:
            return dy
        return ops.activation_backward(self.activation, call.kept, dy)
