"""A cell of the user's own as a stage of a recurrent layer."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from pyrnn._types import Array, float_dtype
from pyrnn.layers import loop
from pyrnn.layers.base import Call
from pyrnn.layers.cell import Cell, States, Sweep
from pyrnn.layers.parameters import Parameter


class UserCell:
    """What a recurrent layer asks of a cell, around an object that has some of it.

    cell: has `state_size`, and `step` with `step_backward`, or `call(x, states)` alone, which cannot be trained.
    owner: what errors call it.
    """

    def __init__(self, cell: Any, owner: str) -> None:
        self.cell, self.owner = cell, owner
        self.name = str(getattr(cell, "name", type(cell).__name__))
        self.state_size = getattr(cell, "state_size", None)
        sizes = self.state_size if isinstance(self.state_size, (list, tuple)) else [self.state_size]
        if not sizes or not all(isinstance(size, (int, np.integer)) and size > 0 for size in sizes):
            raise ValueError(
                f"{owner}: state_size: expected an integer >= 1 or a list of them, got {self.state_size!r}"
            )
        self.state_sizes = [int(size) for size in sizes if size]
        self.output_size = int(getattr(cell, "output_size", None) or self.state_sizes[0])
        self.dtype = float_dtype(getattr(cell, "dtype", None), owner)
        self._call = getattr(cell, "call", None) or (cell if callable(cell) else None)
        if not hasattr(cell, "step") and self._call is None:
            raise TypeError(f"{owner}: expected a cell with call(x, states) or step(x, states), got {cell!r}")
        self._trains = hasattr(cell, "step") and hasattr(cell, "step_backward")
        self._training = False

    state_names = property(lambda self: [f"state {i}" for i in range(len(self.state_sizes))])
    trainable = property(lambda self: bool(getattr(self.cell, "trainable", True)))

    @property
    def path(self) -> str:
        """What runs it."""
        return f"per-step loop: cell={type(self.cell).__name__}"

    @property
    def parameters(self) -> list[Parameter]:
        """The cell's own `Parameter`s, if it has any."""
        return list(getattr(self.cell, "parameters", ()))

    def build(self, input_shape: Any) -> None:
        """Build the cell, if it wants to be."""
        build = getattr(self.cell, "build", None)
        if build is not None and not getattr(self.cell, "built", False):
            build(tuple(input_shape))
            self.cell.built = True

    def get_initial_state(self, batch_size: int | None = None) -> list[Array]:
        """What the cell says, else zeros."""
        own = getattr(self.cell, "get_initial_state", None)
        if own is not None:
            states = own(batch_size=batch_size)
            return [np.asarray(s, self.dtype) for s in (states if isinstance(states, (list, tuple)) else [states])]
        if batch_size is None:
            raise ValueError(f"{self.owner}: get_initial_state: expected a batch_size, got None")
        return [np.zeros((batch_size, size), self.dtype) for size in self.state_sizes]

    def step(self, x: Array, states: Sequence[Array]) -> loop.Step:
        """One step, by `step` or by `call`."""
        kept = None
        given = list(states)
        if hasattr(self.cell, "step"):
            y, after, *rest = self.cell.step(x, given)
            kept = rest[0] if rest else None
        else:
            assert self._call is not None
            options = {"training": self._training} if self._takes_training() else {}
            y, after = self._call(x, given, **options)
        after = tuple(after) if isinstance(after, (list, tuple)) else (after,)
        y, after = np.asarray(y, self.dtype), tuple(np.asarray(state, self.dtype) for state in after)
        self._check("output", [y], [self.output_size], len(x))
        self._check("states", after, self.state_sizes, len(x))
        return y, after, kept

    def step_backward(self, dy: Array, dstates: Sequence[Array], kept: Any) -> tuple[Array, States]:
        """The adjoint of `step`, by the cell's."""
        dx, before = self.cell.step_backward(dy, list(dstates), kept)
        before = before if isinstance(before, (list, tuple)) else (before,)
        return np.asarray(dx, self.dtype), tuple(np.asarray(d, self.dtype) for d in before)

    def sweep(self, x: Array, states: States | None, how: Sweep, call: Call) -> tuple[Array | None, States]:
        """As `Cell.sweep`."""
        self._training = call.run.training
        return loop.forward(self, x, tuple(self.get_initial_state(x.shape[1])) if states is None else states, how, call)

    def sweep_backward(
        self, dy: Array | None, dstates: Sequence[Array | None], call: Call
    ) -> tuple[Array | None, States]:
        """As `Cell.sweep_backward`.

        Raises TypeError for a cell without `step_backward`.
        """
        if not self._trains:
            raise TypeError(
                f"{self.owner}: expected step(x, states) -> (y, states, kept) and step_backward(dy, dstates, kept) -> "
                f"(dx, dstates) to train, got {type(self.cell).__name__}, which can only predict"
            )
        return loop.backward(self, dy, dstates, call)

    def check_config(self, owner: str) -> None:
        """Raise TypeError: files hold pyrnn's own cells only."""
        raise TypeError(
            f"{owner}: {type(self.cell).__name__} is not one of pyrnn's cells, so it cannot be saved: files hold names "
            "only, never code; save the weights (get_weights) and build the model from code"
        )

    def _takes_training(self) -> bool:
        assert self._call is not None
        return "training" in inspect.signature(self._call).parameters

    def _check(self, what: str, arrays: Sequence[Array], sizes: Sequence[int], batch: int) -> None:
        expected = [(batch, size) for size in sizes]
        got = [array.shape for array in arrays]
        if got != expected:
            raise ValueError(f"{self.owner}: {what}: expected shapes {expected}, got {got}")


StageCell = Union[Cell, UserCell]  # noqa: UP007  evaluated at import


def stage_of(cell: Any, owner: str) -> StageCell:
    """pyrnn's own cells as they are, others as a `UserCell`."""
    if isinstance(cell, type):
        raise TypeError(f"{owner}: expected a cell, got the class {cell.__name__}: call it")
    if not isinstance(cell, Cell):
        return UserCell(cell, owner)
    own = next(kind for kind in type(cell).__mro__ if kind.__module__.startswith("pyrnn.layers."))
    for method in ("step", "step_backward", "call"):
        if getattr(type(cell), method, None) is not getattr(own, method, None):
            raise TypeError(
                f"{owner}: {type(cell).__name__} has its own {method}, which the kernel of {own.__name__} does not "
                "run: write a class of your own with state_size, step and step_backward"
            )
    return cell
