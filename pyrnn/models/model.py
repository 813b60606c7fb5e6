"""Model: a graph of layers from inputs to outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import show
from pyrnn.layers.base import Call, Layer, deserialize, serialize
from pyrnn.layers.tensor import Tensor
from pyrnn.models.graph import Plan, trace
from pyrnn.models.passes import GraphPass
from pyrnn.models.summary import summary_lines
from pyrnn.training.trainer import Trainer
from pyrnn.utils import next_seed


class Model(Trainer, Layer):
    """A model from its inputs and outputs.

    inputs: an Input, or a list or dict of them.
    outputs: what layers return when they are called on them, or a list or dict of that.
    name: shown in the summary.
    trainable: False keeps all weights as they are in `fit`.

    Data are given as the inputs are: an array, a list of arrays, or a dict by the names of the inputs; outputs come as
    the outputs do. A layer that is called twice has the same weights in both places. A model is a layer too.

    >>> import numpy as np
    >>> from pyrnn.layers import LSTM, Dense, Input
    >>> x = Input((None, 5))
    >>> read = LSTM(8)(x)
    >>> model = Model(x, {"kind": Dense(3, activation="softmax")(read), "size": Dense(1)(read)})
    >>> [(name, y.shape) for name, y in model(np.zeros((2, 4, 5))).items()]
    [('kind', (2, 3)), ('size', (2, 1))]

    Keras, https://keras.io/api/models/model/
    """

    several_inputs = True

    def __init__(
        self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any
    ) -> None:
        if type(self).call is not Model.call:
            raise TypeError(
                f"{type(self).__name__}: a model that overrides call() is not supported, since the engine needs to "
                "know the layers beforehand: use Model(inputs, outputs) or Sequential([...])"
            )
        if inputs is None or outputs is None:
            raise TypeError("Model: expected inputs and outputs; layers one after the other are a Sequential([...])")
        Layer.__init__(self, name=name, trainable=trainable, **kwargs)
        if name is None:
            self.name = "functional"
        self._inputs_as, self._outputs_as = _names_of(inputs), _names_of(outputs)
        self._connect_layers(_tensors("inputs", inputs), _tensors("outputs", outputs))

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Not for calling: a model is called as a function, `model(x)`."""
        raise TypeError(f"{self.name}: call() is not there to be called: use model(x)")

    def _connect_layers(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        self.inputs, self.outputs = inputs, outputs
        self._plan: Plan | None = trace(inputs, outputs, self.name)
        self._layers = self._plan.layers
        name_layers(self._layers, self.name)
        self._refresh()

    def _refresh(self) -> None:
        """What follows from the layers: parameters, flags, shapes. No pass of before is used again."""
        found = {id(p): p for layer in self._layers for p in layer.parameters}
        self.parameters = list(found.values())
        self.makes_mask = any(layer.makes_mask for layer in self._layers)
        self._pass = None
        if self._plan is None:
            return
        self.built = True
        self.input_shape = _one_or_list([x.shape for x in self.inputs], self._inputs_as)
        self.output_shape = _one_or_list([x.shape for x in self.outputs], self._outputs_as)
        last = GraphPass(self._plan, False)
        self.activation = last.activations[0] if len(last.activations) == 1 else "linear"

    # Layers -------------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers, Inputs among them; in Keras's order, the farthest from the outputs first."""
        return list(self._layers)

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

    @property
    def input(self) -> Any:
        """The model's Input, or a list of them."""
        self._check_built("input")
        return _one_or_list(self.inputs, self._inputs_as)

    @property
    def output(self) -> Any:
        """The model's output, or a list of them."""
        self._check_built("output")
        return _one_or_list(self.outputs, self._outputs_as)

    @property
    def input_names(self) -> list[str]:
        """What a dict of inputs calls them."""
        if isinstance(self._inputs_as, list):
            return self._inputs_as
        return [x.name for x in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """What a dict of targets, losses or metrics calls the outputs."""
        if isinstance(self._outputs_as, list):
            return self._outputs_as
        names: list[str] = []
        for out in self.outputs:
            name, i = out.name, 1
            while name in names:
                name, i = f"{out.name}_{i}", i + 1
            names.append(name)
        return names

    def stateful_layers(self) -> list[Layer]:
        """The layers that carry states from batch to batch, those of inner models too."""
        found: dict[int, Layer] = {}
        for layer in self._layers:
            if isinstance(layer, Model):
                found |= {id(inner): inner for inner in layer.stateful_layers()}
            elif getattr(layer, "stateful", False):
                found[id(layer)] = layer
        return list(found.values())

    def reset_states(self) -> None:
        """Let every stateful layer start anew."""
        for layer in self.stateful_layers():
            layer.reset_states()  # type: ignore[attr-defined]

    # Weights ------------------------------------------------------------------------------------------------------

    @property
    def weight_names(self) -> list[str]:
        return [name for layer in self._layers for name in layer.weight_names]

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
        """Number of weights; those of a layer in several places count once."""
        self._check_built("count_params")
        return super().count_params()

    def trainable_parameters(self) -> list[Any]:
        if not self.trainable:
            return []
        found = {id(p): p for layer in self._layers for p in layer.trainable_parameters()}
        return list(found.values())

    def summary(
        self, line_length: int | None = None, print_fn: Callable[[str], Any] | None = None, **kwargs: Any
    ) -> None:
        """Print the layers, their output shapes, numbers of weights and what they are connected to."""
        write = print if print_fn is None else print_fn
        for line in summary_lines(self):
            write(line)

    # Running ------------------------------------------------------------------------------------------------------

    def __call__(self, inputs: Any, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """The outputs for arrays, as one batch; or a place in another model, where the inputs are Tensors."""
        if isinstance(inputs, Mapping):
            inputs = [inputs[name] for name in self.input_names]
        if not isinstance(inputs, (list, tuple)) or not any(hasattr(x, "__array__") for x in inputs):
            inputs = [inputs]
        if any(isinstance(x, Tensor) for x in inputs):
            several = len(inputs) > 1
            return self._connect(list(inputs), several, kwargs, training)
        arrays = [np.asarray(x) for x in inputs]
        self.check_inputs(arrays)
        running = self.new_pass(bool(training))
        running.run.step = next_seed() if training or running.acting else 0
        return self.arrange_outputs(running.forward(arrays))

    def new_pass(self, training: bool) -> GraphPass:
        self._check_built("new_pass")
        assert self._plan is not None
        return GraphPass(self._plan, training)

    def check_inputs(self, arrays: Sequence[Array]) -> None:
        """Raise ValueError for arrays that do not fit the Inputs."""
        if len(arrays) != len(self.inputs):
            raise ValueError(f"x: expected {len(self.inputs)} arrays {self.input_names}, got {len(arrays)}")
        for tensor, array in zip(self.inputs, arrays, strict=True):
            argument = "x" if len(arrays) == 1 else f"x[{tensor.name!r}]"
            check_fits(argument, (None, *array.shape[1:]), tensor.shape)

    def arrange_outputs(self, outputs: list[Any]) -> Any:
        """The outputs as the model was given them: one, a list or a dict."""
        if isinstance(self._outputs_as, list):
            return dict(zip(self._outputs_as, outputs, strict=True))
        return outputs if self._outputs_as == "list" else outputs[0]

    # As a layer of another model ----------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = input_shape if isinstance(input_shape, list) else [input_shape]
        if len(shapes) != len(self.inputs):
            raise ValueError(f"{self.name}: expected {len(self.inputs)} inputs, got {len(shapes)}")
        known: dict[int, Shape] = {}
        for tensor, shape in zip(self.inputs, shapes, strict=True):
            check_fits(self.name, shape, tensor.shape)
            known[id(tensor)] = shape
        assert self._plan is not None
        for step in self._plan.steps:
            takes = [known[id(x)] for x in step.node.inputs]
            made = step.node.layer.compute_output_shape(takes if step.node.several else takes[0])
            for out, shape in zip(step.node.outputs, made if isinstance(made, list) else [made], strict=True):
                known[id(out)] = shape
        out_shapes = [known[id(x)] for x in self.outputs]
        return out_shapes if len(out_shapes) > 1 else out_shapes[0]

    def check_input_shape(self, shape: Any) -> None:
        """Raise ValueError for inputs that do not fit the Inputs."""
        self.compute_output_shape(shape)

    @property
    def budget_shares(self) -> int:
        return sum(step.node.layer.budget_shares for step in (self._plan.steps if self._plan else ()))

    def forward(self, x: Any, call: Call) -> Any:
        if call.subpass is None:
            assert self._plan is not None
            call.subpass = GraphPass(self._plan, call.run.training, call.run, call.key)
        inner: GraphPass = call.subpass
        several = isinstance(x, list)
        masks = call.mask if several else [call.mask]
        inner.leave_last_activation(0, call.logits)
        outputs = inner.forward(x if several else [x], masks if any(m is not None for m in masks or ()) else None)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def backward(self, dy: Any, call: Call) -> Any:
        gradients = call.subpass.backward(dy if isinstance(dy, tuple) else [dy])
        return gradients if len(gradients) > 1 else gradients[0]

    def output_mask(self, x: Any, mask: Any, call: Call) -> Any:
        masks = call.subpass.masks
        return masks if len(masks) > 1 else masks[0]

    # Config -------------------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Layers and how they are connected, as plain values."""
        assert self._plan is not None
        layer_number = {id(layer): i for i, layer in enumerate(self._layers)}
        places: dict[int, list[Any]] = {}
        for i, x in enumerate(self.inputs):
            places[id(x)] = ["input", i]
        nodes = []
        for step in self._plan.steps:
            node = step.node
            nodes.append(
                {
                    "layer": layer_number[id(node.layer)],
                    "inputs": [places[id(x)] for x in node.inputs],
                    "several": node.several,
                    "options": node.options,
                    "training": node.training,
                }
            )
            for j, out in enumerate(node.outputs):
                places[id(out)] = [len(nodes) - 1, j]
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._layers],
            "input_layers": [layer_number[id(x.node.layer)] for x in self.inputs],
            "inputs_as": self._inputs_as,
            "nodes": nodes,
            "outputs": [places[id(x)] for x in self.outputs],
            "outputs_as": self._outputs_as,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Model:
        layers = [deserialize(layer) for layer in config["layers"]]
        made: dict[tuple[Any, int], Tensor] = {}
        for i, number in enumerate(config["input_layers"]):
            made["input", i] = layers[number].output
        for i, node in enumerate(config["nodes"]):
            takes = [made[place[0], place[1]] for place in node["inputs"]]
            layers[node["layer"]]._connect(takes, bool(node["several"]), node["options"], node["training"])
            for j, out in enumerate(layers[node["layer"]]._nodes[-1].outputs):
                made[i, j] = out
        inputs = [made["input", i] for i in range(len(config["input_layers"]))]
        outputs = [made[place[0], place[1]] for place in config["outputs"]]
        model = cls(
            _structure(inputs, config["inputs_as"]),
            _structure(outputs, config["outputs_as"]),
            name=config["name"],
            trainable=config["trainable"],
        )
        return model

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model to a file: layers, weights, and what it was compiled with; `load_model` reads it."""
        from pyrnn.models.state import save_model

        save_model(self, filepath, overwrite)

    def __reduce__(self) -> tuple[Any, ...]:
        from pyrnn.models.state import model_from_state, state_of

        return model_from_state, state_of(self)

    def _check_built(self, what: str) -> None:
        if not self.built:
            raise ValueError(f"{self.name}: {what}: there are no weights before the model is built: call build()")


def name_layers(layers: Sequence[Layer], owner: str) -> None:
    """Number names that layers did not get from the user; refuse those that they did and that are taken."""
    taken: set[str] = set()
    for layer in layers:
        if layer.name in taken:
            if not layer._automatic_name:
                raise ValueError(f"{owner}: add: the name {layer.name!r} is taken; names must differ")
            i = 1
            while f"{layer.name}_{i}" in taken:
                i += 1
            layer.name = f"{layer.name}_{i}"
        taken.add(layer.name)


def check_fits(what: str, shape: Shape, expected: Shape) -> None:
    sizes = zip(shape[1:], expected[1:], strict=False)
    if len(shape) != len(expected) or any(b is not None and a is not None and a != b for a, b in sizes):
        raise ValueError(f"{what}: expected {show(expected)}, got {show(shape)}")


def _tensors(argument: str, given: Any) -> list[Tensor]:
    each = list(given.values()) if isinstance(given, Mapping) else given
    each = list(each) if isinstance(each, (list, tuple)) else [each]
    for x in each:
        if not isinstance(x, Tensor):
            raise TypeError(f"Model: {argument}: expected Tensors that Input(...) or layers return, got {x!r}")
    if not each:
        raise ValueError(f"Model: {argument}: expected at least one Tensor, got none")
    if argument == "inputs" and len({id(x) for x in each}) != len(each):
        raise ValueError("Model: inputs: expected each Input once")
    return each


def _names_of(given: Any) -> Any:
    """How inputs or outputs were given: "one", "list", or the names of a dict."""
    if isinstance(given, Mapping):
        return [str(name) for name in given]
    return "list" if isinstance(given, (list, tuple)) else "one"


def _structure(tensors: list[Tensor], given_as: Any) -> Any:
    if isinstance(given_as, list):
        return dict(zip(given_as, tensors, strict=True))
    return tensors if given_as == "list" else tensors[0]


def _one_or_list(items: list[Any], given_as: Any) -> Any:
    return items[0] if len(items) == 1 else list(items)
