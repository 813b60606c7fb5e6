"""Arguments of layers, models and optimisers, checked where they are given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyrnn._types import Shape


def refuse(owner: str, given: Mapping[str, Any], unsupported: Mapping[str, tuple[Any, str]]) -> None:
    """Raise for arguments that pyrnn does not have: never accepted and ignored."""
    for argument, value in given.items():
        if argument not in unsupported:
            raise TypeError(f"{owner}: unknown argument {argument!r}")
        off, remedy = unsupported[argument]
        if value is not off and value != off:
            raise ValueError(f"{owner}: {argument}={value!r} is not supported: {remedy}")


def check_positive(owner: str, argument: str, value: Any) -> int:
    """`value` as an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: {argument}: expected an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{owner}: {argument}: expected an integer >= 1, got {value}")
    return int(value)


def check_rate(owner: str, argument: str, value: Any) -> float:
    """`value` as a share in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{owner}: {argument}: expected a number, got {value!r}")
    if not 0 <= value < 1:
        raise ValueError(f"{owner}: {argument}: expected 0 <= rate < 1, got {value}")
    return float(value)


def check_flag(owner: str, argument: str, value: Any) -> bool:
    """`value` as True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{owner}: {argument}: expected True or False, got {value!r}")
    return bool(value)


def check_memory_budget(owner: str, value: Any) -> int | str | None:
    """`value` in bytes; None, "full" and "segments" as they are.

    >>> [check_memory_budget("fit", value) for value in ("segments", 1000, "256MB", "1.5 GiB")]
    ['segments', 1000, 256000000, 1610612736]
    """
    if value is None or (isinstance(value, str) and value in ("full", "segments")):
        return value
    expected = "expected bytes such as 2**28 or '256MB', 'segments' or 'full'"
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kKMGT]?)(i?)B", value)
        if match is None:
            raise ValueError(f"{owner}: memory_budget: {expected}, got {value!r}")
        number, prefix, binary = match.groups()
        unit = (1024 if binary else 1000) ** " kMGT".index(prefix.replace("K", "k") or " ")
        value = int(float(number) * unit)
    elif isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{owner}: memory_budget: {expected}, got {value!r}")
    return check_positive(owner, "memory_budget", value)


def check_sizes(owner: str, argument: str, shape: Any) -> Shape:
    """`shape` as a tuple of sizes >= 1, or None where a size may differ from batch to batch."""
    if not isinstance(shape, (tuple, list)):
        raise TypeError(f"{owner}: {argument}: expected a tuple such as (steps, width), got {shape!r}")
    return tuple(None if size is None else check_positive(owner, argument, size) for size in shape)


def check_rank(owner: str, shape: Shape, rank: int, letters: str) -> None:
    """Raise ValueError unless an input has `rank` axes."""
    if len(shape) != rank:
        raise ValueError(f"{owner}: expected an input {letters}, got {show(shape)}")


def show(shape: Shape | None) -> str:
    """A shape with B for the batch size.

    >>> show((None, 7, 12))
    '(B, 7, 12)'
    """
    if shape is None:
        return "?"
    sizes = ["B" if i == 0 and size is None else str(size) for i, size in enumerate(shape)]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
