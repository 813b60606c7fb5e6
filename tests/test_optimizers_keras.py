"""Optimisers and learning-rate schedules beside Keras's, step by step."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.keras_witness import float64, import_keras

from pyrnn import ops, optimizers
from pyrnn.layers.parameters import Parameter, RecurrentParameter
from pyrnn.optimizers import schedules

Array = npt.NDArray[Any]
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True, "beta_2": 0.6}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.1, "amsgrad": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5, "rho": 0.7}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("Adagrad", {}),
    ("Adagrad", {"initial_accumulator_value": 0.0, "epsilon": 1e-3}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Nadam", {"beta_1": 0.7, "beta_2": 0.8}),
]
OPTIONS: list[dict[str, Any]] = [
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.7},
    {"weight_decay": 0.02},
    {"weight_decay": 0.02, "clipnorm": 0.5, "gradient_accumulation_steps": 3},
    {"gradient_accumulation_steps": 4, "global_clipnorm": 0.4},
]
SCHEDULES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("ExponentialDecay", (0.1, 7, 0.6), {}),
    ("ExponentialDecay", (0.1, 7, 0.6), {"staircase": True}),
    ("PiecewiseConstantDecay", ([3, 9], [0.1, 0.05, 0.01]), {}),
    ("PiecewiseConstantDecay", ([5], [0.1, 0.05]), {}),
    ("PolynomialDecay", (0.1, 15), {}),
    ("PolynomialDecay", (0.1, 15, 0.01), {"power": 2.0}),
    ("PolynomialDecay", (0.1, 6, 0.01), {"power": 0.5, "cycle": True}),
    ("InverseTimeDecay", (0.1, 5, 0.5), {}),
    ("InverseTimeDecay", (0.1, 5, 0.5), {"staircase": True}),
    ("CosineDecay", (0.1, 15), {}),
    ("CosineDecay", (0.1, 15), {"alpha": 0.2, "warmup_target": 0.3, "warmup_steps": 4}),
    ("CosineDecayRestarts", (0.1, 4), {}),
    ("CosineDecayRestarts", (0.1, 4), {"t_mul": 1.0, "m_mul": 0.8, "alpha": 0.1}),
    ("CosineDecayRestarts", (0.1, 5), {"t_mul": 1.5, "m_mul": 0.9}),
]
SHAPES = {"kernel": (5, 3), "bias": (3,), "recurrent_kernel": (17,)}


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


def show(value: Any) -> str:
    return " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def start() -> dict[str, Array]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


def gradients(step: int) -> dict[str, Array]:
    """Such as training gives: they differ in size from weight to weight, and some are 0."""
    rng = np.random.default_rng(100 + step)
    rows = {name: rng.standard_normal(shape) * rng.choice([0, 0.01, 1, 3], shape) for name, shape in SHAPES.items()}
    return {name: np.asarray(row) for name, row in rows.items()}


def ours(optimizer: optimizers.Optimizer, steps: int, dtype: str = "float64") -> dict[str, Array]:
    parameters = [Parameter(name, value.astype(dtype)) for name, value in start().items()]
    run(optimizer, parameters, range(steps))
    return {parameter.names[0]: parameter.value for parameter in parameters}


def run(optimizer: optimizers.Optimizer, parameters: list[Parameter], steps: range) -> None:
    for step in steps:
        for parameter, gradient in zip(parameters, gradients(step).values(), strict=True):
            parameter.gradient[...] = gradient
        optimizer.apply(parameters)


def theirs(keras: Any, optimizer: Any, steps: int) -> dict[str, Array]:
    import jax

    variables = [keras.Variable(value, dtype="float64", name=name) for name, value in start().items()]
    with jax.disable_jit():  # or every step would be compiled anew
        for step in range(steps):
            optimizer.apply([jax.numpy.asarray(g) for g in gradients(step).values()], variables)
    return {name: np.asarray(v.value) for name, v in zip(SHAPES, variables, strict=True)}


def compare(keras: Any, name: str, arguments: dict[str, Any], prepare: Any = None, steps: int = 20) -> None:
    arguments = {"learning_rate": 0.01, **arguments}
    mine = getattr(optimizers, name)(**arguments)
    with float64():
        their_arguments = dict(arguments)
        if isinstance(arguments["learning_rate"], schedules.LearningRateSchedule):
            config = schedules.serialize(arguments["learning_rate"])
            their_arguments["learning_rate"] = getattr(keras.optimizers.schedules, config["class_name"])(
                **config["config"]
            )
        witness = getattr(keras.optimizers, name)(**their_arguments)
        if prepare is not None:
            prepare(mine)
            prepare(witness)
        expected = theirs(keras, witness, steps)
    result = ours(mine, steps)
    assert mine.iterations == steps
    for key, value in result.items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-6, atol=1e-7, err_msg=key)
        assert not np.allclose(value, start()[key], atol=1e-4)  # there was something to compare


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS, ids=show)
def test_twenty_steps_beside_keras(keras: Any, name: str, arguments: dict[str, Any]) -> None:
    compare(keras, name, arguments)


@pytest.mark.parametrize("options", OPTIONS, ids=show)
@pytest.mark.parametrize(("name", "arguments"), [OPTIMIZERS[i] for i in (1, 4, 11, 15)], ids=show)
def test_options_beside_keras(keras: Any, name: str, arguments: dict[str, Any], options: dict[str, Any]) -> None:
    compare(keras, name, arguments | options, steps=9)


@pytest.mark.parametrize(("schedule", "positional", "named"), SCHEDULES, ids=show)
def test_steps_with_schedules_beside_keras(
    keras: Any, schedule: str, positional: tuple[Any, ...], named: dict[str, Any]
) -> None:
    mine = getattr(schedules, schedule)(*positional, **named)
    compare(keras, "SGD", {"learning_rate": mine, "weight_decay": 0.1, "gradient_accumulation_steps": 3})


@pytest.mark.parametrize(("schedule", "positional", "named"), SCHEDULES, ids=show)
def test_schedules_beside_keras(keras: Any, schedule: str, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
    mine = getattr(schedules, schedule)(*positional, **named)
    again = schedules.deserialize(schedules.serialize(mine))
    assert again.get_config() == mine.get_config()
    with float64():
        theirs = getattr(keras.optimizers.schedules, schedule)(*positional, **named)
        assert theirs.get_config() == mine.get_config()
        for step in range(40):
            # Keras computes in float32: at a restart, its rounded logarithm may still be in the period before
            expected = {float(theirs(step)), float(theirs(step + 1e-3))}
            assert any(mine(step) == pytest.approx(rate, rel=1e-6, abs=1e-7) for rate in expected), step
            assert again(step) == mine(step)


def test_weight_decay_leaves_out_what_is_excluded(keras: Any) -> None:
    compare(
        keras,
        "SGD",
        {"weight_decay": 0.3},
        prepare=lambda optimizer: optimizer.exclude_from_weight_decay(var_names=["bias", "^rec"]),
    )


def test_weight_decay_leaves_out_parameters() -> None:
    parameters = [Parameter(name, value) for name, value in start().items()]
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[parameters[1]])
    before = [parameter.value.copy() for parameter in parameters]
    optimizer.apply(parameters)
    np.testing.assert_allclose(parameters[0].value, 0.75 * before[0])
    np.testing.assert_array_equal(parameters[1].value, before[1])


def test_what_is_excluded_is_saved_by_name() -> None:
    optimizer = optimizers.AdamW(weight_decay=0.3)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    for name, value in ours(again, 5).items():
        np.testing.assert_array_equal(value, ours(optimizers.deserialize(optimizers.serialize(optimizer)), 5)[name])
    plain = ours(optimizers.Adam(), 5)
    np.testing.assert_array_equal(ours(again.from_config(again.get_config()), 5)["bias"], plain["bias"])
    optimizer.exclude_from_weight_decay(var_list=[Parameter("bias", np.ones(1))])
    with pytest.raises(TypeError, match="cannot be saved: use var_names"):
        optimizer.get_config()


def recurrent() -> RecurrentParameter:
    rng = np.random.default_rng(0)
    W_x, W_h, b = (rng.standard_normal(s) for s in ((3, 20), (5, 20), (20,)))
    parameter = RecurrentParameter(ops.Weights("lstm", W_x, W_h, b), True)
    y, _, tape = ops.forward("lstm", rng.standard_normal((4, 2, 3)), parameter.weights, tape=True)
    parameter.gradients = ops.backward(tape, rng.standard_normal(y.shape))
    return parameter


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS, ids=show)
@pytest.mark.parametrize(
    "options", [{"weight_decay": 0.1, "clipnorm": 0.2}, {"gradient_accumulation_steps": 2}], ids=show
)
def test_packed_weights_step_as_plain_ones(name: str, arguments: dict[str, Any], options: dict[str, Any]) -> None:
    parameter = recurrent()
    slopes = parameter.unpack(parameter.flat_gradient)
    plain = [Parameter(n, a) for n, a in zip(parameter.names, parameter.arrays(), strict=True)]
    made = [getattr(optimizers, name)(**{"learning_rate": 0.1, **arguments, **options}) for _ in range(2)]
    for optimizer in made:
        optimizer.exclude_from_weight_decay(var_names=["bias"])
    for _ in range(4):
        for entry, slope in zip(plain, slopes, strict=True):
            entry.gradient[...] = slope
        parameter.flat_gradient[...] = parameter.pack(slopes)
        version = parameter.weights.version
        made[0].apply([parameter])
        made[1].apply(plain)
    assert parameter.weights.version > version
    for packed, entry in zip(parameter.arrays(), plain, strict=True):
        np.testing.assert_allclose(packed, entry.value, rtol=1e-12)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS, ids=show)
@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 4, "weight_decay": 0.1}], ids=show)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_continued_run_has_the_same_bits(
    name: str, arguments: dict[str, Any], options: dict[str, Any], dtype: str
) -> None:
    kind = getattr(optimizers, name)
    whole = [Parameter(n, v.astype(dtype)) for n, v in start().items()]
    first = kind(**(arguments | options))
    run(first, whole, range(6))
    saved = copy.deepcopy(first.get_state()), first.iterations, [p.value.copy() for p in whole]
    run(first, whole, range(6, 13))
    parts = [Parameter(n, v) for n, v in zip(SHAPES, saved[2], strict=True)]
    second = optimizers.deserialize(optimizers.serialize(first))
    second.set_state(saved[1], parts, saved[0])
    run(second, parts, range(6, 13))
    for mine, other in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(mine.value, other.value)
    assert second.get_config() == first.get_config() and second.iterations == 13


@pytest.mark.parametrize("name", ["adadelta", "adagrad", "adam", "adamax", "adamw", "nadam", "rmsprop", "sgd", "SGD"])
def test_names_and_defaults_are_those_of_keras(keras: Any, name: str) -> None:
    mine = optimizers.get(name).get_config()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of JAX's arrays, inside Keras
        theirs = keras.optimizers.get(name).get_config()
    common = {k: v for k, v in theirs.items() if k in mine and k != "name"}
    assert set(theirs) - set(mine) <= {"use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor"}
    assert {k: mine[k] for k in common} == {
        k: v if v is None else pytest.approx(v, rel=1e-6) for k, v in common.items()
    }
    assert type(optimizers.get(optimizers.serialize(optimizers.get(name)))) is type(optimizers.get(name))


def test_a_function_gives_the_rate() -> None:
    rates = iter([0.5, 0.25])
    optimizer = optimizers.SGD(learning_rate=lambda: next(rates))
    parameter = Parameter("w", np.ones(1))
    for _ in range(2):
        parameter.gradient[...] = 1
        optimizer.apply([parameter])
    assert parameter.value[0] == 0.25


@pytest.mark.parametrize("isa", ["portable", None])
@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
def test_kernels_agree_over_instruction_sets(isa: str | None, size: int) -> None:
    """The step ops by their formulas in NumPy, for sizes around the width of a vector."""
    rng = np.random.default_rng(size)
    w, g = rng.standard_normal(size), rng.standard_normal(size)
    a, b = rng.random(size), rng.random(size)
    force = None if isa is None else {"isa": isa}
    lr, e = 0.1, 1e-3

    def stepped(function: Any, *state: Array, **kwargs: Any) -> tuple[Array, list[Array]]:
        param, kept = w.copy(), [s.copy() for s in state]
        function(param, g, *kept, lr=lr, epsilon=e, weight_decay=0.5, scale=2.0, _force=force, **kwargs)
        return param, kept

    base, G = w * (1 - lr * 0.5), 2 * g
    param, (total,) = stepped(ops.adagrad_step, a)
    np.testing.assert_allclose(total, a + G**2)
    np.testing.assert_allclose(param, base - lr * G / np.sqrt(a + G**2 + e))
    param, (v, d) = stepped(ops.adadelta_step, a, b, rho=0.7)
    np.testing.assert_allclose(v, 0.7 * a + 0.3 * G**2)
    step = G * np.sqrt(b + e) / np.sqrt(v + e)
    np.testing.assert_allclose(d, 0.7 * b + 0.3 * step**2)
    np.testing.assert_allclose(param, base - lr * step)
    param, (m, u) = stepped(ops.adamax_step, a, b, step=3, beta_1=0.8, beta_2=0.9)
    np.testing.assert_allclose(m, 0.8 * a + 0.2 * G)
    np.testing.assert_allclose(u, np.maximum(0.9 * b, np.abs(G)))
    np.testing.assert_allclose(param, base - lr / (1 - 0.8**3) * m / (u + e))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: optimizers.Adam(beta_1=1.0), ValueError, "Adam: beta_1: expected a number in [0, 1), got 1.0"),
        (lambda: optimizers.Adam(beta_2="x"), TypeError, "Adam: beta_2: expected a number, got 'x'"),
        (lambda: optimizers.Adam(epsilon=0), ValueError, "Adam: epsilon: expected a number > 0"),
        (lambda: optimizers.Adam(epsilon=None), TypeError, "Adam: epsilon: expected a number > 0, got None"),
        (lambda: optimizers.Adam(amsgrad=1), TypeError, "Adam: amsgrad: expected True or False, got 1"),
        (lambda: optimizers.Adam(use_ema=True), ValueError, "Adam: use_ema=True is not supported: keep the best"),
        (lambda: optimizers.Adam(lr=0.1), ValueError, "Adam: lr=0.1 is not supported: use learning_rate="),
        (lambda: optimizers.SGD(decay=0.1), ValueError, "SGD: decay=0.1 is not supported: use weight_decay= or"),
        (lambda: optimizers.SGD(rate=0.1), TypeError, "SGD: unknown argument 'rate'"),
        (lambda: optimizers.SGD("fast"), TypeError, "SGD: learning_rate: expected a number or a schedule"),
        (lambda: optimizers.SGD(-1.0), ValueError, "SGD: learning_rate: expected a finite number >= 0, got -1"),
        (lambda: optimizers.SGD(momentum=1.5), ValueError, "SGD: momentum: expected a number in [0, 1], got 1.5"),
        (lambda: optimizers.SGD(nesterov="yes"), TypeError, "SGD: nesterov: expected True or False, got 'yes'"),
        (lambda: optimizers.SGD(clipnorm=0), ValueError, "SGD: clipnorm: expected a number > 0 or None, got 0"),
        (lambda: optimizers.SGD(clipnorm="1"), TypeError, "SGD: clipnorm: expected a number > 0 or None, got '1'"),
        (lambda: optimizers.SGD(clipnorm=1, clipvalue=1), ValueError, "at most one of clipnorm, clipvalue"),
        (lambda: optimizers.SGD(weight_decay=-1), ValueError, "SGD: weight_decay: expected a number"),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=1),
            ValueError,
            "SGD: gradient_accumulation_steps: expected an integer >= 2 or None, got 1",
        ),
        (
            lambda: optimizers.SGD(gradient_accumulation_steps=2.5),
            TypeError,
            "SGD: gradient_accumulation_steps: expected an integer, got 2.5",
        ),
        (lambda: optimizers.SGD(loss_scale_factor=2), ValueError, "loss_scale_factor=2 is not supported"),
        (lambda: optimizers.RMSprop(rho=-0.1), ValueError, "RMSprop: rho: expected a number in [0, 1), got -0.1"),
        (lambda: optimizers.RMSprop(centered=None), TypeError, "RMSprop: centered: expected True or False"),
        (lambda: optimizers.Adagrad(initial_accumulator_value=-1), ValueError, "initial_accumulator_value: expected"),
        (lambda: optimizers.Adadelta(rho=2), ValueError, "Adadelta: rho: expected a number in [0, 1), got 2"),
        (lambda: optimizers.get("lion"), ValueError, "optimizer: expected one of adadelta, adagrad, adam"),
        (lambda: optimizers.get(3), TypeError, "optimizer: expected a name or an Optimizer, got 3"),
        (lambda: optimizers.get({"class_name": "os"}), ValueError, "optimizer: expected one of"),
        (lambda: optimizers.SGD(lambda: 0.1).get_config(), TypeError, "a function cannot be saved"),
        (
            lambda: optimizers.SGD().exclude_from_weight_decay(var_list=["bias"]),
            TypeError,
            "var_list: expected entries of layer.parameters, got 'bias'; var_names=['bias'] excludes by name",
        ),
        (lambda: optimizers.SGD().exclude_from_weight_decay(var_names="bias"), TypeError, "expected a list of names"),
        (lambda: schedules.PolynomialDecay(0.1, 0), ValueError, "PolynomialDecay: decay_steps: expected a number > 0"),
        (lambda: schedules.InverseTimeDecay(0.1, "a", 1), TypeError, "decay_steps: expected a number of steps"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1]), ValueError, "values: expected 2, one more than"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), ValueError, "boundaries: expected rising"),
        (lambda: schedules.CosineDecayRestarts(0.1, 5, t_mul=0.5), ValueError, "t_mul: expected a number >= 1"),
        (lambda: schedules.CosineDecay(0.1, 5, warmup_steps=-1), ValueError, "warmup_steps: expected a number >= 0"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


def test_what_is_excluded_is_said_before_the_first_step() -> None:
    optimizer = optimizers.SGD(weight_decay=0.1)
    optimizer.apply([Parameter("w", np.ones(1))])
    with pytest.raises(ValueError, match="call it before the first step"):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
