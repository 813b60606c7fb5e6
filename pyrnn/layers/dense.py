"""The fully connected layer."""

from __future__ import annotations

from typing import Any, ClassVar

from pyrnn import activations, initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.arguments import check_flag, check_positive
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.parameters import Parameter


class Dense(Layer):
    """y = activation(x W + b), on the last axis.

    units: N, width of the output.
    activation: a name, a function of `pyrnn.activations`, your own `pyrnn.activations.Function`, or None.
    use_bias: add b.
    kernel_initializer, bias_initializer: names or initialisers.
    kernel_regularizer, bias_regularizer: penalties on W and b; activity_regularizer: on y.
    kernel_constraint, bias_constraint: what W and b are held to after every step.

    Input (B, ..., K), output (B, ..., N). Weights: kernel (K, N), bias (N).

    Raises ValueError or TypeError naming the argument, for those of Keras that pyrnn does not have too.

    >>> import numpy as np
    >>> Dense(2, activation="softmax")(np.ones((3, 5, 4), np.float32)).shape
    (3, 5, 2)

    Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors, Nature 323.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "units",
        "use_bias",
        "kernel_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "bias_constraint",
    )

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        self.units = check_positive("Dense", "units", units)
        self.activation = activations.get(activation, "Dense: activation")
        self.use_bias = check_flag("Dense", "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, "Dense: kernel_initializer")
        self.bias_initializer = initializers.get(bias_initializer, "Dense: bias_initializer")
        self.kernel_regularizer = options.regularizer("Dense", "kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = options.regularizer("Dense", "bias_regularizer", bias_regularizer)
        self.kernel_constraint = options.constraint("Dense", "kernel_constraint", kernel_constraint)
        self.bias_constraint = options.constraint("Dense", "bias_constraint", bias_constraint)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": activations.serialize(self.activation)}

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(f"{self.name}: expected an input (batch, ..., width) of known width, got {input_shape}")
        return (*input_shape[:-1], self.units)

    def _build(self, input_shape: Shape) -> None:
        width = input_shape[-1]
        assert width is not None
        self.kernel = Parameter(
            "kernel",
            self.kernel_initializer((width, self.units), self.dtype),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.parameters = [self.kernel]
        self.bias = None
        if self.use_bias:
            self.bias = Parameter(
                "bias",
                self.bias_initializer((self.units,), self.dtype),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
            self.parameters.append(self.bias)

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        z = y = ops.dense_forward(x, self.kernel.value, None if self.bias is None else self.bias.value)
        if self.activation != "linear" and not call.logits:
            y = activations.apply(self.activation, z, out=z)
        if call.run.training:
            call.kept = (x, z, y)
        return y

    def backward(self, dy: Array, call: Call) -> Array | None:
        x, z, y = call.kept
        dy = self.cast(dy)
        if self.activation != "linear" and not call.logits:
            dy = activations.gradient(self.activation, z, y, dy)
        dx, _, _ = ops.dense_backward(
            x,
            self.kernel.value,
            dy,
            need_dx=call.need_dx,
            dW=self.kernel.gradient,
            db=None if self.bias is None else self.bias.gradient,
        )
        return dx
