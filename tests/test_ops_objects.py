"""The objects of the functional API: Weights, Packed, Stream. Results equal those of `forward` to the bit."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.api import B, D, H, T, arrays, assert_equal, assert_gradients_equal, parts_of, random

from pyrnn import _engine, ops

# ---- Weights


def test_weights_stand_for_arrays(cell: str, dtype: str) -> None:
    given = arrays(cell, dtype)
    weights = ops.Weights(cell, *given)
    x = random(T, B, D, dtype=dtype)
    y, state, tape = ops.forward(cell, x, *given, tape=True)
    packed_y, packed_state, packed_tape = ops.forward(cell, x, weights, tape=True)
    assert _engine.last_report()["packed_weights"]
    assert_equal((packed_y, *parts_of(packed_state)), (y, *parts_of(state)))
    gradients = ops.backward(packed_tape, y, state)
    assert_gradients_equal(gradients, ops.backward(tape, y, state))
    assert gradients.flat.shape == weights.flat.shape
    assert (weights.cell, weights.inputs, weights.units, weights.dtype) == (cell, D, H, np.dtype(dtype))
    assert_equal((weights.W_x, weights.W_h, weights.b), given)


@pytest.mark.parametrize("packed", [True, False], ids=["weights", "arrays"])
@pytest.mark.parametrize("batch", [B, 400], ids=["short call", "interruptible call"])
def test_cleared_gradients_start_from_zero(cell: str, packed: bool, batch: int) -> None:
    given = arrays(cell)
    weights = (ops.Weights(cell, *given),) if packed else given
    x = random(T, batch, D)

    def backward(into: ops.Gradients | None) -> ops.Gradients:
        y, _, tape = ops.forward(cell, x, *weights, tape=True)
        return ops.backward(tape, y, into=into)

    expected, gradients = backward(None), backward(None)
    gradients.clear()
    assert backward(gradients) is gradients
    assert_gradients_equal(gradients, expected)
    backward(gradients)
    assert_equal((gradients.W_x,), (2 * expected.W_x,))
    gradients.clear()
    assert not np.any(gradients.W_x) and not np.any(gradients.b)
    assert not packed or not np.any(gradients.flat)


def test_flat_is_a_view_that_keeps_the_weights_alive() -> None:
    flat = ops.Weights("gru", *arrays("gru")).flat
    rubbish = [ops.Weights("gru", *(0 * w for w in arrays("gru"))) for _ in range(20)]
    assert_equal(flat, ops.Weights("gru", *arrays("gru")).flat)
    assert flat.base is not None
    assert rubbish


def test_version_counts_changes() -> None:
    weights = ops.Weights("lstm", *arrays("lstm"))
    x, before = random(T, B, D), weights.version
    weights.touch()
    assert weights.version == before + 1
    other = arrays("lstm", seed=9)
    weights.set(*other)
    assert weights.version == before + 2
    y, _, tape = ops.forward("lstm", x, weights, tape=True)
    expected, _, plain_tape = ops.forward("lstm", x, *other, tape=True)
    assert_equal(y, expected)
    assert_gradients_equal(ops.backward(tape, y), ops.backward(plain_tape, y))  # transposed copies followed
    _, _, tape = ops.forward("lstm", x, weights, tape=True)
    weights.flat[...] *= 2
    weights.touch()
    with pytest.raises(RuntimeError, match=r"^tape: its weights have changed"):
        ops.backward(tape, y)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))])
@pytest.mark.parametrize("with_bias", [True, False])
def test_weights_can_be_copied_and_pickled(cell: str, dtype: str, copied: Any, with_bias: bool) -> None:
    weights = ops.Weights(cell, *arrays(cell, dtype)[: 3 if with_bias else 2])
    twin = copied(weights)
    assert isinstance(twin, ops.Weights)
    assert_equal(twin.flat, weights.flat)
    assert (twin.b is None) == (not with_bias)
    twin.flat[...] = 0
    assert weights.flat.any()


# ---- Inference


def test_packed_forward_is_forward(cell: str, dtype: str) -> None:
    x, lengths = random(T, B, D, dtype=dtype), [1, 2, 3, 4, 5]
    packed = ops.pack(cell, *arrays(cell, dtype))
    y, state = packed.forward(x, lengths=lengths)
    expected, expected_state, _ = ops.forward(cell, x, *arrays(cell, dtype), lengths=lengths)
    assert_equal((y, *parts_of(state)), (expected, *parts_of(expected_state)))
    assert packed.cell == cell


@pytest.mark.parametrize("batch", [1, B])
def test_stream_steps_are_those_of_forward(cell: str, dtype: str, batch: int) -> None:
    x = random(T, batch, D, dtype=dtype)
    stream = ops.pack(cell, *arrays(cell, dtype)).stream(batch)
    expected, state, _ = ops.forward(cell, x, *arrays(cell, dtype))
    out = np.empty((batch, H), dtype)
    for t in range(T):
        if t % 2:
            assert stream.step(x[t], out=out) is out
            assert_equal(out, expected[t])
        else:
            assert_equal(stream.step(x=x[t]), expected[t])
    assert_equal(stream.state, state)


def test_stream_of_one_row_takes_vectors(cell: str) -> None:
    stream = ops.pack(cell, *arrays(cell)).stream()
    rows = ops.pack(cell, *arrays(cell)).stream()
    x, out = random(D), np.empty(H, np.float32)
    assert_equal(stream.step(x, out), rows.step(x[None])[0])
    assert_equal(stream.step(x), rows.step(x[None], np.empty((1, H), np.float32))[0])


def test_stream_state_can_be_read_set_and_reset(cell: str) -> None:
    x = random(T, B, D)
    stream = ops.pack(cell, *arrays(cell)).stream(B)
    stream.step(x[0])
    kept = stream.state
    first = stream.step(x[1])
    parts_of(stream.state)[0][...] = 9  # a copy
    stream.state = kept
    assert_equal(stream.step(x[1]), first)
    for rows, zero in [([0, 3], [0, 3]), (np.array([False, True, False, False, True]), [1, 4]), (None, range(B))]:
        stream.state = kept
        stream.reset(rows)
        for now, before in zip(parts_of(stream.state), parts_of(kept), strict=True):
            assert not now[list(zero)].any()
            others = [b for b in range(B) if b not in zero]
            assert_equal(now[others], before[others])
    stream.state = None
    assert not any(part.any() for part in parts_of(stream.state))


def test_streams_fork(cell: str) -> None:
    x = random(T, B, D)
    stream = ops.pack(cell, *arrays(cell)).stream(B)
    stream.step(x[0])
    other = stream.fork()
    y = stream.step(x[1])
    stream.step(x[2])
    assert_equal(other.step(x[1]), y)


def test_streams_save_and_load(cell: str, dtype: str, tmp_path: Path) -> None:
    path, x = tmp_path / "state.safetensors", random(T, B, D, dtype=dtype)
    packed = ops.pack(cell, *arrays(cell, dtype))
    stream, other = packed.stream(B), packed.stream(B)
    stream.step(x[0])
    stream.save(path)
    other.load(path)
    assert_equal(other.state, stream.state)
    assert_equal(other.step(x[1]), stream.step(x[1]))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    stream.save(path)  # over the old one
    other.load(str(path))
    assert_equal(other.state, stream.state)


def test_a_file_of_another_cell_is_refused(tmp_path: Path) -> None:
    ops.pack("gru", *arrays("gru")).stream(B).save(tmp_path / "state")
    with pytest.raises(ValueError, match=r"^path: expected the state of a stream of rnn_tanh"):
        ops.pack("rnn_tanh", *arrays("rnn_tanh")).stream(B).load(tmp_path / "state")
