"""The engine's gradients against the reference: every cell, kernel table, float type, keyword and awkward size."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.cases import VARIANTS, Dims, make_case
from helpers.engine import (
    CELLS,
    PRECISIONS,
    assert_results_close,
    case_and_reference,
    lanes,
    named_gradients,
    run_engine,
    run_reference,
)
from helpers.grid import ODD_DIMS, draw_call
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrnn import _engine, ops

RUNS_IN = PRECISIONS  # read by conftest.py


@pytest.mark.parametrize("size", ODD_DIMS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_equal_reference(cell: str, isa: str, dtype: str, variant: str, size: str) -> None:
    dims = ODD_DIMS[size](lanes(isa, dtype))
    case, expected = case_and_reference(cell, dims, VARIANTS[variant], dtype)
    actual = run_engine(case.astype(dtype), _force={"isa": isa})
    assert _engine.last_report()["isa"] == isa
    assert_results_close(actual.gradients, expected.gradients, case, dtype)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(data=st.data())
def test_gradients_equal_reference_on_any_shape(cell: str, data: st.DataObject) -> None:
    case, dtype, options = draw_call(data, cell, seed=3)
    actual = run_engine(case.astype(dtype), **options)
    assert_results_close(actual.gradients, run_reference(case, dtype).gradients, case, dtype)


@pytest.mark.parametrize("given_gradient", ["dy only", "dstate only", "one entry of a dict", "nothing"])
def test_gradients_left_out_are_zeros(cell: str, given_gradient: str) -> None:
    case = make_case(CELLS[cell], Dims(4, 3, 5, 6), "bias state dstate dstates")
    last = CELLS[cell]["states"][-1]
    dy, dstate = {
        "dy only": (case.dy["y"], None),
        "dstate only": (None, case.dstate),
        "one entry of a dict": ({last: case.dy[last]}, None),
        "nothing": (None, None),
    }[given_gradient]
    from dataclasses import replace

    case = replace(case, dy=dy, dstate=dstate)
    assert_results_close(run_engine(case).gradients, run_reference(case).gradients, case, "float64")


def test_gradients_of_parameters_accumulate_into(cell: str, dtype: str) -> None:
    first = make_case(CELLS[cell], Dims(4, 3, 5, 6), seed=4).astype(dtype)
    second = make_case(CELLS[cell], Dims(6, 2, 5, 6), seed=5).astype(dtype)
    total = None
    for case in (first, second):
        _, _, tape = ops.forward(cell, *case.forward, **case.keywords, tape=True)
        total = ops.backward(tape, case.dy, case.dstate, into=total)
    expected = run_reference(second.astype("float64"), dtype).gradients
    for name, gradient in run_reference(first.astype("float64"), dtype).gradients.items():
        if name in ("dW_x", "dW_h", "db"):
            expected[name] = expected[name] + gradient
    assert_results_close(named_gradients(CELLS[cell], total, True), expected, second, dtype)


def test_without_need_dx_the_rest_is_the_same(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(5, 4, 3, 9)).astype(dtype)
    full = run_engine(case).gradients
    for name, gradient in run_engine(case, need_dx=False).gradients.items():
        np.testing.assert_array_equal(gradient, full[name], err_msg=name)
