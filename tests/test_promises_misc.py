"""The other promises: empty calls, tapes, threads side by side, interruption."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from types import FrameType
from typing import Any

import numpy as np
import pytest
from helpers.cases import Case, Dims, make_case, states_of
from helpers.engine import (
    CELLS,
    Result,
    assert_results_close,
    assert_same_bits,
    named_gradients,
    named_states,
    run_engine,
    run_reference,
)

from pyrnn import _engine, ops

PLAIN = frozenset("bias state dstate".split())


# Empty and idle


@pytest.mark.parametrize("dims", [Dims(0, 3, 2, 5), Dims(4, 0, 2, 5), Dims(0, 0, 2, 5)], ids=["T=0", "B=0", "both"])
@pytest.mark.parametrize("features", ["bias state dstate", "bias state dstate lengths mask hold resets reverse"])
def test_no_steps_or_no_rows_give_empty_y_initial_state_zero_gradients(
    cell: str, dtype: str, dims: Dims, features: str
) -> None:
    case = make_case(CELLS[cell], dims, features).astype(dtype)
    result = run_engine(case)
    assert result.outputs["y"].shape == (dims.T, dims.B, dims.H)
    assert result.gradients["dx"].shape == (dims.T, dims.B, dims.D)
    initial, final_gradient = states_of(case.state), states_of(case.dstate)
    for name, s, ds in zip(CELLS[cell]["states"], initial, final_gradient, strict=True):
        np.testing.assert_array_equal(result.outputs[f"state {name}"], s)
        np.testing.assert_array_equal(result.gradients[f"dstate {name}"], ds)
    for name, shape in (("dW_x", case.W_x.shape), ("dW_h", case.W_h.shape), ("db", case.b.shape)):
        np.testing.assert_array_equal(result.gradients[name], np.zeros(shape, dtype))


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_length_0_passes_state_and_gradient_through(cell: str, dtype: str, reverse: bool) -> None:
    case = make_case(CELLS[cell], Dims(4, 3, 5, 9)).astype(dtype)
    result = run_engine(replace(case, keywords={"lengths": [4, 0, 2], "reverse": reverse}))
    assert not result.outputs["y"][:, 1].any()
    assert not result.gradients["dx"][:, 1].any()
    for name, s, ds in zip(CELLS[cell]["states"], states_of(case.state), states_of(case.dstate), strict=True):
        np.testing.assert_array_equal(result.outputs[f"state {name}"][1], s[1])
        np.testing.assert_array_equal(result.gradients[f"dstate {name}"][1], ds[1])


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_nan_in_padding_is_harmless(cell: str, dtype: str, reverse: bool) -> None:
    features = PLAIN | {"lengths", "dstates", "zoneout"} | ({"reverse"} if reverse else set())
    case = make_case(CELLS[cell], Dims(6, 5, 3, 19), features).astype(dtype)
    padding = np.arange(6)[:, None] >= case.keywords["lengths"]
    poisoned = {}
    for name, a in {"x": case.x, "zoneout": case.keywords["zoneout"], **case.dy}.items():
        poisoned[name] = a.copy()
        poisoned[name][padding] = np.nan
    dirty = replace(
        case,
        x=poisoned["x"],
        keywords={**case.keywords, "zoneout": poisoned["zoneout"]},
        dy={name: poisoned[name] for name in case.dy},
    )
    actual, expected = run_engine(dirty), run_engine(case)
    assert_same_bits(actual.outputs, expected.outputs)
    assert_same_bits(actual.gradients, expected.gradients)
    assert not actual.outputs["y"][padding].any()
    assert not actual.gradients["dx"][padding].any()


# Tapes


def taped(case: Case, **options: Any) -> Any:
    return ops.forward(case.cell, *case.forward, **case.keywords, tape=True, **options)[2]


def gradients_of(case: Case, tape: Any, **options: Any) -> dict[str, Any]:
    return named_gradients(CELLS[case.cell], ops.backward(tape, case.dy, case.dstate, **options), True)


def test_a_tape_consumed_twice_raises(cell: str) -> None:
    case = make_case(CELLS[cell], Dims(3, 2, 4, 5))
    tape = taped(case)
    ops.backward(tape, case.dy, case.dstate)
    with pytest.raises(RuntimeError, match="consumed"):
        ops.backward(tape, case.dy, case.dstate)
    with pytest.raises(RuntimeError, match="consumed"):
        _ = tape.states


def test_a_consumed_tape_lends_its_storage(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(5, 4, 3, 9)).astype(dtype)
    expected = run_engine(case)
    tape = taped(case)
    for _ in range(3):
        assert_same_bits(gradients_of(case, tape), expected.gradients)
        tape = taped(case) if tape is None else ops.forward(cell, *case.forward, tape=tape)[2]


def test_a_live_tape_lends_nothing(cell: str) -> None:
    case = make_case(CELLS[cell], Dims(3, 2, 4, 5))
    tape = taped(case)
    with pytest.raises((RuntimeError, ValueError), match="tape"):
        ops.forward(cell, *case.forward, tape=tape)
    assert_same_bits(gradients_of(case, tape), run_engine(case).gradients)


def test_several_tapes_live_at_once(cell: str, dtype: str) -> None:
    cases = [make_case(CELLS[cell], Dims(5, 4, 3, 9), seed=seed).astype(dtype) for seed in range(4)]
    tapes = [taped(case) for case in cases]
    for case, tape in [*zip(cases, tapes, strict=True)][::-1]:
        assert_same_bits(gradients_of(case, tape), run_engine(case).gradients)


def test_a_tape_keeps_its_plain_weights(cell: str, dtype: str) -> None:
    case = make_case(CELLS[cell], Dims(5, 4, 3, 9)).astype(dtype)
    expected = run_engine(case).gradients
    tape = taped(case)
    case.W_x[...], case.W_h[...], case.b[...] = np.nan, np.nan, np.nan
    assert_same_bits(gradients_of(case, tape), expected)


def test_weights_changed_between_forward_and_backward_raise(cell: str) -> None:
    case = make_case(CELLS[cell], Dims(3, 2, 4, 5))
    changes: list[Callable[[Any], None]] = [
        lambda weights: weights.touch(),
        lambda weights: weights.set(case.W_x, case.W_h, case.b),
    ]
    for change in changes:
        weights = ops.Weights(cell, case.W_x, case.W_h, case.b)
        _, _, tape = ops.forward(cell, case.x, weights, state=case.state, tape=True)
        change(weights)
        with pytest.raises(RuntimeError, match="changed"):
            ops.backward(tape, case.dy, case.dstate)
        _, _, tape = ops.forward(cell, case.x, weights, state=case.state, tape=True)
        assert_same_bits(gradients_of(case, tape), run_engine(case).gradients)


# Threads


def side_by_side(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Runs each task in a thread, all at once; returns what they returned or raised."""
    results: list[Any] = [None] * len(tasks)
    start = threading.Barrier(len(tasks))

    def run(i: int) -> None:
        start.wait()
        try:
            results[i] = tasks[i]()
        except Exception as error:  # handed to the test, which judges it
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def long_case(cell: str, T: int, B: int = 1) -> Case:
    """Slow for its size: wide and one row, so that a step reads all weights."""
    return make_case(CELLS[cell], Dims(T, B, 8, 512), PLAIN).astype("float32")


def test_one_tape_in_two_threads_at_once_raises() -> None:
    case = long_case("lstm", T=600)
    tape = taped(case)
    results = side_by_side([lambda: ops.backward(tape, case.dy, case.dstate)] * 2)
    errors = [r for r in results if isinstance(r, Exception)]
    assert len(errors) == 1
    assert isinstance(errors[0], RuntimeError)
    assert "thread" in str(errors[0])


def test_one_stream_in_two_threads_at_once_raises() -> None:
    case = long_case("lstm", T=1, B=16)
    stream = ops.pack("lstm", case.W_x, case.W_h, case.b).stream(batch=16)

    def steps() -> tuple[int, list[str]]:
        done, messages = 0, []
        for _ in range(60):
            try:
                stream.step(case.x[0])
                done += 1
            except RuntimeError as error:
                messages.append(str(error))
        return done, messages

    results = side_by_side([steps, steps])
    messages = [text for _, texts in results for text in texts]
    assert messages, "the two threads never met"
    assert all("thread" in text for text in messages)
    # The steps that were let in count, each once, as if one thread had made them.
    alone = ops.pack("lstm", case.W_x, case.W_h, case.b).stream(batch=16)
    for _ in range(sum(done for done, _ in results)):
        alone.step(case.x[0])
    names = CELLS["lstm"]
    assert_same_bits(named_states("", names, stream.state), named_states("", names, alone.state))


def test_different_tapes_and_streams_run_side_by_side(cell: str) -> None:
    cases = [make_case(CELLS[cell], Dims(30, 8, 20, 70), seed=seed).astype("float32") for seed in range(4)]

    def train(case: Case) -> Result:
        for _ in range(20):
            result = run_engine(case)
        return result

    def stream(case: Case) -> dict[str, Any]:
        own = ops.pack(cell, case.W_x, case.W_h, case.b).stream(batch=8)
        own.state = case.state
        for x_t in case.x:
            y_t = own.step(x_t)
        return {"y": y_t, **named_states("state ", CELLS[cell], own.state)}

    expected = [train(case) for case in cases]
    for actual, alone in zip(side_by_side([partial(train, case) for case in cases]), expected, strict=True):
        assert_same_bits(actual.outputs, alone.outputs)
        assert_same_bits(actual.gradients, alone.gradients)
    for actual, alone in zip(side_by_side([partial(stream, case) for case in cases]), expected, strict=True):
        assert_same_bits(actual, {**alone.outputs, "y": alone.outputs["y"][-1]})


def test_one_set_of_weights_serves_several_threads(cell: str) -> None:
    case = make_case(CELLS[cell], Dims(30, 8, 20, 70)).astype("float32")
    expected = run_engine(case)
    weights = ops.Weights(cell, case.W_x, case.W_h, case.b)

    def train() -> dict[str, Any]:
        for _ in range(10):
            _, _, tape = ops.forward(cell, case.x, weights, state=case.state, tape=True)
            gradients = gradients_of(case, tape)
        return gradients

    for gradients in side_by_side([train] * 4):
        assert_same_bits(gradients, expected.gradients)


def test_threads_is_a_ceiling() -> None:
    case = long_case("lstm", T=20, B=32)
    for threads in (1, 2, 3):
        ops.forward("lstm", *case.forward, threads=threads)
        assert 1 <= _engine.last_report()["workers"] <= threads


def test_short_calls_keep_the_gil_and_long_ones_let_go() -> None:
    short = make_case(CELLS["lstm"], Dims(1, 1, 2, 3)).astype("float32")
    ops.forward("lstm", *short.forward)
    assert not _engine.last_report()["gil_released"]
    long = long_case("lstm", T=100)
    ops.forward("lstm", *long.forward)
    assert _engine.last_report()["gil_released"]


def test_python_runs_while_the_engine_works() -> None:
    case = long_case("lstm", T=3000)
    ticks, done = [0], threading.Event()

    def tick() -> None:
        while not done.wait(0.002):
            ticks[0] += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    begin = time.perf_counter()
    ops.forward("lstm", *case.forward, threads=1)
    elapsed = time.perf_counter() - begin
    counted = ticks[0]
    done.set()
    ticker.join()
    assert counted > elapsed / 0.02, f"{counted} ticks in {elapsed:.3f} s"


# Interruption


class Interrupted(Exception):
    """What the tests' signal handler raises."""


# Processor time, by the clock and by the alarm: on a busy machine, ten times slower, all stays the same.
clock = time.process_time


@contextmanager
def alarm(handler: Callable[[int, FrameType | None], None], first: float, every: float = 0) -> Iterator[None]:
    """SIGPROF calls the handler after so many seconds of processor time."""
    kept = signal.signal(signal.SIGPROF, handler)
    signal.setitimer(signal.ITIMER_PROF, first, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, kept)


@contextmanager
def interruption_after(seconds: float) -> Iterator[None]:
    def handler(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    with alarm(handler, seconds):
        yield


@lru_cache(maxsize=1)
def steps_of_a_long_call() -> int:
    """So many that the shortest of the long calls takes 0.25 s or more here."""
    case = long_case("lstm", T=200)
    durations = []
    for _ in range(3):
        begin = clock()
        ops.forward("lstm", *case.forward, threads=1)
        durations.append(clock() - begin)
    return min(20000, max(2500, int(200 * 0.25 / min(durations))))


class LongCall:
    """A call of 0.25 s or more, the arrays that it writes into, and a fresh start for each run."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name, self.options = name, options
        self.case = case = long_case("lstm", T=steps_of_a_long_call())
        self.weights = (case.W_x, case.W_h, case.b)
        self.packed = ops.pack("lstm", *self.weights)
        H = case.dims.H
        self.out = np.full((case.dims.T, 1, H), 7, np.float32)
        self.outs = (self.out, np.full_like(self.out, 7))
        small = make_case(CELLS["lstm"], Dims(2, 1, 8, H), PLAIN, seed=1).astype("float32")
        self.into = ops.backward(taped(small), small.dy, small.dstate)
        _, _, both = ops.forward_both("lstm", small.x, self.weights, self.weights, tape=True)
        self.into_both = ops.backward_both(both, (small.dy, small.dy))
        self.tape: Any = None

    def prepare(self) -> None:
        case = self.case
        if self.name == "backward":
            self.tape = taped(case)
        elif self.name == "backward_segments":
            _, _, self.tape = ops.forward("lstm", *case.forward, tape="segments")
            assert _engine.last_report()["segments"] > 1
        elif self.name == "backward_both":
            _, _, self.tape = ops.forward_both("lstm", case.x, self.weights, self.weights, tape=True)

    def run(self) -> None:
        case = self.case
        if self.name == "forward":
            ops.forward("lstm", *case.forward, out=self.out, **self.options)
        elif self.name == "forward_segments":
            ops.forward("lstm", *case.forward, out=self.out, tape="segments", **self.options)
        elif self.name == "forward_both":
            ops.forward_both("lstm", case.x, self.weights, self.weights, out=self.outs, **self.options)
        elif self.name == "packed_forward":
            self.packed.forward(case.x, case.state, **self.options)
        elif self.name in ("backward", "backward_segments"):
            ops.backward(self.tape, case.dy, case.dstate, into=self.into, **self.options)
        elif self.name == "backward_both":
            ops.backward_both(self.tape, (case.dy, case.dy), into=self.into_both, **self.options)

    def visible(self) -> dict[str, Any]:
        """Copies of everything that a call may write to."""
        shown = {"out": self.outs[0], "out 2": self.outs[1]}
        for i, gradients in enumerate((self.into, *self.into_both)):
            named = named_gradients(CELLS["lstm"], gradients, True)
            shown |= {f"into[{i}] {name}": a for name, a in named.items()}
        return {name: np.array(a) for name, a in shown.items()}


LONG_CALLS = [
    "forward",
    "forward_segments",
    "forward_both",
    "packed_forward",
    "backward",
    "backward_segments",
    "backward_both",
]


@pytest.mark.parametrize("name", LONG_CALLS)
def test_a_signal_interrupts_within_100_ms_and_leaves_everything_as_it_was(name: str) -> None:
    before = LongCall(name).visible()
    durations = []
    for _ in range(2):
        call = LongCall(name, threads=1)
        call.prepare()
        begin = clock()
        call.run()
        durations.append(clock() - begin)
    whole, finished = min(durations), call.visible()
    assert whole > 0.15, "too short to be interrupted"

    for share in (0.1, 0.4, 0.7):
        call = LongCall(name, threads=1)
        call.prepare()
        begin = clock()
        with interruption_after(share * whole), pytest.raises(Interrupted):
            call.run()
        assert clock() - begin < share * whole + 0.1
        assert_same_bits(call.visible(), before)
    call.prepare()
    call.run()
    assert_same_bits(call.visible(), finished)


@pytest.mark.parametrize("name", sorted({*LONG_CALLS} - {"packed_forward"}))
@pytest.mark.parametrize("units", [2, 3])
def test_a_signal_interrupts_a_call_on_several_threads(name: str, units: int) -> None:
    call = LongCall(name, _force={"units": units})
    before = call.visible()
    call.prepare()
    with interruption_after(0.03), pytest.raises(Interrupted):
        call.run()
    assert_same_bits(call.visible(), before)


def test_control_c_interrupts_a_long_call() -> None:
    call = LongCall("forward")
    before = call.visible()
    timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        for _ in range(20):
            call.run()
    timer.join()
    call.run()
    assert not np.array_equal(call.visible()["out"], before["out"])


def test_a_handler_that_does_not_raise_changes_nothing() -> None:
    seen = []
    call = LongCall("forward")
    with alarm(lambda number, frame: seen.append(clock()), 0.01, every=0.01):
        call.run()
    assert len(seen) >= 3
    assert _engine.last_report()["chunks"] >= 3
    undisturbed = LongCall("forward")
    undisturbed.run()
    np.testing.assert_array_equal(call.out, undisturbed.out)


def test_an_interrupted_tape_says_that_it_is_spent() -> None:
    call = LongCall("backward")
    call.prepare()
    with interruption_after(0.03), pytest.raises(Interrupted):
        call.run()
    with pytest.raises(RuntimeError, match="consumed"):
        ops.backward(call.tape, call.case.dy)


def test_an_interrupted_stream_stands_between_two_steps() -> None:
    case = make_case(CELLS["lstm"], Dims(1, 64, 256, 512), "bias").astype("float32")
    packed = ops.pack("lstm", case.W_x, case.W_h, case.b)
    interrupted, steps = packed.stream(batch=64), 0
    with interruption_after(0.1), pytest.raises(Interrupted):
        for _ in range(10**6):
            interrupted.step(case.x[0])
            steps += 1
    # The signal may also arrive after the step and before it is counted.
    witness, histories = packed.stream(batch=64), []
    for n in range(steps + 2):
        if n >= steps:
            histories.append(named_states("", CELLS["lstm"], witness.state))
        witness.step(case.x[0])
    reached = named_states("", CELLS["lstm"], interrupted.state)
    assert any(all(np.array_equal(reached[k], h[k]) for k in reached) for h in histories)


def test_results_equal_the_reference_after_an_interruption() -> None:
    """Nothing that an abandoned call left behind (buffers, team, mode) disturbs the next one."""
    call = LongCall("backward")
    call.prepare()
    with interruption_after(0.03), pytest.raises(Interrupted):
        call.run()
    case = make_case(CELLS["lstm"], Dims(5, 4, 3, 19), PLAIN | {"lengths"})
    assert_results_close(run_engine(case).gradients, run_reference(case).gradients, case, "float64")
