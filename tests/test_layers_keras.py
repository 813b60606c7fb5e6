"""Every non-recurrent layer beside Keras: values, masks, gradients, weights and their order, moving statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import float64, import_keras
from helpers.layer_cases import CASES, Array, Case
from helpers.tolerances import assert_close

from pyrnn import Model, layers, load_model
from pyrnn.layers.base import Call, Run

TERMS = 200  # of the longest sum in a case, gradients of weights included


@pytest.fixture(scope="session")
def keras() -> Any:
    return import_keras()


def random_weights(shapes: list[tuple[int, ...]], dtype: str) -> list[Array]:
    rng = np.random.default_rng(5)
    return [(0.5 + rng.random(shape)).astype(dtype) for shape in shapes]  # a variance must be positive


def outputs_of(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (tuple, list)) else [y]


class Ours:
    """A layer of pyrnn's on a case's inputs."""

    def __init__(self, case: Case, dtype: str) -> None:
        self.case, self.dtype = case, dtype
        self.layer = case.make(layers, dtype)
        self.inputs, self.masks = case.inputs(dtype), case.given_masks()
        self.layer.build(case.joined([(None, *x.shape[1:]) for x in self.inputs]))
        shapes = [w.shape for w in self.layer.get_weights()]
        self.layer.set_weights(random_weights(shapes, dtype))

    def forward(self, training: bool) -> tuple[list[Array], Call]:
        call = Call(Run(training, 3), key=1)
        call.mask = self.case.joined(self.masks)
        y = self.layer.forward(self.case.joined(self.inputs), call, **self.case.options)
        return outputs_of(y), call

    def mask(self) -> Any:
        if not self.layer.supports_masking:
            return None
        mask = self.layer.compute_mask(self.case.joined(self.inputs), self.case.joined(self.masks))
        return mask if mask is None else np.asarray(mask)

    def gradients(self, factors: list[Array]) -> tuple[list[Array], list[Array]]:
        _, call = self.forward(True)
        for parameter in self.layer.parameters:
            parameter.zero_gradient()
        dx = self.layer.backward(tuple(factors) if len(factors) > 1 else factors[0], call)
        trained = [p for p in self.layer.parameters if p.trainable]
        dxs = [] if self.case.ids else [dx] if not isinstance(dx, list) else dx
        return dxs, [g for p in trained for g in p.unpack(p.flat_gradient)]


class Theirs:
    """The same layer of Keras's, with the same weights."""

    def __init__(self, keras: Any, case: Case, ours: Ours) -> None:
        from keras.src import backend

        self.backend, self.case, self.ours = backend, case, ours
        self.layer = case.make(keras.layers, ours.dtype)
        self.layer.build(case.joined([x.shape for x in ours.inputs]))
        if not self.layer.built:  # a layer without weights
            self.layer.built = True
        self.layer.set_weights(ours.layer.get_weights())

    def run(self, trained: list[Any], fixed: list[Any], inputs: list[Any], training: bool) -> Any:
        for x, mask in zip(inputs, self.ours.masks, strict=True):
            if mask is not None:
                self.backend.set_keras_mask(x, mask)
        options = dict(self.case.options)
        if self.layer._call_has_training_arg:
            options["training"] = training
        variables = [*self.layer.trainable_variables, *self.layer.non_trainable_variables]
        mapping = list(zip(variables, [*trained, *fixed], strict=True))
        with self.backend.StatelessScope(state_mapping=mapping) as scope:  # stateless_call would forget the masks
            y = self.layer(self.case.joined(inputs), **options)
            after = [scope.get_current_value(v) for v in self.layer.non_trainable_variables]
        self.mask = self.backend.get_keras_mask(outputs_of(y)[0])
        return outputs_of(y), after

    def forward(self, training: bool) -> tuple[list[Any], list[Array]]:
        inputs = [self.backend.convert_to_tensor(x) for x in self.ours.inputs]
        return self.run(*self.weights(), inputs, training)

    def weights(self) -> tuple[list[Any], list[Any]]:
        return (
            [v.value for v in self.layer.trainable_variables],
            [v.value for v in self.layer.non_trainable_variables],
        )

    def gradients(self, factors: list[Array]) -> tuple[list[Array], list[Array]]:
        import jax

        trained, fixed = self.weights()

        def total(inputs: list[Any], weights: list[Any]) -> Any:
            ys, _ = self.run(weights, fixed, inputs, True)
            return sum((y * r).sum() for y, r in zip(ys, factors, strict=True))

        inputs = [self.backend.convert_to_tensor(x) for x in self.ours.inputs]
        if self.case.ids:
            return [], jax.grad(lambda weights: total(inputs, weights))(trained)
        return jax.grad(total, argnums=(0, 1))(inputs, trained)


def agree(actual: list[Array], expected: list[Any], what: str, dtype: str) -> None:
    assert len(actual) == len(expected), what
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.dtype == dtype, what
        # Keras takes some means in float32 whatever the dtype; the finite differences below are float64's
        assert_close(
            np.asarray(a), np.asarray(e, np.float64), what=f"{what} {i}", dtype="float32", terms=TERMS, steps=2
        )


@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_keras(keras: Any, case: Case, dtype: str) -> None:
    with float64():
        ours = Ours(case, dtype)
        theirs = Theirs(keras, case, ours)
        assert [w.shape for w in ours.layer.get_weights()] == [tuple(v.shape) for v in theirs.layer.weights]
        ys, _ = ours.forward(False)
        expected, _ = theirs.forward(False)
        agree(ys, expected, "y", dtype)
        mask = theirs.mask
        assert (ours.mask() is None) == (mask is None)
        assert mask is None or np.array_equal(ours.mask(), np.asarray(mask))
        assert ours.layer.supports_masking == theirs.layer.supports_masking

        factors = [np.random.default_rng(i).standard_normal(y.shape).astype(dtype) for i, y in enumerate(ys)]
        dxs, gradients = ours.gradients(factors)
        expected_dxs, expected_gradients = theirs.gradients(factors)
        agree(dxs, expected_dxs, "dx", dtype)
        agree(gradients, expected_gradients, "gradient of weights", dtype)
        fresh = Ours(case, dtype)
        agree(fresh.forward(True)[0], (after := theirs.forward(True))[0], "y in training", dtype)
        fixed = [w for p in fresh.layer.parameters if not p.trainable for w in p.arrays()]
        agree(fixed, after[1][: len(fixed)], "moving statistics", dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_are_the_slopes_of_the_outputs(case: Case) -> None:
    """Along a random direction of all inputs and weights, by central differences in float64."""
    ours = Ours(case, "float64")
    if case.layer == "Masking":
        ours.inputs[0] += 3.0  # padding moved by a little would be padding no more
    ys, _ = ours.forward(True)
    rng = np.random.default_rng(1)
    factors = [rng.standard_normal(y.shape) for y in ys]
    dxs, gradients = ours.gradients(factors)
    x, weights = list(ours.inputs), ours.layer.get_weights()
    towards = [rng.standard_normal(a.shape) for a in ([] if case.ids else x)]
    towards_weights = [rng.standard_normal(w.shape) for w in gradients]
    values = []
    step = 1e-6
    for side in (step, -step):
        if not case.ids:
            ours.inputs = [a + side * d for a, d in zip(x, towards, strict=True)]
        moved = [w + side * d for w, d in zip(weights, towards_weights, strict=False)]
        ours.layer.set_weights(moved + weights[len(moved) :])
        values.append(sum(float((y * r).sum()) for y, r in zip(ours.forward(True)[0], factors, strict=True)))
    slope = sum(float((g * d).sum()) for g, d in zip([*dxs, *gradients], [*towards, *towards_weights], strict=True))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_comes_back_from_its_config_and_from_a_file(case: Case, tmp_path: Any) -> None:
    ours = Ours(case, "float32")
    again = type(ours.layer).from_config(ours.layer.get_config())
    assert again.get_config() == ours.layer.get_config()

    inputs = [layers.Input(x.shape[1:]) for x in ours.inputs]
    model = Model(inputs, ours.layer(case.joined(inputs), **case.options))
    given = ours.inputs if len(inputs) > 1 else ours.inputs[0]
    ours.masks = [None] * len(inputs)
    expected, _ = ours.forward(False)
    model.save(tmp_path / "model.pyrnn")
    for m in (model, load_model(tmp_path / "model.pyrnn")):
        for y, e in zip(outputs_of(m(given)), expected, strict=True):
            assert np.array_equal(y, e)


def test_every_layer_has_a_case() -> None:
    from pyrnn.layers.cell import Cell
    from pyrnn.layers.recurrent import RNN

    elsewhere = {
        "Bidirectional",
        "GetItem",
        "InputLayer",
        "Model",
        "Sequential",
        "StackedRNNCells",
        "TextVectorization",
    }
    expected = {name for name, cls in layers.LAYERS.items() if not issubclass(cls, (Cell, RNN))} - elsewhere
    assert expected <= {case.layer for case in CASES}
