"""Products of bf16: the arithmetic against the machine's own instruction, against float32, and what is refused.

That the engine with bf16 equals a reference that rounds alike, and keeps the promises of bits, is tested where float32
and float64 are, in test_engine_*.py and test_promises_*.py.
"""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.api import arrays, assert_equal, random
from helpers.bf16 import bf16_bits, floats_of
from helpers.cases import Dims, make_case
from helpers.engine import CELLS, TABLES_OF, assert_same_bits, case_and_reference, lanes, run_engine
from helpers.tolerances import BF16_EPS, assert_close

from pyrnn import _engine, ops
from pyrnn.layers import GRU, LSTM, Bidirectional, Input, SimpleRNN
from pyrnn.models import Sequential, load_model

TABLES = TABLES_OF["bf16"]
PLAIN = frozenset("bias state dstate".split())
N = 1 << 18


def any_bits(rng: np.random.Generator, n: int) -> Any:
    """Floats of all kinds: every exponent, denormals, infinities and NaN."""
    return rng.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32).view(np.float32)


def near(rng: np.random.Generator, n: int, low: int, high: int) -> Any:
    """Floats whose biased exponents lie in low .. high - 1; 0 is a denormal."""
    bits = rng.integers(0, 2, n) << 31 | rng.integers(low, high, n) << 23 | rng.integers(0, 1 << 23, n)
    return bits.astype(np.uint32).view(np.float32)


def special(rng: np.random.Generator, n: int) -> Any:
    values = np.array([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-40, -1e-40, 3e38], np.float32)
    return rng.choice(values, n)


# a, b and the sum: of any kind, of a usual kind, around the smallest and the largest numbers, and special ones.
OPERANDS = {
    "any": (any_bits, any_bits, any_bits),
    "usual": (lambda r, n: near(r, n, 110, 135),) * 3,
    "small products": (lambda r, n: near(r, n, 55, 70), lambda r, n: near(r, n, 55, 70), lambda r, n: near(r, n, 0, 8)),
    "denormals": (lambda r, n: near(r, n, 0, 3), lambda r, n: near(r, n, 120, 254), lambda r, n: near(r, n, 0, 3)),
    "large": (lambda r, n: near(r, n, 185, 192), lambda r, n: near(r, n, 185, 192), lambda r, n: near(r, n, 245, 255)),
    "special": (special, special, special),
}


def operands(kind: str) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(len(kind))
    a, b, sums = OPERANDS[kind]
    return bf16_bits(a(rng, 2 * N)), bf16_bits(b(rng, 2 * N)), sums(rng, N)


def assert_same_numbers(actual: Any, expected: Any) -> None:
    """To the bit, but any NaN for a NaN."""
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])


@pytest.mark.skipif("avx512bf16" not in TABLES, reason="needs a machine with vdpbf16ps")
@pytest.mark.parametrize("table", [name for name in TABLES if name != "avx512bf16"])
@pytest.mark.parametrize("kind", OPERANDS)
def test_the_emulation_equals_the_instruction(table: str, kind: str) -> None:
    a, b, sums = operands(kind)
    assert_same_numbers(_engine._dot_bf16(a, b, sums, table), _engine._dot_bf16(a, b, sums, "avx512bf16"))


@pytest.mark.parametrize("table", TABLES)
def test_a_dot_product_is_two_fmas_odd_elements_first(table: str) -> None:
    """In double a product is exact, and rounding a sum twice, to double and then to float, changes nothing."""
    a, b, sums = operands("usual")
    products = floats_of(a).astype(np.float64) * floats_of(b)
    expected = (products[1::2] + sums).astype(np.float32)
    expected = (products[::2] + expected).astype(np.float32)
    assert_same_numbers(_engine._dot_bf16(a, b, sums, table), expected)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "numbers", [any_bits, special, lambda r, n: near(r, n, 0, 3), lambda r, n: near(r, n, 253, 256)]
)
def test_rounding_is_to_nearest_even_and_keeps_nan(table: str, numbers: Any) -> None:
    x = numbers(np.random.default_rng(7), N)
    x[: N // 4].view(np.uint32)[:] = x[: N // 4].view(np.uint32) & 0xFFFF0000 | 0x8000  # ties
    actual = _engine._round_bf16(x, table)
    np.testing.assert_array_equal(actual, bf16_bits(x))
    np.testing.assert_array_equal(np.isnan(floats_of(actual)), np.isnan(x))


def test_all_tables_compute_the_same_sums() -> None:
    """Vectors of other widths, but the same chains of dot products; relu has no errors of its own."""
    case = make_case(CELLS["rnn_relu"], Dims(5, 7, 9, 37), PLAIN).astype("bf16")
    results = [run_engine(case, _force={"isa": isa}) for isa in TABLES]
    for result in results[1:]:
        assert_same_bits(result.outputs, results[0].outputs)
        assert_same_bits(result.gradients, results[0].gradients)


@pytest.mark.parametrize("table", TABLES)
def test_one_step_from_given_numbers_is_as_exact_as_float32(cell: str, table: str) -> None:
    """All that is rounded is an argument, so both sides round the same numbers."""
    dims = Dims(1, 5, 2 * lanes(table, "bf16") + 1, 2 * lanes(table, "bf16") + 3)
    case, expected = case_and_reference(cell, dims, PLAIN | {"x_scale", "h_scale"}, "bf16")
    single = case.astype("bf16")
    y, _, _ = ops.forward(cell, *single.forward, **single.keywords, _force={"isa": table})
    if len(CELLS[cell]["gates"]) == 3 and CELLS[cell]["bias_rows"] == 1:  # r * h is computed, then rounded
        assert_close(y, expected.outputs["y"], what="y", dtype="bf16", terms=dims.D + dims.H, steps=1)
    else:
        assert_close(y, expected.outputs["y"], what="y", dtype="float32", terms=dims.D + dims.H, steps=1)


@pytest.mark.parametrize("table", TABLES)
def test_results_are_near_those_of_float32(cell: str, table: str) -> None:
    """A product of two roundings is off by BF16_EPS of itself at most; in a sum of random signs they partly cancel."""
    dims = Dims(6, 9, 21, 35)
    case = make_case(CELLS[cell], dims, PLAIN)
    exact, actual = run_engine(case.astype("float64")), run_engine(case.astype("bf16"), _force={"isa": table})
    assert _engine.last_report()["precision"] == "bf16"
    for what, array in (exact.outputs | exact.gradients).items():
        difference = np.abs((actual.outputs | actual.gradients)[what] - array).max()
        largest = max(1.0, np.abs(array).max())
        assert difference <= BF16_EPS * (dims.T + 1) * largest, what
        assert difference > np.finfo(np.float32).eps * largest, f"{what}: nothing was rounded"


def test_weights_say_their_precision(cell: str) -> None:
    x, given = random(6, 5, 7), arrays(cell)
    weights = ops.Weights(cell, *given, precision="bf16")
    assert (weights.precision, weights.dtype) == ("bf16", np.float32)
    assert ops.Weights(cell, *given).precision is None
    y, state, tape = ops.forward(cell, x, weights, tape=True)
    report = _engine.last_report()
    assert (report["precision"], report["dtype"], report["isa"]) == ("bf16", "float32", next(iter(TABLES)))
    gradients = ops.backward(tape, y)
    assert _engine.last_report()["precision"] == "bf16"
    expected, expected_state, tape = ops.forward(cell, x, *given, precision="bf16", tape=True)
    assert_equal(y, expected)
    assert_equal(state, expected_state)
    assert_equal(gradients.W_h, ops.backward(tape, y).W_h)
    for copied in (copy.deepcopy(weights), pickle.loads(pickle.dumps(weights))):
        assert copied.precision == "bf16"
        assert_equal(ops.forward(cell, x, copied)[0], y)


def test_masters_are_float32_and_steps_show_at_once(cell: str) -> None:
    x, given = random(6, 5, 7), arrays(cell)
    weights = ops.Weights(cell, *given, precision="bf16")
    for part, array in zip((weights.W_x, weights.W_h, weights.b), given, strict=True):
        assert_equal(part, array)  # not rounded
    stream = ops.Stream(weights, 5)
    stream.step(x[0])
    weights.flat[:] *= np.float32(0.5)
    weights.touch()
    expected, _, _ = ops.forward(cell, x, *(array * np.float32(0.5) for array in given), precision="bf16")
    assert_equal(ops.forward(cell, x, weights)[0], expected)
    stream.reset()
    assert_equal(np.stack([stream.step(x_t) for x_t in x]), expected)


@pytest.mark.parametrize("rows", [[2], None])
def test_a_stream_whose_state_is_changed_goes_on_from_there(cell: str, rows: Any) -> None:
    x, given = random(6, 3, 7), arrays(cell)
    stream = ops.pack(cell, *given, precision="bf16").stream(3)
    for x_t in x[:3]:
        stream.step(x_t)
    stream.reset(rows)
    state = stream.state
    y, _, _ = ops.forward(cell, x[3:], *given, state, precision="bf16")
    assert_equal(np.stack([stream.step(x_t) for x_t in x[3:]]), y)


def test_what_is_refused() -> None:
    x, W_x, W_h = (np.ones(shape, np.float32) for shape in [(3, 2, 4), (4, 20), (5, 20)])
    for wrong in ("float16", "BF16", 16, True, "float32"):
        with pytest.raises(ValueError, match=r"^precision: expected None or 'bf16', got "):
            ops.forward("lstm", x, W_x, W_h, precision=wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^precision: expected None or 'bf16', got "):
            ops.pack("lstm", W_x, W_h, precision=wrong)  # type: ignore[arg-type]
    doubles = [array.astype(np.float64) for array in (x, W_x, W_h)]
    with pytest.raises(TypeError, match=r"^x: expected float32, as precision='bf16' has sums of float32, got "):
        ops.forward("lstm", *doubles, precision="bf16")
    with pytest.raises(TypeError, match=r"^W_x: expected float32, as precision='bf16' has sums of float32, got "):
        ops.Weights("lstm", *doubles[1:], precision="bf16")
    full, half = ops.Weights("lstm", W_x, W_h), ops.Weights("lstm", W_x, W_h, precision="bf16")
    with pytest.raises(ValueError, match=r"^precision: expected None, as the weights say it, got 'bf16'"):
        ops.forward("lstm", x, full, precision="bf16")
    with pytest.raises(
        ValueError, match=r"^backward_weights: expected weights packed for \w+ and float32, got \w+ and bf16"
    ):
        ops.forward_both("lstm", x, full, half)
    with pytest.raises(ValueError, match=r"^_force: expected one of "):
        ops.forward("lstm", x, W_x, W_h, _force={"isa": "avx512bf16"})


@pytest.mark.parametrize("layer", [LSTM, GRU, SimpleRNN])
def test_layers_train_float32_weights(layer: Any, tmp_path: Path) -> None:
    x = random(16, 6, 5)
    model = Sequential(
        [Input((6, 5)), layer(19, precision="bf16", return_sequences=True), Bidirectional(layer(8, precision="bf16"))]
    )
    model.compile(loss="mse", optimizer="adam")
    target = np.zeros((16, 16), np.float32)
    first, last = (model.fit(x, target, epochs=n, verbose=0).history["loss"][-1] for n in (1, 20))
    assert _engine.last_report()["dtype"] == "float32"
    assert last < first
    assert all(array.dtype == np.float32 for array in model.get_weights())
    model.save(tmp_path / "model.pyrnn")
    again = load_model(tmp_path / "model.pyrnn")
    assert_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [again.layers[-2].precision, again.layers[-1].forward_layer.precision] == ["bf16", "bf16"]


def test_what_layers_refuse() -> None:
    with pytest.raises(ValueError, match=r"^LSTM: precision: expected None or 'bf16', got 'fp16'$"):
        LSTM(3, precision="fp16")
    with pytest.raises(TypeError, match=r"^GRU: precision: expected None with dtype float64, got 'bf16'"):
        GRU(3, precision="bf16", dtype="float64")
