"""Sequences of different lengths in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyrnn._types import Array


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: float = 0.0,
) -> Array:
    """Sequences of different lengths as one array.

    sequences: list of N sequences, each (length,) or (length, ...).
    maxlen: steps of the result; the longest length where it is not given.
    dtype: of the result.
    padding, truncating: "pre" or "post": at which end padding is put and steps are cut.
    value: what padding holds.

    Returns (N, maxlen, ...).

    >>> pad_sequences([[1, 2, 3], [4]])
    array([[1, 2, 3],
           [0, 0, 4]], dtype=int32)
    >>> pad_sequences([[1, 2, 3], [4]], maxlen=2, padding="post", truncating="post")
    array([[1, 2],
           [4, 0]], dtype=int32)
    """
    for name, choice in (("padding", padding), ("truncating", truncating)):
        if choice not in ("pre", "post"):
            raise ValueError(f"{name}: expected 'pre' or 'post', got {choice!r}")
    if maxlen is not None and maxlen < 0:
        raise ValueError(f"maxlen: expected a length >= 0, got {maxlen}")
    rows = [np.asarray(row) for row in sequences]
    for i, row in enumerate(rows):
        if row.ndim == 0:
            raise ValueError(f"sequences: expected a list of sequences, got the single value {row} at position {i}")
    steps = maxlen if maxlen is not None else max((len(row) for row in rows), default=0)
    filled = [row for row in rows if len(row)]
    inner = filled[0].shape[1:] if filled else ()
    out = np.full((len(rows), steps, *inner), value, dtype=dtype)
    for i, row in enumerate(rows):
        if not len(row):
            continue
        if row.shape[1:] != inner:
            raise ValueError(f"sequences: expected steps of shape {inner}, got {row.shape[1:]} at position {i}")
        kept = row[max(0, len(row) - steps) :] if truncating == "pre" else row[:steps]
        if padding == "pre":
            out[i, steps - len(kept) :] = kept
        else:
            out[i, : len(kept)] = kept
    return out
