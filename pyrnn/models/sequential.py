"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyrnn._types import Array, Shape
from pyrnn.layers.base import Layer, deserialize, serialize
from pyrnn.layers.input import InputLayer
from pyrnn.layers.tensor import Tensor
from pyrnn.models.model import Model, check_fits, name_layers


class Sequential(Model):
    """A model of layers one after the other.

    layers: list of layers; `add` appends one.
    name: shown in the summary.

    The shape of the input is known from an `Input(shape)` or from `input_shape=` of the first layer; else from the
    first data that the model sees.

    >>> import numpy as np
    >>> from pyrnn.layers import LSTM, Dense, Input
    >>> model = Sequential([Input((7, 12)), LSTM(8), Dense(2, activation="softmax")])
    >>> model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    >>> x, y = np.zeros((16, 7, 12), np.float32), np.tile(np.eye(2, dtype=np.float32), (8, 1))
    >>> history = model.fit(x, y, epochs=2, verbose=0)
    >>> sorted(history.history), model.predict(x, verbose=0).shape
    (['accuracy', 'loss'], (16, 2))
    """

    several_inputs = False

    def __init__(self, layers: Iterable[Any] | None = None, trainable: bool = True, name: str | None = None) -> None:
        Layer.__init__(self, name=name, trainable=trainable)
        self._inputs_as = self._outputs_as = "one"
        self._layers: list[Layer] = []
        self._plan = None
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        self._refresh()
        for layer in layers or ():
            self.add(layer)

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @property
    def input_shape(self) -> Any:
        """Shape of the input, the batch size (None) first."""
        if not self.inputs:
            raise ValueError(f"{self.name}: the shape of the input is not known yet: start with Input(shape)")
        return self.inputs[0].shape

    @input_shape.setter
    def input_shape(self, shape: Any) -> None:
        """It is that of the Input."""

    @property
    def output_shape(self) -> Any:
        """Shape of the output, the batch size (None) first."""
        return self.outputs[0].shape if self.inputs else self.input_shape

    @output_shape.setter
    def output_shape(self, shape: Any) -> None:
        """It is that of the last layer."""

    def add(self, layer: Any) -> None:
        """Append a layer."""
        if isinstance(layer, Tensor) and isinstance(layer.node.layer, InputLayer):
            layer = layer.node.layer
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}: add: expected a layer, got {layer!r}")
        if any(layer is other for other in self._layers):
            raise ValueError(f"{self.name}: add: {layer.name} is in the model already; make another layer")
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(f"{self.name}: add: Input must come first, got it after {self._layers[-1].name}")
        if getattr(layer, "return_state", False) or getattr(layer, "merge_mode", "concat") is None:
            raise ValueError(
                f"{self.name}: add: {layer.name} returns several arrays (return_state=True or merge_mode=None), a "
                "layer of a Sequential returns one; use Model(inputs, outputs)"
            )
        name_layers([*self._layers, layer], self.name)
        if self.outputs:
            self._append(layer, layer(self.outputs[0]))
        elif isinstance(layer, InputLayer):
            self.inputs = [layer.output]
            self._append(layer, self.inputs[0])
        elif not self._layers and layer.input_shape is not None:
            self.inputs = [InputLayer(layer.input_shape[1:], layer.input_shape[0]).output]
            self._append(layer, layer(self.inputs[0]))
        else:
            self._append(layer, None)

    def _append(self, layer: Layer, output: Tensor | None) -> None:
        self._layers.append(layer)
        self._extend(output)

    def _extend(self, output: Tensor | None) -> None:
        if output is not None:
            layers = self._layers
            self._connect_layers(self.inputs, [output])
            self._layers = layers
        self._refresh()

    def pop(self, rebuild: bool = True) -> Layer:
        """Take the last layer away. Returns it."""
        if not self._layers:
            raise ValueError(f"{self.name}: pop: there are no layers")
        layer = self._layers.pop()
        self._plan, self.built = None, False
        if not self.layers:
            self._layers, self.inputs, self.outputs = [], [], []
            self._refresh()
        elif self.outputs:
            self._extend(layer._nodes.pop().inputs[0])
        return layer

    def build(self, input_shape: Any = None) -> None:
        """Make the weights for inputs of this shape, the batch size (None) first."""
        if not self._layers:
            raise ValueError(f"{self.name}: build: there are no layers; add() some")
        if input_shape is None:
            raise ValueError(
                f"{self.name}: build: input_shape: expected a shape such as (None, steps, width), got None"
            )
        shape: Shape = tuple(input_shape)
        if self.inputs:
            check_fits(self.name, shape, self.inputs[0].shape)
            return
        tensor = InputLayer(shape[1:], shape[0]).output
        inputs = [tensor]
        for layer in self._layers:
            tensor = layer(tensor)
        self.inputs = inputs
        self._extend(tensor)

    def compute_output_shape(self, input_shape: Any) -> Any:
        for layer in self._layers:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def check_inputs(self, arrays: Sequence[Array]) -> None:
        """Build the model for an array where it is not built; raise ValueError where it does not fit."""
        if not self._layers:
            raise ValueError(f"{self.name}: there are no layers; add() some")
        if not self.inputs and len(arrays) == 1:
            self.build((None, *arrays[0].shape[1:]))
            return
        super().check_inputs(arrays)

    def get_config(self) -> dict[str, Any]:
        """The layers, as plain values."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._layers],
            "input_shape": list(self.inputs[0].shape) if self.inputs else None,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        model = cls([deserialize(layer) for layer in config["layers"]], config["trainable"], config["name"])
        if config["input_shape"] is not None and not model.inputs:
            model.build(config["input_shape"])
        return model
