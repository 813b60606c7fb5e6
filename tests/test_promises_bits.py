"""Promise "Bits": what the engine computes for a row does not depend on how the work was arranged.

Each test arranges the same work in two ways and wants every bit equal; where the arrangement is forced, the engine's
report must say that it ran.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.cases import Case, Dims, dtype_of, make_case, states_of
from helpers.engine import (
    CELLS,
    PRECISIONS,
    TABLES_OF,
    Result,
    assert_results_close,
    assert_same_bits,
    case_and_reference,
    lanes,
    named_gradients,
    named_states,
    run_engine,
    tile_rows,
)

from pyrnn import _engine, ops

RUNS_IN = PRECISIONS  # read by conftest.py
EVERYTHING = frozenset("bias state dstate dstates lengths mask hold resets x_scale h_scale zoneout".split())
PLAIN = frozenset("bias state dstate".split())
REPORTED = {"directions": "direction_parts", "batch": "batch_parts", "units": "unit_parts", "tile_rows": "tile_rows"}


def assert_reported(force: dict[str, Any]) -> None:
    """The last call of this thread ran as forced."""
    report = _engine.last_report()
    workers = 1
    for key, value in force.items():
        assert report[REPORTED.get(key, key)] == value, (key, report)
        workers *= value if key in ("directions", "batch", "units") else 1
    assert report["workers"] == workers, report
    assert not report["busy"], report


def run_forced(case: Case, **force: Any) -> Result:
    """Forward and backward under `_force`, both confirmed by the report."""
    facts = CELLS[case.cell]
    y, state, tape = ops.forward(case.cell, *case.forward, **case.keywords, tape=True, _force=force)
    assert_reported(force)
    gradients = ops.backward(tape, case.dy, case.dstate, _force=force)
    assert_reported(force)
    return Result(
        {"y": y, **named_states("state ", facts, state)}, named_gradients(facts, gradients, case.b is not None)
    )


def assert_all_same_bits(actual: Result, expected: Result) -> None:
    assert_same_bits(actual.outputs, expected.outputs)
    assert_same_bits(actual.gradients, expected.gradients)


def wide_case(cell: str, isa: str, dtype: str, features: frozenset[str] = EVERYTHING) -> Case:
    """Enough rows and units for every split: 4 parts of the units are 4 vectors and a bit."""
    return make_case(CELLS[cell], Dims(9, 7, 5, 4 * lanes(isa, dtype) + 3), features).astype(dtype)


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("split", ["batch", "units"])
def test_bits_do_not_depend_on_the_split_over(cell: str, isa: str, dtype: str, split: str, workers: int) -> None:
    case = wide_case(cell, isa, dtype)
    alone = run_forced(case, isa=isa, batch=1, units=1)
    assert_all_same_bits(run_forced(case, isa=isa, **{split: workers}), alone)


def test_bits_do_not_depend_on_a_split_over_batch_and_units(cell: str, isa: str, dtype: str) -> None:
    case = wide_case(cell, isa, dtype)
    alone = run_forced(case, isa=isa, batch=1, units=1)
    assert_all_same_bits(run_forced(case, isa=isa, batch=2, units=2), alone)


@pytest.mark.parametrize("force", [{"batch": 1}, {"batch": 2}, {"units": 2}], ids=["2", "2x2_batch", "2x2_units"])
def test_bits_do_not_depend_on_the_split_over_directions(
    cell: str, isa: str, dtype: str, force: dict[str, int]
) -> None:
    case = wide_case(cell, isa, dtype, EVERYTHING - {"x_scale", "h_scale", "zoneout", "dstates"})
    other = make_case(CELLS[cell], case.dims, PLAIN, seed=1).astype(dtype)
    weights = [(c.W_x, c.W_h, c.b) for c in (case, other)]

    def both(forced: dict[str, Any]) -> list[dict[str, Any]]:
        ys, states, tape = ops.forward_both(
            cell, case.x, *weights, (case.state, other.state), **case.keywords, tape=True, _force=forced
        )
        assert_reported(forced)
        gradients = ops.backward_both(tape, (case.dy, other.dy), (case.dstate, other.dstate), _force=forced)
        assert_reported(forced)
        return [
            {"y": y, **named_states("state ", CELLS[cell], state), **named_gradients(CELLS[cell], g, True)}
            for y, state, g in zip(ys, states, gradients, strict=True)
        ]

    alone = both({"isa": isa, "directions": 1, "batch": 1, "units": 1})
    split = both({"isa": isa, "directions": 2, **force})
    singly = [
        run_engine(case, _force={"isa": isa}),
        run_engine(replace(other, x=case.x, keywords={**case.keywords, "reverse": True}), _force={"isa": isa}),
    ]
    for direction in range(2):
        assert_same_bits(split[direction], alone[direction])
        assert_same_bits(alone[direction], singly[direction].outputs | singly[direction].gradients)


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_threads(cell: str, dtype: str, threads: int) -> None:
    case = make_case(CELLS[cell], Dims(40, 16, 33, 130), EVERYTHING | {"reverse"}).astype(dtype)
    assert_all_same_bits(run_engine(case, threads=threads), run_engine(case, threads=1))


def test_bits_do_not_depend_on_tile_height(cell: str, isa: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(4, 13, 5, lanes(isa, dtype) + 3), EVERYTHING).astype(dtype)
    expected = run_engine(case, _force={"isa": isa})
    for rows in range(1, tile_rows(isa, dtype) + 1):
        assert_all_same_bits(run_forced(case, isa=isa, tile_rows=rows), expected)


def test_bits_do_not_depend_on_batch_size_or_position(cell: str, isa: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(5, 13, 5, 2 * lanes(isa, dtype) + 1), EVERYTHING).astype(dtype)
    expected = run_engine(case, _force={"isa": isa}).of_rows
    for rows in ([0], [12], [5, 4], [12, 3, 7, 0, 1], list(range(12, -1, -1))):
        part = run_engine(rows_of(case, rows), _force={"isa": isa}).of_rows
        assert_same_bits(part, {name: np.take(a, rows, axis=-2) for name, a in expected.items()})


def rows_of(case: Case, rows: list[int]) -> Case:
    """The case with these rows of the batch, in this order."""

    def take(a: Any) -> Any:
        return tuple(take(part) for part in a) if isinstance(a, tuple) else np.take(a, rows, axis=-2)

    keywords = dict(case.keywords)
    for name in ("x_scale", "h_scale", "zoneout"):
        keywords[name] = take(keywords[name])
    for name in ("lengths", "mask", "resets"):
        keywords[name] = keywords[name][..., rows]
    return replace(
        case,
        dims=case.dims._replace(B=len(rows)),
        x=take(case.x),
        state=take(case.state),
        keywords=keywords,
        dy={name: take(a) for name, a in case.dy.items()},
        dstate=take(case.dstate),
    )


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("features", [PLAIN, EVERYTHING | {"reverse"}], ids=["plain", "everything"])
def test_bits_do_not_depend_on_hoisting(cell: str, isa: str, dtype: str, batch: int, features: frozenset[str]) -> None:
    case = make_case(CELLS[cell], Dims(20, batch, 37, 2 * lanes(isa, dtype) + 1), features).astype(dtype)
    facts, results = CELLS[cell], {}
    for steps in (0, 1, 3, 20):
        force = {"isa": isa, "hoisted_steps": steps}
        y, state, tape = ops.forward(cell, *case.forward, **case.keywords, tape=True, _force=force)
        assert _engine.last_report()["hoisted"] == (steps > 0)
        gradients = named_gradients(facts, ops.backward(tape, case.dy, case.dstate, _force={"isa": isa}), True)
        results[steps] = {"y": y, **named_states("state ", facts, state), **gradients}
    for steps in (1, 3, 20):
        assert_same_bits(results[steps], results[0])


def test_bits_do_not_depend_on_the_length_of_a_call(cell: str, isa: str, dtype: str) -> None:
    """One step a call, the state handed over by the caller, equals the whole sequence."""
    case = make_case(CELLS[cell], Dims(20, 3, 37, 2 * lanes(isa, dtype) + 1), PLAIN).astype(dtype)
    options = {**case.keywords, "_force": {"isa": isa}}
    y, final, _ = ops.forward(cell, *case.forward, **options)
    state, steps = case.state, []
    for t in range(case.dims.T):
        y_t, state, _ = ops.forward(cell, case.x[t : t + 1], case.W_x, case.W_h, case.b, state, **options)
        steps.append(y_t[0])
    names = CELLS[cell]
    actual = {"y": np.stack(steps), **named_states("", names, state)}
    assert_same_bits(actual, {"y": y, **named_states("", names, final)})


def test_bits_do_not_depend_on_packing(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(6, 5, 7, 37), PLAIN | {"lengths"}).astype(dtype)
    expected = run_engine(case)
    weights = ops.Weights(cell, case.W_x, case.W_h, case.b, case.precision)
    y, state, tape = ops.forward(cell, case.x, weights, state=case.state, **case.features, tape=True)
    assert _engine.last_report()["packed_weights"]
    gradients = ops.backward(tape, case.dy, case.dstate)
    outputs = {"y": y, **named_states("state ", CELLS[cell], state)}
    assert_all_same_bits(Result(outputs, named_gradients(CELLS[cell], gradients, True)), expected)

    packed = ops.pack(cell, case.W_x, case.W_h, case.b, precision=case.precision)
    y, state = packed.forward(case.x, case.state, **case.features)
    assert_same_bits({"y": y, **named_states("state ", CELLS[cell], state)}, expected.outputs)


@pytest.mark.parametrize("batch", [1, 4])
def test_bits_do_not_depend_on_streaming(cell: str, dtype: str, batch: int) -> None:
    case = make_case(CELLS[cell], Dims(7, batch, 5, 37), PLAIN).astype(dtype)
    y, final, _ = ops.forward(cell, *case.forward, **case.keywords)
    stream = ops.pack(cell, case.W_x, case.W_h, case.b, precision=case.precision).stream(batch=batch)
    stream.state = case.state
    steps = np.stack([stream.step(x_t) for x_t in case.x])
    names = CELLS[cell]
    assert_same_bits({"y": steps, **named_states("", names, stream.state)}, {"y": y, **named_states("", names, final)})


@pytest.mark.parametrize("layout", ["batch_major", "padded_rows", "every_other_step", "negative_strides"])
def test_bits_do_not_depend_on_memory_layout(cell: str, dtype: str, layout: str) -> None:
    case = make_case(CELLS[cell], Dims(6, 5, 7, 19), PLAIN).astype(dtype)

    def laid_out(a: Any) -> Any:
        T, B, n = a.shape
        if layout == "batch_major":
            return np.ascontiguousarray(a.transpose(1, 0, 2)).transpose(1, 0, 2)
        if layout == "negative_strides":
            return np.ascontiguousarray(a[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
        room = np.full((2 * T, B, n + 3), np.nan, a.dtype)
        view = room[::2, :, :n] if layout == "every_other_step" else room[:T, :, :n]
        view[...] = a
        return view

    assert_all_same_bits(run_engine(replace(case, x=laid_out(case.x), dy=laid_out(case.dy))), run_engine(case))


def test_bits_do_not_depend_on_what_is_asked_for(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(6, 5, 7, 19), EVERYTHING).astype(dtype)
    y, state, tape = ops.forward(cell, *case.forward, **case.keywords, tape=True)
    assert tape is not None
    expected = named_states("", CELLS[cell], state)
    y_alone, state_alone, no_tape = ops.forward(cell, *case.forward, **case.keywords)
    assert no_tape is None
    assert_same_bits({"y": y_alone, **named_states("", CELLS[cell], state_alone)}, {"y": y, **expected})
    no_y, state_only, _ = ops.forward(cell, *case.forward, **case.keywords, sequences=False)
    assert no_y is None
    assert_same_bits(named_states("", CELLS[cell], state_only), expected)
    out = np.full_like(y, np.nan)
    same, _, _ = ops.forward(cell, *case.forward, **case.keywords, out=out)
    assert same is out
    assert_same_bits({"y": out}, {"y": y})


@pytest.mark.parametrize("dims", [Dims(300, 3, 4, 35), Dims(20, 70, 4, 35), Dims(3, 300, 4, 35)], ids=str)
def test_bits_of_parameter_gradients_do_not_depend_on_threads(cell: str, isa: str, dtype: str, dims: Dims) -> None:
    """Blocks of max(1, ceil(256 / B)) steps: several blocks, of many steps and of one."""
    case = make_case(CELLS[cell], dims, PLAIN | {"lengths", "resets"}).astype(dtype)
    alone = run_forced(case, isa=isa, batch=1, units=1)
    for force in ({"batch": 2}, {"batch": 3}, {"units": 2}):
        assert_all_same_bits(run_forced(case, isa=isa, **force), alone)


def test_bits_of_parameter_gradients_do_not_depend_on_how_the_tape_is_kept(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(90, 5, 4, 9), EVERYTHING).astype(dtype)
    facts = CELLS[cell]
    expected = run_engine(case).gradients
    longer = make_case(facts, Dims(120, 6, 4, 9), EVERYTHING).astype(dtype)
    _, _, used = ops.forward(cell, *longer.forward, **longer.keywords, tape=True)
    ops.backward(used, longer.dy, longer.dstate)
    _, _, tape = ops.forward(cell, *case.forward, **case.keywords, tape=used)
    assert_same_bits(named_gradients(facts, ops.backward(tape, case.dy, case.dstate), True), expected)


def test_bits_of_parameter_gradients_do_not_depend_on_padding(cell: str, dtype: str) -> None:
    """Blocks lie on absolute t and padded rows are skipped: more padding at the end changes nothing."""
    case = make_case(CELLS[cell], Dims(120, 3, 4, 9), PLAIN).astype(dtype)
    pad = np.full((50, 3, 1), np.nan, case.x.dtype)
    padded = replace(
        case,
        x=np.concatenate([case.x, pad.repeat(4, axis=2)]),
        dy=np.concatenate([case.dy, pad.repeat(9, axis=2)]),
        keywords={**case.keywords, "lengths": np.full(3, 120)},
    )
    expected, actual = run_engine(case), run_engine(padded)
    for name in ("dW_x", "dW_h", "db"):
        assert_same_bits({name: actual.gradients[name]}, {name: expected.gradients[name]})
    assert_same_bits(named(actual, "dstate "), named(expected, "dstate "))


def named(result: Result, prefix: str) -> dict[str, Any]:
    return {name: a for name, a in result.gradients.items() if name.startswith(prefix)}


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_parameter_gradients_are_sums_of_blocks_in_the_order_of_backward(cell: str, dtype: str, reverse: bool) -> None:
    """dW = the sums of blocks on absolute t, each added as backward meets it: threads and recomputing rely on it."""
    B, block, T = 3, 86, 2 * 86 + 5  # ceil(256 / 3)
    case = make_case(CELLS[cell], Dims(T, B, 4, 9), PLAIN | ({"reverse"} if reverse else set())).astype(dtype)
    whole = run_engine(case).gradients
    _, _, tape = ops.forward(cell, *case.forward, **case.keywords, tape=True)
    cut_states = [np.asarray(tape.states[name]) for name in CELLS[cell]["states"]]
    total: Any = None
    dstate = case.dstate
    for begin in (0, block, 2 * block) if reverse else (2 * block, block, 0):
        segment = slice(begin, min(begin + block, T))
        earlier = segment.stop if reverse else begin - 1  # the step that backward meets next
        before = tuple(s[earlier] for s in cut_states) if 0 <= earlier < T else states_of(case.state)
        state = before if len(before) > 1 else before[0]
        weights, options = (case.W_x, case.W_h, case.b), {**case.keywords, "reverse": reverse}
        _, _, part = ops.forward(cell, case.x[segment], *weights, state, **options, tape=True)
        total = ops.backward(part, case.dy[segment], dstate, into=total)
        dstate = total.state
    actual = named_gradients(CELLS[cell], total, True)
    for name in ("dW_x", "dW_h", "db", *named_states("dstate ", CELLS[cell], total.state)):
        assert_same_bits({name: actual[name]}, {name: whole[name]})


def test_every_kernel_table_runs_in_one_process(cell: str) -> None:
    for dtype in PRECISIONS:
        case, expected = case_and_reference(cell, Dims(3, 4, 5, 21), PLAIN, dtype)
        for isa in TABLES_OF[dtype]:
            actual = run_forced(case.astype(dtype), isa=isa)
            report = _engine.last_report()
            assert (report["isa"], report["dtype"], report["cell"]) == (isa, dtype_of(dtype), cell)
            assert report["precision"] == dtype
            assert_results_close(actual.gradients, expected.gradients, case, dtype)


def test_a_split_that_is_impossible_is_an_error_not_a_fallback(cell: str) -> None:
    case = make_case(CELLS[cell], Dims(2, 2, 3, 4))
    for force in ({"batch": 3}, {"units": 64}, {"isa": "no such"}, {"tile_rows": 99}, {"directions": 2}):
        with pytest.raises(ValueError):
            ops.forward(cell, *case.forward, _force=force)
