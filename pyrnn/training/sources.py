"""Where batches come from: arrays, indexable data, iterables.

A source is a cursor over batches: `begin` starts an epoch, `__next__` gives the next batch of it. Sources that can be
read from any position have a `cursor` that says where they are, so that a stopped run can go on from there.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pyrnn._types import Array
from pyrnn.training.arguments import arrange, as_array, check_lengths, class_weights


class Batch(NamedTuple):
    """Arrays of one step, one entry for each input of the model (x) or each output (y, weights)."""

    x: list[Array]
    y: list[Any]
    weights: list[Any]


class Shapes(NamedTuple):
    """What data is arranged by."""

    owner: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    class_weight: Any = None
    need_y: bool = True

    def batch(self, x: Any, y: Any = None, weights: Any = None, empty: bool = False) -> Batch:
        """Checked arrays from what a user gives: arrays, lists or dicts."""
        owner = self.owner
        xs = [
            as_array(owner, "x" if len(self.inputs) == 1 else f"x[{name!r}]", array)
            for name, array in zip(self.inputs, arrange(owner, "x", x, self.inputs), strict=True)
        ]
        if not self.need_y:
            check_lengths(owner, {"x": xs}, empty)
            return Batch(xs, [], [])
        several = len(self.outputs) > 1
        if y is None:
            raise ValueError(f"{owner}: y: expected an array, got None")
        ys = [
            None if array is None and several else as_array(owner, f"y[{name!r}]" if several else "y", array)
            for name, array in zip(self.outputs, arrange(owner, "y", y, self.outputs), strict=True)
        ]
        ws = self._weights(weights)
        if self.class_weight is not None:
            ws = class_weights(owner, self.class_weight, ys, ws)
        check_lengths(owner, {"x": xs, "y": ys, "sample_weight": ws})
        return Batch(xs, ys, ws)

    def _weights(self, weights: Any) -> list[Any]:
        single = len(self.outputs) > 1 and hasattr(weights, "__array__")  # counts for all outputs
        given = [weights] * len(self.outputs) if single else arrange(self.owner, "sample_weight", weights, self.outputs)
        return [None if w is None else as_array(self.owner, "sample_weight", w) for w in given]

    def unpack(self, item: Any) -> Batch:
        """A batch from what a generator or a Sequence gives: x, (x,), (x, y) or (x, y, sample_weight)."""
        parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if not 1 <= len(parts) <= 3 or (self.need_y and len(parts) < 2):
            expected = "(x, y) or (x, y, sample_weight)" if self.need_y else "x, (x,) or (x, y)"
            raise ValueError(f"{self.owner}: x: expected batches {expected}, got {type(item).__name__} of {len(parts)}")
        return self.batch(*parts) if self.need_y else self.batch(parts[0])


class Source(ABC):
    """Base of the sources.

    steps: batches of an epoch; None where that is not known.
    """

    resumable = False
    steps: int | None = None

    @property
    def expected_steps(self) -> int | None:
        """`steps`, or what the data say of their length."""
        return self.steps

    @property
    def first(self) -> Batch | None:
        """A batch to build the model by, without moving on; None where there is none to look at."""
        return None

    @property
    def cursor(self) -> list[int]:
        """Where it stands."""
        return []

    @cursor.setter
    def cursor(self, value: Sequence[int]) -> None:
        raise ValueError("this source cannot be read from any position")

    def begin(self) -> None:  # noqa: B027  most have nothing to do
        """An epoch begins."""

    @abstractmethod
    def next(self) -> Batch | None:
        """The next batch of the epoch, None where there are no more."""

    def end(self) -> None:  # noqa: B027
        """An epoch is over."""

    @property
    def exhausted(self) -> bool:
        """Whether there will be no more batches in this run."""
        return False

    def describe(self) -> dict[str, Any]:
        """What must be the same where a run goes on."""
        return {}


class _Passes(Source):
    """A source of numbered batches, in passes; the order of a pass follows from a seed and its number."""

    resumable = True

    def __init__(self, owner: str, count: int, items: int, steps: int | None, seed: int | None) -> None:
        self.owner, self.count = owner, count
        self.steps = count if steps is None else steps
        self.seed = seed
        self._items = items
        self.given_steps = steps
        self._pass = self._place = self._done = 0
        self._order: Array | None = None

    @property
    def cursor(self) -> list[int]:
        return [self._pass, self._place, self._done]

    @cursor.setter
    def cursor(self, value: Sequence[int]) -> None:
        self._pass, self._place, self._done = (int(i) for i in value)
        self._order = None

    def begin(self) -> None:
        self._done = 0
        if self._place >= self.count:
            self._pass, self._place, self._order = self._pass + 1, 0, None

    def next(self) -> Batch | None:
        if self._done >= self.steps or self._place >= self.count:  # type: ignore[operator]
            if self._done < self.steps:  # type: ignore[operator]
                warnings.warn(
                    f"{self.owner}: the data end after {self._done} of {self.steps} steps, and so does this pass over "
                    "them: lower the number of steps or give more data",
                    stacklevel=2,
                )
            return None
        if self.seed is not None and self._order is None:
            self._order = np.random.default_rng([self.seed, self._pass]).permutation(self._items)
        batch = self._get(self._place)
        self._place += 1
        self._done += 1
        return batch

    @abstractmethod
    def _get(self, place: int) -> Batch:
        """The batch at a place of the pass."""


class ArraySource(_Passes):
    """Arrays in memory.

    size: samples of a batch; None for 32 or, where steps are given, for as many as make so many steps, as in Keras.
    """

    def __init__(
        self, owner: str, data: Batch, size: int | None, steps: int | None = None, seed: int | None = None
    ) -> None:
        self.data, self.given_size, self.n = data, size, len(data.x[0])
        if size is None:
            size = 32 if steps is None else max(1, -(-self.n // steps))
        self.size = size
        super().__init__(owner, -(-self.n // size), self.n, steps, seed)

    @property
    def first(self) -> Batch | None:
        return self.data

    def _get(self, place: int) -> Batch:
        begin = place * self.size
        if self._order is None:
            piece: Any = slice(begin, begin + self.size)
            x, y, weights = ([None if a is None else a[piece] for a in group] for group in self.data)
        else:
            rows = self._order[begin : begin + self.size]
            x, y, weights = ([None if a is None else a.take(rows, 0) for a in group] for group in self.data)
        return Batch(x, y, weights)  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        return {"samples": self.n, "batch_size": self.size, "steps": self.steps, "shuffle": self.seed is not None}


class IndexedSource(_Passes):
    """A `utils.PyDataset`, or whatever else has a length and gives batches by their number."""

    def __init__(self, shapes: Shapes, data: Any, steps: int | None = None, seed: int | None = None) -> None:
        self.data, self._shapes = data, shapes
        count = len(data)
        if count < 1:
            raise ValueError(f"{shapes.owner}: x: expected at least one batch, got {type(data).__name__} of length 0")
        super().__init__(shapes.owner, count, count, steps, seed)

    @property
    def first(self) -> Batch | None:
        return self._shapes.unpack(self.data[0])

    def _get(self, place: int) -> Batch:
        return self._shapes.unpack(self.data[place if self._order is None else int(self._order[place])])

    def begin(self) -> None:
        super().begin()
        if hasattr(self.data, "on_epoch_begin"):
            self.data.on_epoch_begin()

    def end(self) -> None:
        if hasattr(self.data, "on_epoch_end"):
            self.data.on_epoch_end()

    def describe(self) -> dict[str, Any]:
        return {"batches": self.count, "steps": self.steps, "shuffle": self.seed is not None}


class IterableSource(Source):
    """A generator, or an iterable that begins anew in each epoch."""

    def __init__(self, shapes: Shapes, data: Any, steps: int | None, epochs: int = 1) -> None:
        self._shapes, self._data, self.steps = shapes, data, steps
        self._once = iter(data) is data
        self._iterator: Iterator[Any] | None = None
        self._first: list[Any] = []
        self._done, self._over = 0, False
        if self._once and steps is None and epochs > 1:
            raise ValueError(
                f"{shapes.owner}: steps_per_epoch: expected a number with a generator and epochs={epochs}, got None"
            )

    @property
    def first(self) -> Batch | None:
        if not self._first:
            self._first = [self._pull()]
        return None if self._first[0] is None else self._shapes.unpack(self._first[0][0])

    @property
    def exhausted(self) -> bool:
        return self._over

    @property
    def expected_steps(self) -> int | None:
        if self.steps is not None or not hasattr(self._data, "__len__"):
            return self.steps
        try:
            return len(self._data)
        except TypeError:  # a Dataset whose length nobody knows
            return None

    def begin(self) -> None:
        self._done = 0

    def _pull(self) -> Any:
        """(item,), or None at the end."""
        if self._iterator is None:
            self._iterator = iter(self._data)
        for item in self._iterator:
            return (item,)
        return None

    def next(self) -> Batch | None:
        if self.steps is not None and self._done >= self.steps:
            return None
        item = self._first.pop() if self._first else self._pull()
        if item is None:
            self._over = self._once
            if not self._once:
                self._iterator = None
                if self._done == 0 and self.steps is not None:
                    item = self._pull()  # the last epoch ended where the data end
        if item is None:
            self._end_of_data()
            return None
        self._done += 1
        return self._shapes.unpack(item[0])

    def _end_of_data(self) -> None:
        if self._done == 0:
            remedy = "; a generator gives its batches once" if self._once else ""
            raise ValueError(f"{self._shapes.owner}: x: expected at least one batch, got none{remedy}")
        if self.steps is not None:
            warnings.warn(
                f"{self._shapes.owner}: the data end after {self._done} of {self.steps} steps, and so does "
                f"{'all of it' if self._once else 'this pass over them'}: lower the number of steps or give more data",
                stacklevel=3,
            )


def is_indexed(x: Any) -> bool:
    """Whether it gives batches by number: a PyDataset or the like, and no array or list."""
    return (
        hasattr(x, "__getitem__")
        and hasattr(x, "__len__")
        and not hasattr(x, "__array__")
        and not isinstance(x, (list, tuple, Mapping, str, bytes))
    )


def is_iterable(x: Any) -> bool:
    """Whether it gives batches one after the other."""
    return (
        hasattr(x, "__iter__")
        and not hasattr(x, "__array__")
        and not isinstance(x, (list, tuple, Mapping, str, bytes, set, frozenset))
    )


def make_source(
    shapes: Shapes,
    x: Any,
    y: Any = None,
    weights: Any = None,
    *,
    size: int | None = None,
    steps: int | None = None,
    seed: Callable[[], int] | None = None,
    epochs: int = 1,
) -> Source:
    """The source for what fit, evaluate or predict were given.

    seed: draws the seed of the order; None keeps the order of the data.
    """
    indexed = is_indexed(x)
    if not indexed and not is_iterable(x):
        data = shapes.batch(x, y, weights, empty=not shapes.need_y)
        return ArraySource(shapes.owner, data, size, steps, None if seed is None else seed())
    for argument, value in (("y", y), ("sample_weight", weights), ("batch_size", size)):
        if value is not None:
            raise ValueError(f"{shapes.owner}: {argument}: expected None, since x gives whole batches, got {argument}")
    if indexed:
        return IndexedSource(shapes, x, steps, None if seed is None else seed())
    return IterableSource(shapes, x, steps, epochs)
