"""Initial values of weights: Keras's names, arguments and distributions.

`recurrent_kernel` is orthogonal (Saxe et al. 2014, https://arxiv.org/abs/1312.6120), `kernel` Glorot uniform
(Glorot & Bengio 2010) unless a layer is told otherwise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array, float_dtype
from pyrnn.utils import next_seed


class Initializer(ABC):
    """Draws an array of a given shape.

    seed: integer that fixes what is drawn; without one every call draws from the sequence of
        `pyrnn.utils.set_random_seed`.

    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    random: ClassVar[bool] = True  # False: the values are fixed, and no seed is taken

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, (int, np.integer))):
            raise TypeError(f"{type(self).__name__}: seed: expected an integer or None, got {type(seed).__name__}")
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        seed = self.seed if self.seed is not None or not self.random else next_seed()
        rng = np.random.default_rng(0 if seed is None else seed)
        return self.draw(tuple(shape), rng).astype(float_dtype(dtype, type(self).__name__), copy=False)

    @abstractmethod
    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Float64 values of the given shape."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))


class Constant(Initializer):
    """Every element is `value`; an array is taken as it is, repeated where its shape can be.

    >>> Constant([1.0, 2.0])((2, 2))
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """

    random = False

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__()
        array = np.array(value, np.float64)
        if not np.isfinite(array).all():
            raise ValueError(f"Constant: value: expected finite numbers, got {value!r}")
        self.value: Any = float(array) if array.ndim == 0 else array

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        try:
            values: Array = np.broadcast_to(self.value, shape).copy()
        except ValueError:
            raise ValueError(f"Constant: value: expected an array {shape}, got {np.shape(self.value)}") from None
        return values

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Zeros(Constant):
    """Every element is 0."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def get_config(self) -> dict[str, Any]:
        return {}


class Ones(Constant):
    """Every element is 1."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def get_config(self) -> dict[str, Any]:
        return {}


class RandomNormal(Initializer):
    """Normal distribution of the given mean and standard deviation."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = float(mean), float(stddev)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal distribution whose values beyond two standard deviations are drawn again."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        values = rng.standard_normal(shape)
        while (outside := np.abs(values) > 2.0).any():
            values[outside] = rng.standard_normal(int(outside.sum()))
        return self.mean + self.stddev * values


class RandomUniform(Initializer):
    """Uniform distribution over [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = float(minval), float(maxval)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return rng.uniform(self.minval, self.maxval, shape)


class VarianceScaling(Initializer):
    """Variance scale / n, where n is the number of inputs, outputs, or their mean.

    scale: numerator.
    mode: "fan_in", "fan_out" or "fan_avg".
    distribution: "truncated_normal", "untruncated_normal" or "uniform".
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0:
            raise ValueError(f"VarianceScaling: scale: expected a value > 0, got {scale}")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode: expected 'fan_in', 'fan_out' or 'fan_avg', got {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ValueError(
                "VarianceScaling: distribution: expected 'truncated_normal', 'untruncated_normal' or 'uniform', "
                f"got {distribution!r}"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        fan_in, fan_out = (shape[0], shape[1]) if len(shape) == 2 else (math.prod(shape[:-1]), math.prod(shape[-1:]))
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3.0 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return rng.normal(0.0, math.sqrt(variance), shape)
        # 0.8796 is the standard deviation of a unit normal cut at two: the result has the variance asked for
        return TruncatedNormal(0.0, math.sqrt(variance) / 0.87962566103423978).draw(shape, rng)


class _Scaling(VarianceScaling):
    """A named setting of VarianceScaling, which takes only a seed."""

    setting: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.setting, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Scaling):
    """Uniform over +-sqrt(6 / (fan_in + fan_out))."""

    setting = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaling):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    setting = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaling):
    """Uniform over +-sqrt(6 / fan_in)."""

    setting = (2.0, "fan_in", "uniform")


class HeNormal(_Scaling):
    """Truncated normal of variance 2 / fan_in."""

    setting = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaling):
    """Uniform over +-sqrt(3 / fan_in)."""

    setting = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaling):
    """Truncated normal of variance 1 / fan_in."""

    setting = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """A matrix whose rows (or columns, whichever are fewer) are orthonormal, times `gain`.

    >>> q = Orthogonal(seed=0)((2, 3), "float64")
    >>> [round(float((q[i] * q[j]).sum()), 6) + 0.0 for i, j in ((0, 0), (0, 1))]
    [1.0, 0.0]
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = float(gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a shape of at least 2 axes, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q = _orthonormal(rng.standard_normal((min(rows, columns), max(rows, columns))))
        return self.gain * (q if rows <= columns else q.T).reshape(shape)


def _orthonormal(a: Array) -> Array:
    """Orthonormal rows that span those of a (m, n), m <= n; a is overwritten.

    Gram-Schmidt with positive coefficients, so that random normal rows give the uniform (Haar) distribution. It goes
    by blocks, each made orthogonal twice, and its products are the engine's: LAPACK's bits may change with threads.
    """
    block = 16
    for begin in range(0, len(a), block):
        done, rows = a[:begin], a[begin : begin + block]
        for _ in range(2):
            if begin:
                shares, _, _ = ops.dense_backward(np.zeros((len(rows), begin)), done, rows)  # rows done^T
                assert shares is not None
                rows -= ops.dense_forward(shares, done)
            for j, row in enumerate(rows):
                if j:
                    share = (rows[:j] * row).sum(axis=1)
                    row -= (rows[:j] * share[:, None]).sum(axis=0)
                row /= math.sqrt(float((row * row).sum()))
    return a


class Identity(Initializer):
    """The identity matrix times `gain` (Le, Jaitly & Hinton 2015 for recurrent weights of rectified units)."""

    random = False

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = float(gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a shape of 2 axes, got {shape}")
        return self.gain * np.eye(*shape)

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}


class _Function(Initializer):
    """A function (shape, dtype) -> array of the user's; it can be used, not saved."""

    random = False

    def __init__(self, function: Callable[..., Any], argument: str) -> None:
        super().__init__()
        self.function, self.argument = function, argument

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        wanted = float_dtype(dtype, self.argument)
        values = np.asarray(self.function(tuple(shape), dtype=wanted.name))
        if values.shape != tuple(shape):
            raise ValueError(f"{self.argument}: {self.function!r}: expected an array {shape}, got {values.shape}")
        return np.array(values, wanted)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        return self(shape, "float64")


_CLASSES: dict[str, type[Initializer]] = {
    cls.__name__: cls
    for cls in (
        Constant, Zeros, Ones, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, GlorotUniform,
        GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity,
    )
}  # fmt: skip
_NAMES: dict[str, Callable[..., Initializer]] = {
    "constant": Constant, "zeros": Zeros, "zero": Zeros, "ones": Ones, "one": Ones, "random_normal": RandomNormal,
    "normal": RandomNormal, "truncated_normal": TruncatedNormal, "random_uniform": RandomUniform,
    "uniform": RandomUniform, "variance_scaling": VarianceScaling, "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal, "he_uniform": HeUniform, "he_normal": HeNormal, "lecun_uniform": LecunUniform,
    "lecun_normal": LecunNormal, "orthogonal": Orthogonal, "identity": Identity,
    "IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal,
}  # fmt: skip


def get(identifier: Any, argument: str = "initializer") -> Initializer:
    """An initialiser from its name, its config, a function (shape, dtype) -> array, or itself.

    >>> type(get("glorot_uniform")).__name__
    'GlorotUniform'
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str):
        cls = _NAMES.get(identifier) or _CLASSES.get(identifier)
        if cls is None:
            raise ValueError(f"{argument}: expected one of {', '.join(sorted(_NAMES))}, got {identifier!r}")
        return cls()
    if isinstance(identifier, dict) and identifier.get("class_name") in _CLASSES:
        return _CLASSES[identifier["class_name"]](**identifier.get("config", {}))
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    if callable(identifier):
        return _Function(identifier, argument)
    raise TypeError(f"{argument}: expected a name or an Initializer, got {identifier!r}")


def serialize(initializer: Initializer) -> dict[str, Any]:
    """The config that `get` turns back into the initialiser."""
    if _CLASSES.get(type(initializer).__name__) is not type(initializer):
        raise TypeError(f"initializer: {type(initializer).__name__} is not one of pyrnn's, so it cannot be saved")
    return {"class_name": type(initializer).__name__, "config": initializer.get_config()}
