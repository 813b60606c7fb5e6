"""Seeds and small helpers, under the names that Keras gives them."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from pyrnn._types import Array
from pyrnn.data.files import get_file
from pyrnn.data.padding import pad_sequences
from pyrnn.data.windows import timeseries_dataset_from_array

__all__ = [
    "PyDataset",
    "Sequence",
    "get_file",
    "next_seed",
    "pad_sequences",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
]

_seeds = np.random.default_rng()


def set_random_seed(seed: int) -> None:
    """Make everything that follows repeatable to the bit, at any number of threads.

    Initial weights, shuffling and dropout are derived from it. As in Keras, the global generators of
    `random` and `numpy.random` are seeded too.

    seed: integer in [0, 2**32).

    >>> from pyrnn import layers, utils
    >>> utils.set_random_seed(1)
    >>> first = layers.Dense(2, input_shape=(3,)).get_weights()[0]
    >>> utils.set_random_seed(1)
    >>> bool((first == layers.Dense(2, input_shape=(3,)).get_weights()[0]).all())
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed: expected an integer, got {type(seed).__name__}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: expected 0 <= seed < 2**32, got {seed}")
    global _seeds
    random.seed(int(seed))
    np.random.seed(int(seed))
    _seeds = np.random.default_rng(int(seed))


def next_seed() -> int:
    """The next seed of the sequence that `set_random_seed` starts; drawn by whoever needs random numbers."""
    return int(_seeds.integers(2**63))


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """One-hot rows of class ids.

    x: (...) integer ids.
    num_classes: width of the rows; the largest id + 1 where it is not given.

    Returns a float32 array (..., num_classes).
    Raises ValueError for an id outside [0, num_classes).

    >>> to_categorical([0, 2], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    ids = np.asarray(x)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"x: expected integer ids, got {ids.dtype}")
    if ids.ndim > 1 and ids.shape[-1] == 1:  # as Keras does
        ids = ids[..., 0]
    classes = int(num_classes) if num_classes is not None else (int(ids.max()) + 1 if ids.size else 0)
    bad = (ids < 0) | (ids >= classes)
    if bad.any():
        raise ValueError(f"x: expected ids in [0, {classes}), got {int(ids[bad][0])}")
    rows = np.zeros((*ids.shape, classes), np.float32)
    np.put_along_axis(rows, ids[..., None].astype(np.int64), 1.0, axis=-1)
    return rows


class PyDataset(ABC):
    """Base of data that are batches by their numbers, for `fit`, `evaluate` and `predict`.

    A subclass writes `__len__`, the number of batches, and `__getitem__`, the batch of a number: x, (x, y) or
    (x, y, sample_weight). It may write `on_epoch_begin` and `on_epoch_end`.

    workers, use_multiprocessing, max_queue_size: for code written for Keras; batches are made in the calling thread,
        so that only 1, False and any queue are taken.

    >>> class Halves(PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...
    ...     def __getitem__(self, index):
    ...         return np.full((1, 3), index), np.zeros(1)
    >>> len(Halves()), Halves()[1][0]
    (2, array([[1, 1, 1]]))

    Keras, https://keras.io/api/utils/python_utils/
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        if workers != 1 or use_multiprocessing:
            raise ValueError(
                f"{type(self).__name__}: workers: expected workers=1 and use_multiprocessing=False, got {workers} and "
                f"{use_multiprocessing}: batches are made in the calling thread"
            )

    @abstractmethod
    def __len__(self) -> int:
        """The number of batches."""

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """The batch of a number."""

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self)

    def on_epoch_begin(self) -> None:  # noqa: B027
        """Called before every epoch."""

    def on_epoch_end(self) -> None:  # noqa: B027
        """Called after every epoch."""


Sequence = PyDataset
