"""Models learn what they should; a whole model's gradient is its loss's slope; a seed repeats a run to the bit."""

from typing import Any

import numpy as np
import pytest
from helpers.models import larger_of_two, random, running_parity

import pyrnn
from pyrnn import Input, Sequential, utils
from pyrnn.layers import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    RepeatVector,
    SimpleRNN,
    TimeDistributed,
)
from pyrnn.optimizers import SGD, Adam
from pyrnn.optimizers.schedules import CosineDecay

# ---- it learns


@pytest.mark.parametrize("cls", [LSTM, GRU, SimpleRNN])
def test_it_learns_parity(cls: Any) -> None:
    utils.set_random_seed(1)
    x, y = running_parity()
    model = Sequential([Input((None, 1)), cls(24, return_sequences=True), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer=Adam(0.02), metrics=["accuracy", "exact_match"])
    history = model.fit(x, y, epochs=40, verbose=0).history
    assert history["loss"][-1] < 0.1 < history["loss"][0]
    assert history["exact_match"][-1] > 0.95
    assert history["accuracy"][-1] >= history["exact_match"][-1]
    loss, accuracy, exact = model.evaluate(x, y, verbose=0)
    assert loss < 0.1
    assert accuracy == pytest.approx((model.predict(x, verbose=0).argmax(axis=-1) == y).mean())
    assert exact == pytest.approx((model.predict(x, verbose=0).argmax(axis=-1) == y).all(axis=1).mean())


def test_it_learns_with_everything_at_once() -> None:
    """Embedding with padding, two directions, dropout, a distributed layer: which ids were seen twice so far."""
    utils.set_random_seed(2)
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 5, (400, 7))
    ids[np.arange(7) >= rng.integers(2, 8, 400)[:, None]] = 0
    y = np.array([[i != 0 and i in row[:t] for t, i in enumerate(row)] for row in ids], np.int64)
    model = Sequential(
        [
            Input((None,)),
            Embedding(5, 8, mask_zero=True),
            Bidirectional(GRU(24, return_sequences=True)),
            Dropout(0.1),
            TimeDistributed(Dense(2)),
            Activation("softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer=Adam(0.02), metrics=["accuracy"])
    model.fit(ids, y, epochs=40, verbose=0)
    assert model.evaluate(ids, y, verbose=0)[1] > 0.97


def test_it_learns_a_number() -> None:
    utils.set_random_seed(1)
    x = random(256, 5, 2)
    y = x[:, :, 0].mean(axis=1, keepdims=True)
    model = Sequential([Input((5, 2)), GRU(16), Dense(1)])
    model.compile(loss="mse", optimizer=Adam(0.01), metrics=["mae"])
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.01 < history["loss"][0]
    assert model.evaluate(x, y[:, 0], verbose=0)[0] == pytest.approx(model.evaluate(x, y, verbose=0)[0])


def test_fused_and_plain_cross_entropy_train_alike() -> None:
    """The softmax in the loss, the softmax apart from it, and a loss of logits: one run in float64."""
    x, ids = larger_of_two()
    runs = []
    for last, loss in (
        ([Dense(2, activation="softmax", dtype="float64")], "sparse_categorical_crossentropy"),
        ([Dense(2, dtype="float64"), Activation("softmax", dtype="float64")], "sparse_categorical_crossentropy"),
        (
            [Dense(2, activation="softmax", dtype="float64"), Dropout(0.0, dtype="float64")],
            "sparse_categorical_crossentropy",
        ),
        ([Dense(2, dtype="float64")], pyrnn.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ):
        utils.set_random_seed(1)
        model = Sequential([Input((2, 1)), LSTM(4, dtype="float64"), *last])
        model.compile(loss=loss, optimizer="adam")
        runs.append(model.fit(x, ids, epochs=2, shuffle=False, verbose=0).history["loss"])
    assert runs[0] == runs[1]
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-6)
    np.testing.assert_allclose(runs[3], runs[0], rtol=1e-12)


def test_the_gradient_of_a_whole_model_is_the_slope_of_its_loss() -> None:
    """Encoder, repeated vector, decoder, softmax in the loss; float64, central differences."""
    utils.set_random_seed(1)
    f64: Any = {"dtype": "float64"}
    model = Sequential(
        [
            Input((4, 3)),
            LSTM(5, **f64),
            RepeatVector(2, **f64),
            Bidirectional(GRU(2, return_sequences=True, **f64)),
            Dense(3, activation="softmax", **f64),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=SGD(1.0))
    x, y = random(6, 4, 3).astype(np.float64), utils.to_categorical(random(6, 2, 3).argmax(axis=-1), 3)
    before = model.get_weights()
    loss = model.train_on_batch(x, y)
    gradients = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    assert model.evaluate(x, y, verbose=0) == loss
    difference = 1e-5
    for w, gradient in zip(before, gradients, strict=True):
        for i in [*np.ndindex(w.shape)][:: max(1, w.size // 7)]:
            sides = []
            for side in (1, -1):
                w[i] += side * difference
                model.set_weights(before)
                sides.append(model.evaluate(x, y, verbose=0))
                w[i] -= side * difference
            assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * difference), rel=1e-5, abs=1e-9)


# ---- a seed makes a run repeatable to the bit


def training_run(threads: int, seed: int = 7) -> list[np.ndarray]:
    before = pyrnn.get_num_threads()
    pyrnn.set_num_threads(threads)
    try:
        utils.set_random_seed(seed)
        model = Sequential(
            [
                Input((6, 5)),
                Bidirectional(LSTM(33, return_sequences=True, dropout=0.2, recurrent_dropout=0.1)),
                Dropout(0.2),
                GRU(17, return_sequences=True),
                Dense(5, activation="softmax"),
            ]
        )
        model.compile(
            loss="categorical_crossentropy",
            optimizer=Adam(CosineDecay(0.01, 30), global_clipnorm=0.5),
            metrics=["accuracy"],
        )
        x = random(100, 6, 5)
        y = utils.to_categorical(x.argmax(axis=-1), 5)
        history = model.fit(x, y, batch_size=24, epochs=3, validation_split=0.2, verbose=0).history
        return [*model.get_weights(), *(np.array(values) for values in history.values())]
    finally:
        pyrnn.set_num_threads(before)


def test_a_seed_repeats_a_run_to_the_bit_at_any_thread_count() -> None:
    one = training_run(1)
    for threads in (1, 2, 3, 4):
        for a, b in zip(training_run(threads), one, strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(training_run(1, seed=8)[0], one[0])
