"""The same layer at every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, deserialize, serialize


class TimeDistributed(Layer):
    """Applies a layer to each step of a sequence: y[:, t] = layer(x[:, t]), with the same weights.

    layer: any layer whose input is one step, a recurrent one or a whole model too.

    Input (B, T, ...), output (B, T, ...). Weights: those of the layer. A mask (B, T, ...) of more axes than two is
    that of the steps that the layer sees; one of two is handed on.

    Raises TypeError for what is no layer, ValueError for a layer of several outputs.

    >>> import numpy as np
    >>> from pyrnn.layers import LSTM
    >>> TimeDistributed(LSTM(2))(np.ones((3, 28, 28, 1), np.float32)).shape
    (3, 28, 2)

    Keras, https://keras.io/api/layers/recurrent_layers/time_distributed/
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise TypeError(f"TimeDistributed: layer: expected a layer, got {layer!r}")
        if getattr(layer, "return_state", False):
            raise ValueError("TimeDistributed: layer: expected a layer with one output, got return_state=True")
        if getattr(layer, "merge_mode", "concat") is None:
            raise ValueError("TimeDistributed: layer: expected a layer with one output, got merge_mode=None")
        if getattr(layer, "stateful", False):
            raise ValueError("TimeDistributed: layer: expected a layer without carried state, got stateful=True")
        self.layer = layer
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
        if isinstance(inner, list):
            raise ValueError(f"{self.name}: layer: expected a layer with one output, got {len(inner)} outputs")
        return (input_shape[0], input_shape[1], *inner[1:])

    def _build(self, input_shape: Shape) -> None:
        self.layer.build((None, *input_shape[2:]))
        self.parameters = self.layer.parameters

    def check_input_shape(self, shape: Shape) -> None:
        self.compute_output_shape(shape)
        self.layer.check_input_shape((None, *shape[2:]))

    def trainable_parameters(self) -> list[Any]:
        return self.layer.trainable_parameters() if self.trainable else []

    @property
    def final_activation(self) -> Any:
        return self.layer.final_activation

    @property
    def budget_shares(self) -> int:
        return self.layer.budget_shares

    def forward(self, x: Array, call: Call) -> Array:
        batch, steps = x.shape[:2]
        mask = call.mask
        if getattr(self.layer, "mixes_samples", False):
            return self._forward_by_steps(x, call)
        inner = call.child(0)
        # one of (B, T) is over the steps, of which the layer sees one
        inner.mask = None if mask is None or mask.ndim < 3 else mask.reshape(batch * steps, *mask.shape[2:])
        y: Array = self.layer.forward(np.ascontiguousarray(x).reshape(batch * steps, *x.shape[2:]), inner)
        return y.reshape(batch, steps, *y.shape[1:])

    def backward(self, dy: Array, call: Call) -> Array | None:
        batch, steps = dy.shape[:2]
        if getattr(self.layer, "mixes_samples", False):
            parts = [self.layer.backward(np.ascontiguousarray(dy[:, t]), call.child(t)) for t in range(steps)]
            return np.stack(parts, axis=1) if call.need_dx else None
        dx = self.layer.backward(np.ascontiguousarray(dy).reshape(batch * steps, *dy.shape[2:]), call.child(0))
        return None if dx is None else dx.reshape(batch, steps, *dx.shape[1:])

    def _forward_by_steps(self, x: Array, call: Call) -> Array:
        """Samples of one step meet in the layer (batch statistics), those of different steps must not."""
        ys = []
        for t in range(x.shape[1]):
            inner = call.child(t)
            inner.mask = None if call.mask is None else call.mask[:, t]
            ys.append(self.layer.forward(np.ascontiguousarray(x[:, t]), inner))
        return np.stack(ys, axis=1)
