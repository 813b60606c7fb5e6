"""Rows of different lengths: each row is computed as if it were alone, and rows that all end together as if whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.cases import Case, Dims, make_case, states_of
from helpers.engine import (
    CELLS,
    assert_results_close,
    assert_same_bits,
    lanes,
    run_engine,
    run_reference,
)

from pyrnn import ops

PLAIN = "bias state dstate"
T, B = 9, 37
RNG = np.random.default_rng(3)
# What a batch may look like: unsorted, sorted both ways, blocks of ties, mostly empty, one that outlasts the others.
LENGTHS: dict[str, Any] = {
    "uniform": RNG.integers(1, T + 1, B),
    "rising": np.sort(RNG.integers(0, T + 1, B)),
    "falling": np.sort(RNG.integers(0, T + 1, B))[::-1].copy(),
    "ties": np.repeat([3, 9, 1], (13, 12, 12)),
    "mostly empty": np.where(np.arange(B) % 5 == 2, RNG.integers(1, T + 1, B), 0),
    "one long": np.where(np.arange(B) == 20, T, 2),
    "all empty": np.zeros(B, np.int64),
}


def ragged_case(cell: str, lengths: Any, units: int, reverse: bool = False, features: str = PLAIN) -> Case:
    case = make_case(CELLS[cell], Dims(T, len(lengths), 5, units), features)
    return replace(case, keywords=case.keywords | {"lengths": lengths, "reverse": reverse})


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("kind", LENGTHS)
def test_many_rows_of_many_lengths_equal_the_reference(
    cell: str, isa: str, dtype: str, kind: str, reverse: bool
) -> None:
    case = ragged_case(cell, LENGTHS[kind], lanes(isa, dtype) + 3, reverse)
    expected = run_reference(case)
    actual = run_engine(case.astype(dtype), _force={"isa": isa})
    assert_results_close(actual.outputs, expected.outputs, case, dtype)
    assert_results_close(actual.gradients, expected.gradients, case, dtype)
    behind = np.arange(T)[:, None] >= LENGTHS[kind]
    assert not actual.outputs["y"][behind].any()
    assert not actual.gradients["dx"][behind].any()


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_a_row_has_the_bits_it_has_alone(cell: str, isa: str, dtype: str, reverse: bool) -> None:
    case = ragged_case(cell, LENGTHS["uniform"], lanes(isa, dtype) + 3, reverse).astype(dtype)
    together = run_engine(case, _force={"isa": isa}).of_rows
    for b in (0, 7, 20, B - 1):
        n = int(case.keywords["lengths"][b])
        alone = run_engine(row_of(case, b, n), _force={"isa": isa}).of_rows
        for what, array in alone.items():
            row = together[what][:n, b : b + 1] if array.ndim == 3 else together[what][b : b + 1]
            np.testing.assert_array_equal(row, array, err_msg=what, strict=True)


def row_of(case: Case, b: int, steps: int) -> Case:
    """One row without what lies behind its end."""

    def part(state: Any) -> Any:
        parts = tuple(s[b : b + 1] for s in states_of(state))
        return parts if len(parts) > 1 else parts[0]

    keywords = {name: value for name, value in case.keywords.items() if name != "lengths"}
    x, dy = (array[:steps, b : b + 1] for array in (case.x, case.dy))
    return replace(case, x=x, dy=dy, state=part(case.state), dstate=part(case.dstate), keywords=keywords)


@pytest.mark.parametrize("features", [PLAIN, f"{PLAIN} mask resets x_scale h_scale zoneout"], ids=["plain", "all"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_lengths_that_are_all_T_change_no_bit(cell: str, isa: str, dtype: str, reverse: bool, features: str) -> None:
    case = ragged_case(cell, np.full(B, T), lanes(isa, dtype) + 3, reverse, features).astype(dtype)
    whole = replace(case, keywords={name: value for name, value in case.keywords.items() if name != "lengths"})
    given, none = (run_engine(c, _force={"isa": isa}) for c in (case, whole))
    assert_same_bits(given.outputs, none.outputs)
    assert_same_bits(given.gradients, none.gradients)


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 2},
        {"threads": 3},
        {"_force": {"batch": 2}},
        {"_force": {"batch": B}},
        {"_force": {"units": 2}},
        {"_force": {"tile_rows": 1}},
    ],
    ids=["2 threads", "3 threads", "split batch", "a row a part", "split units", "low tiles"],
)
@pytest.mark.parametrize("kind", ["uniform", "falling", "mostly empty"])
def test_lengths_on_several_workers_change_no_bit(cell: str, kind: str, options: dict[str, Any]) -> None:
    case = ragged_case(cell, LENGTHS[kind], 41).astype("float32")
    one, several = run_engine(case, threads=1), run_engine(case, **options)
    assert_same_bits(several.outputs, one.outputs)
    assert_same_bits(several.gradients, one.gradients)


def test_the_order_of_the_rows_does_not_matter(cell: str, dtype: str) -> None:
    """Sorted or not, a row's results are the same; sums over rows take their terms in another order."""
    case = ragged_case(cell, LENGTHS["uniform"], 19).astype(dtype)
    order = np.argsort(-LENGTHS["uniform"], kind="stable")

    def sort(value: Any, axis: int = 0) -> Any:
        return np.take(value, order, axis)

    def each(state: Any, change: Callable[[Any], Any]) -> Any:
        parts = tuple(change(s) for s in states_of(state))
        return parts if len(parts) > 1 else parts[0]

    in_order = replace(
        case, x=sort(case.x, 1), dy=sort(case.dy, 1), state=each(case.state, sort), dstate=each(case.dstate, sort),
        keywords=case.keywords | {"lengths": sort(LENGTHS["uniform"])},
    )  # fmt: skip
    plain, in_order_results = run_engine(case).of_rows, run_engine(in_order).of_rows
    for what, array in plain.items():
        np.testing.assert_array_equal(in_order_results[what], sort(array, array.ndim - 2), err_msg=what)


def test_both_directions_end_where_rows_end(cell: str, dtype: str) -> None:
    case = ragged_case(cell, LENGTHS["uniform"], 19).astype(dtype)
    weights, lengths = (case.W_x, case.W_h, case.b), LENGTHS["uniform"]
    (y_f, y_b), _, tape = ops.forward_both(cell, case.x, weights, weights, lengths=lengths, tape=True)
    both = ops.backward_both(tape, (case.dy, case.dy))
    for y, gradients, reverse in zip((y_f, y_b), both, (False, True), strict=True):
        y_one, _, tape = ops.forward(cell, case.x, *weights, lengths=lengths, reverse=reverse, tape=True)
        one = ops.backward(tape, case.dy)
        np.testing.assert_array_equal(y, y_one)
        for name in ("x", "W_x", "W_h", "b"):
            np.testing.assert_array_equal(getattr(gradients, name), getattr(one, name), err_msg=name)
