"""Sizes about 10 % off the round ones, all prime: the engine against float64, within the bound of the summed terms."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.cases import Dims
from helpers.engine import assert_results_close, case_and_reference, run_engine
from helpers.tolerances import tolerance

PLAIN = frozenset("bias state dstate".split())


@pytest.mark.parametrize("units", [113, 281, 461])
def test_units_ten_percent_off_equal_the_reference(cell: str, isa: str, dtype: str, units: int) -> None:
    case, expected = case_and_reference(cell, Dims(4, 7, 67, units), PLAIN)
    actual = run_engine(case.astype(dtype), _force={"isa": isa})
    assert_results_close(actual.outputs, expected.outputs, case, dtype)
    assert_results_close(actual.gradients, expected.gradients, case, dtype)


@pytest.mark.parametrize("dims", [Dims(211, 3, 31, 71), Dims(2, 131, 461, 29)], ids=str)
def test_sizes_ten_percent_off_equal_the_reference(cell: str, isa: str, dims: Dims) -> None:
    """Many steps; many rows and inputs. On two threads, as calls of this size are."""
    case, expected = case_and_reference(cell, dims, PLAIN)
    actual = run_engine(case.astype("float32"), threads=2, _force={"isa": isa})
    assert_results_close(actual.outputs, expected.outputs, case, "float32")
    assert_results_close(actual.gradients, expected.gradients, case, "float32")


@pytest.mark.parametrize("terms", [10, 100, 1000, 10_000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bound_is_about_rounding_errors(terms: int, dtype: str) -> None:
    """A chain of additions stays inside, but not by orders of magnitude; one term left out is outside."""
    products = np.random.default_rng(terms).normal(size=(terms, 500)).astype(dtype)
    exact = products.astype(np.longdouble).sum(axis=0)
    chained = np.add.accumulate(products)[-1]
    allowed = tolerance(dtype, terms=terms, steps=0) * float(np.abs(exact).max())
    worst = float(np.abs(chained - exact).max())
    assert allowed / 50 < worst < allowed / 2
    assert float(np.abs(chained - products[-1] - exact).max()) > 10 * allowed
