"""What fit, evaluate and predict are given, checked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.arguments import refuse


def arrange(owner: str, argument: str, value: Any, names: Sequence[str]) -> list[Any]:
    """A value, list or dict as one entry for each name; None where there is none.

    A list of as many arrays as there are names is one array each; for one name a list is an array of its own.

    >>> arrange("fit", "y", {"b": [1], "a": [2]}, ["a", "b"])
    [[2], [1]]
    """
    count = len(names)
    if value is None:
        return [None] * count
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in names]
        missing = [name for name in names if name not in value]
        if unknown or missing:
            raise ValueError(f"{owner}: {argument}: expected a dict of {list(names)}, got {list(value)}")
        return [value[name] for name in names]
    if count == 1:
        alone = isinstance(value, (list, tuple)) and len(value) == 1 and getattr(value[0], "ndim", 0) > 0
        return [value[0] if alone else value]
    if not isinstance(value, (list, tuple)) or len(value) != count:
        got = f"{len(value)}" if isinstance(value, (list, tuple)) else type(value).__name__
        raise ValueError(f"{owner}: {argument}: expected {count} arrays {list(names)} as a list or dict, got {got}")
    return list(value)


def as_array(owner: str, argument: str, value: Any) -> Array:
    """`value` as an array of real numbers with an axis of samples."""
    if value is None:
        raise ValueError(f"{owner}: {argument}: expected an array, got None")
    if not (hasattr(value, "__array__") or isinstance(value, (list, tuple))):
        raise TypeError(f"{owner}: {argument}: expected an array, got {type(value).__name__}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{owner}: {argument}: expected an array, got rows of different shapes ({error})") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{owner}: {argument}: expected real numbers, got {array.dtype}")
    if array.dtype == np.float16 or array.dtype == np.longdouble:
        raise TypeError(f"{owner}: {argument}: expected float32 or float64, got {array.dtype}: use astype('float32')")
    if array.ndim == 0:
        raise ValueError(f"{owner}: {argument}: expected an array of samples, got the single value {array}")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def check_lengths(owner: str, groups: Mapping[str, Sequence[Array | None]], empty: bool = False) -> int:
    """The number of samples, which is the same in all arrays."""
    first = next(array for arrays in groups.values() for array in arrays if array is not None)
    n = len(first)
    for argument, arrays in groups.items():
        for array in arrays:
            if array is not None and len(array) != n:
                raise ValueError(f"{owner}: {argument}: expected {n} samples like x, got {len(array)}")
    if n == 0 and not empty:
        raise ValueError(f"{owner}: x: expected at least one sample, got {first.shape}")
    return n


def class_weights(owner: str, class_weight: Any, y: Sequence[Any], weights: Sequence[Any]) -> list[Any]:
    """Weights of the samples from those of their classes, as in Keras: 1 for a class that is not named."""
    if not isinstance(class_weight, Mapping):
        raise TypeError(f"{owner}: class_weight: expected a dict of class id -> weight, got {class_weight!r}")
    if len(y) != 1:
        raise ValueError(f"{owner}: class_weight: expected a model of one output, got {len(y)}; use sample_weight")
    if any(w is not None for w in weights):
        raise ValueError(f"{owner}: class_weight: expected either it or sample_weight, got both")
    targets = y[0]
    if targets is None:
        raise ValueError(f"{owner}: class_weight: expected targets y, got None")
    if targets.ndim > 1:
        targets = targets[..., 0] if targets.shape[-1] == 1 else targets.argmax(axis=-1)
    if targets.ndim != 1:
        raise ValueError(
            f"{owner}: class_weight: expected a class a sample, got targets {y[0].shape}; use sample_weight (N, T)"
        )
    ids = np.rint(targets).astype(np.int64)
    result = np.ones(len(ids), np.float32)
    for key, weight in class_weight.items():
        result[ids == int(key)] = weight
    return [result]


def split_off(owner: str, arrays: Sequence[Any], share: float, n: int) -> tuple[list[Any], list[Any]]:
    """The last samples of lists of arrays apart, as in Keras: (rest, last)."""
    if isinstance(share, bool) or not isinstance(share, (int, float, np.floating)):
        raise TypeError(f"{owner}: validation_split: expected a number, got {share!r}")
    if not 0 < share < 1:
        raise ValueError(f"{owner}: validation_split: expected a share in (0, 1), got {share}")
    cut = int(n * (1 - share))
    if cut == 0 or cut == n:
        raise ValueError(f"{owner}: validation_split: {share} of {n} samples leaves one part empty")

    def part(piece: slice) -> list[Any]:
        return [[None if a is None else a[piece] for a in group] for group in arrays]

    return part(slice(None, cut)), part(slice(cut, None))


def check_verbose(owner: str, verbose: Any) -> int:
    """0, 1 or 2."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{owner}: verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
    return 1 if verbose == "auto" else int(verbose)


def check_validation_freq(value: Any, check_positive: Callable[..., int]) -> Callable[[int], bool]:
    """Whether an epoch, counted from 1, is followed by an evaluation. value: every so many, or a list of epochs."""
    if isinstance(value, (list, tuple, set, frozenset)):
        chosen = {check_positive("fit", "validation_freq", epoch) for epoch in value}
        return chosen.__contains__
    every = check_positive("fit", "validation_freq", value)
    return lambda epoch: epoch % every == 0


def not_supported(owner: str, given: Mapping[str, Any]) -> None:
    """Refuse arguments of Keras's that pyrnn does not have."""
    refuse(owner, given, _NOT_SUPPORTED)


_NOT_SUPPORTED: Mapping[str, tuple[Any, str]] = {
    "run_eagerly": (False, "there is no other way to run"),
    "steps_per_execution": (1, "a step has no cost that this would save"),
    "jit_compile": ("auto", "the engine is compiled already"),
    "auto_scale_loss": (True, "gradients are float32 or float64 and need no scaling"),
    "workers": (1, "batches are made in the calling thread; prepare arrays beforehand or use a Dataset"),
    "use_multiprocessing": (False, "batches are made in the calling thread"),
    "max_queue_size": (10, "batches are made when they are needed"),
}
