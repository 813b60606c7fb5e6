"""Calls the engine with a case, and asks it what it has."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from pyrnn import _engine, ops, reference
from pyrnn.reference import CELLS as REFERENCE_CELLS

from .bf16 import with_rounded_products
from .cases import Case, Dims, Floats, dtype_of, make_case, states_of
from .tolerances import assert_close

CELLS: dict[str, dict[str, Any]] = {facts["name"]: facts for facts in _engine.cells()}
TABLES: dict[str, dict[str, Any]] = {table["isa"]: table for table in _engine.tables()}
DTYPES = ("float32", "float64")
PRECISIONS = (*DTYPES, "bf16")
TABLES_OF = {**dict.fromkeys(DTYPES, TABLES), "bf16": {table["isa"]: table for table in _engine.tables("bf16")}}


def lanes(isa: str, dtype: str) -> int:
    """Elements of a vector: the width around which sizes are odd."""
    return int(TABLES_OF[dtype][isa]["lanes"][dtype_of(dtype)])


def tile_rows(isa: str, dtype: str) -> int:
    """The largest height of a register tile."""
    return int(TABLES_OF[dtype][isa]["tile_rows"][dtype_of(dtype)])


class Result(NamedTuple):
    """Everything a forward and a backward call give, as arrays by name."""

    outputs: dict[str, Floats]
    gradients: dict[str, Floats]

    @property
    def of_rows(self) -> dict[str, Floats]:
        """What belongs to single rows of the batch: all but the parameters' gradients."""
        return self.outputs | {k: v for k, v in self.gradients.items() if k not in ("dW_x", "dW_h", "db")}


def named_states(prefix: str, facts: dict[str, Any], state: Any) -> dict[str, Floats]:
    return {f"{prefix}{name}": s for name, s in zip(facts["states"], states_of(state), strict=True)}


def named_gradients(facts: dict[str, Any], gradients: Any, with_bias: bool) -> dict[str, Floats]:
    named = {"dx": gradients.x, "dW_x": gradients.W_x, "dW_h": gradients.W_h}
    if with_bias:
        named["db"] = gradients.b
    return named | named_states("dstate ", facts, gradients.state)


def run_engine(case: Case, *, need_dx: bool = True, **options: Any) -> Result:
    """Forward with a tape, then backward. options go to both calls: `threads`, `_force`."""
    facts = CELLS[case.cell]
    y, state, tape = ops.forward(case.cell, *case.forward, **case.keywords, tape=True, **options)
    gradients = ops.backward(tape, case.dy, case.dstate, need_dx=need_dx, **options)
    named = named_gradients(facts, gradients, case.b is not None)
    if not need_dx:
        assert named.pop("dx") is None
    return Result({"y": y, **named_states("state ", facts, state)}, named)


def run_reference(case: Case, dtype: str = "float64") -> Result:
    """In float64; for "bf16" it rounds what it multiplies."""
    case = with_rounded_products(case) if dtype == "bf16" else case
    facts = CELLS[case.cell]
    y, state, tape = reference.forward(REFERENCE_CELLS[case.cell], *case.forward, **case.keywords)
    gradients = reference.backward(tape, case.dy, case.dstate)
    outputs = {"y": y, **named_states("state ", facts, state)}
    named = named_gradients(facts, gradients, case.b is not None)
    return Result(*({name: np.asarray(a) for name, a in part.items()} for part in (outputs, named)))


def case_and_reference(cell: str, dims: Dims, features: frozenset[str], dtype: str = "float64") -> tuple[Case, Result]:
    """A float64 case and what the reference for that dtype makes of it; computed once for all kernel tables."""
    return _case_and_reference(cell, dims, features, "bf16" if dtype == "bf16" else "float64")


@cache
def _case_and_reference(cell: str, dims: Dims, features: frozenset[str], dtype: str) -> tuple[Case, Result]:
    case = make_case(CELLS[cell], dims, features)
    return case, run_reference(case, dtype)


def assert_results_close(actual: dict[str, Floats], expected: dict[str, Floats], case: Case, dtype: str) -> None:
    """Every array within the tolerance of its dtype and sizes, and of that dtype."""
    T, B, D, H = case.dims
    columns = case.W_x.shape[1]
    terms = {"dx": columns, "dW_x": T * B, "dW_h": T * B, "db": T * B}
    assert actual.keys() == expected.keys()
    for what, array in expected.items():
        assert actual[what].dtype == dtype_of(dtype), what
        n = terms.get(what, D + H if what in ("y", "state h", "state c") else H + columns)
        assert_close(actual[what], array, what=what, dtype=dtype, terms=n, steps=T)


def assert_same_bits(actual: dict[str, Floats], expected: dict[str, Floats]) -> None:
    """Equal element by element and sign by sign; NaN equals NaN."""
    assert actual.keys() == expected.keys()
    for what, array in expected.items():
        np.testing.assert_array_equal(actual[what], array, err_msg=what, strict=True)
        np.testing.assert_array_equal(np.signbit(actual[what]), np.signbit(array), err_msg=f"signs of {what}")
