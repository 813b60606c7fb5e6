"""Promise "Numbers": exact gradients, NaN in gives NaN out, infinities saturate, denormals flush inside only."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.bf16 import with_rounded_products
from helpers.cases import Dims, dtype_of, make_case, states_of
from helpers.engine import (
    CELLS,
    PRECISIONS,
    assert_results_close,
    assert_same_bits,
    case_and_reference,
    lanes,
    run_engine,
)

from pyrnn import ops, reference

RUNS_IN = PRECISIONS  # read by conftest.py
PLAIN = frozenset("bias state dstate".split())
EVERYTHING = PLAIN | frozenset("dstates lengths mask hold resets x_scale h_scale zoneout".split())


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_gradients_are_exact_over_long_sequences(cell: str, reverse: bool) -> None:
    features = EVERYTHING | {"reverse"} if reverse else EVERYTHING
    case, expected = case_and_reference(cell, Dims(200, 4, 3, 6), features)
    actual = run_engine(case)
    assert_results_close(actual.outputs, expected.outputs, case, "float64")
    assert_results_close(actual.gradients, expected.gradients, case, "float64")


def test_nan_in_x_gives_nan_out_from_there_on(cell: str, isa: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(5, 3, 4, lanes(isa, dtype) + 1)).astype(dtype)
    clean = run_engine(case, _force={"isa": isa})
    x = case.x.copy()
    x[2, 1, 3] = np.nan
    result = run_engine(replace(case, x=x), _force={"isa": isa})
    y = result.outputs["y"]
    assert np.isnan(y[2:, 1]).all()
    np.testing.assert_array_equal(y[:2], clean.outputs["y"][:2])
    np.testing.assert_array_equal(y[:, [0, 2]], clean.outputs["y"][:, [0, 2]])
    for name in states_names(cell):
        assert np.isnan(result.outputs[f"state {name}"][1]).all()
    for name in ("dW_x", "dW_h", "db"):
        assert np.isnan(result.gradients[name]).any(), name


def states_names(cell: str) -> list[str]:
    return list(CELLS[cell]["states"])


@pytest.mark.parametrize("argument", ["W_x", "W_h", "b", "state"])
def test_nan_in_parameters_or_state_gives_nan_out(cell: str, isa: str, dtype: str, argument: str) -> None:
    case = make_case(CELLS[cell], Dims(3, 2, 4, lanes(isa, dtype) + 1)).astype(dtype)
    if argument == "state":
        poisoned: Any = tuple(np.full_like(s, np.nan) for s in states_of(case.state))
        poisoned = poisoned if len(poisoned) > 1 else poisoned[0]
    else:
        poisoned = getattr(case, argument).copy()
        poisoned[..., 0] = np.nan
    result = run_engine(replace(case, **{argument: poisoned}), _force={"isa": isa})
    y = result.outputs["y"]
    assert np.isnan(y[:, :, 0]).all()  # unit 0 at once,
    assert np.isnan(y[1:]).all()  # the others through it


def test_nan_in_dy_gives_nan_gradients(cell: str, isa: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(4, 3, 5, lanes(isa, dtype) + 1)).astype(dtype)
    if cell == "rnn_relu":  # where relu is flat nothing flows: keep every unit on its slope
        case = replace(case, W_x=np.abs(case.W_x), W_h=np.abs(case.W_h), b=np.abs(case.b) + 1, x=np.abs(case.x))
        case = replace(case, state=np.abs(case.state))
    dy = case.dy.copy()
    dy[2, 1] = np.nan
    gradients = run_engine(replace(case, dy=dy), _force={"isa": isa}).gradients
    assert np.isnan(gradients["dx"][:3, 1]).all()
    assert np.isfinite(gradients["dx"][3]).all()
    assert np.isfinite(gradients["dx"][:, [0, 2]]).all()
    for name in states_names(cell):
        assert np.isnan(gradients[f"dstate {name}"][1]).all()
    assert np.isnan(gradients["db"]).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, -1e30], ids=["inf", "-inf", "1e30", "-1e30"])
def test_infinities_saturate(cell: str, isa: str, dtype: str, value: float) -> None:
    case = make_case(CELLS[cell], Dims(1, 2, 1, 2 * lanes(isa, dtype) + 1), PLAIN).astype(dtype)
    case = replace(case, x=np.full_like(case.x, value))
    y, state, _ = ops.forward(cell, *case.forward, **case.keywords, _force={"isa": isa})
    exact = case.astype("float64")
    exact = with_rounded_products(exact) if dtype == "bf16" else exact
    with np.errstate(invalid="ignore", over="ignore"):  # NumPy's product warns of infinities
        y_expected, expected, _ = reference.forward(reference.CELLS[cell], *exact.forward)
    assert not np.isnan(y).any()
    np.testing.assert_allclose(y, y_expected, rtol=1e-5, atol=1e-6)
    for s, s_expected in zip(states_of(state), states_of(expected), strict=True):
        np.testing.assert_allclose(s, s_expected, rtol=1e-5, atol=1e-6)


def tiny(dtype: str) -> float:
    """A denormal number."""
    return float(np.finfo(dtype).smallest_subnormal) * 1000


@pytest.mark.parametrize("force", [{}, {"batch": 2}], ids=["caller", "workers"])
def test_denormals_are_flushed_inside(isa: str, dtype: str, force: dict[str, int]) -> None:
    precision, dtype = "bf16" if dtype == "bf16" else None, dtype_of(dtype)
    x = np.full((2, 4, 1), tiny(dtype), dtype)
    one, zero = np.ones((1, 1), dtype), np.zeros((1, 1), dtype)
    y, _, _ = ops.forward("rnn_relu", x, one, zero, precision=precision, _force={"isa": isa, **force})
    np.testing.assert_array_equal(y, np.zeros_like(y))  # a denormal input counts as 0
    small = np.full_like(x, np.finfo(dtype).smallest_normal)
    y, _, _ = ops.forward("rnn_relu", small, one / 2, zero, precision=precision, _force={"isa": isa, **force})
    np.testing.assert_array_equal(y, np.zeros_like(y))  # so does a result


def test_denormals_of_the_caller_survive_a_call(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(6, 4, 3, 9)).astype(dtype)
    denormal = np.full(64, tiny(dtype_of(dtype)), dtype_of(dtype))
    before = denormal / 2
    assert (before > 0).all()
    run_engine(case, threads=2)
    np.testing.assert_array_equal(denormal / 2, before)
    with pytest.raises(ValueError):
        ops.forward(cell, case.x[..., :1], *case.forward[1:])
    np.testing.assert_array_equal(denormal / 2, before)


X86_LINUX = sys.platform.startswith("linux") and platform.machine() == "x86_64"


@contextmanager
def rounding(mode: int) -> Iterator[Any]:
    """C's fesetround for a while. 0x400 is down, 0x800 up on x86."""
    libm = ctypes.CDLL("libm.so.6")
    kept = libm.fegetround()
    assert libm.fesetround(mode) == 0
    try:
        yield libm
    finally:
        libm.fesetround(kept)


@pytest.mark.skipif(not X86_LINUX, reason="the numbers of the rounding modes are those of x86-64 Linux")
@pytest.mark.parametrize("mode", [0x400, 0x800], ids=["down", "up"])
def test_the_callers_floating_point_mode_is_restored(cell: str, mode: int) -> None:
    case = make_case(CELLS[cell], Dims(6, 4, 3, 9))
    with rounding(mode) as libm:
        run_engine(case, threads=2)
        assert libm.fegetround() == mode


def test_masked_and_padded_steps_are_never_read(cell: str, isa: str, dtype: str) -> None:
    features = PLAIN | {"lengths", "mask"}
    case = make_case(CELLS[cell], Dims(6, 5, 4, lanes(isa, dtype) + 1), features).astype(dtype)
    idle = (np.arange(6)[:, None] >= case.keywords["lengths"]) | ~case.keywords["mask"]
    x, dy = case.x.copy(), case.dy.copy()
    x[idle], dy[idle] = np.nan, np.nan
    actual, expected = run_engine(replace(case, x=x, dy=dy), _force={"isa": isa}), run_engine(case, _force={"isa": isa})
    assert_same_bits(actual.outputs, expected.outputs)
    assert_same_bits(actual.gradients, expected.gradients)
    assert not actual.gradients["dx"][idle].any()
