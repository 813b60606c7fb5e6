"""fit, evaluate and train_on_batch beside Keras: the same weights, the same batches, the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import import_keras

import pyrnn
from pyrnn import layers
from pyrnn.optimizers import SGD, Adam

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside Keras

RNG = np.random.default_rng(11)
N, T = 48, 5
A = RNG.normal(size=(N, T, 3)).astype(np.float32)
B = RNG.normal(size=(N, 4)).astype(np.float32)
CLASSES = RNG.integers(0, 3, N)
VALUES = RNG.normal(size=(N, 2)).astype(np.float32)
STEPS = RNG.integers(0, 2, (N, T, 1)).astype(np.float32)


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


SEVERAL = hasattr(layers, "Concatenate")


def two_outputs(api: Any) -> Any:
    """The same model in either library."""
    a, b = api.layers.Input((T, 3), name="a"), api.layers.Input((4,), name="b")
    h = api.layers.LSTM(6)(a)
    if SEVERAL:
        h = api.layers.Concatenate()([h, b])
    kind = api.layers.Dense(3, activation="softmax", name="kind")(h)
    value = api.layers.Dense(2, name="value")(h)
    return api.Model([a, b] if SEVERAL else a, [kind, value])


def inputs() -> Any:
    return [A, B] if SEVERAL else A


def pair(keras: Any, make: Any) -> tuple[Any, Any]:
    theirs, ours = make(keras), make(pyrnn)
    ours.set_weights(theirs.get_weights())
    return theirs, ours


TWO: list[tuple[str, dict[str, Any]]] = [
    ("names", {"loss": {"kind": "sparse_categorical_crossentropy", "value": "mse"}}),
    ("list", {"loss": ["sparse_categorical_crossentropy", "mse"], "loss_weights": [0.3, 2.0]}),
    (
        "metrics",
        {
            "loss": ["sparse_categorical_crossentropy", "mse"],
            "loss_weights": {"kind": 1.5, "value": 0.25},
            "metrics": {"kind": ["accuracy"], "value": ["mae"]},
        },
    ),
]


@pytest.mark.parametrize(("name", "options"), TWO, ids=[name for name, _ in TWO])
def test_two_outputs_train_as_in_keras(keras: Any, name: str, options: dict[str, Any]) -> None:
    theirs, ours = pair(keras, two_outputs)
    options = dict(options)
    if isinstance(options.get("loss_weights"), dict):
        theirs_options = {**options, "loss": dict(zip(["kind", "value"], options["loss"], strict=True))}
    else:
        theirs_options = options
    theirs.compile(optimizer=keras.optimizers.Adam(0.01), **theirs_options)
    ours.compile(optimizer=Adam(0.01), **options)
    x = inputs()
    y = {"kind": CLASSES, "value": VALUES} if name == "names" else [CLASSES, VALUES]
    for epochs in range(20):
        expected = theirs.fit(x, y, batch_size=16, shuffle=False, verbose=0, epochs=1).history
        got = ours.fit(x, y, batch_size=16, shuffle=False, verbose=0).history
        assert set(got) == set(expected)
        for key, values in expected.items():
            assert got[key][0] == pytest.approx(values[0], abs=1e-4), (epochs, key)
    for mine, other in zip(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(mine, other, atol=5e-5)
    expected = theirs.evaluate(x, y, batch_size=20, verbose=0)
    assert ours.evaluate(x, y, batch_size=20, verbose=0) == pytest.approx(expected, abs=1e-5)


def classifier(api: Any) -> Any:
    model = api.Sequential()
    model.add(api.layers.Input((T, 3)))
    model.add(api.layers.GRU(5))
    model.add(api.layers.Dense(3, activation="softmax"))
    return model


def tagger(api: Any) -> Any:
    model = api.Sequential()
    model.add(api.layers.Input((T, 3)))
    model.add(api.layers.LSTM(5, return_sequences=True))
    model.add(api.layers.Dense(1, activation="sigmoid"))
    return model


def compare(theirs: Any, ours: Any, *args: Any, **options: Any) -> None:
    for _ in range(2):
        expected = theirs.fit(*args, shuffle=False, verbose=0, **options).history
        got = ours.fit(*args, shuffle=False, verbose=0, **options).history
        assert set(got) == set(expected)
        for key, values in expected.items():
            assert got[key] == pytest.approx(values, abs=1e-5), key


@pytest.mark.parametrize("given", ["class_weight", "sample_weight", "both_parts", "one_hot"])
def test_weights_of_samples_and_classes(keras: Any, given: str) -> None:
    theirs, ours = pair(keras, classifier)
    y: Any = CLASSES
    loss = "sparse_categorical_crossentropy"
    if given == "one_hot":
        y, loss = np.eye(3, dtype=np.float32)[CLASSES], "categorical_crossentropy"
    for model, optimizer in ((theirs, keras.optimizers.SGD(0.1)), (ours, SGD(0.1))):
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    weights = RNG.uniform(0.2, 3, N).astype(np.float32)
    options: dict[str, Any] = {"sample_weight": weights} if given == "sample_weight" else {}
    if given in ("class_weight", "one_hot"):
        options = {"class_weight": {0: 0.5, 2: 4.0}}
    if given == "both_parts":
        options = {"sample_weight": weights, "validation_data": (A[:20], CLASSES[:20], weights[:20])}
    compare(theirs, ours, A, y, batch_size=16, **options)


def test_sample_weight_of_steps_and_a_last_batch_that_is_smaller(keras: Any) -> None:
    theirs, ours = pair(keras, tagger)
    for model in (theirs, ours):
        model.compile(optimizer="sgd", loss="binary_crossentropy")
    compare(theirs, ours, A, STEPS, batch_size=13, sample_weight=RNG.uniform(0, 2, (N, T)).astype(np.float32))


def test_validation_numbers(keras: Any) -> None:
    theirs, ours = pair(keras, classifier)
    for model in (theirs, ours):
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    compare(theirs, ours, A, CLASSES, batch_size=8, validation_split=0.3, epochs=3, validation_freq=2)
    compare(theirs, ours, A, CLASSES, validation_split=0.3, validation_batch_size=5, class_weight={1: 2.0})
    compare(theirs, ours, A, CLASSES, validation_data=(A, CLASSES), validation_steps=1)
    compare(theirs, ours, A, CLASSES, epochs=4, initial_epoch=2, validation_freq=[3], validation_data=(A, CLASSES))


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended(keras: Any) -> None:
    theirs, ours = pair(keras, classifier)
    for model in (theirs, ours):
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    compare(theirs, ours, A, CLASSES, batch_size=8, epochs=4, steps_per_epoch=3)


def test_single_batches(keras: Any) -> None:
    theirs, ours = pair(keras, classifier)
    for model in (theirs, ours):
        model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    for i in range(0, N, 12):
        x, y = A[i : i + 12], CLASSES[i : i + 12]
        assert ours.train_on_batch(x, y) == pytest.approx(theirs.train_on_batch(x, y), abs=1e-5)
        weighted = {"class_weight": {1: 3.0}}
        assert ours.train_on_batch(x, y, **weighted) == pytest.approx(theirs.train_on_batch(x, y, **weighted), abs=1e-5)
        assert ours.test_on_batch(x, y) == pytest.approx(theirs.test_on_batch(x, y), abs=1e-5)
        assert ours.test_on_batch(x, y, return_dict=True).keys() == theirs.test_on_batch(x, y, return_dict=True).keys()
        np.testing.assert_allclose(ours.predict_on_batch(x), theirs.predict_on_batch(x), atol=1e-5)


def test_a_regularised_layer(keras: Any) -> None:
    def make(api: Any) -> Any:
        model = api.Sequential()
        model.add(api.layers.Input((4,)))
        model.add(api.layers.Dense(3, kernel_regularizer=api.regularizers.L2(0.1)))
        return model

    theirs, ours = pair(keras, make)
    for model in (theirs, ours):
        model.compile(optimizer="sgd", loss="mse")
    compare(theirs, ours, B, np.zeros((N, 3), np.float32), validation_split=0.25)


def test_weighted_metrics(keras: Any) -> None:
    theirs, ours = pair(keras, classifier)
    for model in (theirs, ours):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    compare(theirs, ours, A, CLASSES, batch_size=16, sample_weight=RNG.uniform(0.2, 3, N).astype(np.float32))
    compare(theirs, ours, A, CLASSES, batch_size=16, class_weight={0: 4.0})
