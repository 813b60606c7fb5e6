"""The functional API: every argument of the calls of `pyrnn.ops` does what its docstring says.

Numbers are checked against the reference elsewhere; here results are compared with those of simpler calls, to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.api import B, D, H, T, arrays, assert_equal, assert_gradients_equal, parts_of, random
from helpers.engine import CELLS

from pyrnn import _engine, ops

# ---- Shapes and layouts


def test_results_are_fresh_arrays_of_the_dtype(cell: str, dtype: str) -> None:
    x = random(T, B, D, dtype=dtype)
    y, state, tape = ops.forward(cell, x, *arrays(cell, dtype), tape=True)
    gradients = ops.backward(tape, y)
    for array in (y, *parts_of(state), gradients.x, gradients.W_x, gradients.W_h, gradients.b):
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.owndata
    assert isinstance(state, tuple) == (len(CELLS[cell]["states"]) > 1)
    assert [g.shape for g in parts_of(gradients.state)] == [(B, H)] * len(CELLS[cell]["states"])


def test_state_comes_back_in_the_form_it_was_given() -> None:
    x, h = random(T, B, D), random(B, H)
    _, plain, _ = ops.forward("gru", x, *arrays("gru"), h)
    _, (in_tuple,), tape = ops.forward("gru", x, *arrays("gru"), (h,), tape=True)
    assert_equal(in_tuple, plain)
    assert isinstance(ops.backward(tape, None, (h,)).state, tuple)


def test_batch_major_memory_stays_batch_major(cell: str) -> None:
    batch_major = random(B, T, D)
    x = batch_major.transpose(1, 0, 2)
    y, _, tape = ops.forward(cell, x, *arrays(cell), tape=True)
    dx = ops.backward(tape, y).x
    expected, _, tape = ops.forward(cell, x.copy(), *arrays(cell), tape=True)
    assert not _engine.last_report()["copied_inputs"]
    assert_equal(y, expected)
    assert_equal(dx, ops.backward(tape, expected).x)
    assert y.transpose(1, 0, 2).flags.c_contiguous
    assert dx.transpose(1, 0, 2).flags.c_contiguous


@pytest.mark.parametrize("layout", ["time_major", "batch_major", "window"])
def test_out_takes_y_in_its_own_layout(cell: str, layout: str) -> None:
    x = random(T, B, D)
    out = {
        "time_major": np.full((T, B, H), 7, np.float32),
        "batch_major": np.full((B, T, H), 7, np.float32).transpose(1, 0, 2),
        "window": np.full((T, B, 2 * H), 7, np.float32)[..., H:],
    }[layout]
    y, state, _ = ops.forward(cell, x, *arrays(cell), out=out)
    expected, expected_state, _ = ops.forward(cell, x, *arrays(cell))
    assert y is out
    assert_equal(out, expected)
    assert_equal(state, expected_state)
    if layout == "window":
        assert np.all(out.base[..., :H] == 7)


def test_out_of_a_long_call_is_written_at_its_end() -> None:
    """Long calls look for signals, so y waits in private memory: the result is the same."""
    x, (W_x, W_h, b) = random(4000, B, D), arrays("lstm")
    out = np.zeros((B, 4000, H), np.float32).transpose(1, 0, 2)
    ops.forward("lstm", x, W_x, W_h, b, out=out, threads=1)
    assert _engine.last_report()["chunks"] >= 1
    assert_equal(out, ops.forward("lstm", x, W_x, W_h, b)[0])


def test_without_sequences_there_is_only_the_final_state(cell: str) -> None:
    x = random(T, B, D)
    y, state, tape = ops.forward(cell, x, *arrays(cell), sequences=False, tape=True)
    assert y is None
    full, expected, full_tape = ops.forward(cell, x, *arrays(cell), tape=True)
    assert_equal(state, expected)
    assert_gradients_equal(ops.backward(tape, full), ops.backward(full_tape, full))
    assert ops.forward_both(cell, x, arrays(cell), arrays(cell), sequences=False)[0] is None


def test_lengths_may_be_a_list() -> None:
    lengths = [6, 0, 3, 6, 1]
    y, state, _ = ops.forward("gru", random(T, B, D), *arrays("gru"), lengths=lengths)
    expected, expected_state, _ = ops.forward("gru", random(T, B, D), *arrays("gru"), lengths=np.array(lengths))
    assert_equal((y, state), (expected, expected_state))


# ---- Tapes and gradients


def test_tape_shows_states_and_gates(cell: str, dtype: str) -> None:
    mask = random(T, B) > -0.6
    y, state, tape = ops.forward(cell, random(T, B, D, dtype=dtype), *arrays(cell, dtype), mask=mask, tape=True)
    assert list(tape.states) == list(CELLS[cell]["states"])
    assert list(tape.gates) == list(CELLS[cell]["slots"])
    assert_equal(np.where(mask[..., None], tape.states["h"], 0), y)
    assert_equal(tuple(s[-1] for s in tape.states.values()), parts_of(state))
    assert all(gate.shape == (T, B, H) and not gate[~mask].any() for gate in tape.gates.values())
    assert tape.nbytes >= sum(a.nbytes for a in (*tape.states.values(), *tape.gates.values()))
    if cell == "lstm":
        i, f, g, o = tape.gates.values()
        c = tape.states["c"]
        np.testing.assert_allclose(np.where(mask[0, :, None], i[0] * g[0], 0), c[0], rtol=1e-6)
        later = mask[1:]
        np.testing.assert_allclose((f[1:] * c[:-1] + i[1:] * g[1:])[later], c[1:][later], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose((o * np.tanh(c))[mask], y[mask], rtol=1e-4, atol=1e-6)


def test_states_of_a_reversed_tape_are_by_time(cell: str) -> None:
    y, _, tape = ops.forward(cell, random(T, B, D), *arrays(cell), reverse=True, tape=True)
    assert_equal(tape.states["h"], y)


def test_a_consumed_tape_says_so() -> None:
    _, _, tape = ops.forward("gru", random(T, B, D), *arrays("gru"), tape=True)
    assert not tape.consumed
    ops.backward(tape)
    assert tape.consumed
    for read in (lambda: tape.states, lambda: tape.gates):
        with pytest.raises(RuntimeError, match=r"^tape: .*consumed"):
            read()


@pytest.mark.parametrize("steps", [T, 2 * T, 1])
def test_a_consumed_tape_is_used_again_for_any_size(steps: int) -> None:
    _, _, tape = ops.forward("lstm", random(T, B, D), *arrays("lstm"), tape=True)
    ops.backward(tape)
    x = random(steps, B, D, dtype="float64")
    y, _, again = ops.forward("lstm", x, *arrays("lstm", "float64"), tape=tape)
    assert again is tape
    expected, _, fresh = ops.forward("lstm", x, *arrays("lstm", "float64"), tape=True)
    assert_equal(y, expected)
    assert_gradients_equal(ops.backward(tape, y), ops.backward(fresh, y))


def test_a_tape_keeps_its_x_alive() -> None:
    def record() -> tuple[Any, ops.Tape]:
        y, _, tape = ops.forward("gru", random(T, B, D), *arrays("gru"), tape=True)
        return y, tape

    y, tape = record()
    rubbish = [np.full((T, B, D), 1e30, np.float32) for _ in range(50)]
    gradients = ops.backward(tape, y)
    _, _, fresh = ops.forward("gru", random(T, B, D), *arrays("gru"), tape=True)
    assert_gradients_equal(gradients, ops.backward(fresh, y))
    assert rubbish


def test_dy_may_be_a_dict(cell: str) -> None:
    x, dy = random(T, B, D), random(T, B, H)

    def gradients(dy: Any, **keywords: Any) -> ops.Gradients:
        return ops.backward(ops.forward(cell, x, *arrays(cell), tape=True)[2], dy, **keywords)

    expected = gradients(dy)
    assert_gradients_equal(gradients({"y": dy}), expected)
    assert_gradients_equal(gradients({"h": dy}), expected)  # without a mask y is h
    assert_gradients_equal(gradients({"y": dy, "h": None}), expected)
    assert not gradients({}).W_x.any()
    last = np.zeros((T, B, H), np.float32)
    last[-1] = dy[-1]
    for name, dstate in zip(CELLS[cell]["states"], np.eye(len(CELLS[cell]["states"])), strict=True):
        final = tuple(dy[-1] if one else None for one in dstate)
        assert_gradients_equal(gradients({name: last}), gradients(None, dstate=final))


def test_need_dx_false_changes_nothing_else(cell: str) -> None:
    x = random(T, B, D)
    y, _, tape = ops.forward(cell, x, *arrays(cell), tape=True)
    _, _, other = ops.forward(cell, x, *arrays(cell), tape=True)
    gradients, without = ops.backward(tape, y), ops.backward(other, y, need_dx=False)
    assert without.x is None
    for name in ("W_x", "W_h", "b", "state"):
        assert_equal(getattr(without, name), getattr(gradients, name))


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_into_accumulates_parameters_and_replaces_the_rest(cell: str, dtype: str, packed: bool) -> None:
    given = (ops.Weights(cell, *arrays(cell, dtype)),) if packed else arrays(cell, dtype)
    x = [random(T, B, D, dtype=dtype, seed=i) for i in range(2)]

    def backward(i: int, into: ops.Gradients | None = None) -> ops.Gradients:
        y, _, tape = ops.forward(cell, x[i], *given, tape=True)
        return ops.backward(tape, y, into=into)

    first, second = backward(0), backward(1)
    expected = {name: getattr(first, name) + getattr(second, name) for name in ("W_x", "W_h", "b")}
    assert backward(1, into=first) is first
    assert_equal((first.x, *parts_of(first.state)), (second.x, *parts_of(second.state)))
    for name, total in expected.items():
        assert_equal(getattr(first, name), total)


def test_without_bias_there_is_no_gradient_of_one(cell: str) -> None:
    W_x, W_h, b = arrays(cell)
    x = random(T, B, D)
    y, _, tape = ops.forward(cell, x, W_x, W_h, tape=True)
    assert_equal(y, ops.forward(cell, x, W_x, W_h, np.zeros_like(b))[0])
    gradients = ops.backward(tape, y)
    assert gradients.b is None
    weights = ops.Weights(cell, W_x, W_h)
    assert weights.b is None
    _, _, tape = ops.forward(cell, x, weights, tape=True)
    flat = ops.backward(tape, y).flat
    weights.flat[...] += flat  # a step along the gradient leaves the absent bias 0
    weights.touch()
    stepped = ops.forward(cell, x, weights.W_x, weights.W_h)[0]
    assert_equal(ops.forward(cell, x, weights)[0], stepped)


# ---- Two directions


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_both_directions_are_two_calls_in_one(cell: str, packed: bool) -> None:
    x, dy, dh = random(T, B, D), random(T, B, H), random(B, H)
    plain = [arrays(cell, seed=i) for i in range(2)]
    given = [ops.Weights(cell, *p) for p in plain] if packed else plain
    names = CELLS[cell]["states"]
    state = tuple(random(B, H, seed=i) for i in range(len(names)))
    dstate = (dh,) + (None,) * (len(names) - 1)
    keep = random(T, B, H) > 0.5
    shared: dict[str, Any] = {"lengths": [6, 0, 3, 6, 1], "mask": random(T, B) > -0.5, "masked": "hold"}
    own = {"x_scale": random(B, D), "h_scale": random(B, H), "zoneout": keep}
    pairs = {name: (None, array) for name, array in own.items()}
    out = (np.zeros((T, B, H), np.float32), np.zeros((T, B, H), np.float32))
    y, states, tape = ops.forward_both(cell, x, *given, (state, None), **shared, **pairs, out=out, tape=True)
    assert y[0] is out[0]
    assert y[1] is out[1]
    assert len(tape.states) == len(tape.gates) == 2
    gradients = ops.backward_both(tape, (dy, None), (None, dstate))
    own_of = ({}, own | {"reverse": True})
    for i, (keywords, initial) in enumerate(zip(own_of, (state, None), strict=True)):
        one_y, one_state, one_tape = ops.forward(cell, x, *plain[i], initial, **shared, **keywords, tape=True)
        assert_equal(y[i], one_y)
        assert_equal(parts_of(states[i]), parts_of(one_state))
        one = ops.backward(one_tape, *((dy, None) if i == 0 else (None, dstate)))
        for name in ("x", "W_x", "W_h", "b"):
            assert_equal(getattr(gradients[i], name), getattr(one, name))
        assert_equal(parts_of(gradients[i].state), parts_of(one.state))


def test_both_directions_accumulate() -> None:
    x, weights = random(T, B, D), arrays("gru")

    def gradients(into: Any = None) -> Any:
        (y, _), _, tape = ops.forward_both("gru", x, weights[:2], weights, tape=True)
        return ops.backward_both(tape, (y, y), into=into)

    first = gradients()
    twice = gradients(into=gradients())
    for one, two in zip(first, twice, strict=True):
        assert_equal(two.W_x, one.W_x + one.W_x)
    assert first[0].b is None
    assert first[1].b is not None


# ---- Report and private arguments


def test_force_is_checked() -> None:
    x, weights = random(T, B, D), arrays("gru")
    for force, message in [
        ({"isa": "sse9"}, "expected one of"),
        ({"directions": 2}, "at most 1 directions"),
        ({"batch": B + 1}, "at most B = 5"),
        ({"units": H + 1}, "unit parts"),
        ({"tile_rows": 100}, "tile_rows up to"),
        ({"workers": 2}, "expected one of"),
    ]:
        with pytest.raises(ValueError, match=f"^_force: .*{message}"):
            ops.forward("gru", x, *weights, _force=force)


def test_hoisting_can_be_forced(cell: str) -> None:
    x, weights = random(T, B, D), arrays(cell)
    expected, _, _ = ops.forward(cell, x, *weights, _force={"hoisted_steps": 0})
    assert not _engine.last_report()["hoisted"]
    for steps in (1, 4, T):
        y, _, _ = ops.forward(cell, x, *weights, _force={"hoisted_steps": steps})
        assert _engine.last_report()["hoisted"]
        assert_equal(y, expected)
