"""Which samples go into which batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pyrnn._types import Array


def batches(n: int, batch_size: int, rng: np.random.Generator | None = None) -> Iterator[Array | slice]:
    """Indices of one pass over n samples.

    n: samples.
    batch_size: samples in a batch; the last one may be smaller.
    rng: shuffles; without one the batches are slices in order.

    >>> [b.tolist() for b in batches(5, 2, np.random.default_rng(0))]
    [[2, 4], [3, 0], [1]]
    >>> list(batches(3, 2))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    order = None if rng is None else rng.permutation(n)
    for begin in range(0, n, batch_size):
        end = min(begin + batch_size, n)
        yield slice(begin, end) if order is None else order[begin:end]
