"""Dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_rank, check_rate
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.options import check_integer
from pyrnn.utils import next_seed


class Noise(Layer):
    """Base of the layers that act at random in training and hand x on elsewhere."""

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        kind = type(self).__name__
        self.rate = check_rate(kind, "rate", rate)
        self.seed = None if seed is None else check_integer(kind, "seed", seed, 0)
        super().__init__(**kwargs)

    def _build(self, input_shape: Shape) -> None:
        self._dropout_seed = next_seed() if self.seed is None else self.seed

    def draw(self, shape: tuple[int, ...], call: Call) -> Array:
        """Multipliers 0 or 1 / (1 - rate)."""
        return draw_scales(shape, self.rate, self._dropout_seed, call, self.dtype)

    def generator(self, call: Call) -> np.random.Generator:
        """Of random numbers that depend on the seed, the step and the place in the model."""
        return np.random.default_rng([self._dropout_seed, call.run.step, call.key])


def draw_scales(shape: tuple[int, ...], rate: float, seed: int, call: Call, dtype: Any) -> Array:
    """Dropout's multipliers for an array of any rank; those of a sample do not depend on the others."""
    # the generator's axes are (sample, unit), or (t, sample, unit)
    sequence = len(shape) == 3
    axes = (shape[1], shape[0], shape[2]) if sequence else (shape[0], math.prod(shape[1:]))
    scales = ops.dropout_scales(axes, rate, seed=seed, step=call.run.step, layer=call.key * 4, dtype=dtype)
    return scales.transpose(1, 0, 2) if sequence else scales.reshape(shape)


class Dropout(Noise):
    """In training, sets a share of the elements to 0 and multiplies the others by 1 / (1 - rate).

    rate: share of the elements that is dropped, in [0, 1).
    noise_shape: shape of the mask, the batch first; 1 where all elements along an axis share a draw, None or the
        size elsewhere. (None, 1, None) drops the same units at every step.
    seed: of the masks.

    Input and output (B, ...). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = Dropout(0.5, seed=1)(np.ones((2, 100), np.float32), training=True)
    >>> sorted(set(y.ravel().tolist()))
    [0.0, 2.0]

    Srivastava et al. 2014, Journal of Machine Learning Research 15.
    """

    arguments: ClassVar[tuple[str, ...]] = ("rate", "noise_shape", "seed")

    def __init__(
        self, rate: float, noise_shape: Sequence[int | None] | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        kind = type(self).__name__
        if noise_shape is not None:
            if not isinstance(noise_shape, (tuple, list)):
                raise TypeError(f"{kind}: noise_shape: expected a tuple such as (None, 1, None), got {noise_shape!r}")
            noise_shape = [
                None if size is None else check_integer(kind, "noise_shape", size, 1) for size in noise_shape
            ]
        self.noise_shape = noise_shape
        super().__init__(rate, seed, **kwargs)

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what is drawn for an input of a shape."""
        given = self.noise_shape
        if given is None:
            return shape
        if len(given) != len(shape) or any(n not in (None, 1, size) for n, size in zip(given, shape, strict=True)):
            raise ValueError(
                f"{self.name}: noise_shape: expected 1, None or the size for each axis of {shape}, got {given}"
            )
        return tuple(size if n is None else n for n, size in zip(given, shape, strict=True))

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if not call.run.training or not self.rate:
            call.kept = None
            return x
        call.kept = self.draw(self.mask_shape(x.shape), call)
        y: Array = x * call.kept
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        dy = self.cast(dy)
        dx: Array = dy if call.kept is None else dy * call.kept
        return dx


class SpatialDropout1D(Dropout):
    """In training, sets a share of the units to 0 at all steps and multiplies the others by 1 / (1 - rate).

    rate: share of the units that is dropped, in [0, 1).
    seed: of the masks.

    Input and output (B, T, D). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = SpatialDropout1D(0.5, seed=1)(np.ones((2, 9, 50), np.float32), training=True)
    >>> bool((y == y[:, :1]).all()), sorted(set(y.ravel().tolist()))
    (True, [0.0, 2.0])

    Tompson et al. 2015, https://arxiv.org/abs/1411.4280
    """

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        self.noise_shape = None
        Noise.__init__(self, rate, seed, **kwargs)  # without Dropout's noise_shape

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        return input_shape

    def mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], 1, shape[2])


class AlphaDropout(Dropout):
    """Dropout that keeps mean and variance of what `selu` returns: dropped elements get its lowest value.

    rate: share of the elements that is dropped, in [0, 1).
    noise_shape, seed: as for Dropout.

    Input and output (B, ...). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = AlphaDropout(0.5, seed=1)(np.ones((2, 100), np.float32), training=True)
    >>> len(set(y.ravel().tolist()))
    2

    Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """

    _LOWEST = -1.6732632423543772 * 1.0507009873554805

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if not call.run.training or not self.rate:
            call.kept = None
            return x
        scale = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * self._LOWEST**2))
        kept = (self.draw(self.mask_shape(x.shape), call) != 0).astype(x.dtype)
        call.kept = scale * kept
        y: Array = x * call.kept + (scale * self._LOWEST * (1 - kept) - scale * self._LOWEST * self.rate)
        return y


class GaussianDropout(Dropout):
    """In training, multiplies every element by a normal number of mean 1 and variance rate / (1 - rate).

    rate: share of the elements that Dropout would drop for the same variance, in [0, 1).
    seed: of the numbers.

    Input and output (B, ...). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = GaussianDropout(0.5, seed=1)(np.ones((100, 100), np.float32), training=True)
    >>> abs(float(y.mean()) - 1) < 0.05, abs(float(y.std()) - 1) < 0.05
    (True, True)

    Srivastava et al. 2014, Journal of Machine Learning Research 15, section 10.
    """

    arguments: ClassVar[tuple[str, ...]] = ("rate", "seed")

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        self.noise_shape = None
        Noise.__init__(self, rate, seed, **kwargs)  # without Dropout's noise_shape

    def draw(self, shape: tuple[int, ...], call: Call) -> Array:
        normal = self.generator(call).standard_normal(shape, self.dtype)
        return np.asarray(normal * self.dtype.type(math.sqrt(self.rate / (1 - self.rate))) + self.dtype.type(1))


class GaussianNoise(Noise):
    """In training, adds a normal number of mean 0 to every element.

    stddev: standard deviation of the noise.
    seed: of the numbers.

    Input and output (B, ...). No weights. Outside training y = x.

    >>> import numpy as np
    >>> y = GaussianNoise(0.5, seed=1)(np.zeros((100, 100), np.float32), training=True)
    >>> abs(float(y.std()) - 0.5) < 0.05
    True

    Bishop 1995, Training with noise is equivalent to Tikhonov regularization, Neural Computation 7.
    """

    arguments: ClassVar[tuple[str, ...]] = ("stddev", "seed")

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(0.0, seed, **kwargs)
        self.stddev = check_rate("GaussianNoise", "stddev", stddev)

    def forward(self, x: Array, call: Call) -> Array:
        x = self.cast(x)
        if not call.run.training or not self.stddev:
            return x
        y: Array = x + self.generator(call).standard_normal(x.shape, self.dtype) * self.dtype.type(self.stddev)
        return y

    def backward(self, dy: Array, call: Call) -> Array:
        return self.cast(dy)
