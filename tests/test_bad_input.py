"""Bad input, generated from signature x argument x mutation: an error that names the argument, or the right answer.

Afterwards the objects that took part still work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.mutations import COUNT, FLAG, PAIR, Mutation, bools, floats, integers, outputs, values

from pyrnn import ops

T, B, D, H = 5, 3, 4, 6
Arguments = dict[str, Any]
Place = tuple[Any, ...]  # argument, then indices or keys into it


def random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def weights(gates: int = 4) -> Arguments:
    return {
        "W_x": random(D, gates * H, seed=1),
        "W_h": random(H, gates * H, seed=2),
        "b": random(gates * H, seed=3),
    }


def of_call() -> Arguments:
    keep = random(T, B, H, seed=8) > 0
    return {
        "lengths": np.array([5, 0, 3]),
        "mask": random(T, B, seed=4) > -0.5,
        "masked": "zero",
        "resets": random(T, B, seed=5) > 0.5,
        "sequences": True,
        "tape": False,
        "threads": 1,
        "extra": None,
        "x_scale": random(B, D, seed=6),
        "h_scale": random(B, H, seed=7),
        "zoneout": (np.abs(random(T, B, H, seed=9)), keep),
        "state": (random(B, H, seed=10), random(B, H, seed=11)),
        "out": np.zeros((T, B, H), np.float32),
    }


class Signature(NamedTuple):
    name: str
    arguments: Callable[[], Arguments]
    run: Callable[[Arguments], Any]
    mutations: dict[Place, list[Mutation]]


CELL = [*values(ValueError, "", "LSTM", "lstm\0", "nonsense" * 99), *values(TypeError, None, 1, b"lstm")]
MASKED = [*values(ValueError, "", "keep"), *values(TypeError, None, True)]
TAPE_MODE = [
    *values(ValueError, "yes", "", 0, 1, -(2**80)),
    *values(TypeError, None, 0.0, np.ones(2, bool), np.ones(1, int), object()),
]
STATE = [*values(TypeError, 3, "hc", {}), *values(ValueError, (), (random(B, H),), (random(B, H),) * 3)]
EXTRA = values(ValueError, 1, random(H))
WEIGHTS = {("W_x",): floats(2, (0, 1)), ("W_h",): floats(2), ("b",): floats(1)}
CALL = {
    ("lengths",): integers(T),
    ("mask",): bools(2),
    ("masked",): MASKED,
    ("resets",): bools(2),
    ("sequences",): FLAG,
    ("tape",): TAPE_MODE,
    ("threads",): COUNT,
    ("extra",): EXTRA,
}
ROWS = {
    ("x_scale",): floats(2),
    ("h_scale",): floats(2),
    ("zoneout", 0): [m for m in floats(3) if m.name != "bool"],
    ("zoneout", 1): [m for m in bools(3) if m.name not in ("float32", "ragged", "list")],
    ("zoneout",): values(ValueError, (), (None,) * 3),
    ("state", 0): floats(2),
    ("state", 1): floats(2),
    ("state",): STATE,
    ("out",): outputs(3),
}


def of_direction(rows: dict[Place, list[Mutation]]) -> dict[Place, list[Mutation]]:
    """The same for the second of a pair."""
    return {(place[0], 1, *place[1:]): mutations for place, mutations in rows.items()}


def forward_arguments() -> Arguments:
    return {"cell": "lstm", "x": random(T, B, D), **weights(), **of_call(), "reverse": False}


def both_arguments() -> Arguments:
    call = of_call()
    pairs = {name: (call[name], call[name]) for name in ("x_scale", "h_scale", "zoneout", "state")}
    out = (np.zeros((T, B, H), np.float32), np.zeros((T, B, H), np.float32))
    parameters = tuple(weights().values())
    both = {"forward_weights": parameters, "backward_weights": parameters}
    return {"cell": "lstm", "x": random(T, B, D), **both, **call, **pairs, "out": out}


def tape_for(both: bool) -> Any:
    W_x, W_h, b = weights().values()
    if both:
        return ops.forward_both("lstm", random(T, B, D), (W_x, W_h, b), (W_x, W_h, b), tape=True)[2]
    return ops.forward("lstm", random(T, B, D), W_x, W_h, b, tape=True)[2]


def backward_arguments() -> Arguments:
    into = ops.backward(tape_for(False), random(T, B, H, seed=20))
    dy = {name: random(T, B, H, seed=21 + i) for i, name in enumerate("yhc")}
    dstate = (random(B, H, seed=24), random(B, H, seed=25))
    return {"tape": tape_for(False), "dy": dy, "dstate": dstate, "need_dx": True, "into": into, "threads": 1}


def backward_both_arguments() -> Arguments:
    one = backward_arguments()
    into = ops.backward_both(tape_for(True), (random(T, B, H, seed=20),) * 2)
    pairs = {name: (one[name], one[name]) for name in ("dy", "dstate")}
    return {**one, **pairs, "tape": tape_for(True), "into": into}


def consumed_tape() -> Any:
    tape = tape_for(False)
    ops.backward(tape)
    return tape


def stream() -> Any:
    return ops.pack("lstm", **weights()).stream(B)


def step(a: Arguments) -> Any:
    return [a["stream"].step(a["x"], a["out"]), a["stream"].state]


def set_state(a: Arguments) -> Any:
    a["stream"].state = a["state"]
    return a["stream"].state


def reset(a: Arguments) -> Any:
    a["stream"].state = of_call()["state"]
    a["stream"].reset(a["rows"])
    return a["stream"].state


def set_weights(a: Arguments) -> Any:
    a["weights"].set(a["W_x"], a["W_h"], a["b"])
    return a["weights"]


DY = {("dy", name): floats(3) for name in "yhc"}
DSTATE = {("dstate", 0): floats(2), ("dstate", 1): floats(2), ("dstate",): STATE}
TAPE = [*values(TypeError, None, 3, object()), *values(RuntimeError, consumed_tape())]
OTHER_GRADIENTS = [
    Mutation("other_cell", lambda _: gradients_of("rnn_tanh", 1), ValueError),
    Mutation("no_bias", lambda _: gradients_of("lstm", 4, bias=False), ValueError),
    Mutation("packed", lambda _: gradients_of("lstm", 4, packed=True), ValueError),
    Mutation("other_dtype", lambda _: gradients_of("lstm", 4, dtype="float64"), ValueError),
    *values(TypeError, 3, "into", random(D, 4 * H)),
]


def gradients_of(cell: str, gates: int, *, bias: bool = True, packed: bool = False, dtype: str = "float32") -> Any:
    W_x, W_h, b = (a.astype(dtype) for a in weights(gates).values())
    given = (ops.Weights(cell, W_x, W_h, b),) if packed else (W_x, W_h, b if bias else None)
    return ops.backward(ops.forward(cell, random(T, B, D).astype(dtype), *given, tape=True)[2])


SIGNATURES = [
    Signature(
        "forward",
        forward_arguments,
        lambda a: ops.forward(**a),
        {("cell",): CELL, ("x",): floats(3, (2,)), **WEIGHTS, **CALL, **ROWS, ("reverse",): FLAG},
    ),
    Signature(
        "forward_both",
        both_arguments,
        lambda a: ops.forward_both(**a),
        {
            ("cell",): CELL[:1],
            ("x",): floats(3, (2,)),
            **{("backward_weights", i): mutations for i, mutations in enumerate(WEIGHTS.values())},
            **of_direction(ROWS),
            **{(name,): PAIR for name in ("x_scale", "h_scale", "zoneout", "state", "out")},
            ("forward_weights",): values(TypeError, None, 3, "ab"),
            ("backward_weights",): values(ValueError, (), (1,), (1, 2, 3, 4)),
        },
    ),
    Signature(
        "backward",
        backward_arguments,
        lambda a: ops.backward(**a),
        {
            ("tape",): [*TAPE, Mutation("of_both", lambda _: tape_for(True), ValueError)],
            **DY,
            **DSTATE,
            ("dy",): [*values(TypeError, 3, [1.0], {1: random(T, B, H)}), *values(ValueError, {"x": random(T, B, H)})],
            ("need_dx",): FLAG,
            ("into",): OTHER_GRADIENTS,
            ("threads",): COUNT,
        },
    ),
    Signature(
        "backward_both",
        backward_both_arguments,
        lambda a: ops.backward_both(**a),
        {
            ("tape",): [*TAPE, Mutation("of_one", lambda _: tape_for(False), ValueError)],
            **of_direction(DY),
            **of_direction(DSTATE),
            **{(name,): PAIR for name in ("dy", "dstate", "into")},
            ("into", 1): OTHER_GRADIENTS,
        },
    ),
    Signature(
        "Weights",
        lambda: {"cell": "lstm", **weights()},
        lambda a: ops.Weights(**a),
        {("cell",): CELL, ("W_x",): floats(2, (1,)), ("W_h",): WEIGHTS[("W_h",)], ("b",): WEIGHTS[("b",)]},
    ),
    Signature("pack", lambda: {"cell": "lstm", **weights()}, lambda a: ops.pack(**a).forward(random(T, B, D)), WEIGHTS),
    Signature(
        "Weights.set",
        lambda: {"weights": ops.Weights("lstm", *(0 * w for w in weights().values())), **weights()},
        set_weights,
        WEIGHTS,
    ),
    Signature(
        "Packed.forward",
        lambda: {"x": random(T, B, D), **{name: of_call()[name] for name in ("state", "lengths", "threads")}},
        lambda a: ops.pack("lstm", **weights()).forward(**a),
        {("x",): floats(3, (2,)), ("state", 1): floats(2), ("lengths",): integers(T), ("threads",): COUNT},
    ),
    Signature(
        "Packed.stream",
        lambda: {"batch": B},
        lambda a: ops.pack("lstm", **weights()).stream(**a).state,
        {("batch",): COUNT},
    ),
    Signature(
        "Stream.step",
        lambda: {"stream": stream(), "x": random(B, D), "out": np.zeros((B, H), np.float32)},
        step,
        {("x",): floats(2), ("out",): outputs(2)},
    ),
    Signature(
        "Stream.state",
        lambda: {"stream": stream(), "state": of_call()["state"]},
        set_state,
        {("state", 0): floats(2), ("state", 1): floats(2), ("state",): STATE},
    ),
    Signature(
        "Stream.reset",
        lambda: {"stream": stream(), "rows": np.array([0, 2])},
        reset,
        {("rows",): [m for m in integers(B - 1) if m.name not in ("longer_0", "empty_0", "bool")]},
    ),
]


class Case(NamedTuple):
    signature: Signature
    place: Place
    mutation: Mutation

    def __str__(self) -> str:
        return "-".join([self.signature.name, *map(str, self.place), self.mutation.name])


CASES = [
    Case(signature, place, mutation)
    for signature in SIGNATURES
    for place, mutations in signature.mutations.items()
    for mutation in mutations
]


def changed(value: Any, place: Place, mutate: Callable[[Any], Any]) -> Any:
    """A copy of nested tuples and dicts with one part replaced."""
    if not place:
        return mutate(value)
    if isinstance(value, dict):
        return {**value, place[0]: changed(value[place[0]], place[1:], mutate)}
    return tuple(changed(v, place[1:], mutate) if i == place[0] else v for i, v in enumerate(value))


def leaves(result: Any) -> list[Any]:
    """All arrays of a result, in order."""
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in leaves(part)]
    if isinstance(result, ops.Gradients):
        return leaves([result.x, result.W_x, result.W_h, result.b, result.state])
    if isinstance(result, ops.Weights):
        return [result.flat.copy()]
    return [] if result is None or isinstance(result, ops.Tape) else [np.array(result)]


def assert_same(actual: Any, expected: Any) -> None:
    actual, expected = leaves(actual), leaves(expected)
    assert len(actual) == len(expected) > 0
    for a, e in zip(actual, expected, strict=True):
        assert np.array_equal(a, e, equal_nan=True)


def test_cases_are_many_and_distinct() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) >= 300


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input(case: Case) -> None:
    signature, place, mutation = case
    arguments = signature.arguments()
    bad = changed(arguments, place, mutation.mutate)
    if mutation.raises is None:
        # The same values in an array that NumPy laid out.
        clean = changed(
            bad, place, lambda a: np.array(a, np.asarray(a).dtype.newbyteorder("="), order="C", subok=False)
        )
        fresh = signature.arguments() | {k: v for k, v in clean.items() if k == place[0]}
        assert_same(signature.run(bad), signature.run(fresh))
        return
    with pytest.raises(mutation.raises) as error:
        signature.run(bad)
    assert re.search(rf"(?<!\w){place[0]}(?!\w)", str(error.value)), f"no {place[0]} in: {error.value}"
    # What took part works on: tapes, gradients, streams and weights are as they were.
    assert_same(signature.run(arguments), signature.run(signature.arguments()))


# ---- What the grid cannot say

OVERFLOWS = {
    "many_steps": ("x", (2**56, B, D)),
    "steps_times_rows": ("x", (2**28, 2**28, D)),
    "more_than_any_memory": ("x", (2**42, B, D)),
    "many_rows": ("x", (T, 2**40, D)),
    "many_rows_without_steps": ("x", (0, 2**40, D)),
    "many_inputs": ("W_x", (2**52, 4 * H)),
    "many_units": ("W_h", (2**29, 2**31)),
}


@pytest.mark.parametrize(("name", "shape"), OVERFLOWS.values(), ids=list(OVERFLOWS))
def test_sizes_that_overflow(name: str, shape: tuple[int, ...]) -> None:
    arguments: Arguments = {"cell": "lstm", "x": random(T, B, D), **weights()}
    huge = np.lib.stride_tricks.as_strided(random(D), shape, (0,) * (len(shape) - 1) + (4 * (name == "x"),))
    with pytest.raises(ValueError, match=f"^{name}: "):
        ops.forward(**arguments | {name: huge})
    ops.forward("lstm", random(T, B, D), **weights())


@pytest.mark.parametrize("name", ["x", "W_x", "W_h", "b", "x_scale", "h_scale", "state", "zoneout"])
def test_out_must_not_overlap_an_input(name: str) -> None:
    arguments = forward_arguments()
    memory = np.zeros(4 * H * (D + T + B) * H, np.float32)
    out = memory[: T * B * H].reshape(T, B, H)
    place = {"state": ("state", 1), "zoneout": ("zoneout", 0)}.get(name, (name,))
    bad = changed(arguments, place, lambda a: memory[3 : 3 + a.size].reshape(a.shape))
    with pytest.raises(ValueError, match=f"out: .*{name}"):
        ops.forward(**bad | {"out": out})


def test_out_may_lie_beside_an_input() -> None:
    memory = np.zeros((T, B, D + H), np.float32)
    x, out = memory[..., :D], memory[..., D:]
    x[...] = random(T, B, D)
    y, _, _ = ops.forward("lstm", x, **weights(), out=out)
    assert_same(y, ops.forward("lstm", random(T, B, D), **weights())[0])
    assert np.array_equal(x, random(T, B, D))


def test_two_outs_must_not_overlap() -> None:
    memory = np.zeros((T + 1, B, H), np.float32)
    with pytest.raises(ValueError, match=r"out\[1\]"):
        ops.forward_both(**both_arguments() | {"out": (memory[:-1], memory[1:])})


def test_weights_beside_Weights() -> None:
    packed = ops.Weights("lstm", **weights())
    for name in ("W_h", "b"):
        with pytest.raises(ValueError, match=name):
            ops.forward("lstm", random(T, B, D), packed, **{name: weights()[name]})
    with pytest.raises(ValueError, match="W_x"):
        ops.forward("gru", random(T, B, D), packed)
    with pytest.raises(TypeError, match=r"^x: expected float32, the dtype of the weights"):
        ops.forward("lstm", random(T, B, D).astype(np.float64), packed)


def test_nan_is_an_answer() -> None:
    x = random(T, B, D)
    x[2, 1] = np.nan
    y, _, _ = ops.forward("lstm", x, **weights())
    assert y is not None
    assert np.isnan(y[2:, 1]).all()
    assert not np.isnan(y[:, [0, 2]]).any()
    assert not np.isnan(y[:2]).any()


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"{}" * 100], ids=["empty", "pickle", "text"])
def test_a_stream_loads_only_its_own_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)
    target = stream()
    before = target.step(random(B, D))
    state = target.state
    with pytest.raises(ValueError, match="path"):
        target.load(path)
    assert_same(target.state, state)
    assert before.shape == (B, H)


def test_a_stream_loads_no_other_shape(tmp_path: Path) -> None:
    path = tmp_path / "state"
    ops.pack("lstm", **weights()).stream(B + 1).save(path)
    with pytest.raises(ValueError, match="state"):
        stream().load(path)


def test_messages_say_what_was_expected_and_what_came() -> None:
    arguments = forward_arguments()
    for bad, message in [
        ({"x": random(T, B, D + 1)}, "x: expected (T, B, D) with D = 4, the rows of W_x, got (5, 3, 5)"),
        ({"lengths": [1, 2, 9]}, "lengths: expected 0 to T = 5, got 9 at index 2"),
        ({"masked": "keep"}, "masked: expected one of 'zero', 'hold', got 'keep'"),
        ({"state": (random(B, H), random(B, 2))}, "state[1]: expected (B, H) with B = 3, H = 6, got (3, 2)"),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            ops.forward(**arguments | bad)
    with pytest.raises(TypeError, match=r"^b: expected float32, the dtype of x, got int64; convert with b.astype\("):
        ops.forward(**arguments | {"b": np.ones(4 * H, np.int64)})
