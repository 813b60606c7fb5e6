"""The engine's forward against the reference: every cell, kernel table, float type, keyword and awkward size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.bf16 import with_rounded_products
from helpers.cases import VARIANTS, Dims, make_case
from helpers.engine import (
    CELLS,
    PRECISIONS,
    assert_results_close,
    case_and_reference,
    lanes,
    named_states,
    run_reference,
)
from helpers.grid import ODD_DIMS, draw_call
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrnn import _engine, ops
from pyrnn.reference import CELLS as REFERENCE_CELLS

RUNS_IN = PRECISIONS  # read by conftest.py


def forward(case: Any, **options: Any) -> dict[str, Any]:
    y, state, tape = ops.forward(case.cell, *case.forward, **case.keywords, **options)
    assert tape is None
    return {"y": y, **named_states("state ", CELLS[case.cell], state)}


def test_the_reference_knows_the_same_cells_by_the_same_facts() -> None:
    assert CELLS.keys() == REFERENCE_CELLS.keys()
    for name, facts in CELLS.items():
        cell = REFERENCE_CELLS[name]
        assert tuple(facts["gates"]) == cell.gates
        assert tuple(facts["states"]) == cell.states
        assert set(facts["slots"]) == set(cell.slots)
        assert facts["bias_rows"] == cell.bias_rows


@pytest.mark.parametrize("size", ODD_DIMS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_forward_equals_reference(cell: str, isa: str, dtype: str, variant: str, size: str) -> None:
    dims = ODD_DIMS[size](lanes(isa, dtype))
    case, expected = case_and_reference(cell, dims, VARIANTS[variant], dtype)
    actual = forward(case.astype(dtype), _force={"isa": isa})
    assert _engine.last_report()["isa"] == isa
    assert_results_close(actual, expected.outputs, case, dtype)


@pytest.mark.parametrize("variant", ["plain", "all_hold_reverse"])
def test_tape_shows_states_and_gates_by_time(cell: str, isa: str, dtype: str, variant: str) -> None:
    from pyrnn import reference

    case = make_case(CELLS[cell], Dims(5, 3, 4, lanes(isa, dtype) + 1), VARIANTS[variant])
    alike = with_rounded_products(case) if dtype == "bf16" else case
    _, _, expected = reference.forward(REFERENCE_CELLS[cell], *alike.forward, **alike.keywords)
    typed = case.astype(dtype)
    _, _, tape = ops.forward(cell, *typed.forward, **typed.keywords, tape=True, _force={"isa": isa})
    live = np.ones((5, 3), dtype=bool)
    if "lengths" in case.keywords:
        live = (np.arange(5)[:, None] < case.keywords["lengths"]) & case.keywords["mask"]
    assert_results_close(dict(tape.states), expected.states, case, dtype)
    gates = {name: gate[live] for name, gate in tape.gates.items()}
    assert_results_close(gates, {name: gate[live] for name, gate in expected.gates.items()}, case, dtype)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_forward_equals_reference_on_any_shape(cell: str, data: st.DataObject) -> None:
    case, dtype, options = draw_call(data, cell, seed=2)
    actual = forward(case.astype(dtype), **options)
    assert_results_close(actual, run_reference(case, dtype).outputs, case, dtype)
