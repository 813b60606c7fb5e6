"""fit, evaluate and the callbacks."""

import itertools
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrnn
from pyrnn import Input, Sequential, utils
from pyrnn.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
    TerminateOnNaN,
)
from pyrnn.layers import (
    GRU,
    LSTM,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    RepeatVector,
    SimpleRNN,
    TimeDistributed,
)
from pyrnn.optimizers import SGD, Adam
from pyrnn.optimizers.schedules import CosineDecay


def random(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def larger_of_two(n: int = 256, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Which of two steps holds the larger number."""
    x = random(n, 2, 1, seed=seed)
    return x, (x[:, 1, 0] > x[:, 0, 0]).astype(np.int64)


def running_parity(n: int = 512, steps: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """At every step, whether the number of ones so far is odd."""
    bits = np.random.default_rng(5).integers(0, 2, (n, steps, 1))
    return bits.astype(np.float32), np.cumsum(bits[..., 0], axis=1) % 2


def small(*, optimizer: Any = "adam", metrics: Any = ("accuracy",), dropout: float = 0.0) -> Sequential:
    model = Sequential([Input((2, 1)), LSTM(8, dropout=dropout), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer=optimizer, metrics=list(metrics))
    return model


# ---- it learns


@pytest.mark.parametrize("cls", [LSTM, GRU, SimpleRNN])
def test_it_learns_parity(cls: Any) -> None:
    utils.set_random_seed(1)
    x, y = running_parity()
    model = Sequential([Input((None, 1)), cls(24, return_sequences=True), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer=Adam(0.02), metrics=["accuracy", "exact_match"])
    history = model.fit(x, y, epochs=40, verbose=0).history
    assert history["loss"][-1] < 0.1 < history["loss"][0]
    assert history["exact_match"][-1] > 0.95
    assert history["accuracy"][-1] >= history["exact_match"][-1]
    loss, accuracy, exact = model.evaluate(x, y, verbose=0)
    assert loss < 0.1
    assert accuracy == pytest.approx((model.predict(x, verbose=0).argmax(axis=-1) == y).mean())
    assert exact == pytest.approx((model.predict(x, verbose=0).argmax(axis=-1) == y).all(axis=1).mean())


def test_it_learns_with_everything_at_once() -> None:
    """Embedding with padding, two directions, dropout, a distributed layer: which ids were seen twice so far."""
    utils.set_random_seed(2)
    rng = np.random.default_rng(1)
    ids = rng.integers(1, 5, (400, 7))
    ids[np.arange(7) >= rng.integers(2, 8, 400)[:, None]] = 0
    y = np.array([[i != 0 and i in row[:t] for t, i in enumerate(row)] for row in ids], np.int64)
    model = Sequential(
        [
            Input((None,)),
            Embedding(5, 8, mask_zero=True),
            Bidirectional(GRU(24, return_sequences=True)),
            Dropout(0.1),
            TimeDistributed(Dense(2)),
            Activation("softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer=Adam(0.02), metrics=["accuracy"])
    model.fit(ids, y, epochs=40, verbose=0)
    assert model.evaluate(ids, y, verbose=0)[1] > 0.97


def test_it_learns_a_number() -> None:
    utils.set_random_seed(1)
    x = random(256, 5, 2)
    y = x[:, :, 0].mean(axis=1, keepdims=True)
    model = Sequential([Input((5, 2)), GRU(16), Dense(1)])
    model.compile(loss="mse", optimizer=Adam(0.01), metrics=["mae"])
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.01 < history["loss"][0]
    assert model.evaluate(x, y[:, 0], verbose=0)[0] == pytest.approx(model.evaluate(x, y, verbose=0)[0])


def test_fused_and_plain_cross_entropy_train_alike() -> None:
    """The softmax in the loss, the softmax apart from it, and a loss of logits: one run in float64."""
    x, ids = larger_of_two()
    runs = []
    for last, loss in (
        ([Dense(2, activation="softmax", dtype="float64")], "sparse_categorical_crossentropy"),
        ([Dense(2, dtype="float64"), Activation("softmax", dtype="float64")], "sparse_categorical_crossentropy"),
        (
            [Dense(2, activation="softmax", dtype="float64"), Dropout(0.0, dtype="float64")],
            "sparse_categorical_crossentropy",
        ),
        ([Dense(2, dtype="float64")], pyrnn.losses.SparseCategoricalCrossentropy(from_logits=True)),
    ):
        utils.set_random_seed(1)
        model = Sequential([Input((2, 1)), LSTM(4, dtype="float64"), *last])
        model.compile(loss=loss, optimizer="adam")
        runs.append(model.fit(x, ids, epochs=2, shuffle=False, verbose=0).history["loss"])
    assert runs[0] == runs[1]
    np.testing.assert_allclose(runs[2], runs[0], rtol=1e-6)
    np.testing.assert_allclose(runs[3], runs[0], rtol=1e-12)


def test_the_gradient_of_a_whole_model_is_the_slope_of_its_loss() -> None:
    """Encoder, repeated vector, decoder, softmax in the loss; float64, central differences."""
    utils.set_random_seed(1)
    f64: Any = {"dtype": "float64"}
    model = Sequential(
        [
            Input((4, 3)),
            LSTM(5, **f64),
            RepeatVector(2, **f64),
            Bidirectional(GRU(2, return_sequences=True, **f64)),
            Dense(3, activation="softmax", **f64),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer=SGD(1.0))
    x, y = random(6, 4, 3).astype(np.float64), utils.to_categorical(random(6, 2, 3).argmax(axis=-1), 3)
    before = model.get_weights()
    loss = model.train_on_batch(x, y)
    gradients = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    assert model.evaluate(x, y, verbose=0) == loss
    difference = 1e-5
    for w, gradient in zip(before, gradients, strict=True):
        for i in [*np.ndindex(w.shape)][:: max(1, w.size // 7)]:
            sides = []
            for side in (1, -1):
                w[i] += side * difference
                model.set_weights(before)
                sides.append(model.evaluate(x, y, verbose=0))
                w[i] -= side * difference
            assert gradient[i] == pytest.approx((sides[0] - sides[1]) / (2 * difference), rel=1e-5, abs=1e-9)


# ---- a seed makes a run repeatable to the bit


def training_run(threads: int, seed: int = 7) -> list[np.ndarray]:
    before = pyrnn.get_num_threads()
    pyrnn.set_num_threads(threads)
    try:
        utils.set_random_seed(seed)
        model = Sequential(
            [
                Input((6, 5)),
                Bidirectional(LSTM(33, return_sequences=True, dropout=0.2, recurrent_dropout=0.1)),
                Dropout(0.2),
                GRU(17, return_sequences=True),
                Dense(5, activation="softmax"),
            ]
        )
        model.compile(
            loss="categorical_crossentropy",
            optimizer=Adam(CosineDecay(0.01, 30), global_clipnorm=0.5),
            metrics=["accuracy"],
        )
        x = random(100, 6, 5)
        y = utils.to_categorical(x.argmax(axis=-1), 5)
        history = model.fit(x, y, batch_size=24, epochs=3, validation_split=0.2, verbose=0).history
        return [*model.get_weights(), *(np.array(values) for values in history.values())]
    finally:
        pyrnn.set_num_threads(before)


def test_a_seed_repeats_a_run_to_the_bit_at_any_thread_count() -> None:
    one = training_run(1)
    for threads in (1, 2, 3, 4):
        for a, b in zip(training_run(threads), one, strict=True):
            assert np.array_equal(a, b)
    assert not np.array_equal(training_run(1, seed=8)[0], one[0])


# ---- fit


def test_validation_split_takes_the_last_samples() -> None:
    x, y = larger_of_two(100)
    seen: list[np.ndarray] = []
    model = small()
    step = model._train_step

    def watched(x: np.ndarray, y: np.ndarray, weights: Any) -> float:
        seen.append(x)
        return step(x, y, weights)

    model._train_step = watched  # type: ignore[method-assign]
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
        model = small()
        step, seen = model._train_step, []

        def watched(x: np.ndarray, y: np.ndarray, weights: Any, step: Any = step, seen: Any = seen) -> Any:
            seen.extend(x[:, 0, 0].tolist())
            return step(x, y, weights)

        model._train_step = watched  # type: ignore[method-assign]
        model.fit(x, y, batch_size=8, epochs=2, shuffle=shuffle, verbose=0)
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


# ---- callbacks


class Scripted(Callback):
    """Puts values into the logs, epoch by epoch."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values
        self.weights: list[list[np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.name] = self.values[epoch]
        self.weights.append(self.model.get_weights())


@pytest.mark.parametrize(
    ("name", "values", "patience", "epochs", "best"),
    [
        ("val_x", [5, 3, 4, 4, 4, 1], 2, 4, 1),
        ("val_x", [5, 3, 4, 2, 4, 5], 2, 6, 3),
        ("val_accuracy", [0.1, 0.5, 0.4, 0.3, 0.9, 0.9], 2, 4, 1),
        ("val_exact_match", [0.1, 0.5, 0.4, 0.3, 0.9, 0.9], 10, 6, 4),
    ],
)
def test_early_stopping_restores_the_best_weights(
    name: str, values: list[float], patience: int, epochs: int, best: int
) -> None:
    x, y = larger_of_two(32)
    model = small()
    script = Scripted(name, values)
    stop = EarlyStopping(name, patience=patience, restore_best_weights=True)
    history = model.fit(x, y, epochs=6, callbacks=[script, stop], verbose=0)
    assert len(history.epoch) == epochs
    assert stop.best_epoch == best
    for a, b in zip(model.get_weights(), script.weights[best], strict=True):
        assert np.array_equal(a, b)


def test_early_stopping_names_what_there_is() -> None:
    x, y = larger_of_two(8)
    with pytest.raises(
        ValueError, match="monitor: expected one of loss, accuracy, got 'val_loss'; give fit validation"
    ):
        small().fit(x, y, callbacks=[EarlyStopping()], verbose=0)
    with pytest.raises(ValueError, match="EarlyStopping: mode: expected"):
        EarlyStopping(mode="best")


def test_events_come_in_order() -> None:
    x, y = larger_of_two(20)
    events: list[str] = []

    class Log(Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            events.append(f"begin {self.params['epochs']} x {self.params['steps']}")

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            events.append(f"epoch {epoch}")

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            events.append(f"batch {batch}")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            events.append(f"{batch} {sorted(logs)}")

        def on_train_end(self, logs: Any = None) -> None:
            events.append(f"end {sorted(logs)}")

    counted: list[int] = []
    count = LambdaCallback(on_epoch_end=lambda epoch, logs: counted.append(epoch))
    small().fit(x, y, batch_size=10, epochs=2, callbacks=[Log(), count], verbose=0)
    logs = "['accuracy', 'loss']"
    batches = ["batch 0", f"0 {logs}", "batch 1", f"1 {logs}"]
    assert events == ["begin 2 x 2", "epoch 0", *batches, "epoch 1", *batches, f"end {logs}"]
    assert counted == [0, 1]


def test_checkpoints(tmp_path: Path) -> None:
    x, y = larger_of_two(16)
    model = small()
    script = Scripted("val_x", [3.0, 2.0, 4.0])
    best = ModelCheckpoint(tmp_path / "best.pyrnn", monitor="val_x", save_best_only=True)
    every = ModelCheckpoint(tmp_path / "{epoch:02d}-{val_x:.1f}.pyrnn")
    model.fit(x, y, epochs=3, callbacks=[script, best, every], verbose=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01-3.0.pyrnn", "02-2.0.pyrnn", "03-4.0.pyrnn", "best.pyrnn",
    ]  # fmt: skip
    for a, b in zip(pyrnn.load_model(tmp_path / "best.pyrnn").get_weights(), script.weights[1], strict=True):
        assert np.array_equal(a, b)


def test_a_loss_that_is_no_number_is_reported() -> None:
    x, y = larger_of_two(16)
    x[3] = np.nan
    with pytest.warns(RuntimeWarning, match="epoch 1: loss is nan: lower the learning rate, set clipnorm"):
        small().fit(x, y, epochs=2, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        history = small().fit(x, y, epochs=5, callbacks=[TerminateOnNaN()], verbose=0)
    assert len(history.epoch) == 1


# ---- progress


def test_plain_lines_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = larger_of_two(64)
    for verbose in (1, 2, "auto"):
        small().fit(x, y, epochs=2, validation_split=0.5, verbose=verbose)
        first, second = capsys.readouterr().out.splitlines()
        number = r"\d\.\d{4}"
        values = f"loss: {number} - accuracy: {number} - val_loss: {number} - val_accuracy: {number}"
        assert re.fullmatch(rf"Epoch 1/2 - \d\.\ds - {values} - \d\.\ds left", first)
        assert re.fullmatch(rf"Epoch 2/2 - \d\.\ds - {values}", second)
    small().fit(x, y, verbose=0)
    small().evaluate(x, y)
    small().predict(x)
    out, err = capsys.readouterr()
    assert out == err == ""
    small().evaluate(x, y, verbose=2)
    assert re.fullmatch(rf"loss: {number} - accuracy: {number}\n", capsys.readouterr().out)


class Terminal:
    """Stands in for a terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    x, y = larger_of_two(64)
    small().fit(x, y, epochs=1, batch_size=16, verbose=1)
    assert "Epoch 1/1:" in terminal.text
    assert "4/4" in terminal.text
    assert re.search(r"loss: \d\.\d{4}, accuracy", terminal.text)
    assert re.search(r"Epoch 1/1 - \d\.\ds - loss: \d", terminal.text.splitlines()[-1])


def test_the_bar_goes_away_where_training_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    def interrupt(batch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    x, y = larger_of_two(64)
    model = small()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=16, callbacks=[LambdaCallback(on_train_batch_end=interrupt)])
    assert model.optimizer.iterations == 1
    model.fit(x, y, batch_size=16, verbose=0)
    assert model.optimizer.iterations == 5


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
        (lambda m: m.fit(X, Y, class_weight={0: 2}), ValueError, "fit: class_weight=.* is not supported: use sample"),
        (lambda m: m.fit(X, Y, steps_per_epoch=2), ValueError, "fit: steps_per_epoch=2 is not supported"),
        (lambda m: m.fit(X, Y, nb_epoch=2), TypeError, "fit: unknown argument 'nb_epoch'"),
        (lambda m: m.fit(X, Y, callbacks=[print]), TypeError, "fit: callbacks: expected Callbacks"),
        (lambda m: m.fit(itertools.repeat(X), Y), TypeError, "fit: x: expected an array, got repeat"),
        (lambda m: m.compile("adam"), ValueError, "compile: loss: expected a name or a Loss, got None"),
        (lambda m: m.compile("adam", loss="x"), ValueError, "loss: expected one of mean_squared_error, .* got 'x'"),
        (lambda m: m.compile("adam", loss=print), TypeError, "loss: expected a name or a Loss"),
        (lambda m: m.compile("ada", loss="mse"), ValueError, "optimizer: expected one of adam, .* got 'ada'"),
        (lambda m: m.compile(Adam, loss="mse"), TypeError, "optimizer: expected a name or an Optimizer"),
        (lambda m: m.compile("adam", "mse", metrics=["x"]), ValueError, "metrics: expected names out of accuracy"),
        (lambda m: m.compile("adam", "mse", metrics="mse"), TypeError, "compile: metrics: expected a list"),
        (lambda m: m.compile("adam", "mse", metrics=["mse", "mse"]), ValueError, "metrics: expected names that differ"),
        (lambda m: m.compile("adam", "mse", run_eagerly=True), ValueError, "compile: run_eagerly=True is not"),
        (lambda m: m.compile("adam", "mse", loss_weights=[1]), ValueError, "compile: loss_weights=.* is not supported"),
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
