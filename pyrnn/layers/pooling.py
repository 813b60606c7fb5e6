"""The largest or the mean of several steps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.arguments import check_flag, check_rank
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.conv1d import Windows


class _Pooling(Layer):
    """Base of the layers that pool windows of steps."""

    arguments: ClassVar[tuple[str, ...]] = ("pool_size", "strides", "padding")
    supports_masking = False

    def __init__(
        self,
        pool_size: int | tuple[int] = 2,
        strides: int | tuple[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.pool_size = options.check_single(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else options.check_single(kind, "strides", strides)
        self.padding = options.check_choice(kind, "padding", padding, ("valid", "same"))
        options.check_data_format(kind, data_format)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        count = Windows.count_of(self.name, input_shape, self.pool_size, self.strides, self.padding)
        return (input_shape[0], count, input_shape[2])

    def windows(self, x: Array) -> Windows:
        return Windows(x.shape[1], self.pool_size, self.strides, self.padding)


class MaxPooling1D(_Pooling):
    """y = the largest of each window of steps, unit by unit.

    pool_size: steps of a window.
    strides: steps from one window to the next; None for pool_size.
    padding: "valid" for whole windows only, "same" for ceil(T / strides) of them.

    Input (B, T, D), output (B, T', D). No weights. The first of equal steps gets the gradient. A mask ends here.

    >>> import numpy as np
    >>> MaxPooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]], np.float32))[0, :, 0].tolist()
    [3.0, 2.0]

    Keras, https://keras.io/api/layers/pooling_layers/max_pooling1d/
    """

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        windows = self.windows(x)
        padded = windows.padded(x, -np.inf)
        y = padded[:, windows.place(0)].copy()
        first = np.zeros(y.shape, np.int32)
        for k in range(1, self.pool_size):
            step = padded[:, windows.place(k)]
            more = ~(step <= y) & (y == y)  # a NaN is taken and kept
            np.copyto(y, step, where=more)
            first[more] = k
        if call.run.training:
            call.kept = windows, first
        return np.asarray(y)

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        windows, first = call.kept
        spread = self.cast(dy)[:, :, None] * (first[:, :, None] == np.arange(self.pool_size)[:, None])
        return np.asarray(windows.scatter(spread))


class AveragePooling1D(_Pooling):
    """y = the mean of each window of steps, unit by unit; padding does not count.

    pool_size: steps of a window.
    strides: steps from one window to the next; None for pool_size.
    padding: "valid" for whole windows only, "same" for ceil(T / strides) of them.

    Input (B, T, D), output (B, T', D). No weights. A mask ends here.

    >>> import numpy as np
    >>> AveragePooling1D(2)(np.array([[[1.0], [3.0], [2.0], [0.0]]], np.float32))[0, :, 0].tolist()
    [2.0, 1.0]

    Keras, https://keras.io/api/layers/pooling_layers/average_pooling1d/
    """

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        windows = self.windows(x)
        padded, inside = windows.padded(x), windows.padded(np.ones((1, x.shape[1], 1), self.dtype))
        y, count = padded[:, windows.place(0)].copy(), inside[:, windows.place(0)].copy()
        for k in range(1, self.pool_size):
            y += padded[:, windows.place(k)]
            count += inside[:, windows.place(k)]
        y /= count
        call.kept = windows, count
        return np.asarray(y)

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        windows, count = call.kept
        share = self.cast(dy) / count
        return np.asarray(windows.scatter(np.repeat(share[:, :, None], self.pool_size, axis=2)))


class _GlobalPooling(Layer):
    """Base of the layers that pool all steps."""

    arguments: ClassVar[tuple[str, ...]] = ("keepdims",)

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        kind = type(self).__name__
        options.check_data_format(kind, data_format)
        self.keepdims = check_flag(kind, "keepdims", keepdims)
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        return (input_shape[0], 1, input_shape[2]) if self.keepdims else (input_shape[0], input_shape[2])

    def compute_mask(self, x: Array, mask: Array | None) -> None:
        return None


class GlobalMaxPooling1D(_GlobalPooling):
    """y = the largest of all steps, unit by unit. As in Keras a mask is not looked at: padding counts.

    keepdims: keep the axis of the steps, with size 1.

    Input (B, T, D), output (B, D), or (B, 1, D) with keepdims. No weights. Equal steps share the gradient.

    >>> import numpy as np
    >>> GlobalMaxPooling1D()(np.array([[[1.0], [3.0], [2.0]]], np.float32)).tolist()
    [[3.0]]

    Keras, https://keras.io/api/layers/pooling_layers/global_max_pooling1d/
    """

    supports_masking = False

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        y: Array = x.max(axis=1, keepdims=True)
        if call.run.training:
            call.kept = x, y
        return y if self.keepdims else y[:, 0]

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        x, y = call.kept
        largest = (x == y).astype(self.dtype)
        dx: Array = largest * (self.cast(dy).reshape(y.shape) / largest.sum(axis=1, keepdims=True))
        return dx


class GlobalAveragePooling1D(_GlobalPooling):
    """y = the mean of all steps, unit by unit; masked steps do not count.

    keepdims: keep the axis of the steps, with size 1.

    Input (B, T, D), output (B, D), or (B, 1, D) with keepdims. No weights. A row whose steps are all masked is NaN,
    as in Keras.

    >>> import numpy as np
    >>> x = np.array([[[1.0], [3.0], [8.0]]], np.float32)
    >>> layer = GlobalAveragePooling1D()
    >>> layer(x).tolist(), layer(x, mask=np.array([[True, True, False]])).tolist()
    ([[4.0]], [[2.0]])

    Keras, https://keras.io/api/layers/pooling_layers/global_average_pooling1d/
    """

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        kept: Array | None = None if call.mask is None else call.mask[..., None]
        if kept is None:
            count: Any = self.dtype.type(x.shape[1])
            total = ops.sum_axis(x, 1)
        else:
            count = kept.sum(axis=1).astype(self.dtype)
            total = ops.sum_axis(np.where(kept, x, 0).astype(self.dtype, copy=False), 1)
        call.kept = x.shape, kept, count
        with np.errstate(invalid="ignore"):
            y: Array = total / count
        return y[:, None] if self.keepdims else y

    def backward(self, dy: Array, call: Call) -> Array | None:
        if not call.need_dx:
            return None
        shape, kept, count = call.kept
        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.cast(dy).reshape(shape[0], shape[2]) / count
        if kept is None:
            return np.repeat(share[:, None], shape[1], axis=1)
        return np.where(kept, share[:, None], 0).astype(self.dtype, copy=False)
