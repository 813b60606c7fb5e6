"""What every layer is: arguments, parameters, `forward` and `backward`.

Arrays are batch-major, as in Keras. Parameter gradients accumulate (`+=`), gradients of activations are assigned.
A layer holds its weights only; what a forward pass keeps for its backward pass lives in a `Call`, one for each
place that the layer has in a model. So a layer may stand in several places.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape, float_dtype
from pyrnn.layers.parameters import Parameter
from pyrnn.utils import next_seed


class Run:
    """What all layers of one pass have in common.

    training: dropout is active, and what backward needs is kept.
    seed, step: with the call's key, they choose the dropout masks.
    memory_budget: what the tape of a recurrent layer may take where the layer itself does not say.
    """

    __slots__ = ("memory_budget", "seed", "step", "training")

    def __init__(self, training: bool = False, seed: int = 0, step: int = 0) -> None:
        self.training, self.seed, self.step = training, seed, step
        self.memory_budget: int | str | None = None


class Call:
    """One place of a layer in a model: what forward keeps for backward, and buffers reused from step to step.

    run: the pass that this call is part of.
    key: number of the place, unique in the model.
    need_dx: backward must return the gradient of the input.
    logits: the last activation is left to the loss.
    mask: (B, T) or None; false steps of the input are padding.
    kept: whatever forward hands to backward.
    tape: what backward has consumed, for the next forward to use its storage again.
    """

    __slots__ = ("_buffers", "_children", "kept", "key", "logits", "mask", "need_dx", "run", "tape")

    def __init__(self, run: Run, key: int = 0) -> None:
        self.run, self.key = run, key
        self.need_dx = True
        self.logits = False
        self.mask: Array | None = None
        self.kept: Any = None
        self.tape: Any = None
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
    input_shape: shape of one sample, for the first layer of a Sequential; `input_dim=n` stands for (n,).

    A subclass writes `_build`, `compute_output_shape`, `forward`, `backward`, and lists its arguments in `arguments`.
    """

    arguments: ClassVar[tuple[str, ...]] = ()
    # Keras arguments that are refused: the value that means "off", and what to do instead
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {}
    activation: str = "linear"

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: Any = None,
        input_shape: Sequence[int | None] | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        if name is not None and not isinstance(name, str):
            raise TypeError(f"{kind}: name: expected a string or None, got {name!r}")
        if "input_dim" in kwargs and input_shape is None:
            input_shape = (kwargs.pop("input_dim"),)
        refuse(kind, kwargs, {**_NOT_SUPPORTED, **self.unsupported})
        self._automatic_name = name is None
        self.name: str = name if name is not None else _snake(kind)
        self.trainable = bool(trainable)
        self.dtype = float_dtype(dtype, kind)
        self.parameters: list[Parameter] = []
        self.built = False
        self.input_shape: Shape | None = None
        self.output_shape: Shape | None = None
        if input_shape is not None:
            self.build((None, *check_sizes(kind, "input_shape", input_shape)))

    @property
    def budget_shares(self) -> int:
        """How many recurrent layers it has that take their share of a model's memory budget."""
        return 0

    # What a subclass writes -------------------------------------------------------------------------------------

    def _build(self, input_shape: Shape) -> None:  # noqa: B027  a layer without parameters has none to make
        """Make the parameters for inputs of this shape, the batch size (None) first."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Shape of the output, the batch size (None) first; raises ValueError for an input that cannot be."""
        return input_shape

    @abstractmethod
    def forward(self, x: Array, call: Call) -> Any:
        """x -> y. What backward needs is kept in `call`."""

    @abstractmethod
    def backward(self, dy: Any, call: Call) -> Array | None:
        """dy -> dx (None where `call.need_dx` is False); adds to the parameters' gradients."""

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        """The mask (B, T) of the output, from the input and its mask."""
        return mask

    # What every layer has ---------------------------------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Make the parameters; a second call checks that the width is the same."""
        shape = tuple(input_shape)
        if self.built:
            self.check_input_shape(shape)
            return
        self.output_shape = self.compute_output_shape(shape)
        self._build(shape)
        self.input_shape = shape
        self.built = True

    def check_input_shape(self, shape: Shape) -> None:
        """Raise ValueError for an input that the weights do not fit."""
        self.compute_output_shape(shape)
        expected = self.input_shape
        if expected is not None and self.parameters and shape[-1] != expected[-1]:
            raise ValueError(f"{self.name}: expected an input of width {expected[-1]}, got {show(shape)}")

    def __call__(self, x: Any, *, training: bool = False, mask: Any = None, **kwargs: Any) -> Any:
        """Run the layer on arrays, outside a model. x: (B, ...); mask: (B, T). Returns new arrays."""
        if isinstance(x, Layer) or not (hasattr(x, "__array__") or isinstance(x, (list, tuple, int, float))):
            raise TypeError(
                f"{self.name}: expected an array, got {type(x).__name__}; layers are connected by Sequential([...])"
            )
        array = np.asarray(x)
        self.build((None, *array.shape[1:]))
        call = Call(Run(training, next_seed() if training else 0))
        call.mask = None if mask is None else np.asarray(mask, bool)
        return self.forward(array, call, **kwargs)

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
        for what in ("kernel", "recurrent", "bias", "activity", "embeddings")
    },
    **{
        f"{what}_constraint": (None, "use clipnorm= or clipvalue= of the optimizer")
        for what in ("kernel", "recurrent", "bias", "embeddings")
    },
    "batch_size": (None, "batches of any size are accepted"),
    "batch_input_shape": (None, "use input_shape=, without the batch size"),
    "batch_shape": (None, "use input_shape=, without the batch size"),
    "weights": (None, "use set_weights()"),
    "lora_rank": (None, "train the whole kernel"),
    "lora_alpha": (None, "train the whole kernel"),
    "quantization_config": (None, "weights are float32 or float64"),
    "autocast": (True, "set dtype= of each layer"),
}


def refuse(owner: str, given: Mapping[str, Any], unsupported: Mapping[str, tuple[Any, str]]) -> None:
    """Raise for arguments that pyrnn does not have: never accepted and ignored."""
    for argument, value in given.items():
        if argument not in unsupported:
            raise TypeError(f"{owner}: unknown argument {argument!r}")
        off, remedy = unsupported[argument]
        if value is not off and value != off:
            raise ValueError(f"{owner}: {argument}={value!r} is not supported: {remedy}")


def check_positive(owner: str, argument: str, value: Any) -> int:
    """`value` as an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: {argument}: expected an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{owner}: {argument}: expected an integer >= 1, got {value}")
    return int(value)


def check_rate(owner: str, argument: str, value: Any) -> float:
    """`value` as a share in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number, got {value!r}")
    if not 0 <= value < 1:
        raise ValueError(f"{owner}: {argument}: expected 0 <= rate < 1, got {value}")
    return float(value)


def check_flag(owner: str, argument: str, value: Any) -> bool:
    """`value` as True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{owner}: {argument}: expected True or False, got {value!r}")
    return bool(value)


def check_memory_budget(owner: str, value: Any) -> int | str | None:
    """`value` in bytes; None, "full" and "segments" as they are.

    >>> [check_memory_budget("fit", value) for value in ("segments", 1000, "256MB", "1.5 GiB")]
    ['segments', 1000, 256000000, 1610612736]
    """
    if value is None or (isinstance(value, str) and value in ("full", "segments")):
        return value
    expected = "expected bytes such as 2**28 or '256MB', 'segments' or 'full'"
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKMGT]?)(i?)B", value)
        if match is None:
            raise ValueError(f"{owner}: memory_budget: {expected}, got {value!r}")
        number, prefix, binary = match.groups()
        unit = (1024 if binary else 1000) ** " kMGT".index(prefix.replace("K", "k") or " ")
        value = int(float(number) * unit)
    elif isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: memory_budget: {expected}, got {value!r}")
    return check_positive(owner, "memory_budget", value)


def check_sizes(owner: str, argument: str, shape: Any) -> Shape:
    """`shape` as a tuple of sizes >= 1, or None where a size may differ from batch to batch."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{owner}: {argument}: expected a tuple such as (steps, width), got {shape!r}")
    return tuple(None if size is None else check_positive(owner, argument, size) for size in shape)


def check_rank(owner: str, shape: Shape, rank: int, letters: str) -> None:
    """Raise ValueError unless an input has `rank` axes."""
    if len(shape) != rank:
        raise ValueError(f"{owner}: expected an input {letters}, got {show(shape)}")


def show(shape: Shape | None) -> str:
    """A shape with B for the batch size.

    >>> show((None, 7, 12))
    '(B, 7, 12)'
    """
    if shape is None:
        return "?"
    sizes = ["B" if i == 0 and size is None else str(size) for i, size in enumerate(shape)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


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
    from pyrnn import initializers

    if isinstance(value, initializers.Initializer):
        return initializers.serialize(value)
    return serialize(value) if isinstance(value, Layer) else value


def _snake(name: str) -> str:
    """LSTM -> lstm, SimpleRNN -> simple_rnn."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
