"""Normalisation over the units of each sample."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.arguments import check_flag, show
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.parameters import Parameter


class Scaled(Layer):
    """Base of the layers that end in y = gamma x + beta: their arguments and weights."""

    arguments: ClassVar[tuple[str, ...]] = (
        "axis",
        "epsilon",
        "center",
        "scale",
        "beta_initializer",
        "gamma_initializer",
        "beta_regularizer",
        "gamma_regularizer",
        "beta_constraint",
        "gamma_constraint",
    )
    gamma: Parameter | None
    beta: Parameter | None

    def __init__(
        self,
        *,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        beta_regularizer: Any,
        gamma_regularizer: Any,
        beta_constraint: Any,
        gamma_constraint: Any,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.epsilon = options.check_number(kind, "epsilon", epsilon, 0)
        self.center = check_flag(kind, "center", center)
        self.scale = check_flag(kind, "scale", scale)
        self.beta_initializer = initializers.get(beta_initializer, f"{kind}: beta_initializer")
        self.gamma_initializer = initializers.get(gamma_initializer, f"{kind}: gamma_initializer")
        self.beta_regularizer = options.regularizer(kind, "beta_regularizer", beta_regularizer)
        self.gamma_regularizer = options.regularizer(kind, "gamma_regularizer", gamma_regularizer)
        self.beta_constraint = options.constraint(kind, "beta_constraint", beta_constraint)
        self.gamma_constraint = options.constraint(kind, "gamma_constraint", gamma_constraint)
        super().__init__(**kwargs)

    def make_scale(self, shape: tuple[int, ...]) -> None:
        """The parameters gamma and beta, where the layer has them."""
        self.gamma = self.beta = None
        self.parameters = []
        if self.scale:
            self.gamma = Parameter(
                "gamma",
                self.gamma_initializer(shape, self.dtype),
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
            self.parameters.append(self.gamma)
        if self.center:
            self.beta = Parameter(
                "beta",
                self.beta_initializer(shape, self.dtype),
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
            self.parameters.append(self.beta)

    def scaled(self, rows: Array) -> Array:
        """gamma x + beta for rows (R, n), in place."""
        if self.gamma is not None:
            rows *= self.gamma.value.reshape(-1)
        if self.beta is not None:
            rows += self.beta.value.reshape(-1)
        return rows

    def scale_gradients(self, normal: Array, d: Array) -> Array:
        """Adds to the gradients of gamma and beta; returns the gradient of the normalised rows."""
        if self.beta is not None:
            self.beta.gradient += ops.sum_axis(d, 0).reshape(self.beta.gradient.shape)
        if self.gamma is None:
            return d
        self.gamma.gradient += ops.sum_axis(d * normal, 0).reshape(self.gamma.gradient.shape)
        scaled: Array = d * self.gamma.value.reshape(-1)
        return scaled

    def check_axes_known(self, axes: tuple[int, ...], shape: Shape) -> tuple[int, ...]:
        """Sizes along the axes; raises ValueError where one is not known."""
        sizes = tuple(shape[axis] for axis in axes)
        if 0 in axes or None in sizes:
            raise ValueError(
                f"{self.name}: axis: expected axes of known size, not that of the batch, got {axes} of {show(shape)}"
            )
        return tuple(size for size in sizes if size is not None)


class LayerNormalization(Scaled):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each sample over its units.

    axis: the axis or axes that mean and variance are taken over.
    epsilon: added to the variance.
    center, scale: whether there is a beta, a gamma.
    beta_initializer, gamma_initializer: names or initialisers.
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: as for a kernel.

    Input and output (B, ..., D). Weights: gamma (D), beta (D).

    >>> import numpy as np
    >>> LayerNormalization()(np.array([[1.0, 3.0]], np.float32)).round(2).tolist()
    [[-1.0, 1.0]]

    Ba, Kiros & Hinton 2016, https://arxiv.org/abs/1607.06450
    """

    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "rms_scaling": (False, "it divides by the variance, not by the root mean square; Keras deprecates it")
    }

    def __init__(
        self,
        axis: int | list[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        self.axis = options.check_axes("LayerNormalization", axis)
        super().__init__(
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            **kwargs,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_axes_known(options.axes_of(self.name, self.axis, input_shape), input_shape)
        return input_shape

    def _build(self, input_shape: Shape) -> None:
        self.make_scale(self.check_axes_known(options.axes_of(self.name, self.axis, input_shape), input_shape))

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        last = options.AxesLast(x.shape, options.axes_of(self.name, self.axis, x.shape))
        rows = last.pack(x)
        normal = rows - rows.mean(axis=1, keepdims=True)
        variance = (normal * normal).mean(axis=1, keepdims=True)
        inverse = 1 / np.sqrt(variance + x.dtype.type(self.epsilon))
        normal *= inverse
        if call.run.training:
            call.kept = last, normal, inverse
            normal = normal.copy()
        return last.unpack(self.scaled(normal))

    def backward(self, dy: Array, call: Call) -> Array | None:
        last, normal, inverse = call.kept
        d = self.scale_gradients(normal, last.pack(self.cast(dy)))
        if not call.need_dx:
            return None
        along = (d * normal).mean(axis=1, keepdims=True)
        dx: Array = last.unpack(inverse * (d - d.mean(axis=1, keepdims=True) - normal * along))
        return dx
