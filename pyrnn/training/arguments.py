"""What fit, evaluate and predict are given, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pyrnn._types import Array
from pyrnn.layers.base import refuse


class Data(NamedTuple):
    """x (N, ...), y (N, ...), weights (N,) or (N, T) or None."""

    x: Array
    y: Array
    weights: Array | None


_NO_TARGETS: Any = object()


def check_arrays(owner: str, x: Any, y: Any = _NO_TARGETS, sample_weight: Any = None) -> Data:
    """Arrays of as many samples each; without y, y is x."""
    x = _array(owner, "x", x)
    if y is _NO_TARGETS:
        return Data(x, x, None)
    y = _array(owner, "y", y)
    if len(y) != len(x):
        raise ValueError(f"{owner}: y: expected {len(x)} samples like x, got {len(y)}")
    if len(x) == 0:
        raise ValueError(f"{owner}: x: expected at least one sample, got {x.shape}")
    weights = None
    if sample_weight is not None:
        weights = _array(owner, "sample_weight", sample_weight)
        if len(weights) != len(x):
            raise ValueError(f"{owner}: sample_weight: expected {len(x)} samples like x, got {len(weights)}")
    return Data(x, y, weights)


def _array(owner: str, argument: str, value: Any) -> Array:
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


def split_off(data: Data, share: float) -> tuple[Data, Data]:
    """The last samples apart, as in Keras: (rest, last)."""
    if not 0 < share < 1:
        raise ValueError(f"fit: validation_split: expected a share in (0, 1), got {share}")
    cut = int(len(data.x) * (1 - share))
    if cut == 0 or cut == len(data.x):
        raise ValueError(f"fit: validation_split: {share} of {len(data.x)} samples leaves one part empty")

    def part(piece: slice) -> Data:
        return Data(data.x[piece], data.y[piece], None if data.weights is None else data.weights[piece])

    return part(slice(None, cut)), part(slice(cut, None))


def check_verbose(owner: str, verbose: Any) -> int:
    """0, 1 or 2."""
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{owner}: verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
    return 1 if verbose == "auto" else int(verbose)


def not_supported(owner: str, given: Mapping[str, Any]) -> None:
    """Refuse arguments of Keras's that pyrnn does not have."""
    refuse(owner, given, _NOT_SUPPORTED)


_NOT_SUPPORTED: Mapping[str, tuple[Any, str]] = {
    "loss_weights": (None, "a Sequential has one output"),
    "weighted_metrics": (None, "use metrics="),
    "run_eagerly": (False, "there is no other way to run"),
    "steps_per_execution": (1, "a step has no cost that this would save"),
    "jit_compile": ("auto", "the engine is compiled already"),
    "auto_scale_loss": (True, "gradients are float32 or float64 and need no scaling"),
    "class_weight": (None, "use sample_weight="),
    "steps_per_epoch": (None, "an epoch is one pass over the arrays"),
    "validation_steps": (None, "all of the validation data is evaluated"),
    "steps": (None, "all of x is used"),
    "callbacks": (None, "only fit has callbacks"),
    "workers": (1, "data are arrays in memory"),
    "use_multiprocessing": (False, "data are arrays in memory"),
}
