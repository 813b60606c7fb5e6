"""More steps, fewer steps: padding, cropping and repeating along time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_positive, check_rank, show
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import check_data_format, check_pair


class ZeroPadding1D(Layer):
    """Puts steps of zeros in front of a sequence and behind it.

    padding: how many on each side, or (in front, behind).

    Input (B, T, D), output (B, T + padding, D). No weights.

    >>> import numpy as np
    >>> ZeroPadding1D((0, 2))(np.ones((1, 2, 1), np.float32))[0, :, 0].tolist()
    [1.0, 1.0, 0.0, 0.0]

    Keras, https://keras.io/api/layers/reshaping_layers/zero_padding1d/
    """

    arguments: ClassVar[tuple[str, ...]] = ("padding",)
    supports_masking = False

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        check_data_format("ZeroPadding1D", data_format)
        self.padding = check_pair("ZeroPadding1D", "padding", padding)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else steps + sum(self.padding), input_shape[2])

    def forward(self, x: Array, call: Call) -> Array:
        front, behind = self.padding
        y = np.zeros((x.shape[0], x.shape[1] + front + behind, x.shape[2]), self.dtype)
        y[:, front : front + x.shape[1]] = x
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        front, behind = self.padding
        return np.ascontiguousarray(self.cast(dy)[:, front : dy.shape[1] - behind])


class Cropping1D(Layer):
    """Cuts steps off the front and the end of a sequence.

    cropping: how many on each side, or (in front, behind).

    Input (B, T, D), output (B, T - cropping, D). No weights.

    Raises ValueError where no step is left.

    >>> import numpy as np
    >>> Cropping1D((1, 0))(np.arange(3.0).reshape(1, 3, 1))[0, :, 0].tolist()
    [1.0, 2.0]

    Keras, https://keras.io/api/layers/reshaping_layers/cropping1d/
    """

    arguments: ClassVar[tuple[str, ...]] = ("cropping",)
    supports_masking = False

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        self.cropping = check_pair("Cropping1D", "cropping", cropping)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        steps = input_shape[1]
        if steps is not None and steps <= sum(self.cropping):
            raise ValueError(
                f"{self.name}: expected an input of more than {sum(self.cropping)} steps, which cropping="
                f"{self.cropping} takes away, got {show(input_shape)}"
            )
        return (input_shape[0], None if steps is None else steps - sum(self.cropping), input_shape[2])

    def forward(self, x: Array, call: Call) -> Array:
        self.compute_output_shape(x.shape)
        front, behind = self.cropping
        call.kept = x.shape
        return np.ascontiguousarray(self.cast(x)[:, front : x.shape[1] - behind])

    def backward(self, dy: Array, call: Call) -> Array:
        dx = np.zeros(call.kept, self.dtype)
        dx[:, self.cropping[0] : self.cropping[0] + dy.shape[1]] = dy
        return dx


class UpSampling1D(Layer):
    """Repeats every step.

    size: how often.

    Input (B, T, D), output (B, T * size, D). No weights.

    >>> import numpy as np
    >>> UpSampling1D(2)(np.arange(2.0).reshape(1, 2, 1))[0, :, 0].tolist()
    [0.0, 0.0, 1.0, 1.0]

    Keras, https://keras.io/api/layers/reshaping_layers/up_sampling1d/
    """

    arguments: ClassVar[tuple[str, ...]] = ("size",)
    supports_masking = False

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        self.size = check_positive("UpSampling1D", "size", size)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else steps * self.size, input_shape[2])

    def forward(self, x: Array, call: Call) -> Array:
        return np.repeat(self.cast(x), self.size, axis=1)

    def backward(self, dy: Array, call: Call) -> Array:
        dx: Array = self.cast(dy)[:, :: self.size].copy()
        for i in range(1, self.size):
            dx += dy[:, i :: self.size]
        return dx
