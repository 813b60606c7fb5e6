"""exp, tanh, sigmoid and log of every kernel table, held to the bounds that csrc/simd/math.hpp states."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
import numpy.typing as npt
import pytest

from pyrnn import _engine

Floats = npt.NDArray[Any]

HEADER = Path(__file__).parents[1] / "csrc" / "simd" / "math.hpp"
ROW = re.compile(r"^//   (\w+) +(\d+\.\d+) +(\d+\.\d+) +(\S+) +(\S+)$", re.MULTILINE)
MANTISSAS = {"float32": 23, "float64": 4}  # points in a binade besides its power of two
EXACT = {
    "exp": mpmath.exp,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "log": mpmath.log,
}


class Bound(NamedTuple):
    max_ulp: dict[str, float]
    begin: str
    end: str


BOUNDS = {
    name: Bound({"float32": float(single), "float64": float(double)}, begin, end)
    for name, single, double, begin, end in ROW.findall(HEADER.read_text(encoding="utf-8"))
}


@pytest.fixture(params=list(EXACT))
def function(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def limit(name: str, dtype: str) -> mpmath.mpf:
    """The number that the header calls `log(normal)`, `max`, `-inf`, ..."""
    info = np.finfo(dtype)
    known = {"normal": mpmath.mpf(float(info.tiny)), "max": mpmath.mpf(float(info.max))}
    if name.startswith("log("):
        return mpmath.log(known[name[4:-1]])
    return known[name] if name in known else mpmath.mpf(name)


def arguments(dtype: str) -> Floats:
    """Points in every binade of normal numbers, more where the functions move, and the ends; of both signs."""
    info = np.finfo(dtype)
    random = np.random.default_rng(7)
    exponents = np.arange(info.minexp, info.maxexp)
    mantissas = np.concatenate([[1.0], random.uniform(1, 2, MANTISSAS[dtype])])
    binades = np.ldexp(mantissas[:, None], exponents).ravel()
    widest = float(np.log(float(info.max))) * 1.01
    dense = [random.uniform(0, width, 1500) for width in (0.3, 1, 4, widest)]
    ends = np.array([np.log(float(info.tiny)), np.log(float(info.max)), 1.0, float(info.tiny), float(info.max)], dtype)
    near_ends = [ends, np.nextafter(ends, 0), np.nextafter(ends, np.sign(ends) * info.max)]
    near_one = random.uniform(0.7, 1.5, 1500)
    x = np.concatenate([binades, *dense, near_one, *near_ends]).astype(dtype)
    x = x[np.abs(x) >= info.tiny]
    return np.unique(np.concatenate([x, -x]))


class Exact(NamedTuple):
    """Values as a sum of two: the nearest of the dtype, and what is left, in units of the last place."""

    x: Floats
    nearest: Floats
    rest_ulp: Floats


@cache
def exact_values(function: str, dtype: str) -> Exact:
    """The function's values where its bound holds."""
    with mpmath.workprec(120):
        begin, end = (limit(name, dtype) for name in BOUNDS[function][1:])
        x = np.array([a for a in arguments(dtype) if begin <= mpmath.mpf(float(a)) <= end], dtype)
        values = [EXACT[function](mpmath.mpf(float(a))) for a in x]
        nearest = np.array([float(value) for value in values]).astype(dtype)
        units = np.spacing(np.abs(nearest))
        rest = [float((v - float(n)) / float(u)) for v, n, u in zip(values, nearest, units, strict=True)]
        return Exact(x, nearest, np.array(rest))


def errors_ulp(y: Floats, exact: Exact) -> Floats:
    assert y.dtype == exact.nearest.dtype
    steps = (y.astype(np.float64) - exact.nearest.astype(np.float64)) / np.spacing(np.abs(exact.nearest))
    return np.abs(steps - exact.rest_ulp)


def test_the_header_states_a_bound_for_every_function() -> None:
    assert list(BOUNDS) == list(EXACT)


def test_an_error_of_one_unit_in_the_last_place_is_seen(function: str, dtype: str) -> None:
    exact = exact_values(function, dtype)
    away = np.nextafter(exact.nearest, np.where(exact.rest_ulp < 0, np.inf, -np.inf).astype(dtype))
    seen = errors_ulp(away, exact)
    power_of_two = np.frexp(np.abs(exact.nearest))[0] == 0.5  # half a unit from its lower neighbour
    assert seen[power_of_two].min(initial=0.5) >= 0.5
    assert seen[~power_of_two & np.isfinite(away)].min() >= 1


def test_errors_stay_within_the_stated_bound(function: str, isa: str, dtype: str) -> None:
    exact = exact_values(function, dtype)
    assert len(exact.x) > 3000
    errors = errors_ulp(_engine._unary(function, exact.x, isa=isa), exact)
    worst = int(np.argmax(errors))
    assert errors[worst] <= BOUNDS[function].max_ulp[dtype], f"{errors[worst]:.2f} ulp at x = {exact.x[worst]!r}"


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", [0.0, -0.0, np.inf, -np.inf, 1e30, -1e30], [1, 1, np.inf, 0, np.inf, 0]),
        ("tanh", [np.inf, -np.inf, 1e30, -1e30, 40, -40], [1, -1, 1, -1, 1, -1]),
        ("sigmoid", [0.0, -0.0, np.inf, -np.inf, 1e30, -1e30, 50], [0.5, 0.5, 1, 0, 1, 0, 1]),
        ("log", [0.0, -0.0, 1.0, np.inf, -np.inf, -1.0], [-np.inf, -np.inf, 0, np.inf, np.nan, np.nan]),
    ],
    ids=["exp", "tanh", "sigmoid", "log"],
)
def test_saturation_is_exact(name: str, x: list[float], expected: list[float], isa: str, dtype: str) -> None:
    largest = np.finfo(dtype).max
    if name != "log":
        x, expected = [*x, largest, -largest], [*expected, expected[x.index(np.inf)], expected[x.index(-np.inf)]]
    np.testing.assert_array_equal(_engine._unary(name, np.array(x, dtype), isa=isa), np.array(expected, dtype))


def test_NaN_gives_NaN_in_its_own_lane_only(function: str, isa: str, dtype: str) -> None:
    x = np.linspace(0.25, 2, 64).astype(dtype)
    with_nan = x.copy()
    with_nan[5::7] = np.nan
    with_nan[12] = -np.float64(np.nan)
    got = _engine._unary(function, with_nan, isa=isa)
    assert np.isnan(got[5::7]).all()
    others = ~np.isnan(with_nan)
    np.testing.assert_array_equal(got[others], _engine._unary(function, x, isa=isa)[others])


def test_tails_have_the_bits_of_whole_vectors(function: str, isa: str, dtype: str) -> None:
    x = np.linspace(0.1, 3, 64).astype(dtype)
    whole = _engine._unary(function, x, isa=isa)
    for n in range(35):
        np.testing.assert_array_equal(_engine._unary(function, x[:n], isa=isa), whole[:n])


def test_tanh_is_odd_within_one_and_the_identity_near_zero(isa: str, dtype: str) -> None:
    x = arguments(dtype)
    y = _engine._unary("tanh", x, isa=isa)
    np.testing.assert_array_equal(_engine._unary("tanh", -x, isa=isa), -y)
    assert np.abs(y).max() == 1
    small = np.abs(x) < np.sqrt(np.finfo(dtype).eps) / 4
    np.testing.assert_array_equal(y[small], x[small])
    zeros = _engine._unary("tanh", np.array([0.0, -0.0], dtype), isa=isa)
    assert (zeros == 0).all()
    assert np.signbit(zeros).tolist() == [False, True]


def test_sigmoid_stays_between_zero_and_one(isa: str, dtype: str) -> None:
    y = _engine._unary("sigmoid", arguments(dtype), isa=isa)
    assert (y.min(), y.max()) == (0, 1)
