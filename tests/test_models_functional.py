"""Models as graphs: several inputs and outputs, shared layers, models in models, files, Keras's order of layers."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import import_keras
from helpers.models import random

import pyrnn
from pyrnn import Input, Model, Sequential, layers
from pyrnn.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    Bidirectional,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    TimeDistributed,
)

Build = Callable[[Any, Any, Any], Any]  # (layers, Input, Model) -> model; the same code for pyrnn and Keras


def two_inputs(layers: Any, Input: Any, Model: Any) -> Any:
    a, b = Input((5, 3)), Input((4,))
    x = layers.Concatenate()([layers.GRU(6)(a), layers.Dense(2, activation="tanh")(b)])
    return Model([a, b], layers.Dense(3, activation="softmax")(x))


def shared(layers: Any, Input: Any, Model: Any) -> Any:
    a, b = Input((5, 3)), Input((5, 3))
    encode = layers.LSTM(4)
    return Model([a, b], layers.Dense(1)(layers.Multiply()([encode(a), encode(b)])))


def two_outputs(layers: Any, Input: Any, Model: Any) -> Any:
    x = Input((6, 3))
    y = layers.LSTM(5, return_sequences=True)(x)
    return Model(x, [layers.Dense(2)(y), layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(y))])


def diamond(layers: Any, Input: Any, Model: Any) -> Any:
    x = Input((6, 4))
    a = layers.SimpleRNN(4, return_sequences=True)(x)
    b = layers.Dense(4)(a)
    return Model(x, layers.Dense(2)(layers.Add()([b, a, x])))


def nested(layers: Any, Input: Any, Model: Any) -> Any:
    inner_x = Input((5, 3))
    inner = Model(inner_x, layers.Dense(3, activation="tanh")(layers.GRU(4)(inner_x)))
    a, b = Input((5, 3)), Input((5, 3))
    return Model([a, b], layers.Subtract()([inner(a), inner(b)]))


def time_distributed_model(layers: Any, Input: Any, Model: Any) -> Any:
    row = Input((5, 2))
    encoder = Model(row, layers.LSTM(4)(row))
    x = Input((3, 5, 2))
    return Model(x, layers.Dense(2)(layers.GRU(3)(layers.TimeDistributed(encoder)(x))))


def seq2seq(layers: Any, Input: Any, Model: Any) -> Any:
    source, target = Input((None, 3)), Input((None, 4))
    _, h, c = layers.LSTM(5, return_state=True)(source)
    y, _, _ = layers.LSTM(5, return_sequences=True, return_state=True)(target, initial_state=[h, c])
    return Model([source, target], layers.Dense(4, activation="softmax")(y))


MODELS: list[Build] = [two_inputs, shared, two_outputs, diamond, nested, time_distributed_model, seq2seq]


def inputs_of(model: Any, batch: int = 3) -> list[np.ndarray]:
    return [random(batch, *(7 if size is None else size for size in x.shape[1:])) for x in model.inputs]


def listed(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_order_of_layers_and_outputs_are_keras(build: Build) -> None:
    keras = import_keras()
    theirs = build(keras.layers, keras.Input, keras.Model)
    ours = build(layers, Input, Model)
    names = {"Functional": "Model"}
    assert [type(x).__name__ for x in ours.layers] == [
        names.get(n, n) for n in (type(x).__name__ for x in theirs.layers)
    ]
    ours.set_weights([np.asarray(v.value) for v in theirs.weights])
    x = inputs_of(ours)
    expected = theirs(x if len(x) > 1 else x[0])
    got = ours(x if len(x) > 1 else x[0])
    for a, b in zip(listed(got), listed(expected), strict=True):
        np.testing.assert_allclose(a, np.asarray(b), atol=2e-6)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_gradients_are_those_of_finite_differences(build: Build) -> None:
    model = build(_Float64Layers(), Input, Model)
    x = [array.astype(np.float64) for array in inputs_of(model)]
    running = model.new_pass(training=True)
    outputs = running.forward(x)
    directions = [np.random.default_rng(i).standard_normal(y.shape) for i, y in enumerate(outputs)]
    running.backward(directions)
    parameters = model.trainable_parameters()
    gradients = [array for p in parameters for array in p.unpack(p.flat_gradient)]

    def value() -> float:
        return sum(float((y * d).sum()) for y, d in zip(model.new_pass(False).forward(x), directions, strict=True))

    arrays = [array for p in parameters for array in p.arrays()]

    def assign(given: list[np.ndarray]) -> None:
        begin = 0
        for p in parameters:
            p.assign(given[begin : begin + len(p.names)])
            begin += len(p.names)

    step = 1e-6
    for i, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        direction = np.random.default_rng(i).standard_normal(array.shape)
        values = []
        for sign in (1, -1):
            assign([a + sign * step * direction if j == i else a for j, a in enumerate(arrays)])
            values.append(value())
        slope = (values[0] - values[1]) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-6, atol=1e-8)
        assign(arrays)


class _Float64Layers:
    """pyrnn.layers, all of float64."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: getattr(layers, name)(*args, dtype="float64", **kwargs)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
@pytest.mark.parametrize("way", ["file", "pickle", "deepcopy", "config"])
def test_models_come_back(build: Build, way: str, tmp_path: Path) -> None:
    model = build(layers, Input, Model)
    if way == "file":
        model.save(tmp_path / "m.pyrnn")
        other = pyrnn.load_model(tmp_path / "m.pyrnn")
    elif way == "config":
        other = Model.from_config(model.get_config())
        other.set_weights(model.get_weights())
    else:
        other = pickle.loads(pickle.dumps(model)) if way == "pickle" else copy.deepcopy(model)
    x = inputs_of(model)
    x = x if len(x) > 1 else x[0]
    got, expected = other(x), model(x)
    for a, b in zip(listed(got), listed(expected), strict=True):
        assert np.array_equal(a, b)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert other.get_config() == model.get_config()


def test_a_decoder_is_made_of_the_trained_layers(tmp_path: Path) -> None:
    """The way of Keras's ten-minute seq2seq: save, load, take apart, decode step by step."""
    seq2seq(layers, Input, Model).save(tmp_path / "s2s.keras")
    model = pyrnn.models.load_model(tmp_path / "s2s.keras")
    _, h, c = model.layers[2].output
    encoder = Model(model.input[0], [h, c])
    before = [Input((5,)), Input((5,))]
    y, h, c = model.layers[3](model.input[1], initial_state=before)
    decoder = Model([model.input[1], *before], [model.layers[4](y), h, c])
    source, target = random(2, 6, 3), random(2, 4, 4)
    expected = model.predict([source, target], verbose=0)
    states = encoder.predict(source, verbose=0)
    assert isinstance(states, list)
    for t in range(4):
        y, *states = decoder.predict([target[:, t : t + 1], *states], verbose=0)
        assert np.array_equal(y[:, 0], expected[:, t])


def test_names_of_inputs_and_outputs() -> None:
    a, b = Input((2,), name="left"), Input((3,), name="right")
    model = Model({"l": a, "r": b}, {"sum": Dense(1)(Concatenate()([a, b]))})
    assert (model.input_names, model.output_names) == (["l", "r"], ["sum"])
    x = {"r": random(4, 3), "l": random(4, 2)}
    assert model(x)["sum"].shape == (4, 1)
    plain = Model([a, b], [Dense(1, name="first")(a), Dense(2)(b), Dense(3)(b)])
    assert (plain.input_names, plain.output_names) == (["left", "right"], ["first", "dense", "dense_1"])


def test_a_sequential_is_a_graph_too() -> None:
    model = Sequential([Input((4, 3)), GRU(5, return_sequences=True), GRU(2)])
    x = random(2, 4, 3)
    states = Model(model.inputs, model.layers[0].output)
    assert states(x).shape == (2, 4, 5)
    assert model.layers[1].input is model.layers[0].output
    inside = Input((4, 3))
    assert np.array_equal(Model(inside, model(inside))(x), model(x))
    lazy = Sequential([GRU(2), Dense(3)])
    assert Model(inside, lazy(inside)).output_shape == (None, 3)
    assert lazy.built


def test_masks_go_along_the_edges_of_the_graph() -> None:
    ids = Input((6,))
    embedded = Embedding(9, 4, mask_zero=True)(ids)
    read = LSTM(3, return_sequences=True)
    inner = Sequential([Input((6, 4)), Dense(4)])
    model = Model(ids, [read(embedded), read(inner(embedded))])
    given = np.array([[1, 2, 0, 0, 0, 0], [3, 0, 4, 0, 5, 6]])
    running = model.new_pass(False)
    outputs = running.forward([given])
    for y, mask in zip(outputs, running.masks, strict=True):
        assert np.array_equal(mask, given != 0)
        assert np.array_equal(y[0, 1:], np.repeat(y[0, 1:2], 5, axis=0))


def test_dropout_that_acts_in_predict_too() -> None:
    x = Input((50,))
    model = Model(x, Dropout(0.5)(x, training=True))
    ones = np.ones((2, 50), np.float32)
    first, second = model(ones), model(ones)
    assert set(np.unique(first)) == {0.0, 2.0}
    assert not np.array_equal(first, second)
    assert np.array_equal(Model(x, Dropout(0.5)(x))(ones), ones)


def test_dropout_on_arrays_draws_anew_in_every_call() -> None:
    for layer in (Dropout(0.5), LSTM(50, dropout=0.5)):
        ones = np.ones((2, 3, 50), np.float32)
        assert not np.array_equal(layer(ones, training=True), layer(ones, training=True))
        assert np.array_equal(layer(ones), layer(ones))


def test_a_loss_does_not_take_over_the_activation_inside_a_recurrent_layer() -> None:
    keras = import_keras()
    x, y = random(8, 5, 3), np.eye(4, dtype=np.float32)[np.arange(8) % 4]
    losses = []
    for api in (keras, pyrnn):
        model = api.Sequential([api.Input((5, 3)), api.layers.SimpleRNN(4, activation="relu")])
        assert model.layers[0].activation in ("relu", keras.activations.relu)
        model.set_weights([np.full(shape, 0.3, np.float32) for shape in ((3, 4), (4, 4), (4,))])
        model.compile(optimizer="sgd", loss="categorical_crossentropy")
        losses.append([float(model.train_on_batch(x, y)) for _ in range(3)])
    np.testing.assert_allclose(losses[0], losses[1], atol=1e-5)


def test_penalty_on_outputs() -> None:
    x = Input((3,))
    y = Dense(2, activity_regularizer="l2")(x)
    model = Model(x, Activation("tanh")(y))
    running = model.new_pass(training=True)
    running.forward([random(4, 3)])
    inner = Model(x, y)(random(4, 3))
    np.testing.assert_allclose(running.penalty, 0.01 * (inner**2).sum() / 4, rtol=1e-5)


def test_arithmetic_and_indexing_of_tensors() -> None:
    a, b = Input((3, 4)), Input((3, 4))
    y = (2 * a - b) / 4 + 1 - (-a) * b
    model = Model([a, b], [y, y[:, -1], 1 - y[..., 1:3], y[:, ::2, 0]])
    x, z = random(2, 3, 4), random(2, 3, 4)
    expected = (2 * x - z) / 4 + 1 + x * z
    wanted = [expected, expected[:, -1], 1 - expected[..., 1:3], expected[:, ::2, 0]]
    assert model.output_shape == [(None, 3, 4), (None, 4), (None, 3, 2), (None, 2)]
    for got, want in zip(model([x, z]), wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_deep_models_need_no_deep_stack() -> None:
    x = y = Input((2,))
    for _ in range(1500):
        y = Activation("linear")(y)
    model = Model(x, y)
    ones = np.ones((1, 2), np.float32)
    assert np.array_equal(model(ones), ones)


def test_a_branch_without_a_loss_keeps_its_weights() -> None:
    x = Input((4, 3))
    model = Model(x, [Dense(1)(LSTM(4)(x)), Dense(2)(GRU(3, kernel_regularizer="l2", name="idle")(x))])
    model.compile(optimizer="adam", loss=["mse", None])
    before = model.get_layer("idle").get_weights()
    for _ in range(2):
        model.train_on_batch(random(2, 4, 3), [random(2, 1), random(2, 2)])
    kernel, *others = model.get_layer("idle").get_weights()
    assert not np.array_equal(kernel, before[0])  # its penalty alone moves it
    assert all(np.array_equal(a, b) for a, b in zip(others, before[1:], strict=True))


def test_summary_says_what_is_connected(capsys: pytest.CaptureFixture[str]) -> None:
    two_inputs(layers, Input, Model).summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'Model "functional"'
    assert [line.split()[-2:] for line in lines if line.startswith("concatenate")] == [["gru,", "dense"]]
    assert lines[-1].startswith("Weights: ")


class Called(Model):
    def call(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Model(), TypeError, "expected inputs and outputs"),
        (lambda: Model([], []), ValueError, "inputs: expected at least one Tensor"),
        (lambda: Model(np.zeros(3), Input((2,))), TypeError, "inputs: expected Tensors"),
        (lambda: Model(Input((2,)), Dense(1)), TypeError, "outputs: expected Tensors"),
        (lambda: Model(Input((2,)), Dense(1)(Input((2,), name="b"))), ValueError, "of 'b'> is needed, but is not"),
        (lambda: Model([x := Input((2,)), x], Dense(1)(x)), ValueError, "inputs: expected each Input once"),
        (lambda: Called(), TypeError, "Called: a model that overrides call"),
        (lambda: Dense(1)(Input((2,)), training=False), ValueError, "training=False is not supported in a model"),
        (lambda: Dense(1)([Input((2,)), Input((2,))]), ValueError, "dense: expected one input, got 2"),
        (lambda: Add()([Input((2,)), np.zeros((1, 2))]), TypeError, "expected Tensors only, got ndarray"),
        (lambda: np.tanh(Input((2,))), TypeError, None),
        (lambda: list(Input((2,))), TypeError, "has no values to go through"),
        (lambda: bool(Input((2,))), TypeError, "neither true nor false"),
        (lambda: np.asarray(Input((2,))), TypeError, "has no values: put it into Model"),
        (lambda: Input((2,)) / Input((2,)), TypeError, "divide by a number"),
        (lambda: Input((2,)) + "a", TypeError, None),
        (lambda: Input((4, 2))[0], ValueError, "expected the whole batch first"),
        (lambda: Input((4, 2))[:, 4], ValueError, "expected -4 <= i < 4 on axis 1, got 4"),
        (lambda: Input((4, 2))[:, [0, 1]], TypeError, "expected integers, slices"),
        (lambda: Input((4, 2))[:, 0, 0, 0], ValueError, "expected at most 3 axes, got 4"),
        (lambda: LSTM(3).output, ValueError, "stands in one place of a model, got 0 places"),
        (lambda: two_inputs(layers, Input, Model)(random(2, 5, 3)), ValueError, "expected 2 arrays"),
        (lambda: two_inputs(layers, Input, Model)([random(2, 5, 3), random(2, 5)]), ValueError, r"expected \(B, 4\)"),
        (
            lambda: Model(x := Input((2,)), [Dense(1, name="a")(x), Dense(1, name="a")(x)]),
            ValueError,
            "the name 'a' is taken",
        ),
        (lambda: Input((2,), sparse=True), ValueError, "sparse=True is not supported: give a dense array"),
        (lambda: Input(shape=(2,), batch_shape=(1, 2)), ValueError, "batch_shape: expected None where shape"),
        (lambda: Input((2,), frozen=True), TypeError, "Input: unknown argument 'frozen'"),
        (lambda: diamond(layers, Input, Model).get_layer("none"), ValueError, "get_layer: expected one of"),
        (lambda: diamond(layers, Input, Model).get_layer(), ValueError, "expected either name or index"),
        (lambda: TimeDistributed(two_outputs(layers, Input, Model))(Input((3, 6, 3))), ValueError, None),
        (lambda: Bidirectional(Dense(2)), TypeError, "Bidirectional: layer: expected"),
    ],
)
def test_refusals(make: Any, error: type[Exception], message: str | None) -> None:
    with pytest.raises(error, match=message):
        make()
