"""Layers: shapes, Keras's weights, values worked out by hand, and what they refuse."""

from typing import Any

import numpy as np
import pytest
from helpers.layer_cases import CASES
from helpers.models import random

from pyrnn import Sequential, layers, ops, utils
from pyrnn.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    Input,
    Layer,
    LSTMCell,
    RepeatVector,
    SimpleRNN,
    SimpleRNNCell,
    StackedRNNCells,
    TextVectorization,
    TimeDistributed,
)
from pyrnn.layers.base import Call, Run

RECURRENT = [LSTM, GRU, SimpleRNN]
B, T, D, H = 3, 5, 4, 6


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# ---- Keras's names and shapes


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (LSTM(H), [(D, 4 * H), (H, 4 * H), (4 * H,)]),
        (LSTM(H, use_bias=False), [(D, 4 * H), (H, 4 * H)]),
        (GRU(H), [(D, 3 * H), (H, 3 * H), (2, 3 * H)]),
        (GRU(H, reset_after=False), [(D, 3 * H), (H, 3 * H), (3 * H,)]),
        (SimpleRNN(H), [(D, H), (H, H), (H,)]),
        (SimpleRNN(H, activation="relu"), [(D, H), (H, H), (H,)]),
        (Bidirectional(GRU(H)), [(D, 3 * H), (H, 3 * H), (2, 3 * H)] * 2),
        (Dense(7), [(D, 7), (7,)]),
        (Dense(7, use_bias=False), [(D, 7)]),
        (TimeDistributed(Dense(7)), [(D, 7), (7,)]),
    ],
    ids=lambda value: repr(value).split(",")[0] if isinstance(value, Layer) else "",
)
def test_weights_are_shaped_as_in_keras_and_come_back(layer: Layer, shapes: list[tuple[int, ...]]) -> None:
    layer.build((None, T, D))
    assert [w.shape for w in layer.get_weights()] == shapes
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in shapes)
    given = [random(*shape, seed=i) for i, shape in enumerate(shapes)]
    layer.set_weights(given)
    for w, expected in zip(layer.get_weights(), given, strict=True):
        assert np.array_equal(w, expected)


def test_embedding_weights() -> None:
    layer = Embedding(10, 3)
    assert layer(np.array([[1, 2, 1]])).shape == (1, 3, 3)
    (w,) = layer.get_weights()
    assert w.shape == (10, 3)
    assert np.abs(w).max() <= 0.05
    assert np.array_equal(layer(np.array([[4], [9]]))[:, 0], w[[4, 9]])


def test_initial_weights_follow_keras() -> None:
    utils.set_random_seed(3)
    layer = LSTM(64)
    layer.build((None, None, 32))
    kernel, recurrent, bias = layer.get_weights()
    limit = np.sqrt(6 / (32 + 256))
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    assert np.allclose((recurrent[:, None] * recurrent[None]).sum(axis=-1), np.eye(64), atol=1e-5)
    assert np.array_equal(bias, np.repeat([0, 1, 0, 0], 64))
    plain = LSTM(8, unit_forget_bias=False)
    plain.build((None, None, 2))
    assert not plain.get_weights()[2].any()


@pytest.mark.parametrize("cls", RECURRENT)
def test_outputs_of_recurrent_layers(cls: Any) -> None:
    x = random(B, T, D)
    assert cls(H)(x).shape == (B, H)
    assert cls(H, return_sequences=True)(x).shape == (B, T, H)
    y, *states = cls(H, return_sequences=True, return_state=True)(x)
    assert [s.shape for s in states] == [(B, H)] * (2 if cls is LSTM else 1)
    assert np.array_equal(y[:, -1], states[0])


@pytest.mark.parametrize("cls", RECURRENT)
def test_a_sequence_continues_from_its_state(cls: Any) -> None:
    layer = cls(H, return_sequences=True, return_state=True)
    x = random(B, T, D)
    y, *states = layer(x)
    first, *between = layer(x[:, :2])
    second, *after = layer(x[:, 2:], initial_state=between)
    assert np.array_equal(np.concatenate([first, second], axis=1), y)
    assert all(np.array_equal(a, b) for a, b in zip(after, states, strict=True))


@pytest.mark.parametrize("cls", RECURRENT)
def test_go_backwards_is_the_reversed_sequence(cls: Any) -> None:
    x = random(B, T, D)
    forward = cls(H, return_sequences=True, return_state=True)
    backward = cls(H, return_sequences=True, return_state=True, go_backwards=True)
    backward.build((None, T, D))
    forward.build((None, T, D))
    backward.set_weights(forward.get_weights())
    for a, b in zip(forward(np.ascontiguousarray(x[:, ::-1])), backward(x), strict=True):
        assert np.array_equal(a, b)


# ---- worked out by hand


def test_lstm_step_by_hand() -> None:
    layer = LSTM(2)
    layer.build((None, None, 3))
    W_x, W_h, b = random(3, 8), random(2, 8, seed=2), random(8, seed=3)
    layer.set_weights([W_x, W_h, b])
    x = random(1, 2, 3, seed=4)
    h, c = np.zeros((1, 2)), np.zeros((1, 2))
    for t in range(2):
        a = sum(x[:, t, k, None] * W_x[k] for k in range(3)) + sum(h[:, k, None] * W_h[k] for k in range(2)) + b
        i, f, g, o = np.split(a, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    np.testing.assert_allclose(layer(x), h, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_step_by_hand(reset_after: bool) -> None:
    layer = GRU(1, reset_after=reset_after)
    layer.build((None, None, 1))
    W_x, W_h = np.array([[0.3, -0.4, 0.9]], np.float32), np.array([[0.5, 0.7, -0.6]], np.float32)
    b = np.array([[0.1, 0.2, 0.3], [-0.2, 0.4, 0.8]], np.float32)
    layer.set_weights([W_x, W_h, b if reset_after else b[0]])
    h = 0.0
    x = [0.7, -1.2]
    for x_t in x:
        gx, gh = x_t * W_x[0] + b[0], h * W_h[0] + (b[1] if reset_after else 0)
        z, r = sigmoid(gx[0] + gh[0]), sigmoid(gx[1] + gh[1])
        n = np.tanh(gx[2] + r * gh[2]) if reset_after else np.tanh(gx[2] + r * h * W_h[0, 2])
        h = z * h + (1 - z) * n
    np.testing.assert_allclose(layer(np.array(x, np.float32).reshape(1, 2, 1)), [[h]], rtol=1e-5, atol=1e-6)


def test_simple_rnn_by_hand() -> None:
    layer = SimpleRNN(1, activation="relu")
    layer.build((None, None, 1))
    layer.set_weights([[[2.0]], [[0.5]], [1.0]])
    # h_1 = relu(2 * 1 + 1) = 3, h_2 = relu(2 * -2 + 1.5 + 1) = 0
    y = np.asarray(layer(np.array([[[1.0], [-2.0]]], np.float32)))
    assert y.tolist() == [[0.0]]


def test_dense_by_hand() -> None:
    layer = Dense(2, activation="relu")
    layer.build((None, 2))
    layer.set_weights([[[1.0, -1.0], [2.0, 0.5]], [0.5, 0.0]])
    assert layer(np.array([[1.0, 2.0]], np.float32)).tolist() == [[5.5, 0.0]]


def test_dense_of_a_sequence_is_that_of_its_steps() -> None:
    layer = Dense(7, activation="softmax")
    x = random(B, T, D)
    y = layer(x)
    assert y.shape == (B, T, 7)
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-6)
    for t in range(T):
        assert np.array_equal(layer(np.ascontiguousarray(x[:, t])), y[:, t])


def test_time_distributed_is_the_layer_at_every_step() -> None:
    dense = Dense(7, activation="tanh")
    x = random(B, T, D)
    y = TimeDistributed(dense)(x)
    assert np.array_equal(y, dense(x))
    images = random(B, T, 2, D)
    inner = SimpleRNN(H)
    out = TimeDistributed(inner)(images)
    assert out.shape == (B, T, H)
    assert np.array_equal(out[:, 1], inner(np.ascontiguousarray(images[:, 1])))


def test_repeat_vector() -> None:
    x = random(B, D)
    y = RepeatVector(3)(x)
    assert y.shape == (B, 3, D)
    assert all(np.array_equal(y[:, t], x) for t in range(3))


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("cls", RECURRENT)
def test_bidirectional_is_two_layers(cls: Any, sequences: bool, mode: str | None) -> None:
    layer = Bidirectional(cls(H, return_sequences=sequences), merge_mode=mode)
    x = random(B, T, D)
    y = layer(x)
    forward, backward = cls(H, return_sequences=sequences), cls(H, return_sequences=sequences, go_backwards=True)
    for one, weights in ((forward, layer.get_weights()[:3]), (backward, layer.get_weights()[3:])):
        one.build((None, T, D))
        one.set_weights(weights)
    a, b = forward(x), backward(x)
    if sequences:
        b = b[:, ::-1]
    merged = {"concat": np.concatenate([a, b], axis=-1), "sum": a + b, "mul": a * b, "ave": (a + b) * np.float32(0.5)}
    if mode is None:
        assert np.array_equal(y[0], a)
        assert np.array_equal(y[1], b)
    else:
        assert np.array_equal(y, merged[mode])
        assert layer.output_shape == (None, *y.shape[1:2], y.shape[-1]) if sequences else (None, y.shape[-1])


def test_bidirectional_states() -> None:
    layer = Bidirectional(LSTM(H, return_sequences=True, return_state=True))
    y, h, c, h_back, c_back = layer(random(B, T, D))
    assert c.shape == c_back.shape == (B, H)
    assert np.array_equal(y[:, -1, :H], h)
    assert np.array_equal(y[:, 0, H:], h_back)


# ---- dropout


def test_dropout_only_in_training() -> None:
    x = np.ones((50, 40), np.float32)
    layer = Dropout(0.25, seed=5)
    assert np.array_equal(layer(x), x)
    y = layer(x, training=True)
    assert set(np.unique(y).tolist()) == {0.0, np.float32(1 / 0.75).item()}
    assert 0.2 < (y == 0).mean() < 0.3


def test_recurrent_dropout_has_one_mask_a_sequence() -> None:
    """What the layer does is what `ops.forward` does with the masks that the layer drew."""
    layer = LSTM(H, dropout=0.4, recurrent_dropout=0.3, return_sequences=True, seed=9)
    x = random(B, T, D)
    layer.build(x.shape)
    call = Call(Run(training=True, step=4), key=2)
    x_scale, h_scale = layer.dropout_scales(B, call)
    assert x_scale is not None and x_scale.shape == (B, D)
    assert h_scale is not None and h_scale.shape == (B, H)
    assert set(np.unique(x_scale)) <= {np.float32(0), np.float32(1 / 0.6)}
    y, _, _ = ops.forward("lstm", x.transpose(1, 0, 2), *layer.get_weights(), x_scale=x_scale, h_scale=h_scale)
    assert np.array_equal(layer.forward(x, call), y.transpose(1, 0, 2))
    call.run.step = 5
    assert not np.array_equal(layer.dropout_scales(B, call)[0], x_scale)
    assert not np.array_equal(layer(x), y.transpose(1, 0, 2))


# ---- masks


@pytest.mark.parametrize("cls", RECURRENT)
def test_masked_steps_hold_the_output_as_in_keras(cls: Any) -> None:
    x, mask = random(2, 4, D), np.array([[True, True, False, False], [False, True, False, True]])
    layer = cls(H, return_sequences=True)
    y = layer(x, mask=mask)
    kept = layer(x[:1, :2])
    assert np.array_equal(y[0, :2], kept[0])
    assert np.array_equal(y[0, 2], y[0, 1])
    assert np.array_equal(y[0, 3], y[0, 1])
    assert not y[1, 0].any()
    assert np.array_equal(y[1, 2], y[1, 1])
    zero = cls(H, return_sequences=True, zero_output_for_mask=True)
    zero.build((None, 4, D))
    zero.set_weights(layer.get_weights())
    assert np.array_equal(zero(x, mask=mask), np.where(mask[..., None], y, np.float32(0)))


def test_embedding_masks_what_follows() -> None:
    ids = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    model = Sequential([Input((None,)), Embedding(6, D, mask_zero=True), LSTM(H)])
    y = model.predict(ids, verbose=0)
    assert np.array_equal(y[:1], model.predict(ids[:1, :3], verbose=0))
    assert np.array_equal(y[1:], model.predict(ids[1:, :1], verbose=0))


# ---- what they refuse


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(4, kernel_constraint="x"), ValueError, "Dense: kernel_constraint: expected one of"),
        (lambda: LSTM(4, return_sequnces=True), TypeError, "LSTM: unknown argument 'return_sequnces'"),
        (lambda: LSTM(0), ValueError, "LSTM: units: expected an integer >= 1, got 0"),
        (lambda: LSTM(4.5), TypeError, "LSTM: units: expected an integer, got 4.5"),
        (lambda: LSTM(4, dropout=1.0), ValueError, "LSTM: dropout: expected 0 <= rate < 1, got 1.0"),
        (lambda: LSTM(4, return_sequences=1), TypeError, "LSTM: return_sequences: expected True or False, got 1"),
        (lambda: LSTM(4, dtype="float16"), ValueError, "LSTM: dtype: expected 'float32' or 'float64', got 'float16'"),
        (lambda: LSTM(4, kernel_initializer="x"), ValueError, "LSTM: kernel_initializer: expected one of"),
        (lambda: LSTM(4)(np.zeros((2, 3), np.float32)), ValueError, r"lstm: expected an input \(batch, steps, width\)"),
        (lambda: LSTM(4, input_shape=(3, None)), ValueError, "lstm: expected a known width"),
        (lambda: LSTM(4)(Dense(4)), TypeError, "lstm: expected an array or a Tensor of a model, got Dense"),
        (
            lambda: LSTM(4)(np.zeros((2, 3, 4), np.float32), initial_state=np.zeros((2, 4))),
            ValueError,
            r"lstm: initial_state: expected 2 arrays \(h, c\), got 1",
        ),
        (lambda: Dense(4, activation="glu"), ValueError, "Dense: activation: 'glu' is not supported: it halves"),
        (lambda: Dense(4, activation=np.tanh), TypeError, "Dense: activation: .* has no gradient: use"),
        (lambda: Activation("nope"), ValueError, "Activation: activation: expected one of linear"),
        (lambda: Dropout(-0.1), ValueError, "Dropout: rate: expected 0 <= rate < 1"),
        (lambda: Dropout(0.5, noise_shape=3), TypeError, "Dropout: noise_shape: expected a tuple such as"),
        (lambda: Embedding(5, 2)(np.array([[5]])), ValueError, "5"),
        (lambda: Embedding(5, 2)(np.array([[0.5]])), TypeError, "embedding: expected integer ids"),
        (lambda: Embedding(5, 2)(np.array([[np.nan]])), TypeError, "embedding: expected integer ids"),
        (lambda: RepeatVector(2)(np.zeros((1, 2, 3))), ValueError, r"expected an input \(batch, width\)"),
        (lambda: RepeatVector("2"), TypeError, "RepeatVector: n: expected an integer, got '2'"),
        (lambda: TimeDistributed(3), TypeError, "TimeDistributed: layer: expected a layer, got 3"),
        (lambda: TimeDistributed(Dense(2))(np.zeros((2, 3))), ValueError, r"expected an input \(batch, steps, ...\)"),
        (lambda: TimeDistributed(LSTM(2, return_state=True)), ValueError, "got return_state=True"),
        (lambda: Bidirectional(Dense(2)), TypeError, "Bidirectional: layer: expected an LSTM, GRU, SimpleRNN or RNN"),
        (lambda: Bidirectional(LSTM(2), merge_mode="cat"), ValueError, "Bidirectional: merge_mode: expected one of"),
        (lambda: Bidirectional(LSTM(2), backward_layer=LSTM(2)), ValueError, "expected go_backwards=True, got False"),
        (
            lambda: Bidirectional(LSTM(2), merge_mode="sum", backward_layer=LSTM(3, go_backwards=True)),
            ValueError,
            "Bidirectional: backward_layer: expected output_size 2 like layer's, got 3",
        ),
        (lambda: Input(), TypeError, "Input: shape: expected a tuple"),
        (lambda: Input((3, 0)), ValueError, "Input: shape: expected an integer >= 1, got 0"),
        (lambda: Input((3,), batch_size=0), ValueError, "Input: batch_size: expected an integer >= 1, got 0"),
    ],
)  # fmt: skip
def test_refusals_name_the_argument(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_weights_that_do_not_fit() -> None:
    layer = Dense(2)
    with pytest.raises(ValueError, match="dense: the layer has no weights before it is built"):
        layer.set_weights([])
    layer.build((None, 3))
    with pytest.raises(ValueError, match="dense: weights: expected 2 arrays, got 1"):
        layer.set_weights([np.zeros((3, 2))])
    with pytest.raises(ValueError, match=r"dense: kernel: expected \(3, 2\), got \(2, 3\)"):
        layer.set_weights([np.zeros((2, 3)), np.zeros(2)])
    with pytest.raises(TypeError, match="dense: bias: expected real numbers, got complex128"):
        layer.set_weights([np.zeros((3, 2)), np.zeros(2, complex)])
    with pytest.raises(ValueError, match=r"dense: expected an input of width 3, got \(B, 4\)"):
        layer(np.zeros((1, 4), np.float32))


@pytest.mark.parametrize("name", sorted(set(layers.LAYERS) - {"Model", "Sequential"} - {c.layer for c in CASES}))
def test_every_layer_comes_back_from_its_config(name: str) -> None:
    make: dict[str, Any] = {
        "Activation": lambda: Activation("tanh"),
        "Bidirectional": lambda: Bidirectional(GRU(3, reset_after=False, dropout=0.1), merge_mode="sum"),
        "Dense": lambda: Dense(3, "relu", kernel_initializer="he_normal", dtype="float64"),
        "Dropout": lambda: Dropout(0.3, seed=2),
        "Embedding": lambda: Embedding(5, 2, mask_zero=True),
        "GRU": lambda: GRU(3, reset_after=False),
        "GetItem": lambda: layers.GetItem((slice(None), -1, slice(0, 4, 2))),
        "InputLayer": lambda: Input((3, None, 2)).node.layer,
        "GRUCell": lambda: GRUCell(3, reset_after=False, recurrent_activation="hard_sigmoid"),
        "LSTMCell": lambda: LSTMCell(3, unit_forget_bias=False, kernel_regularizer="l2"),
        "RNN": lambda: RNN([LSTMCell(3), GRUCell(2)], return_sequences=True, zero_output_for_mask=True),
        "SimpleRNNCell": lambda: SimpleRNNCell(3, "relu", recurrent_constraint="max_norm"),
        "StackedRNNCells": lambda: StackedRNNCells([SimpleRNNCell(3), GRUCell(2)]),
        "LSTM": lambda: LSTM(3, unit_forget_bias=False, recurrent_dropout=0.2, name="encoder", trainable=False),
        "RepeatVector": lambda: RepeatVector(3),
        "SimpleRNN": lambda: SimpleRNN(3, "relu", go_backwards=True),
        "TextVectorization": lambda: TextVectorization(9, ngrams=2, vocabulary=["a", "b"]),
        "TimeDistributed": lambda: TimeDistributed(Dense(3)),
    }
    layer = make[name]()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
