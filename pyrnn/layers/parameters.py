"""Trainable arrays as layers and optimisers share them.

The optimiser sees one flat vector a parameter; the user sees arrays of Keras's names and shapes. For a dense kernel
both are the same memory. Recurrent weights live packed for the kernels (`ops.Weights`): gradient and optimiser
state use that layout too, and only `arrays` and `unpack` leave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.constraints import Constraint
from pyrnn.regularizers import Regularizer


class Parameter:
    """One array.

    name: Keras's name of it.
    value: the array; steps of the optimiser change it in place.
    regularizer: adds a penalty to the loss, None for none.
    constraint: what the array is made to fulfil after a step, None for nothing.
    trainable: False for what is no weight, such as a moving mean: it has no gradient.

    Attributes
        target: what an optimiser kernel steps: the value as a flat vector.
        gradient: same shape as the value; backward adds to it.
        flat_gradient: the gradient as a flat vector.
        parts: for each array, the slices of the flat vector that hold it.
        spans: the same in fewer slices, which may also hold padding: zeros in values and gradients.
        regularizers, constraints: one for each array, or None.

    >>> p = Parameter("bias", np.zeros(3, np.float32))
    >>> p.gradient += 1
    >>> p.flat_gradient
    array([1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        name: str,
        value: Array,
        *,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
        trainable: bool = True,
    ) -> None:
        self.names: tuple[str, ...] = (name,)
        self.value = np.asarray(value, order="C")  # np.ascontiguousarray would make () into (1,)
        self.target: Array | ops.Weights = self.value.reshape(-1)
        self.gradient = np.zeros_like(self.value) if trainable else np.zeros(0, self.value.dtype)
        self.flat_gradient: Array = self.gradient.reshape(-1)
        self.parts: list[list[slice]] = [[slice(0, self.value.size)]]
        self.spans = self.parts
        self.regularizers: tuple[Regularizer | None, ...] = (regularizer,)
        self.constraints: tuple[Constraint | None, ...] = (constraint,)
        self.trainable = trainable

    # Penalties and constraints --------------------------------------------------------------------------------------

    @property
    def has_penalty(self) -> bool:
        """Whether `regularization` can be anything but 0."""
        return self.trainable and any(regularizer is not None for regularizer in self.regularizers)

    @property
    def has_constraint(self) -> bool:
        """Whether `constrain` can change anything."""
        return self.trainable and any(constraint is not None for constraint in self.constraints)

    def regularization(self) -> float:
        """The sum of the penalties."""
        total = 0.0
        arrays: list[Array] | None = None
        for i, regularizer in enumerate(self.regularizers):
            if regularizer is None:
                continue
            if regularizer.elementwise:
                total += sum(regularizer(self._flat[span]) for span in self.spans[i])
            else:
                arrays = self.arrays() if arrays is None else arrays
                total += regularizer(arrays[i])
        return total

    def add_regularization_gradient(self) -> None:
        """Add the derivative of `regularization` to the gradient."""
        slopes: dict[int, Array] = {}
        for i, regularizer in enumerate(self.regularizers):
            if regularizer is None:
                continue
            if regularizer.elementwise:
                for span in self.spans[i]:
                    self.flat_gradient[span] += regularizer.gradient(self._flat[span])
            else:
                slopes[i] = regularizer.gradient(self.arrays()[i])
        if slopes:
            gradient = self.flat_gradient
            gradient += self.pack([slopes.get(i, np.zeros(s)) for i, s in enumerate(self.shapes)])

    def constrain(self) -> None:
        """Make the arrays fulfil their constraints, after a step."""
        changed: dict[int, Array] = {}
        flat = self._flat
        for i, constraint in enumerate(self.constraints):
            if constraint is None:
                continue
            if constraint.elementwise:
                for span in self.spans[i]:
                    flat[span] = constraint(flat[span])
            else:
                changed[i] = constraint(self.arrays()[i])
        if changed:
            self.assign([changed.get(i, array) for i, array in enumerate(self.arrays())])
        self._touch()

    @property
    def _flat(self) -> Array:
        """The values as a flat vector, in place."""
        return self.value.reshape(-1)

    def _touch(self) -> None:
        """Say that `_flat` was changed."""

    # Arrays ---------------------------------------------------------------------------------------------------------

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays, in the order of `names`."""
        return [self.value.shape]

    def zero_gradient(self) -> None:
        """Set the gradient to 0, in place."""
        self.flat_gradient.fill(0.0)

    def arrays(self) -> list[Array]:
        """Copies of the arrays, in the order of `names`."""
        return [self.value.copy()]

    def assign(self, arrays: Sequence[Array]) -> None:
        """Set the arrays; shapes are the caller's to check."""
        self.value[...] = arrays[0]

    def unpack(self, flat: Array) -> list[Array]:
        """A flat vector (gradient or optimiser state) as arrays of Keras's shapes; copies."""
        return [flat.reshape(self.value.shape).copy()]

    def pack(self, arrays: Sequence[Array]) -> Array:
        """The way back from `unpack`."""
        return np.array(arrays[0], self.value.dtype).reshape(-1)


class RecurrentParameter(Parameter):
    """The weights of one direction of a recurrent layer: kernel, recurrent_kernel and, with a bias, bias.

    weights: the packed master.
    use_bias: False leaves the packed bias rows at 0.
    regularizers, constraints: one for each of `names`, None where there is none; () for none at all.

    >>> w = ops.Weights("rnn_tanh", np.ones((2, 3), np.float32), np.zeros((3, 3), np.float32))
    >>> p = RecurrentParameter(w, use_bias=False)
    >>> p.names, p.shapes
    (('kernel', 'recurrent_kernel'), [(2, 3), (3, 3)])
    """

    def __init__(
        self,
        weights: ops.Weights,
        use_bias: bool,
        *,
        regularizers: Sequence[Regularizer | None] = (),
        constraints: Sequence[Constraint | None] = (),
    ) -> None:
        self.weights = weights
        self.use_bias = use_bias
        self.names = ("kernel", "recurrent_kernel", "bias") if use_bias else ("kernel", "recurrent_kernel")
        self.regularizers = _one_each("regularizers", regularizers, self.names)
        self.constraints = _one_each("constraints", constraints, self.names)
        self.trainable = True
        self.target = weights
        self.gradients: ops.Gradients | None = None
        self._no_gradient: Array | None = None
        self._shapes = [array.shape for array in self.arrays()]
        self.parts = self._find_parts()
        self.spans = _join(self.parts)

    @property
    def _flat(self) -> Array:
        flat: Array = self.weights.flat
        return flat

    def _touch(self) -> None:
        self.weights.touch()

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return self._shapes

    @property
    def flat_gradient(self) -> Array:  # type: ignore[override]
        if self.gradients is None:  # backward has not come here: nothing depends on the weights, as far as it goes
            if self._no_gradient is None:
                self._no_gradient = np.zeros_like(self.weights.flat)
            return self._no_gradient
        flat: Array = self.gradients.flat
        return flat

    def zero_gradient(self) -> None:
        if self.gradients is not None:
            self.gradients.clear()
        elif self._no_gradient is not None:
            self._no_gradient.fill(0.0)

    def arrays(self) -> list[Array]:
        return self._arrays_of(self.weights)

    def assign(self, arrays: Sequence[Array]) -> None:
        W_x, W_h, *b = (np.asarray(array, self.weights.dtype) for array in arrays)
        self.weights.set(W_x, W_h, b[0] if b else None)

    def unpack(self, flat: Array) -> list[Array]:
        copy = self._like([np.zeros(shape, self.weights.dtype) for shape in self._shapes])
        copy.flat[...] = flat
        copy.touch()
        return self._arrays_of(copy)

    def pack(self, arrays: Sequence[Array]) -> Array:
        return np.array(self._like(arrays).flat)

    def _arrays_of(self, weights: ops.Weights) -> list[Array]:
        b = weights.b if self.use_bias else None
        return [weights.W_x, weights.W_h] if b is None else [weights.W_x, weights.W_h, b]

    def _like(self, arrays: Sequence[Array]) -> ops.Weights:
        W_x, W_h, *b = (np.asarray(array, self.weights.dtype) for array in arrays)
        return ops.Weights(self.weights.cell, W_x, W_h, b[0] if b else None, self.weights.precision)

    def _find_parts(self) -> list[list[slice]]:
        """Where each array lies in the packed vector: pack arrays of ones, twos and threes, and look."""
        marked = self.pack([np.full(shape, i + 1.0) for i, shape in enumerate(self._shapes)])
        edges = [0, *(np.flatnonzero(np.diff(marked)) + 1).tolist(), marked.size]
        parts: list[list[slice]] = [[] for _ in self._shapes]
        for begin, end in pairwise(edges):
            if marked[begin] > 0:  # 0 is padding
                parts[int(marked[begin]) - 1].append(slice(begin, end))
        return parts


def _one_each(argument: str, given: Sequence[Any], names: Sequence[str]) -> tuple[Any, ...]:
    """`given` with an entry for each name; what stands for an array that there is not must be None."""
    entries = (*given, *(None,) * (len(names) - len(given)))
    if any(entry is not None for entry in entries[len(names) :]):
        raise ValueError(f"{argument}: expected one for each of {', '.join(names)}, got {len(given)}")
    return entries[: len(names)]


def _join(parts: list[list[slice]]) -> list[list[slice]]:
    """The slices with those put together that have nothing of another array between them."""
    ordered = sorted((piece.start, piece.stop, i) for i, part in enumerate(parts) for piece in part)
    spans: list[list[slice]] = [[] for _ in parts]
    last = -1
    for start, stop, i in ordered:
        if i == last:
            start = spans[i].pop().start
        spans[i].append(slice(start, stop))
        last = i
    return spans
