"""Trained beside Keras, from the same weights on the same batches: models of every shape that users build."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.keras_witness import import_keras

import pyrnn
from pyrnn.utils import to_categorical

STEPS, BATCH = 20, 8
Array = np.ndarray


class Case(NamedTuple):
    """build: the same code for pyrnn and Keras (the module is its argument); x, y: one batch from a generator."""

    build: Callable[[Any], Any]
    x: Callable[[np.random.Generator], Any]
    y: Callable[[np.random.Generator], Any]
    compile: dict[str, Any]


def normal(*shape: int) -> Callable[[np.random.Generator], Array]:
    return lambda rng: rng.standard_normal((BATCH, *shape)).astype(np.float32)


def ids(high: int, *shape: int, low: int = 0) -> Callable[[np.random.Generator], Array]:
    return lambda rng: rng.integers(low, high, (BATCH, *shape))


def one_hot(classes: int, *shape: int) -> Callable[[np.random.Generator], Array]:
    return lambda rng: to_categorical(rng.integers(0, classes, (BATCH, *shape)), classes)


def padded(high: int, steps: int) -> Callable[[np.random.Generator], Array]:
    def make(rng: np.random.Generator) -> Array:
        x = rng.integers(1, high, (BATCH, steps))
        x[np.arange(steps) >= rng.integers(1, steps + 1, (BATCH, 1))] = 0
        return x

    return make


def both(*parts: Callable[[np.random.Generator], Array]) -> Callable[[np.random.Generator], list[Array]]:
    return lambda rng: [part(rng) for part in parts]


def addition(k: Any) -> Any:
    layers = [
        k.Input((7, 12)),
        k.layers.LSTM(16),
        k.layers.RepeatVector(4),
        k.layers.LSTM(16, return_sequences=True),
        k.layers.Dense(12, activation="softmax"),
    ]
    return k.Sequential(layers)


def bidirectional_stack(k: Any) -> Any:
    x = k.Input((9,), dtype="int32")
    y = k.layers.Embedding(20, 8)(x)
    y = k.layers.Bidirectional(k.layers.LSTM(6, return_sequences=True))(y)
    y = k.layers.Bidirectional(k.layers.GRU(5), merge_mode="sum")(y)
    return k.Model(x, k.layers.Dense(1, activation="sigmoid")(y))


def masked_embedding(k: Any) -> Any:
    x = k.Input((10,), dtype="int32")
    y = k.layers.Embedding(15, 6, mask_zero=True)(x)
    y = k.layers.LSTM(7, return_sequences=True)(y)
    return k.Model(x, k.layers.Dense(4, activation="softmax")(k.layers.GRU(5)(y)))


def masked_sequences(k: Any) -> Any:
    x = k.Input((10,), dtype="int32")
    y = k.layers.Embedding(15, 6, mask_zero=True)(x)
    y = k.layers.Bidirectional(k.layers.LSTM(4, return_sequences=True))(y)
    return k.Model(x, k.layers.TimeDistributed(k.layers.Dense(5, activation="softmax"))(y))


def stateful(k: Any) -> Any:
    x = k.Input(batch_shape=(BATCH, 5, 3))
    y = k.layers.LSTM(6, stateful=True, return_sequences=True)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.GRU(4, stateful=True)(y)))


def seq2seq(k: Any) -> Any:
    source, target = k.Input((None, 6)), k.Input((None, 5))
    _, h, c = k.layers.LSTM(8, return_state=True)(source)
    y, _, _ = k.layers.LSTM(8, return_sequences=True, return_state=True)(target, initial_state=[h, c])
    return k.Model([source, target], k.layers.Dense(5, activation="softmax")(y))


def attention(k: Any) -> Any:
    source, target = k.Input((6, 4)), k.Input((5, 4))
    keys = k.layers.GRU(6, return_sequences=True)(source)
    queries = k.layers.LSTM(6, return_sequences=True)(target)
    context = k.layers.Attention(use_scale=True)([queries, keys])
    y = k.layers.AdditiveAttention()([context, keys])
    return k.Model([source, target], k.layers.Dense(3)(k.layers.Concatenate()([queries, context, y])))


def gru_before(k: Any) -> Any:
    x = k.Input((6, 3))
    y = k.layers.GRU(7, reset_after=False, return_sequences=True)(x)
    return k.Model(x, k.layers.Dense(2)(k.layers.GRU(5, reset_after=True, go_backwards=True)(y)))


def multi_input(k: Any) -> Any:
    a, b = k.Input((6, 3), name="series"), k.Input((4,), name="facts")
    y = k.layers.Concatenate()([k.layers.SimpleRNN(5)(a), k.layers.Dense(3, activation="relu")(b)])
    return k.Model([a, b], k.layers.Dense(3, activation="softmax")(y))


def two_outputs(k: Any) -> Any:
    x = k.Input((6, 3))
    y = k.layers.LSTM(6, return_sequences=True)(x)
    tags = k.layers.Dense(4, activation="softmax", name="tags")(y)
    return k.Model(x, [tags, k.layers.Dense(1, name="score")(k.layers.GlobalMaxPooling1D()(y))])


def time_distributed(k: Any) -> Any:
    x = k.Input((4, 5, 2))
    y = k.layers.TimeDistributed(k.layers.LSTM(5))(x)
    return k.Model(x, k.layers.Dense(3, activation="softmax")(k.layers.LSTM(4)(y)))


def convolution(k: Any) -> Any:
    x = k.Input((16, 3))
    y = k.layers.Conv1D(6, 5, padding="same", activation="relu")(x)
    y = k.layers.LayerNormalization()(k.layers.MaxPooling1D(2)(y))
    return k.Model(x, k.layers.Dense(1)(k.layers.LSTM(5)(y)))


def regularized(k: Any) -> Any:
    x = k.Input((6, 3))
    l2 = k.regularizers.L2(0.02)
    y = k.layers.LSTM(5, kernel_regularizer=l2, recurrent_regularizer="l1", kernel_constraint=k.constraints.MaxNorm(1))(
        x
    )
    return k.Model(x, k.layers.Dense(2, kernel_regularizer=l2, activity_regularizer="l2", bias_constraint="non_neg")(y))


def regression(k: Any) -> Any:
    layers = [
        k.Input((12, 2)),
        k.layers.GRU(8, return_sequences=True),
        k.layers.SimpleRNN(6, activation="relu"),
        k.layers.BatchNormalization(),
        k.layers.Dense(1),
    ]
    return k.Sequential(layers)


def cells(k: Any) -> Any:
    x = k.Input((6, 3))
    stack = k.layers.RNN(k.layers.StackedRNNCells([k.layers.LSTMCell(5), k.layers.GRUCell(4)]), return_sequences=True)
    y = k.layers.Bidirectional(k.layers.RNN(k.layers.LSTMCell(3)), merge_mode="concat")(stack(x))
    return k.Model(x, k.layers.Dense(2)(y))


def elu_cell(k: Any) -> Any:
    x = k.Input((5, 3))
    return k.Model(x, k.layers.Dense(2)(k.layers.LSTM(4, activation="elu", recurrent_activation="hard_sigmoid")(x)))


CROSS, BINARY, SPARSE = "categorical_crossentropy", "binary_crossentropy", "sparse_categorical_crossentropy"
CASES = {
    "addition": Case(addition, one_hot(12, 7), one_hot(12, 4), {"loss": CROSS, "optimizer": "adam"}),
    "bidirectional stack": Case(bidirectional_stack, ids(20, 9), ids(2, 1), {"loss": BINARY, "optimizer": "adam"}),
    "masked embedding": Case(masked_embedding, padded(15, 10), ids(4), {"loss": SPARSE, "optimizer": "rmsprop"}),
    "masked sequences": Case(masked_sequences, padded(15, 10), ids(5, 10), {"loss": SPARSE, "optimizer": "adam"}),
    "stateful": Case(stateful, normal(5, 3), normal(2), {"loss": "mse", "optimizer": "sgd"}),
    "seq2seq with states": Case(
        seq2seq, both(normal(7, 6), normal(4, 5)), one_hot(5, 4), {"loss": CROSS, "optimizer": "rmsprop"}
    ),
    "attention": Case(attention, both(normal(6, 4), normal(5, 4)), normal(5, 3), {"loss": "mae", "optimizer": "nadam"}),
    "GRU both conventions": Case(gru_before, normal(6, 3), normal(2), {"loss": "mse", "optimizer": "adamw"}),
    "multi-input": Case(multi_input, both(normal(6, 3), normal(4)), ids(3), {"loss": SPARSE, "optimizer": "adagrad"}),
    "two outputs": Case(
        two_outputs,
        normal(6, 3),
        both(ids(4, 6), normal(1)),
        {"loss": {"tags": SPARSE, "score": "huber"}, "loss_weights": {"tags": 0.3, "score": 2.0}, "optimizer": "adam"},
    ),
    "TimeDistributed": Case(time_distributed, normal(4, 5, 2), one_hot(3), {"loss": CROSS, "optimizer": "adam"}),
    "convolution + LSTM": Case(convolution, normal(16, 3), normal(1), {"loss": "mse", "optimizer": "adam"}),
    "regularized": Case(regularized, normal(6, 3), normal(2), {"loss": "mse", "optimizer": "sgd"}),
    "regression": Case(regression, normal(12, 2), normal(1), {"loss": "mse", "optimizer": "rmsprop"}),
    "cells": Case(cells, normal(6, 3), normal(2), {"loss": "mse", "optimizer": "adam"}),
}


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside Keras
@pytest.mark.parametrize("name", CASES)
def test_losses_and_outputs_go_with_keras(name: str) -> None:
    keras = import_keras()
    case = CASES[name]
    theirs, ours = case.build(keras), case.build(pyrnn)
    ours.set_weights([np.asarray(v.value) for v in theirs.weights if "seed_generator" not in v.path])
    options = dict(case.compile)
    theirs.compile(**options)
    ours.compile(**options)
    rng = np.random.default_rng(7)
    expected, got = [], []
    for _ in range(STEPS):
        x, y = case.x(rng), case.y(rng)
        expected.append(float(np.ravel(theirs.train_on_batch(x, y))[0]))
        got.append(float(np.ravel(ours.train_on_batch(x, y))[0]))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4)
    assert got[-1] != got[0]
    x = case.x(rng)
    for a, b in zip(listed(ours.predict_on_batch(x)), listed(theirs.predict_on_batch(x)), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), rtol=0, atol=1e-5)
