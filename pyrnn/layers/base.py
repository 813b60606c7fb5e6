"""What every layer is: arguments, parameters, `forward` and `backward`.

Arrays are batch-major, as in Keras. Parameter gradients accumulate (`+=`), gradients of activations are assigned.
A layer holds its weights only; what a forward pass keeps for its backward pass lives in a `Call`, one for each
place that the layer has in a model. So a layer may stand in several places.

A layer of several inputs is given lists (of arrays, of shapes, of masks) and returns a list of gradients; one of
several outputs returns a tuple of arrays and a list of shapes, and its `dy` is a tuple, None where no gradient comes.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape, float_dtype
from pyrnn.layers.arguments import check_sizes, refuse, show
from pyrnn.layers.parameters import Parameter
from pyrnn.layers.tensor import Node, Tensor
from pyrnn.utils import next_seed


class Run:
    """What all layers of one pass have in common.

    training: dropout is active, and what backward needs is kept.
    step: with the call's key, it chooses the dropout masks.
    memory_budget: what the tape of a recurrent layer may take where the layer itself does not say.
    """

    __slots__ = ("memory_budget", "step", "training")

    def __init__(self, training: bool = False, step: int = 0) -> None:
        self.training, self.step = training, step
        self.memory_budget: int | str | None = None


class Call:
    """One place of a layer in a model: what forward keeps for backward, and buffers reused from step to step.

    run: the pass that this call is part of.
    key: number of the place, unique in the model.
    need_dx: backward must return the gradient of the input.
    logits: the last activation is left to the loss.
    mask: (B, T) or None; false steps of the input are padding. A list, where the layer has several inputs.
    kept: whatever forward hands to backward.
    tape: what backward has consumed, for the next forward to use its storage again.
    subpass: the pass over its own layers, where the layer is a model.
    """

    __slots__ = ("_buffers", "_children", "kept", "key", "logits", "mask", "need_dx", "run", "subpass", "tape")

    def __init__(self, run: Run, key: int = 0) -> None:
        self.run, self.key = run, key
        self.need_dx = True
        self.logits = False
        self.mask: Any = None
        self.kept: Any = None
        self.tape: Any = None
        self.subpass: Any = None
        self._buffers: dict[str, Array] = {}
        self._children: dict[int, Call] = {}

    def buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array that is the same one in the next step; its content is arbitrary."""
        array = self._buffers.get(name)
        if array is None or array.shape != shape:
            array = self._buffers[name] = np.zeros(shape, dtype)
        return array

    def child(self, i: int) -> Call:
        """The call of a layer inside this one."""
        child = self._children.get(i)
        if child is None:
            child = self._children[i] = Call(self.run, (self.key + 1) * 1024 + i)
        child.need_dx, child.logits, child.mask = self.need_dx, self.logits, self.mask
        return child


class Layer(ABC):
    """Base of all layers.

    name: unique in a model; derived from the class where it is not given.
    trainable: False keeps the weights as they are in `fit`.
    dtype: "float32" or "float64".
    input_shape: shape of one sample, for the first layer of a Sequential; `input_dim=n` stands for (n,), `batch_shape`
        has the batch size in front.
    activity_regularizer: penalty on the output, added to the loss.

    A subclass writes `_build`, `compute_output_shape`, `forward`, `backward`, and lists its arguments in `arguments`.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    # Keras arguments that are refused: the value that means "off", and what to do instead
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {}
    activation: Any = "linear"
    # whether it may be called on a list of inputs
    several_inputs: bool = False
    # False: a mask ends here
    supports_masking: bool = True
    # whether it may make a mask where none comes in
    makes_mask: bool = False

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{kind}: name: expected a string or None, got {name!r}")
        batch_size = None
        if "input_dim" in kwargs and input_shape is None:
            input_shape = (kwargs.pop("input_dim"),)
        for argument in ("batch_shape", "batch_input_shape"):
            if kwargs.get(argument) is not None and input_shape is None:
                batch_size, *input_shape = check_sizes(kind, argument, kwargs.pop(argument))
        refuse(kind, kwargs, {**_NOT_SUPPORTED, **self.unsupported})
        self._automatic_name = name is None
        self.name: str = name if name is not None else _snake(kind)
        self.trainable = bool(trainable)
        self.dtype = float_dtype(dtype, kind)
        self.parameters: list[Parameter] = []
        self.built = False
        self.input_shape: Any = None
        self.output_shape: Any = None
        self._nodes: list[Node] = []
        self.activity_regularizer: Any = None
        if activity_regularizer is not None:
            from pyrnn import regularizers

            self.activity_regularizer = regularizers.get(activity_regularizer, f"{kind}: activity_regularizer")
        if input_shape is not None:
            self.build((batch_size, *check_sizes(kind, "input_shape", input_shape)))

    @property
    def final_activation(self) -> Any:
        """The activation that the output comes from, which a loss may take over; "linear" where it may not."""
        return self.activation

    @property
    def budget_shares(self) -> int:
        """How many recurrent layers it has that take their share of a model's memory budget."""
        return 0

    # What a subclass writes -------------------------------------------------------------------------------------

    def _build(self, input_shape: Any) -> None:  # noqa: B027  a layer without parameters has none to make
        """Make the parameters for inputs of this shape, the batch size (None) first."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output, the batch size (None) first; raises ValueError for an input that cannot be."""
        return input_shape

    @abstractmethod
    def forward(self, x: Any, call: Call) -> Any:
        """x -> y. What backward needs is kept in `call`."""

    @abstractmethod
    def backward(self, dy: Any, call: Call) -> Any:
        """dy -> dx (None where `call.need_dx` is False); adds to the parameters' gradients."""

    def compute_mask(self, x: Any, mask: Any) -> Any:
        """The mask (B, T) of the output, from the input and its mask."""
        return mask

    def output_mask(self, x: Any, mask: Any, call: Call) -> Any:
        """`compute_mask` after `forward`, for a layer whose mask depends on what happened there."""
        return self.compute_mask(x, mask)

    # What every layer has ---------------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the parameters; a second call checks that the width is the same."""
        shape = _tuples(input_shape)
        if self.built:
            self.check_input_shape(shape)
            return
        self.output_shape = self.compute_output_shape(shape)
        self._build(shape)
        self.input_shape = shape
        self.built = True

    def check_input_shape(self, shape: Any) -> None:
        """Raise ValueError for an input that the weights do not fit."""
        self.compute_output_shape(shape)
        expected = self.input_shape
        if expected is None or not self.parameters:
            return
        for given, known in zip(_each(shape), _each(expected), strict=False):
            if given[-1] != known[-1]:
                raise ValueError(f"{self.name}: expected an input of width {known[-1]}, got {show(given)}")

    def __call__(self, inputs: Any, *, training: bool | None = None, mask: Any = None, **kwargs: Any) -> Any:
        """Run the layer on arrays outside a model, or give it a place in one.

        inputs: (B, ...), or a list of them where the layer has several; a Tensor makes a place in a model.
        training: whether dropout and the like act; in a model None leaves it to the model.
        mask: (B, T); in a model it comes from Embedding(mask_zero=True) or Masking.

        Returns new arrays, or Tensors.
        """
        x, options = self._join_inputs(inputs, kwargs)
        several = isinstance(x, list) and any(hasattr(array, "__array__") for array in x)
        each = x if several else [x]
        if any(isinstance(array, Tensor) for array in each):
            if mask is not None:
                raise ValueError(f"{self.name}: mask: expected None in a model, where Embedding or Masking makes it")
            return self._connect(each, several, options, training)
        arrays = [self._array(array) for array in each]
        shapes: list[Any] = [(None, *array.shape[1:]) for array in arrays]
        self.build(shapes if several else shapes[0])
        acting = bool(training)
        call = Call(Run(acting, step=next_seed() if acting else 0))
        masks = mask if several and isinstance(mask, (list, tuple)) else [mask] + [None] * (len(arrays) - 1)
        masks = [None if m is None else np.asarray(m, bool) for m in masks]
        call.mask = masks if several else masks[0]
        return self.forward(arrays if several else arrays[0], call, **options)

    def _array(self, x: Any) -> Array:
        if isinstance(x, (Layer, Tensor)) or not (hasattr(x, "__array__") or isinstance(x, (list, tuple, int, float))):
            raise TypeError(f"{self.name}: expected an array or a Tensor of a model, got {type(x).__name__}")
        return np.asarray(x)

    def _join_inputs(self, inputs: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        """One input or a list of them, and the options of `forward`. A layer of keyword inputs overrides it."""
        if isinstance(inputs, (list, tuple)) and any(hasattr(x, "__array__") for x in inputs):
            if self.several_inputs:
                return list(inputs), kwargs
            if any(isinstance(x, Tensor) for x in inputs):
                if len(inputs) != 1:
                    raise ValueError(f"{self.name}: expected one input, got {len(inputs)}")
                return inputs[0], kwargs
        return inputs, kwargs

    def _connect(
        self, inputs: list[Tensor], several: bool, options: Mapping[str, Any], training: bool | None = None
    ) -> Any:
        """A place in a model."""
        for x in inputs:
            if not isinstance(x, Tensor):
                raise TypeError(f"{self.name}: expected Tensors only, got {type(x).__name__} beside one")
        if training is False:
            raise ValueError(
                f"{self.name}: training=False is not supported in a model: set the layer's trainable to False or leave "
                "it out; predict and evaluate do not act as in training"
            )
        shapes = [x.shape for x in inputs]
        self.build(shapes if several else shapes[0])
        out = self.compute_output_shape(shapes if several else shapes[0])
        node = Node(self, inputs, several, options, training, out)
        self._nodes.append(node)
        return node.result

    @property
    def input(self) -> Any:
        """What the layer is called on in the model: a Tensor or a list of them."""
        node = self._only_node("input")
        return list(node.inputs) if node.several or len(node.inputs) != 1 else node.inputs[0]

    @property
    def output(self) -> Any:
        """What comes out of the layer in the model: a Tensor or a list of them."""
        return self._only_node("output").result

    def _only_node(self, what: str) -> Node:
        if len(self._nodes) != 1:
            raise ValueError(
                f"{self.name}: {what}: expected a layer that stands in one place of a model, "
                f"got {len(self._nodes)} places"
            )
        return self._nodes[0]

    def trainable_parameters(self) -> list[Parameter]:
        """What an optimiser steps."""
        if not self.trainable:
            return []
        return [parameter for parameter in self.parameters if getattr(parameter, "trainable", True)]

    def __getstate__(self) -> dict[str, Any]:
        """A copy of a layer stands in no model."""
        return {**self.__dict__, "_nodes": []}

    def cast(self, x: Array) -> Array:
        """x in the layer's dtype."""
        return x if x.dtype is self.dtype or x.dtype == self.dtype else x.astype(self.dtype)

    @property
    def weight_names(self) -> list[str]:
        """Names of the arrays of `get_weights`."""
        return [name for parameter in self.parameters for name in parameter.names]

    def get_weights(self) -> list[Array]:
        """Copies of the weights, in Keras's order and layout."""
        return [array for parameter in self.parameters for array in parameter.arrays()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set the weights from arrays in Keras's order and layout."""
        shapes = [shape for parameter in self.parameters for shape in parameter.shapes]
        if not self.built:
            raise ValueError(f"{self.name}: the layer has no weights before it is built: call build(input_shape)")
        if len(weights) != len(shapes):
            raise ValueError(f"{self.name}: weights: expected {len(shapes)} arrays, got {len(weights)}")
        arrays = []
        for name, shape, weight in zip(self.weight_names, shapes, weights, strict=True):
            array = np.asarray(weight)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{self.name}: {name}: expected real numbers, got {array.dtype}")
            if array.shape != shape:
                raise ValueError(f"{self.name}: {name}: expected {shape}, got {array.shape}")
            arrays.append(np.asarray(array, self.dtype))
        for parameter in self.parameters:
            count = len(parameter.names)
            parameter.assign(arrays[:count])
            arrays = arrays[count:]

    def count_params(self) -> int:
        """Number of weights."""
        return sum(int(np.prod(shape)) for parameter in self.parameters for shape in parameter.shapes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as plain values."""
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype.name}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = _plain(self.activity_regularizer)
        return config | {argument: _plain(getattr(self, argument)) for argument in self.arguments}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        """A new layer from `get_config()`."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, output {show(self.output_shape)}>"


_NOT_SUPPORTED: dict[str, tuple[Any, str]] = {
    **{
        f"{what}_regularizer": (None, "use weight_decay= of the optimizer")
        for what in ("kernel", "recurrent", "bias", "embeddings")
    },
    **{
        f"{what}_constraint": (None, "use clipnorm= or clipvalue= of the optimizer")
        for what in ("kernel", "recurrent", "bias", "embeddings")
    },
    "batch_size": (None, "batches of any size are accepted"),
    "batch_input_shape": (None, "give either it or input_shape="),
    "batch_shape": (None, "give either it or input_shape="),
    "weights": (None, "use set_weights()"),
    "lora_rank": (None, "train the whole kernel"),
    "lora_alpha": (None, "train the whole kernel"),
    "quantization_config": (None, "weights are float32 or float64"),
    "autocast": (True, "set dtype= of each layer"),
}


def serialize(layer: Layer) -> dict[str, Any]:
    """The config that `deserialize` turns back into the layer."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def deserialize(config: Any) -> Layer:
    """A layer from its config; only pyrnn's own classes are known."""
    from pyrnn.layers import LAYERS

    name = config.get("class_name") if isinstance(config, dict) else None
    if name not in LAYERS:
        raise ValueError(f"layer: expected one of {', '.join(sorted(LAYERS))}, got {name!r}")
    return LAYERS[name].from_config(config["config"])


def _plain(value: Any) -> Any:
    """An argument as JSON knows it."""
    if isinstance(value, Layer):
        return serialize(value)
    owner = ".".join(type(value).__module__.split(".")[:2])
    if owner in ("pyrnn.initializers", "pyrnn.regularizers", "pyrnn.constraints"):
        return sys.modules[owner].serialize(value)
    return value


def _each(shape: Any) -> list[Shape]:
    return shape if isinstance(shape, list) else [shape]


def _tuples(shape: Any) -> Any:
    """A shape as a tuple, or several as a list of tuples."""
    if isinstance(shape, list) and shape and isinstance(shape[0], (list, tuple)):
        return [tuple(s) for s in shape]
    return tuple(shape)


def _snake(name: str) -> str:
    """Keras's automatic names: LSTM -> lstm, SimpleRNN -> simple_rnn, Conv1D -> conv1d."""
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()
