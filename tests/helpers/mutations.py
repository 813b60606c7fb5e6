"""Mutations of arguments: what makes an argument wrong, and what only changes its memory layout.

A mutation takes a clean argument and returns another; `raises` is the type of the error, None where the result must be
that of a clean copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Mutation:
    name: str
    mutate: Callable[[Any], Any]
    raises: type[Exception] | tuple[type[Exception], ...] | None = None


class Subclass(np.ndarray):
    """Like NumPy's matrix or memmap: an array by another name."""


def unaligned(a: Any) -> Any:
    raw = np.empty(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype).reshape(a.shape)
    view[...] = a
    return view


def read_only(a: Any) -> Any:
    copy = a.copy()
    copy.flags.writeable = False
    return copy


def spread(a: Any) -> Any:
    """Every second element of a last axis twice as long."""
    wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), 77, a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def within(a: Any) -> Any:
    """A window of a larger array: rows lie apart."""
    wide = np.full(tuple(n + 3 for n in a.shape), 77, a.dtype)
    window = wide[tuple(slice(1, 1 + n) for n in a.shape)]
    window[...] = a
    return window


def flipped(axis: int) -> Callable[[Any], Any]:
    return lambda a: np.flip(np.flip(a, axis).copy(), axis)


def longer(axis: int) -> Callable[[Any], Any]:
    return lambda a: np.concatenate([a, a.take([0], axis)], axis)


def broadcast(a: Any) -> Any:
    return np.broadcast_to(a[:1], a.shape)


LAYOUTS = [
    Mutation("fortran", np.asfortranarray),
    Mutation("flipped_first", flipped(0)),
    Mutation("flipped_last", flipped(-1)),
    Mutation("spread", spread),
    Mutation("within", within),
    Mutation("swapped", lambda a: a.astype(a.dtype.newbyteorder())),
    Mutation("unaligned", unaligned),
    Mutation("read_only", read_only),
    Mutation("broadcast", broadcast),
    Mutation("subclass", lambda a: a.view(Subclass)),
]

NO_ARRAYS = [
    Mutation("scalar", lambda a: 3.5, TypeError),
    Mutation("text", lambda a: "abc", TypeError),
    Mutation("object_itself", lambda a: object(), TypeError),
    Mutation("masked_array", lambda a: np.ma.masked_array(a, mask=False), TypeError),
]


def of_dtypes(*dtypes: str) -> list[Mutation]:
    return [Mutation(dtype, lambda a, dtype=dtype: np.ones(a.shape).astype(dtype), TypeError) for dtype in dtypes]


def of_shapes(axes: int, fixed: tuple[int, ...]) -> list[Mutation]:
    """Wrong ranks, and one element too many along each axis whose size something else determines."""
    return [
        Mutation("rank_up", lambda a: a[None], ValueError),
        Mutation("rank_down", lambda a: np.array(a[0]), ValueError),
        *([Mutation("rank_0", lambda a: np.array(a.flat[0]), ValueError)] if axes > 1 else []),
        *(Mutation(f"longer_{axis}", longer(axis), ValueError) for axis in fixed),
        *(Mutation(f"empty_{axis}", lambda a, i=axis: a.take([], i), ValueError) for axis in fixed),
    ]


def floats(axes: int, fixed: tuple[int, ...] | None = None) -> list[Mutation]:
    """Of an array of float32 with so many axes."""
    return [
        *of_shapes(axes, tuple(range(axes)) if fixed is None else fixed),
        *of_dtypes("float64", "float16", "int64", "bool", "object", "complex64", "S4", "longdouble", "datetime64[s]"),
        *NO_ARRAYS,
        Mutation("list", lambda a: a.tolist(), TypeError),
        *LAYOUTS,
    ]


def outputs(axes: int) -> list[Mutation]:
    """Of an array to write into."""
    return [
        *of_shapes(axes, tuple(range(axes))),
        *of_dtypes("float64", "int32", "object"),
        *NO_ARRAYS[:3],
        Mutation("swapped", lambda a: a.astype(a.dtype.newbyteorder()), ValueError),
        Mutation("unaligned", unaligned, ValueError),
        Mutation("read_only", read_only, ValueError),
        Mutation("flipped_first", flipped(0), ValueError),
        Mutation("spread", spread, ValueError),
        Mutation("fortran", np.asfortranarray, ValueError),
        Mutation("broadcast", lambda a: np.lib.stride_tricks.as_strided(a, strides=(0, *a.strides[1:])), ValueError),
    ]


def bools(axes: int) -> list[Mutation]:
    return [
        *of_shapes(axes, tuple(range(axes))),
        *of_dtypes("int64", "float32", "object"),
        *NO_ARRAYS,
        Mutation("ragged", lambda a: [[True], [True, False]], ValueError),
        Mutation("list", lambda a: a.tolist()),
        *(m for m in LAYOUTS if m.name != "swapped"),
    ]


def integers(highest: int) -> list[Mutation]:
    """Of one axis of int64, 0 to highest."""

    def put(value: Any) -> Callable[[Any], Any]:
        return lambda a: np.concatenate([a[:-1], [value]])

    return [
        *of_shapes(1, (0,)),
        *of_dtypes("float32", "bool", "object", "complex64"),
        *NO_ARRAYS,
        Mutation("negative", put(-1), ValueError),
        Mutation("too_large", put(highest + 1), ValueError),
        Mutation("huge", put(2**62), ValueError),
        Mutation("unsigned_huge", lambda a: np.full(a.shape, 2**64 - 1, np.uint64), ValueError),
        Mutation("nan", put(np.nan), TypeError),
        Mutation("list_with_none", lambda a: [None, *a.tolist()[1:]], TypeError),
        Mutation("list_too_big", lambda a: [2**80, *a.tolist()[1:]], TypeError),
        Mutation("ragged", lambda a: [[1], [1, 2]], ValueError),
        Mutation("list", lambda a: a.tolist()),
        Mutation("tuple", lambda a: tuple(a.tolist())),
        Mutation("int8", lambda a: a.astype(np.int8)),
        Mutation("uint16", lambda a: a.astype(np.uint16)),
        *LAYOUTS,
    ]


def values(error: type[Exception], *wrong: Any) -> list[Mutation]:
    """Of a plain value: each wrong one raises."""
    return [Mutation(f"{error.__name__}_{i}", lambda _, value=value: value, error) for i, value in enumerate(wrong)]


FLAG = values(TypeError, None, 1, "yes", 0.0, np.ones(2, bool))
COUNT = [*values(ValueError, 0, -1, 2**40, 2**80, -(2**80)), *values(TypeError, 1.5, "2", True, np.ones(1, int))]
PAIR = [*values(TypeError, 3, "ab"), *values(ValueError, (), (None,), (None, None, None))]
