"""Callbacks and the progress that fit shows."""

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.models import larger_of_two, small

import pyrnn
from pyrnn.callbacks import Callback, EarlyStopping, LambdaCallback, ModelCheckpoint, TerminateOnNaN


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
