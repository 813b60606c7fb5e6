"""A function as a layer, from code only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_sizes
from pyrnn.layers.base import Call, Layer


class Lambda(Layer):
    """y = function(x), a function of yours in NumPy.

    function: x (B, ...), or a list of them -> y (B, ...); it may take `mask` and `training` too.
    output_shape: shape of a sample of y without the batch, or a function of the input's shape; where it is not
        given, the function is called on zeros to see.
    mask: the mask of y, or a function (x, mask) -> mask; None ends it.
    arguments: more keyword arguments of the function.
    gradient: (x, dy) -> dx, or a list of them; with the same keyword arguments. Training through the layer needs it.

    No weights. A model that holds one can be trained but not saved, since files hold no code.

    Raises TypeError for what is no function, and from `get_config`.

    >>> import numpy as np
    >>> square = Lambda(lambda x: x * x, gradient=lambda x, dy: 2 * x * dy)
    >>> square(np.array([[3.0]])).tolist()
    [[9.0]]

    Keras, https://keras.io/api/layers/core_layers/lambda/
    """

    several_inputs = True

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        gradient: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not callable(function):
            raise TypeError(f"Lambda: function: expected a function, got {function!r}")
        if gradient is not None and not callable(gradient):
            raise TypeError(f"Lambda: gradient: expected a function (x, dy) -> dx or None, got {gradient!r}")
        if output_shape is not None and not callable(output_shape):
            output_shape = check_sizes("Lambda", "output_shape", output_shape)
        self.function, self.gradient = function, gradient
        self.mask, self._shape = mask, output_shape
        self.keywords = dict(arguments or {})
        self.supports_masking = mask is not None
        self._takes = set(inspect.signature(function).parameters) & {"mask", "training"}
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        raise TypeError(
            f"{self.name}: a Lambda cannot be saved or copied: a file holds no code; save the weights (get_weights) "
            "and build the model from code, or use a layer such as Activation or Rescaling"
        )

    def compute_output_shape(self, input_shape: Any) -> Shape:
        several = isinstance(input_shape, list)
        batch = (input_shape[0] if several else input_shape)[0]
        if callable(self._shape):
            return tuple(self._shape(input_shape))
        if self._shape is not None:
            return (batch, *self._shape)
        shapes = []
        for unknown in (2, 3):  # sizes that differ from one to the other follow the unknown ones
            zeros = [
                np.zeros([unknown if n is None else n for n in shape], self.dtype)
                for shape in (input_shape if several else [input_shape])
            ]
            with np.errstate(all="ignore"):
                shapes.append(np.shape(self._call(zeros if several else zeros[0], None, False)))
        return tuple(None if a != b else a for a, b in zip(*shapes, strict=True))

    def check_input_shape(self, shape: Any) -> None:
        """Any shape that the function takes."""

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return self.mask(x, mask) if callable(self.mask) else self.mask

    def _call(self, x: Any, mask: Any, training: bool) -> Any:
        given = {"mask": mask, "training": training}
        return self.function(x, **self.keywords, **{name: given[name] for name in self._takes})

    def forward(self, x: Any, call: Call) -> Array:
        x = [self.cast(array) for array in x] if isinstance(x, list) else self.cast(x)
        if call.run.training:
            call.kept = x
        y = np.asarray(self._call(x, call.mask, call.run.training))
        return np.ascontiguousarray(self.cast(y))

    def backward(self, dy: Array, call: Call) -> Any:
        if not call.need_dx:
            return None
        if self.gradient is None:
            raise ValueError(
                f"{self.name}: gradient: expected a function (x, dy) -> dx, since layers before this one are trained; "
                "got None"
            )
        x = call.kept
        dx = self.gradient(x, self.cast(dy), **self.keywords)
        each = zip(dx, x, strict=True) if isinstance(x, list) else [(dx, x)]
        checked = []
        for d, array in each:
            d = np.asarray(d, self.dtype)
            if d.shape != array.shape:
                raise ValueError(f"{self.name}: gradient: expected {array.shape}, shaped as the input, got {d.shape}")
            checked.append(np.ascontiguousarray(d))
        return checked if isinstance(x, list) else checked[0]
