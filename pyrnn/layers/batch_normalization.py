"""Normalisation over the samples of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._types import Array, Shape
from pyrnn.layers import options
from pyrnn.layers.base import Call
from pyrnn.layers.layer_normalization import Scaled
from pyrnn.layers.parameters import Parameter

_COUNT_EPSILON = 1e-7  # Keras adds it to the number of steps that a mask leaves


class BatchNormalization(Scaled):
    """y = gamma (x - mean) / sqrt(variance + epsilon) + beta, with mean and variance of each unit.

    In training they are those of the batch, and moving averages of them are kept; elsewhere, and where trainable is
    False, the moving averages stand in for them.

    axis: the axis of the units; mean and variance are taken over all others.
    momentum: moving = momentum moving + (1 - momentum) batch.
    epsilon: added to the variance.
    center, scale: whether there is a beta, a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: names or initialisers.
    beta_regularizer, gamma_regularizer, beta_constraint, gamma_constraint: as for a kernel.

    Input and output (B, ..., D). Weights: gamma (D), beta (D), and moving_mean (D), moving_variance (D), which no
    optimiser changes. Masked steps count for neither mean nor variance.

    >>> import numpy as np
    >>> layer = BatchNormalization()
    >>> layer(np.array([[1.0], [3.0]], np.float32), training=True).round(2).tolist()
    [[-1.0], [1.0]]
    >>> layer.get_weights()[2].round(2)
    array([0.02], dtype=float32)

    Ioffe & Szegedy 2015, https://arxiv.org/abs/1502.03167
    """

    arguments: ClassVar[tuple[str, ...]] = (
        *Scaled.arguments,
        "momentum",
        "moving_mean_initializer",
        "moving_variance_initializer",
    )
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "renorm": (False, "use LayerNormalization, which does not depend on the batch"),
        "renorm_clipping": (None, "renorm is not supported"),
        "renorm_momentum": (0.99, "renorm is not supported"),
        "synchronized": (False, "there is one process"),
    }
    mixes_samples = True  # TimeDistributed goes step by step

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kind = "BatchNormalization"
        self.axis = options.check_integer(kind, "axis", axis, -1_000)
        self.momentum = options.check_number(kind, "momentum", momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer, f"{kind}: moving_mean_initializer")
        self.moving_variance_initializer = initializers.get(
            moving_variance_initializer, f"{kind}: moving_variance_initializer"
        )
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

    def check_input_shape(self, shape: Shape) -> None:
        (axis,) = options.axes_of(self.name, self.axis, shape)
        width = self.moving_mean.value.size
        if shape[axis] != width:
            raise ValueError(f"{self.name}: expected an input of {width} units along axis {axis}, got {shape}")

    def _build(self, input_shape: Shape) -> None:
        shape = self.check_axes_known(options.axes_of(self.name, self.axis, input_shape), input_shape)
        self.make_scale(shape)
        self.moving_mean = Parameter("moving_mean", self.moving_mean_initializer(shape, self.dtype), trainable=False)
        self.moving_variance = Parameter(
            "moving_variance", self.moving_variance_initializer(shape, self.dtype), trainable=False
        )
        self.parameters += [self.moving_mean, self.moving_variance]

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        last = options.AxesLast(x.shape, options.axes_of(self.name, self.axis, x.shape))
        rows = last.pack(x)
        weights: Array | None = None
        moving = not (call.run.training and self.trainable)
        if moving:
            mean, variance, count = self.moving_mean.value, self.moving_variance.value, 0.0
            centred = rows - mean
        else:
            weights = self._weights(x, call.mask)
            count = len(rows) if weights is None else float(weights.sum()) + _COUNT_EPSILON
            share = self.dtype.type(count)
            mean = ops.sum_axis(rows if weights is None else np.where(weights, rows, 0).astype(x.dtype), 0) / share
            centred = rows - mean
            inside = centred if weights is None else centred * weights
            variance = ops.sum_axis(inside * inside, 0) / share
            self._follow(mean, variance)
        inverse = 1 / np.sqrt(variance + self.dtype.type(self.epsilon))
        normal = centred * inverse
        if call.run.training:
            call.kept = last, normal.copy(), inverse, weights, count, moving
        return last.unpack(self.scaled(normal))

    def _weights(self, x: Array, mask: Array | None) -> Array | None:
        """The mask as (R, 1): which rows count."""
        if mask is None:
            return None
        if mask.ndim != x.ndim - 1:
            raise ValueError(f"{self.name}: mask: expected one axis fewer than the input {x.shape}, got {mask.shape}")
        if self.axis not in (-1, x.ndim - 1):
            raise ValueError(f"{self.name}: axis: expected -1 where there is a mask, got {self.axis}")
        return mask.reshape(-1, 1)

    def _follow(self, mean: Array, variance: Array) -> None:
        for parameter, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            parameter.value *= self.dtype.type(self.momentum)
            parameter.value += batch * self.dtype.type(1 - self.momentum)

    def backward(self, dy: Array, call: Call) -> Array | None:
        last, normal, inverse, weights, count, moving = call.kept
        d = self.scale_gradients(normal, last.pack(self.cast(dy)))
        if not call.need_dx:
            return None
        if moving:
            return np.asarray(last.unpack(d * inverse))
        # Through the mean and the variance, whose own way to the mean is 0 but for Keras's epsilon in the count.
        total, along = ops.sum_axis(d, 0), ops.sum_axis(d * normal, 0)
        share = self.dtype.type(1 / count)
        if weights is None:
            shared = share * (total + normal * along)
        else:
            total -= along * ops.sum_axis(normal * weights, 0) * share
            shared = np.where(weights, share * (total + normal * along), 0)
        dx: Array = last.unpack((inverse * (d - shared)).astype(self.dtype, copy=False))
        return dx
