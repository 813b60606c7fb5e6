"""Sequential: layers one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from pyrnn import losses, metrics, optimizers, saving
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, Run, deserialize, serialize, show
from pyrnn.layers.input import InputLayer
from pyrnn.layers.parameters import Parameter
from pyrnn.training.trainer import Trainer
from pyrnn.utils import next_seed

__all__ = ["Sequential", "load_model"]


class SequentialPass:
    """A pass over layers in a row, and what they keep from forward to backward.

    layers: built layers.
    training: whether dropout is active and backward follows.
    """

    def __init__(self, layers: Sequence[Layer], training: bool) -> None:
        self.run = Run(training)
        self.mask: Array | None = None
        self._places = [(layer, Call(self.run, key)) for key, layer in enumerate(layers)]
        self._masks = any(getattr(layer, "mask_zero", False) for layer in layers)
        # nothing below the first layer that learns needs a gradient
        first = next((i for i, layer in enumerate(layers) if layer.trainable and layer.parameters), len(layers))
        self._learning = self._places[first:][::-1]
        if self._learning:
            self._learning[-1][1].need_dx = False
        self.activation = layers[-1].activation if layers else "linear"

    def leave_last_activation(self, leave: bool) -> None:
        """Whether `forward` returns what the last activation is given, not its value."""
        self._places[-1][1].logits = leave

    def limit_memory(self, budget: int | str) -> None:
        shares = sum(layer.budget_shares for layer, _ in self._places)
        if not shares:
            raise ValueError("memory_budget: expected a recurrent layer without one of its own, got none")
        if not isinstance(budget, str):
            budget = max(1, budget // shares)
        self.run.memory_budget = budget

    def forward(self, x: Array) -> Array:
        """x -> the last layer's output; sets `mask`."""
        if self._masks:
            return self._forward_masked(x)
        for layer, call in self._places:
            x = layer.forward(x, call)
        return x

    def _forward_masked(self, x: Array) -> Array:
        mask = None
        for layer, call in self._places:
            call.mask = mask
            y = layer.forward(x, call)
            mask = layer.compute_mask(x, mask)
            x = y
        self.mask = mask
        return x

    def backward(self, dy: Array) -> None:
        """Add to the gradients of the parameters."""
        gradient: Any = dy
        for layer, call in self._learning:
            gradient = layer.backward(gradient, call)


class Sequential(Trainer):
    """A model of layers one after the other.

    layers: list of layers; `add` appends one.
    name: shown in the summary.

    The shape of the input is known from an `Input(shape)` or from `input_shape=` of the first layer; else from the
    first data that the model sees.

    >>> from pyrnn.layers import LSTM, Dense, Input
    >>> model = Sequential([Input((7, 12)), LSTM(8), Dense(2, activation="softmax")])
    >>> model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    >>> x, y = np.zeros((16, 7, 12), np.float32), np.tile(np.eye(2, dtype=np.float32), (8, 1))
    >>> history = model.fit(x, y, epochs=2, verbose=0)
    >>> sorted(history.history), model.predict(x, verbose=0).shape
    (['accuracy', 'loss'], (16, 2))
    """

    def __init__(self, layers: Iterable[Layer] | None = None, trainable: bool = True, name: str | None = None) -> None:
        self.name = name if name is not None else "sequential"
        self.trainable = bool(trainable)
        self._layers: list[Layer] = []
        self._input_shape: Shape | None = None
        for layer in layers or ():
            self.add(layer)

    # Layers -------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, without the Input."""
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self._input_shape is not None and bool(self._layers)

    @property
    def input_shape(self) -> Shape:
        """Shape of the input, the batch size (None) first."""
        if self._input_shape is None:
            raise ValueError(f"{self.name}: the shape of the input is not known yet: start with Input(shape)")
        return self._input_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, the batch size (None) first."""
        shape = self.input_shape
        for layer in self._layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def add(self, layer: Layer) -> None:
        """Append a layer."""
        if not isinstance(layer, Layer):
            raise TypeError(f"{self.name}: add: expected a layer, got {layer!r}")
        if any(layer is other for other in self._layers):
            raise ValueError(f"{self.name}: add: {layer.name} is in the model already; make another layer")
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(f"{self.name}: add: Input must come first, got it after {self._layers[-1].name}")
        if getattr(layer, "return_state", False) or getattr(layer, "merge_mode", "concat") is None:
            raise ValueError(
                f"{self.name}: add: {layer.name} returns several arrays (return_state=True or merge_mode=None), a "
                "layer of a Sequential returns one; call the layer on arrays to see its states"
            )
        self._name(layer)
        if not self._layers and layer.input_shape is not None:
            self._input_shape = layer.input_shape
        elif self._input_shape is not None:
            layer.build(self.output_shape)
        self._layers.append(layer)
        self._forget_pass()

    def pop(self) -> Layer:
        """Take the last layer away. Returns it."""
        if not self._layers:
            raise ValueError(f"{self.name}: pop: there are no layers")
        layer = self._layers.pop()
        if not self._layers:
            self._input_shape = None
        self._forget_pass()
        return layer

    def _name(self, layer: Layer) -> None:
        """Number a name that the layer did not get from the user; refuse one that it did and that is taken."""
        taken = {other.name for other in self._layers}
        if layer.name not in taken:
            return
        if not layer._automatic_name:
            raise ValueError(f"{self.name}: add: the name {layer.name!r} is taken; names must differ")
        i = 1
        while f"{layer.name}_{i}" in taken:
            i += 1
        layer.name = f"{layer.name}_{i}"

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """A layer by its name or its place in `layers`."""
        if (name is None) == (index is None):
            raise ValueError(f"{self.name}: get_layer: expected either name or index")
        if index is not None:
            return self.layers[index]
        for layer in self._layers:
            if layer.name == name:
                return layer
        raise ValueError(f"{self.name}: get_layer: expected one of {[x.name for x in self.layers]}, got {name!r}")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Make the weights for inputs of this shape, the batch size (None) first."""
        if not self._layers:
            raise ValueError(f"{self.name}: build: there are no layers; add() some")
        shape: Shape = (None, *tuple(input_shape)[1:])
        if self._input_shape is not None:
            _check_fits(self.name, shape, self._input_shape)
            return
        current = shape
        for layer in self._layers:
            layer.build(current)
            current = layer.compute_output_shape(current)
        self._input_shape = shape
        self._forget_pass()

    # Weights ------------------------------------------------------------------------------------------------------

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and layout."""
        return [array for layer in self._layers for array in layer.get_weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from arrays in Keras's order and layout."""
        self._check_built("set_weights")
        counts = [len(layer.weight_names) for layer in self._layers]
        if len(weights) != sum(counts):
            raise ValueError(f"{self.name}: weights: expected {sum(counts)} arrays, got {len(weights)}")
        before = self.get_weights()
        try:
            self._set_weights(weights, counts)
        except (TypeError, ValueError):
            self._set_weights(before, counts)  # all of them or none
            raise

    def _set_weights(self, weights: Sequence[Any], counts: Sequence[int]) -> None:
        begin = 0
        for layer, count in zip(self._layers, counts, strict=True):
            if count:
                layer.set_weights(weights[begin : begin + count])
            begin += count

    def count_params(self) -> int:
        """Number of weights."""
        self._check_built("count_params")
        return sum(layer.count_params() for layer in self._layers)

    def summary(self, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print the layers, their output shapes and numbers of weights."""
        write = print if print_fn is None else print_fn
        rows = [("Layer (type)", "Output shape", "Weights")]
        shape = self._input_shape
        for layer in self._layers:
            shape = None if shape is None else layer.compute_output_shape(shape)
            if not isinstance(layer, InputLayer):
                count = f"{layer.count_params():,}" if shape is not None else "?"
                rows.append((f"{layer.name} ({type(layer).__name__})", show(shape), count))
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        write(f'Model "{self.name}"')
        for i, (first, second, third) in enumerate(rows):
            write(f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third:>{widths[2]}}")
            if i == 0:
                write("-" * (sum(widths) + 4))
        write("-" * (sum(widths) + 4))
        if shape is None:
            write("Weights: not built yet; give the first layer an input_shape, or fit")
            return
        trained = sum(layer.count_params() for layer in self._layers if layer.trainable and self.trainable)
        total = self.count_params()
        write(f"Weights: {total:,}" + (f", of which trainable: {trained:,}" if trained != total else ""))

    # Running ------------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> Array:
        """The output for arrays, as one batch."""
        array = np.asarray(x)
        self.check_input(array)
        running = self.new_pass(training)
        running.run.seed = next_seed() if training else 0
        return running.forward(array)

    def new_pass(self, training: bool) -> SequentialPass:
        return SequentialPass(self._layers, training)

    def trainable_parameters(self) -> list[Parameter]:
        if not self.trainable:
            return []
        return [parameter for layer in self._layers if layer.trainable for parameter in layer.parameters]

    def check_input(self, x: Array) -> None:
        if not self._layers:
            raise ValueError(f"{self.name}: there are no layers; add() some")
        if self._input_shape is None:
            self.build((None, *x.shape[1:]))
            return
        _check_fits("x", (None, *x.shape[1:]), self._input_shape)

    def _check_built(self, what: str) -> None:
        if not self.built:
            raise ValueError(f"{self.name}: {what}: there are no weights before the model is built: call build()")

    def _forget_pass(self) -> None:
        self._pass = None

    # Saving -------------------------------------------------------------------------------------------------------

    def save(self, filepath: str | PathLike[str]) -> None:
        """Write the model to a file: layers, weights, and what it was compiled with; `load_model` reads it."""
        saving.write(filepath, *state_of(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return model_from_state, state_of(self)


def _check_fits(what: str, shape: Shape, expected: Shape) -> None:
    sizes = zip(shape[1:], expected[1:], strict=False)
    if len(shape) != len(expected) or any(b is not None and a is not None and a != b for a, b in sizes):
        raise ValueError(f"{what}: expected {show(expected)}, got {show(shape)}")


def load_model(filepath: str | PathLike[str]) -> Sequential:
    """The model that `Sequential.save` wrote to a file, ready to predict or to train on.

    Raises FileNotFoundError where there is no file, ValueError where it is damaged or something else.

    >>> import tempfile
    >>> from pyrnn.layers import GRU, Input
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Sequential([Input((None, 3)), GRU(2)]).save(folder + "/model.pyrnn")
    ...     load_model(folder + "/model.pyrnn").count_params()
    42
    """
    config, tensors = saving.read(filepath)
    try:
        return model_from_state(config, tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{fspath(filepath)}: does not describe a model: {error}") from error


def state_of(model: Sequential) -> tuple[dict[str, Any], dict[str, Array]]:
    """A model as a JSON-able config and named arrays."""
    config: dict[str, Any] = {
        "class_name": "Sequential",
        "name": model.name,
        "trainable": model.trainable,
        "layers": [serialize(layer) for layer in model._layers],
        "input_shape": list(model.input_shape[1:]) if model.built else None,
    }
    tensors: dict[str, Array] = {}
    for i, array in enumerate(model.get_weights()):
        tensors[f"weights/{i}"] = np.ascontiguousarray(array)
    if model._compiled:
        config["compile"] = {
            "optimizer": optimizers.serialize(model.optimizer),
            "loss": losses.serialize(model.loss),
            "metrics": [metrics.serialize(metric) for metric in model._metrics.metrics],
            "iterations": model.optimizer.iterations,
        }
        for i, slots in enumerate(model.optimizer.get_state()):
            for slot, arrays in slots.items():
                for j, array in enumerate(arrays):
                    tensors[f"optimizer/{i}/{slot}/{j}"] = np.ascontiguousarray(array)
    return config, tensors


def model_from_state(config: Mapping[str, Any], tensors: Mapping[str, Array]) -> Sequential:
    """The way back from `state_of`."""
    if config["class_name"] != "Sequential":
        raise ValueError(f"expected a Sequential, got {config['class_name']!r}")
    model = Sequential(
        [deserialize(layer) for layer in config["layers"]], trainable=config["trainable"], name=config["name"]
    )
    if config["input_shape"] is not None:
        model.build((None, *config["input_shape"]))
    weights = [tensors[f"weights/{i}"] for i in range(sum(name.startswith("weights/") for name in tensors))]
    if model.built:
        model.set_weights(weights)
    elif weights:
        raise ValueError("there are weights without a shape of the input")
    compiled = config.get("compile")
    if compiled is not None:
        model.compile(
            optimizer=optimizers.deserialize(compiled["optimizer"]),
            loss=losses.deserialize(compiled["loss"]),
            metrics=[metrics.deserialize(metric) for metric in compiled["metrics"]],
        )
        state = _optimizer_state(tensors)
        if state:
            model.optimizer.set_state(compiled["iterations"], model.trainable_parameters(), state)
        else:
            model.optimizer.iterations = int(compiled["iterations"])
    return model


def _optimizer_state(tensors: Mapping[str, Array]) -> list[dict[str, list[Array]]]:
    """The arrays named optimizer/<parameter>/<slot>/<array>, in order."""
    found: dict[int, dict[str, dict[int, Array]]] = {}
    for name, array in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, slot, j = name.split("/")
            found.setdefault(int(parameter), {}).setdefault(slot, {})[int(j)] = array
    return [{slot: [arrays[j] for j in sorted(arrays)] for slot, arrays in found[i].items()} for i in sorted(found)]
