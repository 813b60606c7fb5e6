"""Options that many layers share: penalties and constraints of weights, data formats, axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import show


def regularizer(kind: str, argument: str, value: Any) -> Any:
    """A regulariser from its name, config or itself; None for none."""
    if value is None:
        return None
    from pyrnn import regularizers

    return regularizers.get(value, f"{kind}: {argument}")


def constraint(kind: str, argument: str, value: Any) -> Any:
    """A constraint from its name, config or itself; None for none."""
    if value is None:
        return None
    from pyrnn import constraints

    return constraints.get(value, f"{kind}: {argument}")


def check_data_format(kind: str, value: Any) -> None:
    """Only "channels_last" (None), which is (batch, steps, width)."""
    if value not in (None, "channels_last"):
        raise ValueError(
            f"{kind}: data_format={value!r} is not supported: arrays are (batch, steps, width), 'channels_last'; "
            "put Permute((2, 1)) in front"
        )


def check_integer(kind: str, argument: str, value: Any, least: int) -> int:
    """`value` as an integer >= least."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{kind}: {argument}: expected an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{kind}: {argument}: expected an integer >= {least}, got {value}")
    return int(value)


def check_single(kind: str, argument: str, value: Any, least: int = 1) -> int:
    """An integer, which Keras also takes as a tuple of one."""
    if isinstance(value, (tuple, list)) and len(value) == 1:
        value = value[0]
    return check_integer(kind, argument, value, least)


def check_pair(kind: str, argument: str, value: Any) -> tuple[int, int]:
    """One integer for both sides, or two."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{kind}: {argument}: expected an integer or two, got {value!r}")
    return check_integer(kind, argument, pair[0], 0), check_integer(kind, argument, pair[1], 0)


def check_number(kind: str, argument: str, value: Any, least: float | None = None) -> float:
    """`value` as a finite number, >= least where that is given."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{kind}: {argument}: expected a number, got {value!r}")
    if not math.isfinite(value) or (least is not None and value < least):
        raise ValueError(f"{kind}: {argument}: expected a number{'' if least is None else f' >= {least}'}, got {value}")
    return float(value)


def check_choice(kind: str, argument: str, value: Any, choices: Sequence[str]) -> str:
    """`value`, one of the choices."""
    if not isinstance(value, str):
        raise TypeError(f"{kind}: {argument}: expected one of {', '.join(choices)}, got {value!r}")
    if value not in choices:
        raise ValueError(f"{kind}: {argument}: expected one of {', '.join(choices)}, got {value!r}")
    return value


def check_axes(kind: str, value: Any) -> int | list[int]:
    """An axis or a list of them, as given; which there are is known with the input only."""
    for axis in value if isinstance(value, (tuple, list)) else [value]:
        if isinstance(axis, bool) or not isinstance(axis, (int, np.integer)):
            raise TypeError(f"{kind}: axis: expected an integer or a list of them, got {value!r}")
    return [int(axis) for axis in value] if isinstance(value, (tuple, list)) else int(value)


def axes_of(owner: str, axis: int | list[int], shape: Shape) -> tuple[int, ...]:
    """The axes as numbers >= 0, in order; raises ValueError for one that the shape does not have."""
    rank = len(shape)
    axes = axis if isinstance(axis, list) else [axis]
    for a in axes:
        if not -rank <= a < rank:
            raise ValueError(f"{owner}: axis: expected -{rank} <= axis < {rank} for an input {show(shape)}, got {a}")
    return tuple(sorted({a % rank for a in axes}))


class AxesLast:
    """An array as rows along some of its axes, and back.

    >>> rows = AxesLast((2, 3), (0,))
    >>> rows.pack(np.arange(6).reshape(2, 3)).tolist()
    [[0, 3], [1, 4], [2, 5]]
    """

    def __init__(self, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
        self.order = [i for i in range(len(shape)) if i not in axes] + list(axes)
        self.permuted = tuple(shape[i] for i in self.order)
        self.width = math.prod(shape[i] for i in axes)
        self.rows = math.prod(self.permuted[: len(shape) - len(axes)])
        self.trivial = self.order == sorted(self.order)

    def pack(self, x: Array) -> Array:
        """x -> (rows, width), contiguous."""
        return np.ascontiguousarray(x.transpose(self.order)).reshape(self.rows, self.width)

    def unpack(self, rows: Array) -> Array:
        """(rows, width) -> an array shaped as x."""
        y = rows.reshape(self.permuted)
        return y if self.trivial else np.ascontiguousarray(y.transpose(np.argsort(self.order)))
