"""Every callback on its own, beside Keras's where there is one to compare with."""

from __future__ import annotations

import csv
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.keras_witness import import_keras
from helpers.models import larger_of_two, small

import pyrnn
from pyrnn import callbacks as cb
from pyrnn.optimizers import SGD, schedules
from pyrnn.training.events import masked_crc

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside Keras

X, Y = larger_of_two(32)


class Script(cb.Callback):
    """Puts values into the logs, epoch by epoch."""

    def __init__(self, **values: list[float]) -> None:
        self.values = values

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, values in self.values.items():
            logs[name] = values[epoch]


def fit(*callbacks: Any, epochs: int = 6, model: Any = None, **options: Any) -> Any:
    model = small(optimizer=SGD(0.1)) if model is None else model
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), verbose=0, **options)


# ---- ReduceLROnPlateau, EarlyStopping: beside Keras

PLATEAU = [1.0, 0.8, 0.79999, 0.81, 0.82, 0.5, 0.6, 0.6, 0.6, 0.6, 0.55, 0.5]


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 1},
        {"patience": 2, "cooldown": 2},
        {"patience": 1, "min_lr": 0.04, "factor": 0.5},
        {"patience": 0, "min_delta": 0.1, "mode": "min"},
        {"patience": 1, "mode": "max"},
    ],
    ids=str,
)
def test_the_rate_falls_as_in_keras(options: dict[str, Any]) -> None:
    keras = import_keras()
    history = fit(Script(val_x=PLATEAU), cb.ReduceLROnPlateau("val_x", **options), epochs=len(PLATEAU)).history

    class Theirs:
        optimizer = keras.optimizers.SGD(0.1)
        metrics: tuple[Any, ...] = ()

    reduce = keras.callbacks.ReduceLROnPlateau("val_x", **{"mode": "min", **options})
    reduce.set_model(Theirs())
    reduce.on_train_begin()
    expected = []
    for epoch, value in enumerate(PLATEAU):
        logs = {"val_x": value}
        reduce.on_epoch_end(epoch, logs)
        expected.append(logs["learning_rate"])
    assert history["learning_rate"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"patience": 0},
        {"patience": 2},
        {"patience": 2, "min_delta": 0.05},
        {"patience": 1, "baseline": 0.7},
        {"patience": 1, "start_from_epoch": 4},
        {"patience": 3, "mode": "max"},
    ],
    ids=str,
)
def test_training_ends_where_it_does_in_keras(options: dict[str, Any]) -> None:
    keras = import_keras()
    mine = cb.EarlyStopping("val_x", **options)
    epochs = len(fit(Script(val_x=PLATEAU), mine, epochs=len(PLATEAU)).epoch)

    class Theirs:
        stop_training = False
        metrics: tuple[Any, ...] = ()

    model = Theirs()
    stop = keras.callbacks.EarlyStopping("val_x", **{"mode": "min", **options})
    stop.set_model(model)
    stop.on_train_begin()
    for epoch, value in enumerate(PLATEAU):
        stop.on_epoch_end(epoch, {"val_x": value})
        if model.stop_training:
            break
    assert epochs == epoch + 1
    assert (mine.best_epoch, mine.stopped_epoch) == (stop.best_epoch, stop.stopped_epoch)


# ---- the others


def test_scheduler() -> None:
    history = fit(cb.LearningRateScheduler(lambda epoch, rate: rate * 0.5), epochs=3).history
    assert history["learning_rate"] == [0.05, 0.025, 0.0125]
    history = fit(cb.LearningRateScheduler(lambda epoch: 1.0 / (epoch + 1)), epochs=3).history
    assert history["learning_rate"] == pytest.approx([1.0, 0.5, 1 / 3])


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_logger(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "log.csv"
    history = fit(cb.CSVLogger(file, separator), epochs=3, validation_split=0.5).history
    fit(cb.CSVLogger(file, separator, append=True), epochs=2, validation_split=0.5)
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened, delimiter=separator))
    assert rows[0] == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "2", "0", "1"]
    assert [float(row[2]) for row in rows[1:4]] == history["loss"]
    fit(cb.CSVLogger(file, separator), epochs=1)
    assert len(file.read_text().splitlines()) == 2


def records(folder: Path) -> list[dict[str, Any]]:
    """Scalars of the event files in a folder, the checksums checked."""
    found = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            assert struct.unpack("<I", data[8:12])[0] == masked_crc(data[:8])
            event = data[12 : 12 + length]
            assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc(event)
            data = data[16 + length :]
            assert event[0] == 0x09  # wall_time
            if event[9] == 0x1A:
                assert event[11:] == b"brain.Event:2"
                continue
            assert event[9] == 0x10
            step, rest = event[10], event[11:]  # steps below 128 take a byte
            assert rest[0] == 0x2A and rest[2] == 0x0A
            size = rest[5]
            (value,) = struct.unpack("<f", rest[6 + size + 1 :])
            found.append({"tag": rest[6 : 6 + size].decode(), "step": step, "value": value})
    return found


def test_tensorboard(tmp_path: Path) -> None:
    history = fit(cb.TensorBoard(tmp_path, update_freq="batch"), epochs=2, validation_split=0.5, batch_size=8).history
    train, held = records(tmp_path / "train"), records(tmp_path / "validation")
    values = [r["value"] for r in train if r["tag"] == "epoch_loss"]
    np.testing.assert_allclose(values, history["loss"], rtol=1e-6)
    assert [r["step"] for r in train if r["tag"] == "batch_loss"] == [1, 2, 3, 4]
    np.testing.assert_allclose([r["value"] for r in train if r["tag"] == "epoch_learning_rate"], [0.1, 0.1])
    assert {r["tag"] for r in held} == {"epoch_loss", "epoch_accuracy"}
    np.testing.assert_allclose([r["value"] for r in held if r["tag"] == "epoch_loss"], history["val_loss"], rtol=1e-6)


def test_checkpoints_of_weights_and_batches(tmp_path: Path) -> None:
    model = small()
    every = cb.ModelCheckpoint(tmp_path / "w" / "{epoch:02d}-{batch}.h5", save_weights_only=True, save_freq=3)
    best = cb.ModelCheckpoint(tmp_path / "{epoch}.pyrnn", "val_x", save_best_only=True, initial_value_threshold=0.7)
    fit(Script(val_x=[0.9, 0.6, 0.65, 0.5]), every, best, epochs=4, batch_size=8, model=model)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert names == ["2.pyrnn", "4.pyrnn", "w/01-3.h5", "w/02-2.h5", "w/03-1.h5", "w/03-4.h5", "w/04-3.h5"]
    fresh = small()
    fresh.load_weights(tmp_path / "w" / "04-3.h5")
    assert not np.array_equal(fresh.get_weights()[0], model.get_weights()[0])
    last = pyrnn.load_model(tmp_path / "4.pyrnn")
    assert all(np.array_equal(a, b) for a, b in zip(last.get_weights(), model.get_weights(), strict=True))
    with pytest.raises(ValueError, match=r"ModelCheckpoint: filepath: expected names out of epoch, .*val_loss"):
        fit(cb.ModelCheckpoint(tmp_path / "{val_loss:.2f}"), epochs=1)


def test_all_events_are_heard_in_keras_order() -> None:
    keras = import_keras()
    names = [name for name in dir(cb.Callback) if name.startswith("on_")]
    assert set(names) == {name for name in dir(keras.callbacks.Callback) if name.startswith("on_")}

    def log(base: Any) -> tuple[Any, list[str]]:
        events: list[str] = []
        body = {}
        for name in names:
            if name in ("on_batch_begin", "on_batch_end"):
                continue  # the batch events call them

            def method(self: Any, *given: Any, name: str = name, **logs: Any) -> None:
                number = [g for g in given if isinstance(g, int)]
                events.append(f"{name} {number[0] if number else ''}")

            body[name] = method
        return type("Log", (base,), body)(), events

    mine, got = log(cb.Callback)
    model = small()
    model.fit(X, Y, 16, epochs=2, callbacks=[mine], validation_data=(X, Y), verbose=0)
    model.evaluate(X, Y, 16, callbacks=[mine], verbose=0)
    model.predict(X, 16, callbacks=[mine], verbose=0)
    theirs, expected = log(keras.callbacks.Callback)
    other = keras.Sequential([keras.layers.Input((2, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    other.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    other.fit(X, Y, 16, epochs=2, callbacks=[theirs], validation_data=(X, Y), validation_batch_size=32, verbose=0)
    model2, (again, got2) = small(), log(cb.Callback)
    model2.fit(X, Y, 16, epochs=2, callbacks=[again], validation_data=(X, Y), validation_batch_size=32, verbose=0)
    assert got2 == expected
    assert [event for event in got if "predict" in event] == [
        "on_predict_begin ", "on_predict_batch_begin 0", "on_predict_batch_end 0", "on_predict_batch_begin 1",
        "on_predict_batch_end 1", "on_predict_end ",
    ]  # fmt: skip


def test_batch_events_by_their_short_names() -> None:
    heard: list[Any] = []

    class Short(cb.Callback):
        def on_batch_begin(self, batch: int, logs: Any = None) -> None:
            heard.append(batch)

        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            heard.append(sorted(logs))

    fit(Short(), epochs=1, batch_size=16)
    assert heard == [0, ["accuracy", "loss"], 1, ["accuracy", "loss"]]


def test_a_callback_ends_training_in_the_middle_of_an_epoch() -> None:
    def stop(batch: int, logs: Any) -> None:
        if batch == 1:
            model.stop_training = True

    model = small()
    watch = cb.LambdaCallback(on_train_batch_end=stop)
    history = fit(watch, epochs=3, batch_size=8, model=model, validation_data=(X, Y))
    assert (history.epoch, model.optimizer.iterations) == ([0], 2)
    assert "val_loss" in history.history


def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    x = X.copy()
    x[20] = np.nan
    with pytest.warns(RuntimeWarning, match="loss is nan"):
        history = small().fit(x, Y, 8, epochs=3, callbacks=[cb.TerminateOnNaN()], verbose=0, shuffle=False)
    assert history.epoch == [0]
    assert "Batch 2: the loss is nan" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cb.EarlyStopping(patience=-1), ValueError, "EarlyStopping: patience: expected a number >= 0, got -1"),
        (lambda: cb.EarlyStopping(mode="up"), ValueError, "EarlyStopping: mode: expected 'auto', 'min' or 'max'"),
        (lambda: cb.EarlyStopping(monitor=3), TypeError, "EarlyStopping: monitor: expected the name"),
        (lambda: cb.ReduceLROnPlateau(factor=1.0), ValueError, r"ReduceLROnPlateau: factor: expected .* \(0, 1\)"),
        (lambda: cb.ReduceLROnPlateau(patience=-1), ValueError, "ReduceLROnPlateau: patience, cooldown, min_lr"),
        (lambda: cb.ModelCheckpoint("x", save_freq=0), ValueError, "ModelCheckpoint: save_freq: expected 'epoch' or"),
        (lambda: cb.ModelCheckpoint("x", save_freq="batch"), ValueError, "ModelCheckpoint: save_freq: expected"),
        (lambda: cb.ModelCheckpoint("x", mode="best"), ValueError, "ModelCheckpoint: mode: expected"),
        (lambda: cb.LearningRateScheduler(0.1), TypeError, "LearningRateScheduler: schedule: expected a function"),
        (lambda: cb.CSVLogger("x", separator="::"), ValueError, "CSVLogger: separator: expected one character"),
        (lambda: cb.TensorBoard(histogram_freq=1), ValueError, "TensorBoard: histogram_freq=1 is not supported"),
        (lambda: cb.TensorBoard(write_graph=True), ValueError, "TensorBoard: write_graph=True is not supported"),
        (lambda: cb.TensorBoard(profile_batch=2), ValueError, "TensorBoard: profile_batch=2 is not supported"),
        (lambda: cb.TensorBoard(update_freq=0), ValueError, "TensorBoard: update_freq: expected 'epoch', 'batch' or"),
        (lambda: cb.LambdaCallback(on_epoch=print), TypeError, "LambdaCallback: unknown argument 'on_epoch'"),
        (lambda: cb.LambdaCallback(on_epoch_end=3), TypeError, "LambdaCallback: on_epoch_end: expected a function"),
        (lambda: cb.BackupAndRestore(""), ValueError, "BackupAndRestore: backup_dir: expected a folder"),
        (lambda: cb.BackupAndRestore("x", save_freq=-2), ValueError, "BackupAndRestore: save_freq: expected"),
        (
            lambda: fit(cb.LearningRateScheduler(lambda epoch: "x")),
            TypeError,
            "LearningRateScheduler: schedule: expected it to return a number, got 'x'",
        ),
        (
            lambda: fit(cb.ReduceLROnPlateau("loss"), model=small(optimizer=SGD(schedules.CosineDecay(0.1, 9)))),
            ValueError,
            "ReduceLROnPlateau: expected an optimizer with a number as learning_rate, got a schedule",
        ),
        (
            lambda: fit(cb.LearningRateScheduler(abs), model=small(optimizer=SGD(schedules.CosineDecay(0.1, 9)))),
            ValueError,
            "LearningRateScheduler: expected an optimizer with a number",
        ),
        (lambda: small().evaluate(X, Y, callbacks=[3]), TypeError, "evaluate: callbacks: expected Callbacks, got 3"),
        (lambda: small().predict(X, callbacks=[3]), TypeError, "predict: callbacks: expected Callbacks, got 3"),
    ],
)  # fmt: skip
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
