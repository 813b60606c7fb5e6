"""Names for types that many modules use."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]
Dtype = np.dtype[Any]


def float_dtype(dtype: Any, owner: str) -> Dtype:
    """The dtype of a layer or initialiser: float32 where none is given, float32 or float64 otherwise."""
    result: Dtype = np.dtype(np.float32 if dtype is None else dtype)
    if result not in (np.float32, np.float64):
        raise ValueError(f"{owner}: dtype: expected 'float32' or 'float64', got {dtype!r}")
    return result
