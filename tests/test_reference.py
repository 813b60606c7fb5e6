"""The reference against finite differences, against sums written out by hand, and against itself cut into pieces."""

from __future__ import annotations

import itertools
from math import exp, tanh
from typing import Any

import numpy as np
import pytest
from helpers.cases import VARIANTS, Case, Dims, make_case, states_of
from helpers.tolerances import assert_close

from pyrnn import reference
from pyrnn.reference import CELLS, numerical_gradient

DIFFERENCE = 1e-5

# Every combination of what changes the flow of gradients; the rest rides along in turn.
FLOWS = [
    frozenset(itertools.chain.from_iterable(choice))
    for choice in itertools.product(
        [(), ("lengths",)],
        [(), ("mask",), ("mask", "hold")],
        [(), ("resets",)],
        [(), ("reverse",)],
        [(), ("x_scale", "h_scale")],
        [(), ("zoneout",), ("zoneout_last",)],
    )
]


def facts_of(name: str) -> dict[str, Any]:
    return vars(CELLS[name])


def run(case: Case, **changes: Any) -> tuple[Any, Any, Any]:
    return reference.forward(CELLS[case.cell], *case.forward, **{**case.keywords, **changes})


def loss(case: Case) -> float:
    """The scalar whose gradient `backward` computes, from the definition of dy and dstate."""
    y, state, tape = run(case)
    into = case.dy if isinstance(case.dy, dict) else {"y": case.dy}
    valid = np.arange(case.dims.T)[:, None] < case.keywords.get("lengths", np.full(case.dims.B, case.dims.T))
    total = float(np.sum(into["y"] * y))
    for name in into.keys() - {"y"}:
        total += float(np.sum(into[name][valid] * tape.states[name][valid]))
    if case.dstate is not None:
        total += sum(float(np.sum(d * s)) for d, s in zip(states_of(case.dstate), states_of(state), strict=True))
    return total


def check_all_gradients(case: Case) -> None:
    _, _, tape = run(case)
    gradients = reference.backward(tape, case.dy, case.dstate)
    T, B, D, H = case.dims
    expected = {"x": (case.x, gradients.x), "W_x": (case.W_x, gradients.W_x), "W_h": (case.W_h, gradients.W_h)}
    if case.b is not None:
        expected["b"] = (case.b, gradients.b)
    if case.state is not None:
        for name, s, ds in zip(CELLS[case.cell].states, states_of(case.state), states_of(gradients.state), strict=True):
            expected[f"state {name}"] = (s, ds)
    for what, (argument, gradient) in expected.items():
        numerical = numerical_gradient(lambda: loss(case), argument, DIFFERENCE)
        assert_close(
            gradient, numerical, what=f"d{what}", dtype=np.float64, terms=T * B + D + H, steps=T, difference=DIFFERENCE
        )


@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: "+".join(sorted(flow)) or "nothing")
@pytest.mark.parametrize("name", CELLS)
def test_gradients_equal_finite_differences(name: str, flow: frozenset[str]) -> None:
    extras = [frozenset({"bias", "state", "dstate"}), frozenset({"bias", "state", "dstate", "dstates"})]
    features = flow | extras[FLOWS.index(flow) % 2]
    check_all_gradients(make_case(facts_of(name), Dims(T=4, B=2, D=2, H=2), features))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", CELLS)
def test_gradients_of_every_variant_equal_finite_differences(name: str, variant: str) -> None:
    check_all_gradients(make_case(facts_of(name), Dims(T=5, B=3, D=1, H=3), VARIANTS[variant], seed=1))


def sigma(a: float) -> float:
    return 1 / (1 + exp(-a))


# One unit, one input: every product of the equations by hand. u are the weights of h, w those of x.
def lstm_by_hand(x: float, h: float, c: float, w: Any, u: Any, b: Any) -> tuple[float, float]:
    a = [w[g] * x + u[g] * h + b[g] for g in range(4)]
    c_next = sigma(a[1]) * c + sigma(a[0]) * tanh(a[2])
    return sigma(a[3]) * tanh(c_next), c_next


def gru_by_hand(x: float, h: float, w: Any, u: Any, b: Any) -> float:
    z = sigma(w[0] * x + u[0] * h + b[0][0] + b[1][0])
    r = sigma(w[1] * x + u[1] * h + b[0][1] + b[1][1])
    n = tanh(w[2] * x + b[0][2] + r * (u[2] * h + b[1][2]))
    return z * h + (1 - z) * n


def gru_reset_before_by_hand(x: float, h: float, w: Any, u: Any, b: Any) -> float:
    z = sigma(w[0] * x + u[0] * h + b[0])
    r = sigma(w[1] * x + u[1] * h + b[1])
    n = tanh(w[2] * x + u[2] * (r * h) + b[2])
    return z * h + (1 - z) * n


BY_HAND = {
    "lstm": lstm_by_hand,
    "gru": gru_by_hand,
    "gru_reset_before": gru_reset_before_by_hand,
    "rnn_tanh": lambda x, h, w, u, b: tanh(w[0] * x + u[0] * h + b[0]),
    "rnn_relu": lambda x, h, w, u, b: max(0.0, w[0] * x + u[0] * h + b[0]),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_steps_equal_the_equations_by_hand(name: str) -> None:
    case = make_case(facts_of(name), Dims(T=3, B=1, D=1, H=1))
    y, state, _ = run(case)
    states = tuple(float(s[0, 0]) for s in states_of(case.state))
    for t in range(3):
        result = BY_HAND[name](float(case.x[t, 0, 0]), *states, case.W_x[0], case.W_h[0], case.b)
        states = result if isinstance(result, tuple) else (result,)
        assert y[t, 0, 0] == pytest.approx(states[0], rel=1e-12)
    assert [float(s[0, 0]) for s in states_of(state)] == pytest.approx(list(states), rel=1e-12)


def pieces(case: Case, row: int, begin: int, end: int, state: Any) -> tuple[Any, Any]:
    """Steps begin .. end of one row, with no keyword but the scales."""
    arguments = (case.x[begin:end, row : row + 1], case.W_x, case.W_h, case.b)
    y, state, _ = reference.forward(CELLS[case.cell], *arguments, state)
    return y[:, 0], state


def row_of(state: Any, row: int) -> Any:
    parts = tuple(s[row : row + 1] for s in states_of(state))
    return parts if isinstance(state, tuple) else parts[0]


def assert_states_equal(state: Any, expected: Any) -> None:
    for s, e in zip(states_of(state), states_of(expected), strict=True):
        np.testing.assert_allclose(s, e, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", CELLS)
class TestKeywordsMeanWhatTheySay:
    """Each keyword against plain runs of single rows."""

    dims = Dims(T=6, B=4, D=3, H=2)

    def test_lengths_cut_each_row(self, name: str) -> None:
        case = make_case(facts_of(name), self.dims, "bias state lengths")
        y, state, _ = run(case)
        for row, length in enumerate(case.keywords["lengths"]):
            y_row, state_row = pieces(case, row, 0, length, row_of(case.state, row))
            np.testing.assert_allclose(y[:length, row], y_row, rtol=1e-12)
            assert not y[length:, row].any()
            assert_states_equal(row_of(state, row), state_row)

    def test_reverse_starts_at_each_rows_last_step(self, name: str) -> None:
        case = make_case(facts_of(name), self.dims, "bias state lengths reverse")
        y, state, _ = run(case)
        for row, length in enumerate(case.keywords["lengths"]):
            backwards = case.x[:length, row : row + 1][::-1]
            arguments = (backwards, case.W_x, case.W_h, case.b, row_of(case.state, row))
            y_row, state_row, _ = reference.forward(CELLS[name], *arguments)
            np.testing.assert_allclose(y[:length, row], y_row[::-1, 0], rtol=1e-12)
            assert_states_equal(row_of(state, row), state_row)

    def test_masked_steps_are_left_out(self, name: str) -> None:
        case = make_case(facts_of(name), self.dims, "bias state mask")
        y, state, _ = run(case)
        for row in range(self.dims.B):
            live = case.keywords["mask"][:, row]
            arguments = (case.x[live, row : row + 1], case.W_x, case.W_h, case.b, row_of(case.state, row))
            y_row, state_row, _ = reference.forward(CELLS[name], *arguments)
            np.testing.assert_allclose(y[live, row], y_row[:, 0], rtol=1e-12)
            assert not y[~live, row].any()
            assert_states_equal(row_of(state, row), state_row)

    def test_hold_repeats_the_last_output(self, name: str) -> None:
        case = make_case(facts_of(name), self.dims, "bias state mask")
        y_zero, _, _ = run(case)
        y_hold, _, _ = run(case, masked="hold")
        for row in range(self.dims.B):
            held = np.zeros(self.dims.H)
            for t in range(self.dims.T):
                held = y_zero[t, row] if case.keywords["mask"][t, row] else held
                np.testing.assert_array_equal(y_hold[t, row], held)

    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    def test_resets_cut_into_pieces(self, name: str, reverse: bool) -> None:
        case = make_case(facts_of(name), self.dims, "bias state resets")
        y, _, _ = run(case, reverse=reverse)
        for row in range(self.dims.B):
            cuts = np.flatnonzero(case.keywords["resets"][:, row])
            edges = sorted({0, *cuts.tolist(), self.dims.T})
            for begin, end in itertools.pairwise(edges):
                x = case.x[begin:end, row : row + 1]
                first = end == self.dims.T if reverse else begin == 0 and 0 not in cuts
                arguments = (case.W_x, case.W_h, case.b, row_of(case.state, row) if first else None)
                y_piece, _, _ = reference.forward(CELLS[name], x, *arguments, reverse=reverse)
                np.testing.assert_allclose(y[begin:end, row], y_piece[:, 0], rtol=1e-12)

    @pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
    def test_a_reset_at_a_masked_step_zeroes_the_held_output(self, name: str, reverse: bool) -> None:
        case = make_case(facts_of(name), Dims(T=4, B=1, D=2, H=3), "bias state")
        mask = np.array([[1], [0], [0], [1]], dtype=bool)
        resets = np.array([[0], [0], [1], [0]], dtype=bool)
        y, _, tape = run(case, mask=mask, masked="hold", resets=resets, reverse=reverse)
        kept, cut = (2, 1) if reverse else (1, 2)
        np.testing.assert_array_equal(y[kept], y[3 if reverse else 0])
        assert y[kept].any()
        assert not y[cut].any()
        assert all(not s[cut].any() for s in tape.states.values())

    def test_resets_in_padding_are_ignored(self, name: str) -> None:
        case = make_case(facts_of(name), Dims(T=4, B=1, D=2, H=3), "bias state")
        resets = np.array([[0], [0], [1], [1]], dtype=bool)
        for reverse in (False, True):
            _, cut, _ = run(case, lengths=[2], resets=resets, reverse=reverse)
            _, uncut, _ = run(case, lengths=[2], reverse=reverse)
            assert_states_equal(cut, uncut)

    def test_scales_multiply_input_and_operand(self, name: str) -> None:
        case = make_case(facts_of(name), Dims(T=3, B=1, D=3, H=2), "bias state x_scale h_scale")
        W_x = case.W_x * case.keywords["x_scale"][0][:, None]
        W_h = case.W_h * case.keywords["h_scale"][0][:, None]
        y, _, _ = run(case)
        y_scaled_weights, _, _ = reference.forward(CELLS[name], case.x, W_x, W_h, case.b, case.state)
        np.testing.assert_allclose(y, y_scaled_weights, rtol=1e-12)

    def test_zoneout_mixes_old_and_new_states(self, name: str) -> None:
        case = make_case(facts_of(name), Dims(T=1, B=3, D=3, H=2), "bias state zoneout")
        keep = case.keywords["zoneout"][0]
        y, state, _ = run(case)
        _, plain, _ = run(case, zoneout=None)
        for s, s_prev, s_plain in zip(states_of(state), states_of(case.state), states_of(plain), strict=True):
            np.testing.assert_allclose(s, keep * s_prev + (1 - keep) * s_plain, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(y[0], states_of(state)[0])
