"""Recurrent layers by themselves: states in models, cells of one's own, dropout, configs."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from helpers.models import random

from pyrnn import Input, Model, activations
from pyrnn.layers import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Call,
    Dense,
    GRUCell,
    Layer,
    LSTMCell,
    Masking,
    Run,
    SimpleRNN,
    SimpleRNNCell,
    SlowPathWarning,
    StackedRNNCells,
    TimeDistributed,
)
from pyrnn.layers.base import deserialize, serialize
from pyrnn.layers.parameters import Parameter
from pyrnn.optimizers import Adam

B, T, D, H = 3, 4, 3, 5
SLOW = pytest.mark.filterwarnings("ignore::pyrnn.layers.SlowPathWarning")
RNG = np.random.default_rng(4)


class Leaky:
    """h = a * h_prev + (1 - a) * x w: a cell that knows its own gradient."""

    state_size = H
    dtype = "float64"
    leak = 0.7

    def build(self, shape: Any) -> None:
        self.w = Parameter("w", np.random.default_rng(1).standard_normal((shape[-1], H)))
        self.parameters = [self.w]

    def step(self, x: np.ndarray, states: list[np.ndarray]) -> Any:
        product = (x[:, :, None] * self.w.value).sum(axis=1)
        h = self.leak * states[0] + (1 - self.leak) * product
        return h, [h], x

    def step_backward(self, dy: np.ndarray, dstates: list[np.ndarray], kept: Any) -> Any:
        dh = dy + dstates[0]
        dproduct = (1 - self.leak) * dh
        self.w.gradient += (kept[:, :, None] * dproduct[:, None]).sum(axis=0)
        return (dproduct[:, None] * self.w.value).sum(axis=-1), [self.leak * dh]


class Adder:
    """A cell as Keras's users write it, which cannot be trained here."""

    state_size = D

    def call(self, x: np.ndarray, states: list[np.ndarray]) -> Any:
        return x + states[0], [x + states[0]]


# ---- gradients of the general path, central differences in float64


def slopes(layer: Layer, x: list[np.ndarray], mask: Any = None) -> None:
    layer.build([(None, *a.shape[1:]) for a in x] if len(x) > 1 else (None, *x[0].shape[1:]))
    rng = np.random.default_rng(2)
    layer.set_weights([0.6 * rng.standard_normal(w.shape) for w in layer.get_weights()])

    def call() -> Call:
        made = Call(Run(training=True, step=3), key=1)
        made.mask = [mask, *[None] * (len(x) - 1)] if len(x) > 1 else mask
        return made

    def outputs(made: Call) -> list[np.ndarray]:
        y = layer.forward(x if len(x) > 1 else x[0], made)
        return list(y) if isinstance(y, tuple) else [y]

    made = call()
    factors = [rng.standard_normal(y.shape) for y in outputs(made)]

    def value() -> float:
        return sum(float((y * f).sum()) for y, f in zip(outputs(call()), factors, strict=True))

    gradients = layer.backward(tuple(factors) if len(factors) > 1 else factors[0], made)
    gradients = gradients if isinstance(gradients, list) else [gradients]
    for array, gradient in zip(x, gradients, strict=True):
        assert_slopes(array, gradient, value)
    for i, weight in enumerate(layer.get_weights()):
        gradient = [a for p in layer.parameters for a in p.unpack(p.flat_gradient)][i]

        def at() -> float:
            layer.set_weights([*before[:i], weight, *before[i + 1 :]])  # noqa: B023
            return value()

        before = layer.get_weights()
        assert_slopes(weight, gradient, at)
        layer.set_weights(before)


def assert_slopes(array: np.ndarray, gradient: np.ndarray, value: Any) -> None:
    assert gradient.shape == array.shape
    for index in list(np.ndindex(array.shape))[:: max(1, array.size // 12)]:
        kept, h = array[index], 1e-6
        array[index] = kept + h
        up = value()
        array[index] = kept - h
        down = value()
        array[index] = kept
        np.testing.assert_allclose(gradient[index], (up - down) / (2 * h), rtol=1e-5, atol=1e-7)


HOLES = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
GENERAL: dict[str, Any] = {
    "lstm": lambda **o: LSTM(H, "softsign", "hard_sigmoid", dtype="float64", **o),
    "lstm silu": lambda **o: LSTM(H, "silu", dtype="float64", use_bias=False, **o),
    "gru": lambda **o: GRU(H, "softsign", dtype="float64", **o),
    "gru before": lambda **o: GRU(H, "elu", reset_after=False, dtype="float64", **o),
    "rnn own": lambda **o: SimpleRNN(
        H, activations.Function(np.sin, lambda x, dy: dy * np.cos(x), "sin"), dtype="float64", **o
    ),
    "own cell": lambda **o: RNN(Leaky(), **{k: v for k, v in o.items() if "dropout" not in k and k != "seed"}),
    "stack": lambda **o: RNN(
        [LSTMCell(4, dtype="float64"), Leaky()], **{k: v for k, v in o.items() if "dropout" not in k and k != "seed"}
    ),
    "engine": lambda **o: LSTM(H, dtype="float64", **o),
}


@SLOW
@pytest.mark.parametrize("mask", [None, HOLES], ids=["whole", "masked"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", GENERAL)
def test_gradients_are_slopes(name: str, backwards: bool, mask: Any) -> None:
    for options in (
        {"return_sequences": True, "return_state": True},
        {"zero_output_for_mask": True, "dropout": 0.4, "recurrent_dropout": 0.3, "seed": 3},
    ):
        layer = GENERAL[name](go_backwards=backwards, **options)
        sizes = [size for stage in layer.stages for size in stage.state_sizes]
        states = [RNG.standard_normal((B, size)) for size in sizes]
        slopes(layer, [RNG.standard_normal((B, T, D)), *states], mask)


# ---- cells of one's own


@SLOW
def test_a_cell_of_ones_own_learns_in_a_model() -> None:
    x = Input((T, D))
    model = Model(x, Dense(1, dtype="float64")(RNN(Leaky())(x)))
    model.compile(loss="mse", optimizer=Adam(0.01))
    data = random(64, T, D)
    target = data[:, -1, :1]
    first = model.train_on_batch(data, target)
    for _ in range(300):
        last = model.train_on_batch(data, target)
    assert last < 0.5 * first


def test_a_cell_with_call_alone_predicts_and_says_that_it_cannot_train() -> None:
    with pytest.warns(SlowPathWarning, match="per-step loop: cell=Adder"):
        layer = RNN(Adder(), return_sequences=True)
        x = random(B, T, D)
        np.testing.assert_allclose(layer(x), np.cumsum(x, axis=1), rtol=1e-5)
    call = Call(Run(training=True))
    y = layer.forward(x, call)
    with pytest.raises(TypeError, match=r"RNN: cell: expected step\(x, states\) .* got Adder, which can only predict"):
        layer.backward(y, call)


def test_the_kernels_are_called_once_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyrnn import ops

    calls = []
    forward, both = ops.forward, ops.forward_both
    monkeypatch.setattr(ops, "forward", lambda *a, **o: calls.append("one") or forward(*a, **o))
    monkeypatch.setattr(ops, "forward_both", lambda *a, **o: calls.append("both") or both(*a, **o))
    x, mask = random(B, T, D), HOLES
    for layer, expected in (
        (LSTM(H, stateful=True), ["one"]),
        (GRU(H, recurrent_dropout=0.3, dropout=0.2), ["one"]),
        (SimpleRNN(H, "relu", go_backwards=True), ["one"]),
        (RNN([LSTMCell(3), GRUCell(2), SimpleRNNCell(4)]), ["one"] * 3),
        (Bidirectional(GRU(H, stateful=True)), ["both"]),
        (Bidirectional(RNN(LSTMCell(2))), ["both"]),
    ):
        calls.clear()
        layer(x, training=True, mask=mask)
        assert calls == expected
        assert layer.path == "engine"


# ---- states in models


@pytest.mark.parametrize("cls", [LSTM, GRU, SimpleRNN])
def test_states_flow_between_layers_and_gradients_back(cls: Any) -> None:
    a, b = Input((T, D)), Input((2, D))
    _, *states = cls(H, return_state=True)(a)
    y = cls(H)(b, initial_state=states)
    listed = cls(H)([b, *states])
    assert y.shape == listed.shape == (None, H)
    model = Model([a, b], Dense(1)(y))
    model.compile(loss="mse", optimizer="sgd")
    before = model.get_weights()[0]
    model.train_on_batch([random(B, T, D), random(B, 2, D)], random(B, 1))
    assert np.abs(model.get_weights()[0] - before).max() > 0


def test_stacked_states_are_nested_as_in_keras() -> None:
    cells = [LSTMCell(3), GRUCell(2)]
    layer = RNN(StackedRNNCells(cells), return_state=True)
    x = Input((T, D))
    y, (h, c), h2 = layer(x)
    assert [t.shape for t in (y, h, c, h2)] == [(None, 2), (None, 3), (None, 3), (None, 2)]
    again = layer(x, initial_state=[[h, c], h2])
    assert [s.shape for s in (again[0], *again[1], again[2])] == [(None, 2), (None, 3), (None, 3), (None, 2)]
    assert layer.state_size == [[3, 3], 2]
    start = layer.get_initial_state(4)
    assert [s.shape for s in start[0]] == [(4, 3)] * 2
    assert start[1].shape == (4, 2)


def test_a_cell_in_a_model_is_a_step() -> None:
    cell = LSTMCell(H)
    x, h, c = Input((D,)), Input((H,)), Input((H,))
    y, after = cell(x, [h, c])
    model = Model([x, h, c], [y, *after])
    arrays = [random(B, D), random(B, H, seed=2), random(B, H, seed=3)]
    got = model.predict(arrays, verbose=0)
    expected, states = cell(arrays[0], arrays[1:])
    for one, other in zip(got, [expected, *states], strict=True):
        assert np.array_equal(one, other)


def test_time_distributed_recurrent_layers() -> None:
    layer, x = LSTM(H), random(B, 2, T, D)
    y = TimeDistributed(layer)(x)
    assert y.shape == (B, 2, H)
    assert np.array_equal(y[:, 1], layer(np.ascontiguousarray(x[:, 1])))


def test_masking_reaches_recurrent_layers() -> None:
    x = random(B, T, D)
    x[:, 2:] = 0
    a = Input((T, D))
    layer = LSTM(H)
    model = Model(a, layer(Masking()(a)))
    assert np.allclose(model.predict(x, verbose=0), layer(x[:, :2]), atol=1e-6)


# ---- stateful


@pytest.mark.parametrize("wrap", [lambda x: x, Bidirectional], ids=["alone", "bidirectional"])
def test_states_are_carried_kept_and_reset(wrap: Any) -> None:
    layer = wrap(GRU(H, stateful=True, return_sequences=True))
    x = random(B, T, D)
    assert layer.state_arrays() == []
    assert layer.states is None
    first = layer(x)
    kept = layer.state_arrays()
    second = layer(x)
    assert not np.allclose(first, second)
    layer.set_state_arrays(kept)
    assert np.array_equal(layer(x), second)
    layer.reset_states()
    assert np.array_equal(layer(x), first)
    layer.reset_state()
    assert layer(random(B + 1, T, D)).shape[0] == B + 1
    layer.set_state_arrays([])
    assert layer.states is None


def test_stateful_layers_of_a_model() -> None:
    x = Input(batch_shape=(4, T, D))
    model = Model(x, Dense(1)(LSTM(H, stateful=True)(x)))
    model.compile(loss="mse", optimizer="sgd")
    data = random(8, T, D)
    model.fit(data, data[:, 0, :1], batch_size=4, shuffle=False, epochs=2, verbose=0)
    (layer,) = model.stateful_layers()
    assert [s.shape for s in layer.state_arrays()] == [(4, H)] * 2
    model.reset_states()
    assert layer.state_arrays() == []
    with pytest.raises(ValueError, match="4"):
        model.predict(data[:3], batch_size=3, verbose=0)


# ---- dropout


@SLOW
@pytest.mark.parametrize("activation", ["tanh", "elu"])
def test_dropout_rates_and_seeds(activation: str) -> None:
    layer = LSTM(40, activation=activation, dropout=0.25, recurrent_dropout=0.6, seed=7)
    layer.build((None, None, 50))
    call = Call(Run(training=True, step=1), key=3)
    x_scale, h_scale = layer.dropout_scales(200, call)
    for scale, rate in ((x_scale, 0.25), (h_scale, 0.6)):
        assert abs((scale == 0).mean() - rate) < 0.02
        assert np.allclose(scale[scale > 0], 1 / (1 - rate))
    same = LSTM(40, activation=activation, dropout=0.25, recurrent_dropout=0.6, seed=7)
    same.build((None, None, 50))
    assert np.array_equal(same.dropout_scales(200, call)[0], x_scale)
    assert layer.dropout_scales(200, Call(Run(training=False), key=3)) == (None, None)
    other = LSTM(40, activation=activation, dropout=0.25, seed=8)
    other.build((None, None, 50))
    assert not np.array_equal(other.dropout_scales(200, call)[0], x_scale)


def test_one_mask_a_sequence() -> None:
    """With x of ones and no recurrence, every step of a row drops the same inputs."""
    layer = SimpleRNN(1, activation="relu", dropout=0.5, return_sequences=True, use_bias=False, seed=1)
    layer.build((None, T, 6))
    layer.set_weights([np.ones((6, 1)), np.zeros((1, 1))])
    y = layer(np.ones((50, T, 6), np.float32), training=True)
    assert (y == y[:, :1]).all()
    assert len(np.unique(y)) > 2


# ---- configs


@SLOW
@pytest.mark.parametrize(
    "make",
    [
        lambda: LSTM(H, "elu", kernel_regularizer="l2", recurrent_constraint="unit_norm", stateful=True),
        lambda: GRU(H, recurrent_activation="hard_sigmoid", bias_regularizer="l1", reset_after=False, seed=4),
        lambda: SimpleRNN(H, activation=None, kernel_constraint="non_neg", activity_regularizer="l2"),
        lambda: RNN(StackedRNNCells([LSTMCell(H), GRUCell(H, dropout=0.1)]), go_backwards=True),
        lambda: RNN(SimpleRNNCell(H, "relu"), return_sequences=True, memory_budget="segments"),
        lambda: Bidirectional(RNN([GRUCell(2), GRUCell(3)]), merge_mode="ave"),
        lambda: Bidirectional(LSTM(H), backward_layer=GRU(2, go_backwards=True)),
    ],
)
def test_configs_pickles_and_copies(make: Any) -> None:
    layer = make()
    again = deserialize(serialize(layer))
    assert again.get_config() == layer.get_config()
    x = random(B, T, D)
    expected = layer(x)
    for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        if twin.stateful:
            layer.reset_states()
            twin.reset_states()
        assert np.array_equal(twin(x), expected)


@SLOW
def test_penalties_and_constraints_are_the_weights() -> None:
    for activation in ("tanh", "elu"):
        layer = GRU(H, activation, kernel_regularizer="l2", recurrent_regularizer="l1", bias_constraint="non_neg")
        layer.build((None, T, D))
        kernel, recurrent, bias = layer.get_weights()
        expected = 0.01 * ((kernel**2).sum() + np.abs(recurrent).sum())
        assert np.isclose(sum(p.regularization() for p in layer.parameters if p.has_penalty), expected, rtol=1e-5)
        layer.set_weights([kernel, recurrent, bias - 1])
        for parameter in layer.parameters:
            if parameter.has_constraint:
                parameter.constrain()
        assert not layer.get_weights()[2].any()


def test_a_frozen_cell_is_not_trained() -> None:
    layer = RNN([LSTMCell(3, trainable=False), GRUCell(2)])
    layer.build((None, T, D))
    assert len(layer.parameters) == 2
    assert layer.trainable_parameters() == layer.parameters[1:]
