"""The same layer at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, deserialize, serialize


class TimeDistributed(Layer):
    """Applies a layer to each step of a sequence: y[:, t] = layer(x[:, t]), with the same weights.

    layer: any layer whose input is one step.

    Input (B, T, ...), output (B, T, ...). Weights: those of the layer.

    >>> import numpy as np
    >>> from pyrnn.layers import Dense
    >>> TimeDistributed(Dense(2))(np.ones((3, 5, 4), np.float32)).shape
    (3, 5, 2)

    Keras, https://keras.io/api/layers/recurrent_layers/time_distributed/
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"TimeDistributed: layer: expected a layer, got {layer!r}")
        if getattr(layer, "return_state", False):
            raise ValueError("TimeDistributed: layer: expected a layer with one output, got return_state=True")
        if getattr(layer, "merge_mode", "concat") is None:
            raise ValueError("TimeDistributed: layer: expected a layer with one output, got merge_mode=None")
        self.layer = layer
        self.activation = layer.activation
        kwargs.setdefault("dtype", layer.dtype)
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TimeDistributed:
        return cls(**{**config, "layer": deserialize(config["layer"])})

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 3:
            raise ValueError(f"{self.name}: expected an input (batch, steps, ...), got {input_shape}")
        inner = self.layer.compute_output_shape((None, *input_shape[2:]))
        return (input_shape[0], input_shape[1], *inner[1:])

    def _build(self, input_shape: Shape) -> None:
        self.layer.build((None, *input_shape[2:]))
        self.parameters = self.layer.parameters

    def check_input_shape(self, shape: Shape) -> None:
        self.compute_output_shape(shape)
        self.layer.check_input_shape((None, *shape[2:]))

    @property
    def budget_shares(self) -> int:
        return self.layer.budget_shares

    def forward(self, x: Array, call: Call) -> Array:
        batch, steps = x.shape[:2]
        inner = call.child(0)
        inner.mask = None  # it is over the steps, of which the layer sees one
        y: Array = self.layer.forward(np.ascontiguousarray(x).reshape(batch * steps, *x.shape[2:]), inner)
        return y.reshape(batch, steps, *y.shape[1:])

    def backward(self, dy: Array, call: Call) -> Array | None:
        batch, steps = dy.shape[:2]
        dx = self.layer.backward(np.ascontiguousarray(dy).reshape(batch * steps, *dy.shape[2:]), call.child(0))
        return None if dx is None else dx.reshape(batch, steps, *dx.shape[1:])
