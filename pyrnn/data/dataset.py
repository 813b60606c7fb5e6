"""Batches that are made as they are needed: the part of tf.data that Keras's examples use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from pyrnn._types import Array


class DataArray(np.ndarray):
    """An array that may be asked for itself by `numpy()`, as examples written for tf.data do.

    >>> np.arange(3).view(DataArray).numpy()
    array([0, 1, 2])
    """

    def numpy(self) -> Array:
        """The plain array."""
        return self.view(np.ndarray)


class Dataset:
    """Elements one after the other, anew in every loop over them.

    make: called for each loop; returns an iterator of elements: arrays, or tuples or dicts of them.
    size: how many there are; None where nobody knows.

    >>> data = Dataset.from_tensor_slices((np.arange(5), np.arange(5) * 2)).batch(2)
    >>> [x.tolist() for x, y in data], len(data)
    ([[0, 1], [2, 3], [4]], 3)

    TensorFlow, https://www.tensorflow.org/api_docs/python/tf/data/Dataset
    """

    def __init__(self, make: Callable[[], Iterator[Any]], size: int | None = None) -> None:
        self._make, self._size = make, size

    @classmethod
    def from_tensor_slices(cls, tensors: Any) -> Dataset:
        """One element for each sample of arrays of the same length.

        tensors: an array or a list of samples, or a tuple or dict of them.
        """
        sizes = {len(part) for part in _parts(tensors)}
        if len(sizes) != 1:
            raise ValueError(f"tensors: expected arrays of as many samples each, got {sorted(sizes)}")
        (size,) = sizes
        arrays = _apply(np.asarray, tensors)
        return cls(lambda: (_apply(lambda a, i=i: _data(a[i]), arrays) for i in range(size)), size)

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError("the dataset's length is not known; loop over it, or give fit steps_per_epoch")
        return self._size

    def cardinality(self) -> int:
        """The number of elements; -1 without an end, -2 where nobody knows."""
        return -2 if self._size is None else self._size

    def batch(self, batch_size: int, drop_remainder: bool = False, **unused: Any) -> Dataset:
        """Elements together, so many a batch; the last one may have fewer."""
        _only_hints("batch", unused)
        _check_count("batch_size", batch_size)

        def make() -> Iterator[Any]:
            gathered: list[Any] = []
            for element in self:
                gathered.append(element)
                if len(gathered) == batch_size:
                    yield _stack(gathered)
                    gathered = []
            if gathered and not drop_remainder:
                yield _stack(gathered)

        size = None
        if self._size is not None:
            size = self._size // batch_size if drop_remainder else -(-self._size // batch_size)
        return Dataset(make, size)

    def shuffle(self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True) -> Dataset:
        """Elements in random order: each is drawn from the next `buffer_size`; in every loop another order."""
        _check_count("buffer_size", buffer_size)
        streams = np.random.SeedSequence(seed)

        def make() -> Iterator[Any]:
            stream = streams.spawn(1)[0] if reshuffle_each_iteration else streams
            rng = np.random.default_rng(stream)
            buffer: list[Any] = []
            for element in self:
                if len(buffer) < buffer_size:
                    buffer.append(element)
                    continue
                i = int(rng.integers(buffer_size))
                buffer[i], element = element, buffer[i]
                yield element
            rng.shuffle(buffer)
            yield from buffer

        return Dataset(make, self._size)

    def map(self, map_func: Callable[..., Any], num_parallel_calls: Any = None, **unused: Any) -> Dataset:
        """map_func of every element; the parts of a tuple are its arguments."""
        _only_hints("map", unused)

        def make() -> Iterator[Any]:
            for element in self:
                made = map_func(*element) if isinstance(element, tuple) else map_func(element)
                yield as_data(made)

        return Dataset(make, self._size)

    def take(self, count: int) -> Dataset:
        """The first elements; -1 for all."""

        def make() -> Iterator[Any]:
            if count == 0:
                return
            for i, element in enumerate(self, 1):
                yield element
                if i == count:
                    return

        size = None if self._size is None else self._size if count < 0 else min(count, self._size)
        return Dataset(make, size)

    def skip(self, count: int) -> Dataset:
        """The elements after the first ones."""

        def make() -> Iterator[Any]:
            for i, element in enumerate(self):
                if i >= count:
                    yield element

        return Dataset(make, None if self._size is None else max(0, self._size - count))

    def repeat(self, count: int | None = None) -> Dataset:
        """The elements over and over, so many times; without an end where count is not given."""

        def make() -> Iterator[Any]:
            done = 0
            while count is None or count < 0 or done < count:
                yield from self
                done += 1

        known = self._size is not None and count is not None and count >= 0
        return Dataset(make, self._size * count if known else None)  # type: ignore[operator]

    def cache(self, filename: str = "") -> Dataset:
        """The elements, kept in memory after the first loop."""
        if filename:
            raise ValueError(f"cache: filename={filename!r} is not supported: elements are kept in memory")
        kept: list[Any] = []
        whole = False

        def make() -> Iterator[Any]:
            nonlocal whole
            if whole:
                yield from kept
                return
            kept.clear()
            for element in self:
                kept.append(element)
                yield element
            whole = True

        return Dataset(make, self._size)

    def prefetch(self, buffer_size: Any) -> Dataset:
        """The same elements: they are made as fast as memory can be read, ahead of time gains nothing."""
        return self

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as plain arrays."""
        return (_apply(np.asarray, element) for element in self)


def _parts(element: Any) -> list[Any]:
    if isinstance(element, Mapping):
        return [part for value in element.values() for part in _parts(value)]
    if isinstance(element, tuple):
        return [part for value in element for part in _parts(value)]
    return [element]


def _apply(function: Callable[..., Any], element: Any) -> Any:
    """`function` of every array of an element."""
    if isinstance(element, Mapping):
        return {name: _apply(function, value) for name, value in element.items()}
    if isinstance(element, tuple):
        return tuple(_apply(function, value) for value in element)
    return function(element)


def as_data(element: Any) -> Any:
    """An element whose arrays are DataArrays."""
    return _apply(_data, element)


def _data(array: Any) -> DataArray:
    return np.asarray(array).view(DataArray)


def _stack(elements: list[Any]) -> Any:
    first = elements[0]
    if isinstance(first, Mapping):
        return {name: _stack([element[name] for element in elements]) for name in first}
    if isinstance(first, tuple):
        return tuple(_stack([element[i] for element in elements]) for i in range(len(first)))
    shapes = {np.shape(element) for element in elements}
    if len(shapes) > 1:
        raise ValueError(f"batch: expected elements of one shape, got {sorted(shapes)}; use pad_sequences before")
    return _data(np.stack(elements))


def _check_count(argument: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{argument}: expected an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{argument}: expected an integer >= 1, got {value}")


def _only_hints(owner: str, unused: Mapping[str, Any]) -> None:
    """tf.data's arguments that say how, not what."""
    for argument in unused:
        if argument not in ("deterministic", "num_parallel_calls", "name"):
            raise TypeError(f"{owner}: unknown argument {argument!r}")
