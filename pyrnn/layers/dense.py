"""The fully connected layer."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import activations, initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, check_flag, check_positive
from pyrnn.layers.parameters import Parameter


class Dense(Layer):
    """y = activation(x W + b), on the last axis.

    units: N, width of the output.
    activation: name of a function, or None.
    use_bias: add b.
    kernel_initializer, bias_initializer: names or initialisers.

    Input (B, ..., K), output (B, ..., N). Weights: kernel (K, N), bias (N).

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> Dense(2, activation="softmax")(np.ones((3, 5, 4), np.float32)).shape
    (3, 5, 2)

    Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, Nature 323.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
    )

    def __init__(
        self,
        units: int,
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        self.units = check_positive("Dense", "units", units)
        self.activation = activations.get(activation, "Dense: activation")
        self.use_bias = check_flag("Dense", "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "Dense: kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "Dense: bias_initializer")
        super().__init__(**kwargs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"{self.name}: expected an input (batch, ..., width) of known width, got {input_shape}")
        return (*input_shape[:-1], self.units)

    def _build(self, input_shape: Shape) -> None:
        width = input_shape[-1]
        assert width is not None
        self.kernel = Parameter("kernel", self.kernel_initializer((width, self.units), self.dtype))
        self.parameters = [self.kernel]
        self.bias = None
        if self.use_bias:
            self.bias = Parameter("bias", self.bias_initializer((self.units,), self.dtype))
            self.parameters.append(self.bias)

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        y = ops.dense_forward(x, self.kernel.value, None if self.bias is None else self.bias.value)
        if self.activation != "linear" and not call.logits:
            y = ops.activation_forward(self.activation, y, out=y)
        if call.run.training:
            call.kept = (x, y)
        return y

    def backward(self, dy: Array, call: Call) -> Array | None:
        x, y = call.kept
        dy = self.cast(dy)
        if self.activation != "linear" and not call.logits:
            dy = ops.activation_backward(self.activation, y, dy)
        dx, _, _ = ops.dense_backward(
            x,
            self.kernel.value,
            dy,
            need_dx=call.need_dx,
            dW=self.kernel.gradient,
            db=None if self.bias is None else self.bias.gradient,
        )
        return dx
