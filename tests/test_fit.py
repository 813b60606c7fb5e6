"""fit, evaluate and the calls for single batches: samples, weights, masks, and what they refuse."""

import itertools
from typing import Any

import numpy as np
import pytest
from helpers.models import larger_of_two, random, running_parity, small

from pyrnn import Input, Sequential, utils
from pyrnn.layers import GRU, LSTM, Dense, Embedding
from pyrnn.optimizers import SGD, Adam


def watch(model: Sequential, seen: list[np.ndarray]) -> None:
    """Keep what every step is given."""
    take = model._training_step

    def watched() -> Any:
        step = take()
        forward = step.running.forward

        def watched_forward(inputs: list[np.ndarray]) -> Any:
            seen.append(inputs[0])
            return forward(inputs)

        if "forward" not in vars(step.running):
            step.running.forward = watched_forward  # type: ignore[method-assign]
        return step

    model._training_step = watched  # type: ignore[method-assign]


def test_validation_split_takes_the_last_samples() -> None:
    x, y = larger_of_two(100)
    seen: list[np.ndarray] = []
    model = small()
    watch(model, seen)
    history = model.fit(x, y, batch_size=16, validation_split=0.25, verbose=0).history
    assert sorted(np.concatenate(seen).tolist()) == sorted(x[:75].tolist())
    assert [len(batch) for batch in seen] == [16, 16, 16, 16, 11]
    assert history["val_loss"] == [model.evaluate(x[75:], y[75:], batch_size=16, verbose=0)[0]]


def test_validation_data_and_how_often() -> None:
    x, y = larger_of_two(64)
    model = small()
    history = model.fit(x, y, epochs=4, validation_data=(x[:10], y[:10]), validation_freq=2, verbose=0).history
    assert [len(history[name]) for name in ("loss", "val_loss", "val_accuracy")] == [4, 2, 2]


def test_shuffle() -> None:
    x, y = np.arange(40, dtype=np.float32).reshape(20, 2, 1), np.zeros(20, np.int64)
    orders = []
    for shuffle in (False, True):
        model, batches = small(), []
        watch(model, batches)
        model.fit(x, y, batch_size=8, epochs=2, shuffle=shuffle, verbose=0)
        seen = np.concatenate(batches)[:, 0, 0].tolist()
        orders.append((seen[:20], seen[20:]))
    in_order = x[:, 0, 0].tolist()
    assert orders[0] == (in_order, in_order)
    first, second = orders[1]
    assert first != in_order and second != first
    assert sorted(first) == sorted(second) == in_order


def test_initial_epoch_continues() -> None:
    x, y = larger_of_two(32)
    model = small()
    assert model.fit(x, y, epochs=2, verbose=0).epoch == [0, 1]
    assert model.fit(x, y, epochs=5, initial_epoch=2, verbose=0).epoch == [2, 3, 4]


def test_loss_is_the_mean_over_samples_and_steps() -> None:
    x, y = running_parity(50)
    model = Sequential([Input((6, 1)), GRU(4, return_sequences=True), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd")
    p = np.take_along_axis(model.predict(x, verbose=0), y[..., None], axis=-1)
    for size in (7, 50):
        assert model.evaluate(x, y, batch_size=size, verbose=0) == pytest.approx(-np.log(p).mean(), rel=1e-6)
    one_hot = utils.to_categorical(y, 2)
    model.compile(loss="categorical_crossentropy", optimizer="sgd")
    assert model.evaluate(x, one_hot.astype(bool), verbose=0) == pytest.approx(-np.log(p).mean(), rel=1e-6)


def test_sample_weight_and_mask_leave_positions_out() -> None:
    x, y = running_parity(12)
    model = Sequential([Input((6, 1)), GRU(4, return_sequences=True), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
    weight = np.zeros(12)
    weight[:3] = 4
    assert model.evaluate(x, y, sample_weight=weight, verbose=0)[0] == pytest.approx(
        model.evaluate(x[:3], y[:3], verbose=0)[0], rel=1e-6
    )
    before = model.get_weights()
    model.fit(x, y, sample_weight=np.zeros((12, 6)), verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))

    ids = np.array([[1, 2, 0, 0], [1, 1, 2, 2]])
    masked = Sequential([Input((None,)), Embedding(3, 2, mask_zero=True), GRU(4, return_sequences=True), Dense(1)])
    masked.compile(loss="mse", optimizer="sgd", metrics=["mse"])
    target = random(2, 4, 1)
    error = (masked.predict(ids, verbose=0) - target)[ids != 0] ** 2
    assert masked.evaluate(ids, target, verbose=0) == [pytest.approx(error.mean(), rel=1e-6)] * 2


def test_clipnorm_bounds_the_step() -> None:
    x, y = larger_of_two(32)
    for clip, together in (({"clipnorm": 1e-3}, False), ({"global_clipnorm": 1e-3}, True), ({"clipvalue": 1e-5}, None)):
        model = small(optimizer=SGD(1.0, **clip))
        before = model.get_weights()
        model.train_on_batch(x, y)
        moved = [a - b for a, b in zip(model.get_weights(), before, strict=True)]
        norms = np.array([np.sqrt((m.astype(np.float64) ** 2).sum()) for m in moved])
        if together is None:
            assert max(np.abs(m).max() for m in moved) == pytest.approx(1e-5, rel=1e-2)
        elif together:
            assert np.sqrt((norms**2).sum()) == pytest.approx(1e-3, rel=1e-3)
        else:
            np.testing.assert_allclose(norms, 1e-3, rtol=1e-2)  # each array has a norm above the bound


def test_batch_calls() -> None:
    x, y = larger_of_two(16)
    model = small()
    expected = model.evaluate(x, y, verbose=0)
    assert model.test_on_batch(x, y) == expected
    assert model.train_on_batch(x, y) == pytest.approx(expected, rel=1e-6)
    assert list(model.train_on_batch(x, y, return_dict=True)) == model.metrics_names == ["loss", "accuracy"]
    assert model.optimizer.iterations == 2


# ---- what they refuse

X, Y = larger_of_two(8)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.fit(X), ValueError, "fit: y: expected an array, got None"),
        (lambda m: m.fit(X, Y[:5]), ValueError, "fit: y: expected 8 samples like x, got 5"),
        (lambda m: m.fit(X[:0], Y[:0]), ValueError, r"fit: x: expected at least one sample, got \(0, 2, 1\)"),
        (lambda m: m.fit(X, Y, sample_weight=np.ones(3)), ValueError, "fit: sample_weight: expected 8 samples"),
        (lambda m: m.fit(X, Y, sample_weight=np.ones((8, 3))), ValueError, r"sample_weight: expected \(8,\)"),
        (lambda m: m.fit(X[:, :, [0, 0]], Y), ValueError, r"x: expected \(B, 2, 1\), got \(B, 2, 2\)"),
        (lambda m: m.fit(X, np.zeros((8, 2))), ValueError, r"y: expected class ids \(8,\) .* got \(8, 2\)"),
        (lambda m: m.fit(X, np.full(8, 2)), ValueError, "targets: .*2"),
        (lambda m: m.fit(X, np.full(8, 0.5)), TypeError, "y: expected integer class ids"),
        (lambda m: m.fit(X, Y, batch_size=0), ValueError, "fit: batch_size: expected an integer >= 1"),
        (lambda m: m.fit(X, Y, epochs=0), ValueError, "fit: epochs: expected an integer >= 1"),
        (lambda m: m.fit(X, Y, verbose=3), ValueError, "fit: verbose: expected 'auto', 0, 1 or 2"),
        (lambda m: m.fit(X, Y, validation_split=1.5), ValueError, r"fit: validation_split: expected a share in \(0, 1"),
        (lambda m: m.fit(X, Y, validation_split=0.99), ValueError, "validation_split: 0.99 of 8 samples leaves one"),
        (lambda m: m.fit(X, Y, validation_data=X), ValueError, r"validation_data: expected \(x, y\)"),
        (lambda m: m.fit(X, Y, validation_data=(X, Y[:3])), ValueError, "fit: validation_data: y: expected 8 samples"),
        (lambda m: m.fit(X, Y, nb_epoch=2), TypeError, "fit: unknown argument 'nb_epoch'"),
        (lambda m: m.fit(X, Y, callbacks=[print]), TypeError, "fit: callbacks: expected Callbacks"),
        (lambda m: m.fit(itertools.repeat(X), Y), ValueError, "fit: y: expected None, since x gives whole batches"),
        (lambda m: m.compile("adam"), ValueError, "compile: loss: expected a name or a Loss, got None"),
        (lambda m: m.compile("adam", loss="x"), ValueError, "loss: expected one of .* got 'x'"),
        (lambda m: m.compile("adam", loss=print), TypeError, "loss: expected a name or a Loss"),
        (lambda m: m.compile("ada", loss="mse"), ValueError, "optimizer: expected one of .* got 'ada'"),
        (lambda m: m.compile(Adam, loss="mse"), TypeError, "optimizer: expected a name or an Optimizer"),
        (lambda m: m.compile("adam", "mse", metrics=["x"]), ValueError, "metrics: expected names out of .*accuracy"),
        (lambda m: m.compile("adam", "mse", metrics="mse"), TypeError, "compile: metrics: expected a list"),
        (lambda m: m.compile("adam", "mse", metrics=["mse", "mse"]), ValueError, "metrics: expected names that differ"),
        (lambda m: m.compile("adam", "mse", run_eagerly=True), ValueError, "compile: run_eagerly=True is not"),
        (lambda m: m.compile("adam", "mse", loss_weights=[1, 2]), ValueError, "compile: loss_weights: expected 1 num"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(small())


def test_the_model_is_usable_after_a_refusal() -> None:
    model = small()
    for bad in (np.full(8, 2), np.zeros((8, 2))):
        with pytest.raises(ValueError):
            model.fit(X, bad, verbose=0)
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


def test_what_needs_compile_says_so() -> None:
    model = Sequential([Input((2, 1)), LSTM(2)])
    for call in (lambda: model.fit(X, Y), lambda: model.evaluate(X, Y), lambda: model.train_on_batch(X, Y)):
        with pytest.raises(RuntimeError, match="the model is not compiled: call compile"):
            call()


def test_an_optimizer_steps_one_model() -> None:
    optimizer = Adam()
    small(optimizer=optimizer).fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="adam: the optimizer has stepped another model"):
        small(optimizer=optimizer).fit(X, Y, verbose=0)
