"""Sequential: building, weights, summary, copies, and what it refuses."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from helpers.models import random

import pyrnn
from pyrnn import Input, Sequential, utils
from pyrnn.layers import GRU, LSTM, Dense, Dropout, Embedding, Layer, RepeatVector


def adder() -> Sequential:
    """Keras's addition network."""
    return Sequential(
        [
            Input((7, 12)),
            LSTM(128),
            RepeatVector(4),
            LSTM(128, return_sequences=True),
            Dense(12, activation="softmax"),
        ]
    )


def test_number_of_weights_of_keras_addition_network() -> None:
    assert adder().count_params() == 205_324


def test_the_snippet_of_every_course() -> None:
    maxlen, n_chars = 6, 5
    model = Sequential()
    model.add(LSTM(16, input_shape=(maxlen, n_chars)))
    model.add(Dense(n_chars, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    y = utils.to_categorical(np.random.default_rng(1).integers(0, n_chars, 40), n_chars)
    history = model.fit(random(40, maxlen, n_chars), y, batch_size=8, epochs=2, validation_split=0.1, verbose=0)
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert [len(values) for values in history.history.values()] == [2] * 4


def test_shapes() -> None:
    model = adder()
    assert model.input_shape == (None, 7, 12)
    assert model.output_shape == (None, 4, 12)
    assert model.predict(random(5, 7, 12), verbose=0).shape == (5, 4, 12)
    assert [layer.name for layer in model.layers] == ["lstm", "repeat_vector", "lstm_1", "dense"]
    assert model.get_layer("lstm_1") is model.get_layer(index=2) is model.layers[2]


def test_a_model_without_a_shape_is_built_by_its_first_data() -> None:
    model = Sequential([LSTM(3), Dense(2)])
    assert not model.built
    with pytest.raises(ValueError, match="sequential: the shape of the input is not known yet"):
        _ = model.output_shape
    with pytest.raises(ValueError, match="sequential: count_params: there are no weights before the model is built"):
        model.count_params()
    assert model.predict(random(4, 5, 6), verbose=0).shape == (4, 2)
    assert model.output_shape == (None, 2)


def test_steps_may_differ_from_call_to_call_where_the_shape_says_so() -> None:
    model = Sequential([Input((None, 3)), GRU(4)])
    assert [model.predict(random(2, steps, 3), verbose=0).shape for steps in (3, 9)] == [(2, 4)] * 2


def test_weights_of_the_model_are_those_of_its_layers() -> None:
    model = adder()
    weights = model.get_weights()
    assert [w.shape for w in weights] == [
        (12, 512),
        (128, 512),
        (512,),
        (128, 512),
        (128, 512),
        (512,),
        (128, 12),
        (12,),
    ]
    other = adder()
    x = random(3, 7, 12)
    assert not np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    other.set_weights(weights)
    assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


def test_weights_are_set_all_or_none() -> None:
    model = adder()
    before = model.get_weights()
    wrong = [*(w + 1 for w in before[:-1]), np.zeros(3)]
    with pytest.raises(ValueError, match=r"dense: bias: expected \(12,\), got \(3,\)"):
        model.set_weights(wrong)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    with pytest.raises(ValueError, match="sequential: weights: expected 8 arrays, got 7"):
        model.set_weights(before[:-1])


def test_predictions_do_not_depend_on_the_batch_size() -> None:
    model, x = adder(), random(37, 7, 12)
    whole = model.predict(x, batch_size=37, verbose=0)
    for size in (1, 5, 32):
        assert np.array_equal(model.predict(x, batch_size=size, verbose=0), whole)
    assert np.array_equal(model(x), whole)
    assert np.array_equal(model.predict_on_batch(x), whole)
    assert model.predict(x[:0], verbose=0).shape == (0, 4, 12)


def test_threads_predict_side_by_side() -> None:
    model, x = adder(), random(64, 7, 12)
    expected = model.predict(x, verbose=0)
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda size: model.predict(x, batch_size=size, verbose=0), range(1, 33)):
            assert np.array_equal(result, expected)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int8, bool, list])
def test_layers_convert_what_they_are_given(kind: Any) -> None:
    x = (random(4, 7, 12) > 0).astype(np.float32)
    model = adder()
    given = x.tolist() if kind is list else x.astype(kind)
    assert np.array_equal(model.predict(given, verbose=0), model.predict(x, verbose=0))


def test_layouts_that_need_a_copy_give_the_same() -> None:
    x = random(4, 7, 12)
    model = adder()
    expected = model.predict(x, verbose=0)
    wide = np.zeros((4, 7, 24), np.float32)
    wide[..., ::2] = x
    frozen = x.copy()
    frozen.flags.writeable = False
    for layout in (wide[..., ::2], np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], x.astype(">f4"), frozen):
        assert np.array_equal(model.predict(layout, verbose=0), expected)


def test_float64_models() -> None:
    model = Sequential([Input((3, 2)), LSTM(4, dtype="float64"), Dense(2, dtype="float64")])
    assert model.predict(random(2, 3, 2), verbose=0).dtype == np.float64
    mixed = Sequential([Input((3, 2)), LSTM(4), Dense(2, dtype="float64")])
    mixed.compile(loss="mse", optimizer="sgd")
    assert np.isfinite(mixed.train_on_batch(random(2, 3, 2), random(2, 2)))


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = adder()
    model.layers[0].trainable = False
    model.summary()
    assert capsys.readouterr().out.splitlines() == [
        'Model "sequential"',
        "Layer (type)                  Output shape  Weights",
        "---------------------------------------------------",
        "lstm (LSTM)                   (B, 128)       72,192",
        "repeat_vector (RepeatVector)  (B, 4, 128)         0",
        "lstm_1 (LSTM)                 (B, 4, 128)   131,584",
        "dense (Dense)                 (B, 4, 12)      1,548",
        "---------------------------------------------------",
        "Weights: 205,324, of which trainable: 133,132",
    ]
    lines: list[str] = []
    Sequential([LSTM(3)]).summary(print_fn=lines.append)
    assert lines[-1].startswith("Weights: not built yet")


def test_add_and_pop() -> None:
    model = Sequential([Input((3, 2)), LSTM(4)])
    model.add(Dense(2))
    assert model.output_shape == (None, 2)
    assert isinstance(model.pop(), Dense)
    model.add(Dense(5))
    assert model.output_shape == (None, 5)


def test_a_frozen_layer_keeps_its_weights() -> None:
    model = Sequential([Input((3, 2)), LSTM(4, trainable=False), Dense(2)])
    model.compile(loss="mse", optimizer="sgd")
    before = model.get_weights()
    model.fit(random(8, 3, 2), random(8, 2), verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]
    assert same == [True, True, True, False, False]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, copy.copy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_and_pickles_go_on_by_themselves(duplicate: Any) -> None:
    utils.set_random_seed(4)
    model = Sequential([Input((3, 2)), LSTM(4, dropout=0.2, seed=1), Dropout(0.3, seed=2), Dense(2)])
    model.compile(loss="mse", optimizer=pyrnn.optimizers.Adam(0.01, clipnorm=1.0), metrics=["mae"])
    x, y = random(16, 3, 2), random(16, 2)
    model.fit(x, y, epochs=2, verbose=0)
    other = duplicate(model)
    assert np.array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    assert other.optimizer.iterations == model.optimizer.iterations
    before = model.get_weights()
    other.fit(x, y, verbose=0, shuffle=False)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    model.fit(x, y, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)


# ---- what it refuses


class Mine:
    pass


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sequential([LSTM]), TypeError, "sequential: add: expected a layer, got <class"),
        (lambda: Sequential([Dense(2), Input((3,))]), ValueError, "sequential: add: Input must come first"),
        (lambda: Sequential([LSTM(2, return_state=True)]), ValueError, r"lstm returns several arrays \(return_state"),
        (
            lambda: Sequential([Dense(2, name="a"), Dense(2, name="a")]),
            ValueError,
            "sequential: add: the name 'a' is taken",
        ),
        (
            lambda: Sequential([Input((7, 3)), LSTM(4), LSTM(4)]),
            ValueError,
            r"lstm_1: expected an input \(batch, steps, width\), got \(B, 4\)",
        ),
        (lambda: Sequential().predict(np.zeros((2, 3))), ValueError, "sequential: there are no layers"),
        (lambda: Sequential().pop(), ValueError, "sequential: pop: there are no layers"),
        (lambda: adder().get_layer("x"), ValueError, "get_layer: expected one of .*'lstm', .*, got 'x'"),
        (lambda: adder().get_layer(), ValueError, "get_layer: expected either name or index"),
        (lambda: adder().predict(np.zeros((2, 7, 11))), ValueError, r"x: expected \(B, 7, 12\), got \(B, 7, 11\)"),
        (lambda: adder().predict(np.zeros((2, 7))), ValueError, r"x: expected \(B, 7, 12\), got \(B, 7\)"),
        (lambda: adder().predict(np.zeros((2, 7, 12), complex)), TypeError, "predict: x: expected real numbers"),
        (lambda: adder().predict(np.zeros((2, 7, 12), object)), TypeError, "predict: x: expected real numbers"),
        (lambda: adder().predict([[1, 2], [3]]), ValueError, "predict: x: expected an array, got rows of different"),
        (lambda: adder().predict(Mine()), TypeError, "predict: x: expected an array, got Mine"),
        (lambda: adder().predict(None), ValueError, "predict: x: expected an array, got None"),
        (lambda: adder().predict(np.zeros((2, 7, 12)), batch_size=0), ValueError, "predict: batch_size: expected an"),
        (lambda: adder().predict(np.zeros((2, 7, 12)), foo=3), TypeError, "predict: unknown argument 'foo'"),
        (
            lambda: Sequential([Input((None,)), Embedding(5, 2), LSTM(3)]).predict(np.array([[1, 7]])),
            ValueError,
            "7",
        ),
        (lambda: pyrnn.nothing, AttributeError, "module 'pyrnn' has no attribute 'nothing'"),
    ],
)  # fmt: skip
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_one_layer_stands_in_one_place() -> None:
    layer: Layer = Dense(3)
    with pytest.raises(ValueError, match="dense is in the model already"):
        Sequential([Input((3,)), layer, layer])
