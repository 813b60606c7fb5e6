"""Tapes of segments: backward computes the steps again, to the same bits, within the memory that it was given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.api import assert_gradients_equal, random
from helpers.cases import VARIANTS, Case, Dims, make_case
from helpers.engine import CELLS, PRECISIONS, assert_same_bits, named_gradients, named_states

from pyrnn import Sequential, _engine, layers, ops, utils
from pyrnn.layers import GRU, LSTM, Bidirectional, Dense, Input, TimeDistributed
from pyrnn.layers.arguments import check_memory_budget
from pyrnn.layers.base import Call, Run

EVERYTHING = frozenset("bias state dstate dstates lengths mask hold resets x_scale h_scale zoneout".split())
RUNS_IN = PRECISIONS  # read by conftest.py
PLAIN = frozenset("bias state dstate".split())


def report() -> tuple[int, int]:
    """Segments, and the most steps of one, of this thread's last call."""
    last = _engine.last_report()
    return last["segments"], last["segment_steps"]


def run(case: Case, tape: Any = True, read: bool = False, **force: Any) -> dict[str, Any]:
    """Everything that forward and backward give; with `read` also the tape's states and gates."""
    facts = CELLS[case.cell]
    y, state, tape = ops.forward(case.cell, *case.forward, **case.keywords, tape=tape, _force=force)
    cut = report()
    shown = {f"tape {name}": a for part in (tape.states, tape.gates) for name, a in part.items()} if read else {}
    force = {name: value for name, value in force.items() if name != "segment_blocks"}
    gradients = ops.backward(tape, case.dy, case.dstate, _force=force)
    assert report() == cut
    return {
        "y": y,
        **named_states("state ", facts, state),
        **named_gradients(facts, gradients, case.b is not None),
        **shown,
    }


# Bits


@pytest.mark.parametrize("variant", VARIANTS)
def test_segments_change_no_bit(cell: str, variant: str) -> None:
    for dims, block in (Dims(300, 3, 4, 9), 86), (Dims(23, 40, 5, 17), 7), (Dims(7, 300, 3, 4), 1):
        case = make_case(CELLS[cell], dims, VARIANTS[variant]).astype("float32")
        expected = run(case)
        assert report() == (1, dims.T)
        for blocks in (1, 2, 3):
            assert_same_bits(run(case, segment_blocks=blocks), expected)
            assert report() == (-(-dims.T // (block * blocks)), block * blocks)


@pytest.mark.parametrize("reverse", [False, True], ids=["", "reverse"])
def test_segments_change_no_bit_on_any_kernel_table_and_dtype(cell: str, isa: str, dtype: str, reverse: bool) -> None:
    features = EVERYTHING | ({"reverse"} if reverse else set())
    case = make_case(CELLS[cell], Dims(100, 13, 5, 37), features).astype(dtype)
    expected = run(case, isa=isa)
    assert_same_bits(run(case, isa=isa, segment_blocks=2), expected)
    assert report() == (3, 40)


@pytest.mark.parametrize("split", [{"batch": 2}, {"batch": 3}, {"units": 2}, {"batch": 2, "units": 2}], ids=str)
def test_segments_change_no_bit_on_several_threads(cell: str, split: dict[str, int]) -> None:
    case = make_case(CELLS[cell], Dims(90, 13, 5, 37), EVERYTHING | {"reverse"}).astype("float32")
    expected = run(case)
    assert_same_bits(run(case, segment_blocks=1, **split), expected)
    assert report() == (5, 20)
    assert _engine.last_report()["workers"] == np.prod(list(split.values()))


@pytest.mark.parametrize("hoisted", [0, 3, 20])
def test_segments_change_no_bit_where_input_products_are_hoisted(cell: str, hoisted: int) -> None:
    case = make_case(CELLS[cell], Dims(200, 3, 37, 9), EVERYTHING).astype("float32")
    assert_same_bits(run(case, segment_blocks=1, hoisted_steps=hoisted), run(case, hoisted_steps=0))


@pytest.mark.parametrize("force", [{}, {"directions": 2}, {"directions": 2, "batch": 2}], ids=["1", "2", "2x2"])
def test_segments_of_two_directions_change_no_bit(cell: str, force: dict[str, int]) -> None:
    """Where T is no multiple of the block, the one direction's first segment is short, the other's last."""
    facts = CELLS[cell]
    case = make_case(facts, Dims(205, 5, 7, 19), PLAIN | {"lengths", "mask", "resets"}).astype("float32")
    other = make_case(facts, Dims(205, 5, 7, 35), PLAIN, seed=1).astype("float32")
    weights = [(c.W_x, c.W_h, c.b) for c in (case, other)]
    results = []
    for segment_blocks in (4, 1, 2, 3):
        ys, states, tape = ops.forward_both(
            cell,
            case.x,
            *weights,
            (case.state, other.state),
            **case.keywords,
            tape=True,
            _force=force | {"segment_blocks": segment_blocks},
        )
        shown = tape.states
        gradients = ops.backward_both(tape, (case.dy, other.dy), (case.dstate, other.dstate), _force=force)
        assert report() == (-(-4 // segment_blocks), min(205, 52 * segment_blocks))
        results.append(
            {
                f"{i} {name}": a
                for i in range(2)
                for name, a in {
                    "y": ys[i],
                    **named_states("state ", facts, states[i]),
                    **named_states("tape ", facts, tuple(shown[i].values())),
                    **named_gradients(facts, gradients[i], True),
                }.items()
            }
        )
    for result in results[1:]:
        assert_same_bits(result, results[0])


@pytest.mark.parametrize("need_dx", [False, True])
def test_segments_without_dx_without_y_and_added_to_earlier_gradients(cell: str, need_dx: bool) -> None:
    case = make_case(CELLS[cell], Dims(100, 9, 5, 17), PLAIN).astype("float32")
    results = []
    for tape_mode in (True, "segments"):
        weights = ops.Weights(cell, case.W_x, case.W_h, case.b)
        into = None
        for _ in range(2):
            _, _, tape = ops.forward(cell, case.x, weights, state=case.state, sequences=False, tape=tape_mode)
            into = ops.backward(tape, {"h": case.dy}, case.dstate, need_dx=need_dx, into=into)
        assert into is not None
        results.append(into)
    assert report()[0] > 1
    assert np.array_equal(results[0].flat, results[1].flat)
    assert (results[1].x is None) != need_dx
    if need_dx:
        assert np.array_equal(results[0].x, results[1].x)


# Tapes


@pytest.mark.parametrize("variant", ["plain", "lengths_reverse", "all_zero", "all_hold_reverse"])
def test_states_and_gates_are_computed_again(cell: str, variant: str) -> None:
    case = make_case(CELLS[cell], Dims(90, 9, 5, 17), VARIANTS[variant]).astype("float32")
    assert_same_bits(run(case, "segments", read=True), run(case, read=True))


def test_states_of_weights_that_have_changed_are_an_error() -> None:
    case = make_case(CELLS["gru"], Dims(90, 9, 5, 17), PLAIN).astype("float32")
    weights = ops.Weights("gru", case.W_x, case.W_h, case.b)
    _, _, tape = ops.forward("gru", case.x, weights, tape="segments")
    weights.touch()
    with pytest.raises(RuntimeError, match=r"^tape: its weights have changed"):
        _ = tape.states


def test_a_consumed_tape_keeps_its_mode_and_its_memory() -> None:
    case = make_case(CELLS["lstm"], Dims(200, 9, 5, 17), PLAIN).astype("float32")
    expected = run(case)
    for mode in ("segments", 300_000, "full"):
        _, _, tape = ops.forward("lstm", *case.forward, tape=mode)
        cut, nbytes = report(), tape.nbytes
        ops.backward(tape, case.dy, case.dstate)
        for T in (200, 190, 200):
            _, _, again = ops.forward("lstm", case.x[:T], *case.forward[1:], tape=tape)
            assert again is tape
            gradients = ops.backward(again, case.dy[:T], case.dstate)
        assert (report(), tape.nbytes) == (cut, nbytes)
        actual = named_gradients(CELLS["lstm"], gradients, True)
        assert_same_bits(actual, {name: expected[name] for name in actual})


def test_true_and_full_are_one_mode() -> None:
    case = make_case(CELLS["lstm"], Dims(200, 9, 5, 17), PLAIN).astype("float32")
    sizes = []
    for mode in (True, "full", np.True_):
        _, _, tape = ops.forward("lstm", *case.forward, tape=mode)
        assert report() == (1, 200)
        sizes.append(tape.nbytes)
    assert len(set(sizes)) == 1
    for mode in (False, np.False_):
        assert ops.forward("lstm", *case.forward, tape=mode)[2] is None
        assert report() == (0, 0)


@pytest.mark.parametrize("dims", [Dims(0, 3, 2, 5), Dims(4, 0, 2, 5), Dims(1, 1, 1, 1), Dims(5, 3, 2, 5)], ids=str)
@pytest.mark.parametrize("mode", ["segments", 1 << 20])
def test_short_sequences_have_one_segment(cell: str, dims: Dims, mode: Any) -> None:
    case = make_case(CELLS[cell], dims, PLAIN).astype("float32")
    assert_same_bits(run(case, mode), run(case))
    assert report() == (1, dims.T)


# Budgets


def nbytes_of(case: Case, tape: Any, **force: Any) -> int:
    return int(ops.forward(case.cell, *case.forward, **case.keywords, tape=tape, _force=force)[2].nbytes)


@pytest.mark.parametrize("features", [PLAIN, EVERYTHING], ids=["plain", "everything"])
def test_segments_take_the_least_memory_and_a_budget_the_longest_segments(cell: str, features: frozenset[str]) -> None:
    case = make_case(CELLS[cell], Dims(600, 16, 5, 17), features).astype("float32")
    blocks = 600 // 16 + 1
    sizes = {each: nbytes_of(case, True, segment_blocks=each) for each in range(1, blocks + 1)}
    assert sizes[blocks] == nbytes_of(case, True)
    least = min(sizes.values())
    assert nbytes_of(case, "segments") == least
    for budget in (least, least + 1, sizes[blocks] // 2, sizes[blocks] - 1, sizes[blocks], 10**12):
        longest = max(each for each, size in sizes.items() if size <= budget)
        assert nbytes_of(case, budget) == sizes[longest] <= budget
        assert report() == (-(-blocks // longest), min(600, 16 * longest))
    with pytest.raises(
        ValueError, match=f"^tape: expected a memory budget of at least {least} bytes .*, got {least - 1}"
    ):
        nbytes_of(case, least - 1)


def test_the_budget_is_that_of_both_directions() -> None:
    case = make_case(CELLS["lstm"], Dims(600, 16, 5, 17), PLAIN).astype("float32")
    weights = (case.W_x, case.W_h, case.b)
    for budget in (800_000, 2_000_000, 50_000_000):
        _, _, tape = ops.forward_both("lstm", case.x, weights, weights, tape=budget)
        assert tape.nbytes <= budget
        segments = report()[0]
        _, _, single = ops.forward("lstm", case.x, *weights, tape=budget // 2)
        assert report()[0] == segments
        assert 2 * single.nbytes == tape.nbytes


def test_the_last_segment_is_not_computed_again() -> None:
    """A budget of nearly all is nearly as fast as all: the first segment is the short one, in both directions."""
    for reverse in (False, True):
        case = make_case(CELLS["lstm"], Dims(100, 16, 5, 17), PLAIN | ({"reverse"} if reverse else set()))
        _, _, tape = ops.forward("lstm", *case.forward, **case.keywords, tape=True, _force={"segment_blocks": 6})
        assert report() == (2, 96)
        case.x[:] = np.nan  # a tape refers to x: only what is computed again sees the change
        seen = np.isnan(tape.states["h"]).any(axis=(1, 2))
        assert list(np.flatnonzero(seen)) == list(range(96, 100) if reverse else range(16))


# Layers and fit


def stack() -> Sequential:
    utils.set_random_seed(3)
    return Sequential(
        [
            Input((200, 3)),
            Bidirectional(GRU(5, return_sequences=True, dropout=0.2)),
            LSTM(6, return_sequences=True, recurrent_dropout=0.2),
            TimeDistributed(Dense(4)),
            layers.SimpleRNN(4, go_backwards=True),
            Dense(1),
        ]
    )


class Recorder:
    """Stands for `forward` and `forward_both` of `ops` in the layers: the mode of each tape, its segments and bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.modes: list[Any] = []
        self.segments: list[int] = []
        self.nbytes: list[int] = []
        for name in ("forward", "forward_both"):
            monkeypatch.setattr(ops, name, self.recorded(getattr(ops, name)))

    def recorded(self, function: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            result = function(*arguments, **keywords)
            if result[2] is not None:
                self.modes.append("again" if isinstance(keywords["tape"], ops.Tape) else keywords["tape"])
                self.segments.append(report()[0])
                self.nbytes.append(result[2].nbytes)
            return result

        return call


@pytest.mark.parametrize(
    ("budget", "modes"),
    [
        (None, ["full"] * 3),
        ("segments", ["segments"] * 3),
        (600_000, [300_000, 150_000, 150_000]),
        ("600kB", [300_000, 150_000, 150_000]),
    ],
)
def test_fit_keeps_the_tapes_of_all_layers_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, budget: Any, modes: list[Any]
) -> None:
    x, y = random(12, 200, 3), random(12, 1)
    expected = stack()
    expected.compile(loss="mse", optimizer="sgd")
    expected.fit(x, y, batch_size=6, epochs=2, verbose=0)
    model = stack()
    model.compile(loss="mse", optimizer="sgd")
    recorder = Recorder(monkeypatch)
    model.fit(x, y, batch_size=6, epochs=2, verbose=0, memory_budget=budget)
    assert recorder.modes == modes + ["again"] * 9  # three recurrent layers, four steps
    if budget is None:
        assert recorder.segments == [1] * 12
    else:
        assert min(recorder.segments) > 1
    if isinstance(modes[0], int):
        assert sum(recorder.nbytes[:3]) <= 600_000
    for actual, weight in zip(model.get_weights(), expected.get_weights(), strict=True):
        assert np.array_equal(actual, weight)
    if budget is not None:
        model.fit(x, y, batch_size=6, verbose=0)
        assert recorder.modes[12:15] == ["full"] * 3  # a budget is that of one call of fit


def test_the_budget_of_a_layer_goes_before_that_of_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential(
        [
            Input((300, 3)),
            LSTM(5, return_sequences=True, memory_budget="150kB"),
            GRU(5, return_sequences=True),
            GRU(5, return_sequences=True, memory_budget="full"),
            GRU(5, memory_budget="segments"),
        ]
    )
    model.compile(loss="mse", optimizer="sgd")
    recorder = Recorder(monkeypatch)
    model.fit(random(6, 300, 3), random(6, 5), verbose=0, memory_budget="100kB")
    assert recorder.modes == [150_000, 100_000, "full", "segments"]
    recorder.modes.clear()
    model.train_on_batch(random(6, 300, 3), random(6, 5))
    assert recorder.modes == [150_000, "full", "full", "segments"]


def test_gradients_of_a_layer_with_a_budget(cell: str) -> None:
    kinds = {
        "lstm": LSTM,
        "gru": GRU,
        "gru_reset_before": GRU,
        "rnn_tanh": layers.SimpleRNN,
        "rnn_relu": layers.SimpleRNN,
    }
    more = {"gru_reset_before": {"reset_after": False}, "rnn_relu": {"activation": "relu"}}.get(cell, {})
    x, gradients = random(9, 150, 3), []
    for budget in ("full", "segments"):
        utils.set_random_seed(1)
        layer = kinds[cell](5, return_sequences=True, memory_budget=budget, input_shape=(150, 3), **more)
        assert layer.cell.engine_cell == cell
        call = Call(Run(training=True))
        layer.forward(x, call)
        assert (report()[0] > 1) == (budget == "segments")
        layer.backward(np.ones((9, 150, 5), np.float32), call)
        gradients.append(layer.parameter.gradients)
    assert_gradients_equal(gradients[1], gradients[0])


def test_a_memory_budget_is_part_of_the_config() -> None:
    layer = LSTM(5, memory_budget="1.5MiB")
    assert layer.get_config()["memory_budget"] == 3 << 19
    assert LSTM.from_config(layer.get_config()).memory_budget == 3 << 19
    both = Bidirectional(GRU(5, memory_budget="segments"))
    assert both.backward_layer.memory_budget == "segments"
    assert Bidirectional.from_config(both.get_config()).forward_layer.memory_budget == "segments"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1B", 1), ("2 kB", 2000), ("2KiB", 2048), ("0.5MB", 500_000), ("256MB", 256 * 10**6), ("3 GiB", 3 << 30)],
)
def test_budgets_in_words(text: str, expected: int) -> None:
    assert check_memory_budget("fit", text) == expected


@pytest.mark.parametrize("budget", ["", "256", "MB", "-1MB", "1.MB", "256 mb", "0.1B", "half", 0, -5])
def test_budgets_that_are_none(budget: Any) -> None:
    with pytest.raises(ValueError, match=r"^LSTM: memory_budget: expected "):
        LSTM(5, memory_budget=budget)


@pytest.mark.parametrize("budget", [True, 1e6, [1], np.ones(1)], ids=repr)
def test_budgets_of_a_wrong_type(budget: Any) -> None:
    model = Sequential([Input((9, 3)), LSTM(5)])
    model.compile(loss="mse")
    with pytest.raises(TypeError, match=r"^fit: memory_budget: expected "):
        model.fit(random(6, 9, 3), random(6, 5), verbose=0, memory_budget=budget)


def test_a_budget_that_nothing_fits_names_the_least_that_does() -> None:
    model = Sequential([Input((300, 3)), LSTM(5)])
    model.compile(loss="mse")
    x, y = random(6, 300, 3), random(6, 5)
    with pytest.raises(ValueError, match=r"at least \d+ bytes") as error:
        model.fit(x, y, verbose=0, memory_budget=100)
    least = int(str(error.value).split("at least ")[1].split()[0])
    model.fit(x, y, verbose=0, memory_budget=least)


def test_a_budget_for_a_model_without_a_tape_is_an_error() -> None:
    model = Sequential([Input((3,)), Dense(5)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match=r"^memory_budget: expected a recurrent layer"):
        model.fit(random(6, 3), random(6, 5), verbose=0, memory_budget="1MB")


def test_backward_both_refuses_segment_blocks_without_a_tape() -> None:
    case = make_case(CELLS["gru"], Dims(5, 3, 2, 4), PLAIN).astype("float32")
    with pytest.raises(ValueError, match=r"^_force: expected segment_blocks only with a tape"):
        ops.forward("gru", *case.forward, _force={"segment_blocks": 1})
