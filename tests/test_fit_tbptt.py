"""Truncated backpropagation through time: one argument, and the same by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrnn import Input, Model, Sequential, utils
from pyrnn.callbacks import BackupAndRestore, LambdaCallback
from pyrnn.layers import GRU, LSTM, Bidirectional, Conv1D, Dense, Embedding, SimpleRNN, TimeDistributed

N, T = 12, 11
RNG = np.random.default_rng(4)
X = RNG.normal(size=(N, T, 3)).astype(np.float32)
Y = RNG.normal(size=(N, T, 2)).astype(np.float32)


def layers(stateful: bool) -> list[Any]:
    return [
        Input((None, 3)),
        LSTM(5, return_sequences=True, stateful=stateful),
        GRU(4, return_sequences=True, stateful=stateful),
        SimpleRNN(4, return_sequences=True, stateful=stateful),
        TimeDistributed(Dense(2)),
    ]


def make(stateful: bool = False, loss: str = "mse") -> Sequential:
    utils.set_random_seed(1)
    model = Sequential(layers(stateful))
    model.compile("adam", loss, metrics=["mae"])
    return model


@pytest.mark.parametrize("length", [1, 4, 11, 50])
def test_it_is_steps_on_pieces_with_carried_states(length: int) -> None:
    model, by_hand = make(), make(stateful=True)
    history = model.fit(X, Y, 6, epochs=2, shuffle=False, verbose=0, tbptt=length).history
    losses = []
    for _ in range(2):
        total = 0.0
        for rows in (slice(0, 6), slice(6, 12)):
            by_hand.reset_states()
            for begin in range(0, T, length):
                piece = slice(begin, min(begin + length, T))
                loss = by_hand.train_on_batch(X[rows, piece], Y[rows, piece])[0]
                total += loss * (piece.stop - piece.start) * 6
        losses.append(total / (N * T))
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True))
    assert history["loss"] == pytest.approx(losses, rel=1e-5)
    assert model.optimizer.iterations == 4 * -(-T // length)


def test_one_piece_is_no_truncation() -> None:
    whole, cut = make(), make()
    expected = whole.fit(X, Y, 6, epochs=2, shuffle=False, verbose=0).history
    assert cut.fit(X, Y, 6, epochs=2, shuffle=False, verbose=0, tbptt=T).history == expected
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True))


def test_nothing_is_left_behind() -> None:
    model = make()
    before = model.predict(X, verbose=0)
    model.fit(X, Y, 5, verbose=0, tbptt=3, validation_data=(X[:7], Y[:7]))
    assert not any(layer.stateful for layer in model.layers if hasattr(layer, "stateful"))
    first = model.predict(X, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), first)
    assert not np.array_equal(before, first)


def test_ids_weights_of_steps_and_a_mask() -> None:
    ids, y = RNG.integers(0, 5, (N, T)), RNG.integers(0, 4, (N, T))
    weights = RNG.uniform(0.1, 2, (N, T)).astype(np.float32)
    utils.set_random_seed(2)
    model = Sequential([Embedding(5, 3, mask_zero=True), LSTM(6, return_sequences=True), Dense(4, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    losses = model.fit(ids, y, 6, epochs=30, verbose=0, tbptt=4, sample_weight=weights).history["loss"]
    assert losses[-1] < losses[0]


def test_several_inputs_and_outputs() -> None:
    a, b = Input((None, 3)), Input((None, 2))
    h, k = LSTM(4, return_sequences=True)(a), GRU(4, return_sequences=True)(b)
    model = Model([a, b], [Dense(2, name="one")(h), Dense(1, name="two")(k)])
    model.compile("adam", "mse")
    history = model.fit([X, Y], [Y, Y[..., :1]], 6, epochs=2, verbose=0, tbptt=4).history
    assert set(history) == {"loss", "one_loss", "two_loss"}


def test_a_stopped_run_goes_on(tmp_path: Any) -> None:
    expected = make().fit(X, Y, 4, epochs=3, verbose=0, tbptt=4).model.get_weights()

    def stop(batch: int, logs: Any) -> None:
        if model.optimizer.iterations == 12:
            raise KeyboardInterrupt

    model = make()
    with pytest.raises(KeyboardInterrupt):
        watch = LambdaCallback(on_train_batch_begin=stop)
        model.fit(X, Y, 4, epochs=3, verbose=0, tbptt=4, callbacks=[BackupAndRestore(tmp_path, 1), watch])
    with pytest.raises(ValueError, match="expected the arguments of fit to be .*'tbptt': 4"):
        make().fit(X, Y, 4, epochs=3, verbose=0, tbptt=3, callbacks=[BackupAndRestore(tmp_path, 1)])
    again = make()
    again.fit(X, Y, 4, epochs=3, verbose=0, tbptt=4, callbacks=[BackupAndRestore(tmp_path, 1)])
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected, strict=True))


@pytest.mark.parametrize(
    ("parts", "y", "error", "message"),
    [
        ([LSTM(4), Dense(2)], Y[:, 0], ValueError, "tbptt: expected an output at every step, got lstm with return_seq"),
        ([Bidirectional(LSTM(4, return_sequences=True)), Dense(2)], Y, ValueError, "tbptt: .*bidirectional"),
        ([Conv1D(3, 2, padding="same"), LSTM(4, return_sequences=True), Dense(2)], Y, ValueError, "tbptt: .*conv1d"),
        ([LSTM(4, return_sequences=True, go_backwards=True), Dense(2)], Y, ValueError, "with go_backwards=True"),
        ([Dense(2)], Y, ValueError, "tbptt: expected a model with recurrent layers, got none"),
        ([LSTM(4, return_sequences=True), Dense(2)], Y[:, :5], ValueError, r"tbptt: y: expected arrays \(N, T, ...\)"),
    ],
    ids=["last", "bidirectional", "conv", "backwards", "dense", "lengths"],
)  # fmt: skip
def test_refusals(parts: Any, y: Any, error: type[Exception], message: str) -> None:
    model = Sequential([Input((None, 3)), *parts])
    model.compile("adam", "mse")
    with pytest.raises(error, match=message):
        model.fit(X, y, verbose=0, tbptt=4)
    with pytest.raises(ValueError, match="fit: tbptt: expected an integer >= 1"):
        model.fit(X, y, verbose=0, tbptt=0)
