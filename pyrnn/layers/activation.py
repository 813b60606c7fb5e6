"""Functions of every element as layers."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from pyrnn import activations, ops
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import AxesLast, axes_of, check_axes, check_number


class Activation(Layer):
    """y = activation(x).

    activation: a name (`pyrnn.activations.FUNCTIONS`), a function of `pyrnn.activations`, or your own
        `pyrnn.activations.Function`; "softmax" is over the last axis.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> Activation("relu")(np.array([[-1.0, 2.0]], np.float32)).tolist()
    [[0.0, 2.0]]

    Keras, https://keras.io/api/layers/activations/
    """

    arguments: ClassVar[tuple[str, ...]] = ("activation",)

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        self.activation = activations.get(activation, f"{type(self).__name__}: activation")
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return config | {"activation": activations.serialize(self.activation)} if "activation" in config else config

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if self.activation == "linear" or call.logits:
            return x
        y = activations.apply(self.activation, x)
        if call.run.training:
            call.kept = x, y
        return y

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        dy = self.cast(dy)
        if self.activation == "linear" or call.logits:
            return dy
        x, y = call.kept
        return activations.gradient(self.activation, x, y, dy)


class Elementwise(Layer):
    """Base of layers with y = value(x) element by element, and dx = slope(x) dy."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """y of x."""

    @abstractmethod
    def slope(self, x: Array) -> Array:
        """dy / dx at x."""

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if call.run.training:
            call.kept = x
        return self.value(x)

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        dx: Array = self.cast(dy) * self.slope(call.kept)
        return dx


class ReLU(Elementwise):
    """y = max_value where x >= max_value, x above threshold, negative_slope (x - threshold) below it.

    max_value: None for no upper limit.
    negative_slope: slope below the threshold.
    threshold: where the function starts to rise.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> ReLU(max_value=1.5, negative_slope=0.5)(np.array([[-1.0, 1.0, 2.0]], np.float32)).tolist()
    [[-0.5, 1.0, 1.5]]

    Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines, ICML.
    """

    arguments: ClassVar[tuple[str, ...]] = ("max_value", "negative_slope", "threshold")

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        self.max_value = None if max_value is None else check_number("ReLU", "max_value", max_value, 0)
        self.negative_slope = check_number("ReLU", "negative_slope", negative_slope, 0)
        self.threshold = check_number("ReLU", "threshold", threshold, 0)
        super().__init__(**kwargs)

    def value(self, x: Array) -> Array:
        above = x if self.max_value is None else np.minimum(x, self.max_value)
        below = self.negative_slope * (x - self.threshold) if self.negative_slope else np.zeros_like(x)
        return np.where(x <= self.threshold, below, above)

    def slope(self, x: Array) -> Array:
        slope = np.where(x > self.threshold, 1, self.negative_slope).astype(x.dtype)
        if self.max_value is not None:
            slope[x >= max(self.max_value, self.threshold)] = 0
        return slope


class LeakyReLU(Elementwise):
    """y = x where x > 0, negative_slope x elsewhere.

    negative_slope: slope below 0; Keras's old name for it is alpha.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> LeakyReLU(0.5)(np.array([[-1.0, 2.0]], np.float32)).tolist()
    [[-0.5, 2.0]]

    Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models.
    """

    arguments: ClassVar[tuple[str, ...]] = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        self.negative_slope = check_number("LeakyReLU", "negative_slope", negative_slope, 0)
        super().__init__(**kwargs)

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.negative_slope * x)

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, 1, self.negative_slope).astype(x.dtype)


class ELU(Elementwise):
    """y = x where x > 0, alpha (exp(x) - 1) elsewhere.

    alpha: minus the value for x far below 0.

    Input and output (B, ...). No weights.

    >>> import numpy as np
    >>> ELU()(np.array([[-1.0, 2.0]], np.float32)).round(4).tolist()
    [[-0.632099986076355, 2.0]]

    Clevert, Unterthiner & Hochreiter 2016, https://arxiv.org/abs/1511.07289
    """

    arguments: ClassVar[tuple[str, ...]] = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        self.alpha = check_number("ELU", "alpha", alpha)
        super().__init__(**kwargs)

    def value(self, x: Array) -> Array:
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, 1, self.alpha * np.exp(np.minimum(x, 0))).astype(x.dtype)


class Softmax(Activation):
    """y = exp(x) / sum of exp(x) over an axis.

    axis: the axis, or a list of axes, over which y adds up to 1.

    Input and output (B, ...). No weights. A mask that the input's last axes can be read with, as (B, T) with (B, T),
    sets masked elements to 0; they must not be all of a row.

    Raises ValueError for a mask of another shape.

    >>> import numpy as np
    >>> Softmax()(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]

    Bridle 1990, Probabilistic interpretation of feedforward classification network outputs.
    """

    arguments: ClassVar[tuple[str, ...]] = ("axis",)

    def __init__(self, axis: int | list[int] = -1, **kwargs: Any) -> None:
        self.axis = check_axes("Softmax", axis)
        super().__init__("softmax" if self.axis == -1 else None, **kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        axes_of(self.name, self.axis, input_shape)
        return input_shape

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        mask = None if call.mask is None else self._fitting(call.mask, x)
        if call.logits:
            if mask is None:
                return x
            masked: Array = np.where(mask, x, -1e9).astype(x.dtype)
            call.kept = mask
            return masked
        rows = AxesLast(x.shape, axes_of(self.name, self.axis, x.shape))
        packed = rows.pack(x if mask is None else np.where(mask, x, -1e9).astype(x.dtype))
        y = ops.activation_forward("softmax", packed)
        if call.run.training:
            call.kept = rows, y, mask
        return rows.unpack(y)

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        dy = self.cast(dy)
        if call.logits:
            return dy if call.kept is None or call.mask is None else np.where(call.kept, dy, 0).astype(dy.dtype)
        rows, y, mask = call.kept
        dx: Array = rows.unpack(ops.activation_backward("softmax", y, rows.pack(dy)))
        return dx if mask is None else np.where(mask, dx, 0).astype(dx.dtype)

    def _fitting(self, mask: Array, x: Array) -> Array:
        sizes = zip(mask.shape[::-1], x.shape[::-1], strict=False)
        if mask.ndim > x.ndim or any(m not in (1, n) for m, n in sizes):
            raise ValueError(f"{self.name}: mask: expected one that fits the input {x.shape}, got {mask.shape}")
        return mask
