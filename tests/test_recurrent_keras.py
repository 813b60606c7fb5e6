"""Recurrent layers beside Keras (on JAX): outputs, states and all gradients, in float64."""

import warnings
from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import float64, import_keras

from pyrnn import layers
from pyrnn.layers import Bidirectional, Call, Layer, Run, SlowPathWarning

B, T, D, H = 4, 5, 3, 4
RNG = np.random.default_rng(5)
X = RNG.standard_normal((B, T, D))
MASKS: dict[str, Any] = {
    "none": None,
    "right": np.arange(T) < np.array([5, 3, 1, 4])[:, None],
    "left": np.arange(T) >= np.array([0, 2, 4, 1])[:, None],
    "holes": np.array([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0], [1, 1, 0, 0, 1], [0, 0, 0, 1, 0]], bool),
    "empty rows": np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0]], bool),
}
FEW = ["none", "holes", "empty rows"]
SLOW = pytest.mark.filterwarnings("ignore::pyrnn.layers.SlowPathWarning")


@pytest.fixture(scope="module")
def keras() -> Any:
    """Keras on JAX in float64; operation by operation, since compiling takes longer than five steps."""
    module = import_keras()
    import jax

    with float64(), jax.disable_jit():
        yield module


def arrays(y: Any) -> list[np.ndarray]:
    """Outputs, nested or not, in a flat list."""
    if isinstance(y, (list, tuple)):
        return [array for part in y for array in arrays(part)]
    return [np.asarray(y)]


def random_weights(layer: Layer) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    return [0.6 * rng.standard_normal(w.shape) for w in layer.get_weights()]


def compare(keras: Any, ours: Layer, theirs: Any, states: Any = None, mask: Any = None, x: np.ndarray = X) -> None:
    """Outputs, states and the gradients of x, the states and the weights."""
    import jax
    import jax.numpy as jnp

    given = [] if states is None else list(states)
    shapes = [(None, *array.shape[1:]) for array in (x, *given)]
    ours.build(shapes if given else shapes[0])
    weights = random_weights(ours)
    ours.set_weights(weights)
    theirs(x[:1])  # builds it
    theirs.set_weights(weights)

    def run(weights: Any, x: Any, states: Any) -> Any:
        options = {"initial_state": states} if states else {}
        y, _ = theirs.stateless_call(
            weights, [v.value for v in theirs.non_trainable_variables], x, mask=mask, **options
        )
        return jax.tree.leaves(y)

    expected = run([jnp.asarray(w) for w in weights], jnp.asarray(x), [jnp.asarray(s) for s in given])
    rng = np.random.default_rng(3)
    factors = [rng.standard_normal(y.shape) for y in expected]

    def value(*arguments: Any) -> Any:
        return sum((y * f).sum() for y, f in zip(run(*arguments), factors, strict=True))

    dw, dx, ds = jax.grad(value, argnums=(0, 1, 2))(
        [jnp.asarray(w) for w in weights], jnp.asarray(x), [jnp.asarray(s) for s in given]
    )
    call = Call(Run(training=True), key=1)
    call.mask = [mask, *[None] * len(given)] if given else mask
    out = ours.forward([x, *given] if given else x, call)
    check(arrays(out), expected)
    several = isinstance(out, tuple)
    back = ours.backward(tuple(factors) if several else factors[0], call)
    check(arrays(back), [dx, *ds])
    check([a for p in ours.parameters for a in p.unpack(p.flat_gradient)], dw)
    plain = Call(Run(training=False), key=1)
    plain.mask = call.mask
    check(arrays(ours.forward([x, *given] if given else x, plain)), expected)


def check(actual: Any, expected: Any) -> None:
    assert [a.shape for a in actual] == [tuple(e.shape) for e in expected]
    # Keras on JAX computes tanh in float32
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, np.asarray(e), rtol=1e-5, atol=3e-6)


def pair(keras: Any, name: str, *arguments: Any, **options: Any) -> tuple[Layer, Any]:
    """The same layer of pyrnn and of Keras."""
    options = {"dtype": "float64", **options}
    return getattr(layers, name)(*arguments, **options), getattr(keras.layers, name)(*arguments, **options)


def states_for(name: str, factor: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(8)
    return [rng.standard_normal((B, H)) for _ in range((2 if name == "LSTM" else 1) * factor)]


KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("LSTM", {}),
    "gru": ("GRU", {}),
    "gru before": ("GRU", {"reset_after": False}),
    "rnn": ("SimpleRNN", {}),
    "rnn relu": ("SimpleRNN", {"activation": "relu"}),
    "lstm elu": ("LSTM", {"activation": "elu"}),
    "lstm hard": ("LSTM", {"recurrent_activation": "hard_sigmoid", "use_bias": False}),
    "gru softsign": ("GRU", {"activation": "softsign", "recurrent_activation": "hard_sigmoid"}),
    "gru before selu": ("GRU", {"activation": "selu", "reset_after": False}),
    "rnn linear": ("SimpleRNN", {"activation": None}),
    "rnn gelu": ("SimpleRNN", {"activation": "silu"}),
}


@SLOW
@pytest.mark.parametrize(
    ("kind", "mask"), [(k, m) for k in KINDS for m in (MASKS if k in ("lstm", "gru", "gru before", "rnn") else FEW)]
)
@pytest.mark.parametrize("start", [False, True], ids=["zeros", "states"])
def test_layer(keras: Any, kind: str, start: bool, mask: str) -> None:
    name, options = KINDS[kind]
    states = states_for(name) if start else None
    for sequences in (True, False):
        given = {**options, "return_sequences": sequences, "return_state": start or sequences}
        compare(keras, *pair(keras, name, H, **given), states, MASKS[mask])


@SLOW
@pytest.mark.parametrize("mask", ["left", "empty rows"])
@pytest.mark.parametrize("kind", ["lstm", "gru before", "rnn elu"])
@pytest.mark.parametrize("zero", [False, True], ids=["hold", "zero"])
@pytest.mark.parametrize("sequences", [True, False], ids=["sequences", "last"])
def test_backwards_and_zero_output(keras: Any, sequences: bool, zero: bool, kind: str, mask: str) -> None:
    name, options = {**KINDS, "rnn elu": ("SimpleRNN", {"activation": "elu"})}[kind]
    for backwards in (True, False):
        ours, theirs = pair(
            keras, name, H, **options, go_backwards=backwards, return_sequences=sequences, zero_output_for_mask=zero
        )
        compare(keras, ours, theirs, states_for(name), MASKS[mask])


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_without_bias(keras: Any, name: str, use_bias: bool) -> None:
    compare(keras, *pair(keras, name, H, use_bias=use_bias, return_sequences=True))


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru before", "rnn", "lstm elu", "gru before selu"])
@SLOW
def test_recurrent_dropout_where_keras_has_it(keras: Any, kind: str) -> None:
    """With masks that are given: the same at all gates; z * h_prev takes the whole state."""
    name, options = KINDS[kind]
    ours, theirs = pair(keras, name, H, **options, dropout=0.5, recurrent_dropout=0.5, return_sequences=True)
    ours.build((None, T, D))
    weights = random_weights(ours)
    ours.set_weights(weights)
    theirs(X)
    theirs.set_weights(weights)
    call = Call(Run(training=True, step=2), key=1)
    x_scale, h_scale = ours.dropout_scales(B, call)  # type: ignore[attr-defined]
    assert 0 < (h_scale == 0).sum() < h_scale.size
    gates = {"LSTM": 4, "GRU": 3, "SimpleRNN": None}[name]
    theirs.cell._dropout_mask = [x_scale] * gates if gates else x_scale
    theirs.cell._recurrent_dropout_mask = [h_scale] * gates if gates else h_scale
    theirs.use_cudnn = False
    expected = theirs(X, training=True)
    check([ours.forward(X, call)], [np.asarray(expected)])


MODES = ["concat", "sum", "mul", "ave", None]


@SLOW
@pytest.mark.parametrize("mask", FEW)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "lstm elu"])
def test_bidirectional(keras: Any, kind: str, mode: str | None, mask: str) -> None:
    name, options = KINDS[kind]
    for sequences in (True, False):
        inner = pair(keras, name, H, **options, return_sequences=sequences, return_state=sequences)
        ours = Bidirectional(inner[0], merge_mode=mode)  # type: ignore[arg-type]
        theirs = keras.layers.Bidirectional(inner[1], merge_mode=mode, dtype="float64")
        compare(keras, ours, theirs, states_for(name, 2), MASKS[mask])


@pytest.mark.parametrize("other", ["LSTM", "GRU"])
def test_bidirectional_with_another_layer(keras: Any, other: str) -> None:
    one, two = (
        pair(keras, "LSTM", H, return_sequences=True),
        pair(keras, other, H if other == "GRU" else 2 * H, return_sequences=True, go_backwards=True),
    )
    ours = Bidirectional(one[0], backward_layer=two[0])  # type: ignore[arg-type]
    theirs = keras.layers.Bidirectional(one[1], backward_layer=two[1], dtype="float64")
    compare(keras, ours, theirs, mask=MASKS["holes"])
    assert ours.output_shape == (None, T, 2 * H if other == "GRU" else 3 * H)


STACKS: dict[str, Any] = {
    "two lstm": lambda m: [m.LSTMCell(H, dtype="float64"), m.LSTMCell(2, dtype="float64")],
    "mixed": lambda m: [
        m.LSTMCell(3, dtype="float64"),
        m.GRUCell(2, dtype="float64"),
        m.SimpleRNNCell(H, dtype="float64"),
    ],
    "with a loop": lambda m: [m.GRUCell(3, activation="elu", dtype="float64"), m.LSTMCell(2, dtype="float64")],
}


@SLOW
@pytest.mark.parametrize("mask", FEW)
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
def test_stacked_cells(keras: Any, backwards: bool, stack: str, mask: str) -> None:
    for sequences in (True, False):
        options = {"return_sequences": sequences, "return_state": True, "go_backwards": backwards}
        ours = layers.RNN(STACKS[stack](layers), **options)
        theirs = keras.layers.RNN(STACKS[stack](keras.layers), **options, dtype="float64")
        compare(keras, ours, theirs, mask=MASKS[mask])
    single = layers.RNN(layers.LSTMCell(H, dtype="float64"), return_sequences=True)
    compare(
        keras,
        single,
        keras.layers.RNN(keras.layers.LSTMCell(H, dtype="float64"), return_sequences=True, dtype="float64"),
        states_for("LSTM"),
        MASKS[mask],
    )


def test_bidirectional_over_cells(keras: Any) -> None:
    for sequences in (True, False):
        ours = Bidirectional(layers.RNN(STACKS["mixed"](layers), return_sequences=sequences), merge_mode="sum")
        inner = keras.layers.RNN(STACKS["mixed"](keras.layers), return_sequences=sequences, dtype="float64")
        theirs = keras.layers.Bidirectional(inner, merge_mode="sum", dtype="float64")
        compare(keras, ours, theirs, mask=MASKS["holes"])


@SLOW
@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn", "lstm elu"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "bidirectional"])
def test_stateful_over_batches(keras: Any, wrapped: bool, kind: str) -> None:
    name, options = KINDS[kind]
    ours, theirs = pair(keras, name, H, **options, stateful=True, return_sequences=True)
    if wrapped:
        ours = Bidirectional(ours)  # type: ignore[arg-type]
        theirs = keras.layers.Bidirectional(theirs, dtype="float64")
    batches = [np.random.default_rng(i).standard_normal((B, T, D)) for i in range(4)]
    ours.build((None, T, D))
    weights = random_weights(ours)
    ours.set_weights(weights)
    theirs.build((B, T, D))
    theirs.set_weights(weights)
    outputs = []
    for i, x in enumerate(batches):
        mask = MASKS["right"] if i == 2 else None
        outputs.append(ours(x, mask=mask))
        check([outputs[-1]], [np.asarray(theirs(x, mask=mask))])
    ours.reset_states()  # type: ignore[attr-defined]
    theirs.reset_state()
    check([ours(batches[0])], [np.asarray(theirs(batches[0]))])
    check([ours(batches[1])], [outputs[1]])


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_cells_by_themselves(keras: Any, name: str) -> None:
    ours, theirs = pair(keras, name, H)
    x = X[:, 0]
    states = states_for(name[:-4])
    ours(x, states)
    theirs(x, states)
    weights = random_weights(ours)
    ours.set_weights(weights)
    theirs.set_weights(weights)
    y, after = ours(x, states)
    expected, expected_after = theirs(x, states)
    check([y, *after], [np.asarray(expected), *(np.asarray(s) for s in expected_after)])
    assert ours.state_size == theirs.state_size  # type: ignore[attr-defined]
    assert ours.output_size == theirs.output_size  # type: ignore[attr-defined]
    assert [s.shape for s in ours.get_initial_state(3)] == [(3, H)] * len(states)  # type: ignore[attr-defined]


def test_defaults_are_keras_defaults(keras: Any) -> None:
    for name in ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell"):
        ours, theirs = (getattr(m, name)(H) for m in (layers, keras.layers))
        mine, config = ours.get_config(), theirs.get_config()
        for argument in set(mine) & set(config) - {"dtype", "name"}:
            expected = config[argument]
            if isinstance(expected, dict):
                expected, got = expected["class_name"], mine[argument]["class_name"]
            else:
                got = mine[argument]
            assert got == expected, f"{name}: {argument}"
        missing = set(config) - set(mine) - {"activity_regularizer"}
        assert not missing, name


def test_the_slow_path_warns_once_by_name() -> None:
    with pytest.warns(SlowPathWarning, match=r"mine: .* per-step loop: activation=elu") as caught:
        layer = layers.LSTM(H, activation="elu", name="mine")
        layer(X)
        layer(X)
    assert len(caught) == 1
    assert layer.path == "per-step loop: activation=elu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert layers.SimpleRNN(H, activation="relu").path == "engine"
        layers.LSTM(H)(X)
