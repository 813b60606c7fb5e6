"""BackupAndRestore: a run that is killed at any moment ends with the bits of the run that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.models import larger_of_two, small
from helpers.process import SETTINGS

import pyrnn
from pyrnn import Input, Sequential, utils
from pyrnn.callbacks import BackupAndRestore, Callback, EarlyStopping
from pyrnn.layers import GRU, LSTM, BatchNormalization, Dense, Dropout
from pyrnn.metrics import SparseTopKCategoricalAccuracy
from pyrnn.optimizers import Adam

SCRIPT = """
import json, sys, time
from pathlib import Path
import numpy as np
from pyrnn import Input, Sequential, set_num_threads, utils
from pyrnn.callbacks import (
    BackupAndRestore, CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ReduceLROnPlateau
)
from pyrnn.layers import GRU, LSTM, Dense, Dropout
from pyrnn.optimizers import Adam

folder, freq, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])
utils.set_random_seed(5)
rng = np.random.default_rng(1)
x = rng.normal(size=(120, 6, 3)).astype(np.float32)
y = (x.sum(axis=(1, 2)) > 0).astype(np.int64)
model = Sequential([
    Input((6, 3)), LSTM(6, return_sequences=True, dropout=0.2, recurrent_dropout=0.1), Dropout(0.3), GRU(5),
    Dense(2, activation="softmax"),
])
model.compile(Adam(0.01, clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
callbacks = [
    EarlyStopping("val_loss", patience=3, restore_best_weights=True),
    ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=0.05),
    CSVLogger(folder + "/log.csv"),
    ModelCheckpoint(folder + "/best.pyrnn", save_best_only=True, save_weights_only=True),
    BackupAndRestore(folder + "/backup", save_freq="epoch" if freq == "epoch" else int(freq)),
]
if delay:
    callbacks.insert(0, LambdaCallback(on_train_batch_end=lambda batch, logs: time.sleep(delay)))
print("ready", flush=True)
history = model.fit(x, y, batch_size=16, epochs=6, validation_split=0.2, verbose=0, callbacks=callbacks)
model.save(folder + "/end.pyrnn")
np.save(folder + "/after.npy", np.random.default_rng(utils.next_seed()).normal(size=3))
Path(folder + "/history.json").write_text(json.dumps([history.epoch, history.history]))
print("done", flush=True)
"""


def start(folder: Path, freq: str, delay: float, threads: int) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    root = str(Path(pyrnn.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(folder), freq, str(delay)],
        env={**inherited, "PYTHONPATH": root, "PYRNN_NUM_THREADS": str(threads)},
        cwd=root,  # python -c finds what lies in the current folder before all else
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(folder: Path, freq: str, delay: float, threads: int) -> None:
    out, error = start(folder, freq, delay, threads).communicate(timeout=120)
    assert error == "" and "done" in out, error


def ends(folder: Path) -> list[bytes]:
    return [
        (folder / name).read_bytes() for name in ("end.pyrnn", "history.json", "log.csv", "after.npy", "best.pyrnn")
    ]


def kill_and_resume(folder: Path, kills: int, alone: Path, seed: int, within: float) -> int:
    """Kills runs at random moments until so many kills are done; every run that was killed is finished.

    within: seconds after the start of training; a run takes a little less than 0.2, and longer on a busy machine.

    Returns how many kills left a file to go on from.
    """
    draw = random.Random(seed)
    done = mid = 0
    while done < kills:
        run = folder / str(done)
        run.mkdir(parents=True)
        for _ in range(draw.choice([2, 4, 6])):
            process = start(run, draw.choice(["1", "2", "1"]), 0.004, draw.choice([1, 2]))
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            time.sleep(draw.uniform(0.0, within))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            done += 1
            mid += (run / "backup" / "latest.pyrnn").exists()
        finish(run, "3", 0.0, draw.choice([1, 2]))
        assert ends(run) == ends(alone)
        assert list((run / "backup").iterdir()) == []
    return mid


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbs, without a file between."""
    folder = tmp_path_factory.mktemp("alone")
    finish(folder, "epoch", 0.0, 1)
    return folder


def test_a_few_kills(alone: Path, tmp_path: Path) -> None:
    assert kill_and_resume(tmp_path, 5, alone, seed=1, within=0.12) >= 1


@pytest.mark.slow
def test_fifty_kills(alone: Path, tmp_path: Path) -> None:
    assert kill_and_resume(tmp_path, 50, alone, seed=2, within=0.3) >= 10


# ---- in one process: where a run is stopped, and what is refused

X, Y = larger_of_two(40)


def network(seed: int) -> Sequential:
    """Another seed, other weights and dropout: everything must come from the file."""
    utils.set_random_seed(seed)
    model = Sequential([Input((2, 1)), LSTM(4, dropout=0.2), Dropout(0.3), Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class StopAt(Callback):
    """Ctrl-C after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1


@pytest.mark.parametrize("stop", [0, 1, 7, 8, 12])
@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
def test_ctrl_c_goes_on_from_the_very_batch(tmp_path: Path, stop: int, save_freq: Any) -> None:
    rate = LearningRateOnce()
    whole = network(1).fit(X, Y, 10, epochs=4, verbose=0, callbacks=[rate, BackupAndRestore(tmp_path / "a")])
    expected = whole.model.get_weights()
    utils.set_random_seed(1)
    model = network(1)
    backup = BackupAndRestore(tmp_path / "b", save_freq)
    with pytest.raises(KeyboardInterrupt, match="fit: stopped in epoch .*run the same script again: Backup"):
        model.fit(X, Y, 10, epochs=4, verbose=0, callbacks=[LearningRateOnce(), backup, StopAt(stop)])
    again = network(99)
    history = again.fit(X, Y, 10, epochs=4, verbose=0, callbacks=[LearningRateOnce(), backup, StopAt(100)])
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected, strict=True))
    assert history.history == whole.history


class LearningRateOnce(Callback):
    """Lowers the rate at the beginning of an epoch: twice would be seen."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = self.model.optimizer.learning_rate * 0.7


class Shuffled(utils.PyDataset):
    """Draws its own order from the global generator."""

    def __init__(self) -> None:
        super().__init__()
        self.order = np.arange(len(X))

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * 10 : index * 10 + 10]
        return X[rows], Y[rows]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


@pytest.mark.parametrize("stop", [3, 6, 9])
def test_a_pydataset_that_draws_its_own_order(tmp_path: Path, stop: int) -> None:
    expected = network(3).fit(Shuffled(), epochs=3, verbose=0).model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        network(3).fit(Shuffled(), epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path), StopAt(stop)])
    again = network(3)
    again.fit(Shuffled(), epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected, strict=True))


def stopped(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        network(1).fit(X, Y, 10, epochs=3, verbose=0, callbacks=[BackupAndRestore(folder), StopAt(6)])


def generator() -> Any:
    yield X, Y


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, c: m.fit(X, Y, 8, epochs=3, callbacks=[c]), "is of another run: expected the data to be .*batch_"),
        (lambda m, c: m.fit(X[:30], Y[:30], 10, epochs=3, callbacks=[c]), "expected the data to be .*'samples': 40"),
        (lambda m, c: m.fit(X, Y, 10, shuffle=False, callbacks=[c]), "expected the data to be"),
        (lambda m, c: small(optimizer="sgd").fit(X, Y, 10, callbacks=[c]), "expected the optimizer to be Adam, got"),
        (lambda m, c: small().fit(X, Y, 10, callbacks=[c]), "expected the weights to be"),
        (lambda m, c: m.fit(X, Y, 10, callbacks=[c, EarlyStopping("loss")]), "fit: callbacks: expected those of the"),
        (lambda m, c: m.fit(generator(), callbacks=[c]), "fit: x: expected arrays or a PyDataset with"),
    ],
)  # fmt: skip
def test_another_run_is_refused(tmp_path: Path, call: Any, message: str) -> None:
    stopped(tmp_path)
    with pytest.raises(ValueError, match=message):
        call(network(1), BackupAndRestore(tmp_path))


def test_damaged_and_foreign_backups(tmp_path: Path) -> None:
    stopped(tmp_path)
    file = tmp_path / "latest.pyrnn"
    whole = bytearray(file.read_bytes())
    whole[500] ^= 1
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=r"latest.pyrnn: the file is damaged"):
        network(1).fit(X, Y, 10, callbacks=[BackupAndRestore(tmp_path)], verbose=0)
    network(1).save(file)
    with pytest.raises(ValueError, match="expected the state of a run of fit, got another file"):
        network(1).fit(X, Y, 10, callbacks=[BackupAndRestore(tmp_path)], verbose=0)


def test_two_checkpoints(tmp_path: Path) -> None:
    expected = network(1).fit(X, Y, 10, epochs=3, verbose=0).model.get_weights()
    backup = BackupAndRestore(tmp_path, 1, double_checkpoint=True)
    with pytest.raises(KeyboardInterrupt):
        network(1).fit(X, Y, 10, epochs=3, verbose=0, callbacks=[backup, StopAt(6)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.pyrnn", "previous.pyrnn"]
    (tmp_path / "latest.pyrnn").write_bytes(b"damaged")
    again = network(8)
    again.fit(X, Y, 10, epochs=3, verbose=0, callbacks=[backup])
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected, strict=True))
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_finished_run_may_stay(tmp_path: Path) -> None:
    keep = BackupAndRestore(tmp_path, delete_checkpoint=False)
    first = network(1).fit(X, Y, 10, epochs=2, verbose=0, callbacks=[keep]).model
    again = network(2)
    history = again.fit(X, Y, 10, epochs=2, verbose=0, callbacks=[keep])
    assert history.epoch == [0, 1]  # those of the finished run; nothing was trained
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), first.get_weights(), strict=True))
    longer = network(2)
    longer.fit(X, Y, 10, epochs=3, verbose=0, callbacks=[keep])
    expected = network(1).fit(X, Y, 10, epochs=3, verbose=0).model
    assert all(np.array_equal(a, b) for a, b in zip(longer.get_weights(), expected.get_weights(), strict=True))


# ---- Ctrl-C

INTERRUPTED = """
import sys, time
import numpy as np
from pyrnn import Input, Sequential, utils
from pyrnn.layers import LSTM, Dense
from pyrnn.callbacks import LambdaCallback

model = Sequential([Input((int(sys.argv[1]), 16)), LSTM(int(sys.argv[2]), return_sequences=True), Dense(4)])
model.compile("adam", "mse")
x, y = np.zeros((64, int(sys.argv[1]), 16), np.float32), np.zeros((64, int(sys.argv[1]), 4), np.float32)
model.train_on_batch(x[:2], y[:2])
try:
    begin = LambdaCallback(on_train_begin=lambda logs: print("ready", flush=True))
    model.fit(x, y, epochs=100000, batch_size=32, verbose=0, callbacks=[begin])
except KeyboardInterrupt as stop:
    print(time.time(), flush=True)
    print(stop, flush=True)
    assert all(np.isfinite(array).all() for array in model.get_weights())
    model.fit(x[:2], y[:2], verbose=0)
    print("usable", flush=True)
"""


@pytest.mark.parametrize(("steps", "units"), [(10, 8), (600, 256)], ids=["fast", "slow"])
def test_ctrl_c_stops_within_a_second(steps: int, units: int) -> None:
    root = str(Path(pyrnn.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(steps), str(units)],
        env={**os.environ, "PYTHONPATH": root},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "ready"
    time.sleep(0.5)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert error == ""
    when, message, usable = out.splitlines()
    assert float(when) - sent < 1.0
    assert usable == "usable"
    assert message.startswith("fit: stopped in epoch ")
    assert "To go on, call fit(..., initial_epoch=" in message and "BackupAndRestore" in message


@pytest.mark.parametrize("stop", [2, 5, 8])
def test_carried_states_and_moving_means_go_on(tmp_path: Path, stop: int) -> None:
    x = np.random.default_rng(1).normal(size=(40, 3, 2)).astype(np.float32)

    def make(seed: int) -> Sequential:
        utils.set_random_seed(seed)
        model = Sequential(
            [
                Input(batch_shape=(10, 3, 2)),
                BatchNormalization(),
                LSTM(4, stateful=True, return_sequences=True, recurrent_dropout=0.2),
                GRU(3, stateful=True),
                Dense(1),
            ]
        )
        model.compile("adam", "mse")
        return model

    expected = make(1)
    expected.fit(x, x[:, 0, :1], 10, epochs=3, verbose=0)
    backup = BackupAndRestore(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        make(1).fit(x, x[:, 0, :1], 10, epochs=3, verbose=0, callbacks=[backup, StopAt(stop)])
    again = make(2)
    again.fit(x, x[:, 0, :1], 10, epochs=3, verbose=0, callbacks=[backup])
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), expected.get_weights(), strict=True))
    for mine, theirs in zip(again.stateful_layers(), expected.stateful_layers(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine.state_arrays(), theirs.state_arrays(), strict=True))


@pytest.mark.parametrize("stop", [1, 4, 6])
def test_gradients_that_wait_and_metrics_with_arrays_go_on(tmp_path: Path, stop: int) -> None:
    def make(seed: int) -> Sequential:
        utils.set_random_seed(seed)
        model = Sequential([Input((2, 1)), LSTM(4, dropout=0.2), Dense(2, activation="softmax")])
        optimizer = Adam(0.01, gradient_accumulation_steps=3)
        watched = ["accuracy", SparseTopKCategoricalAccuracy(1)]
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=watched, weighted_metrics=["accuracy"])
        return model

    weights = np.linspace(0.1, 2, len(X))
    options: dict[str, Any] = {"batch_size": 10, "epochs": 2, "verbose": 0, "sample_weight": weights}
    whole = make(1).fit(X, Y, **options)
    backup = BackupAndRestore(tmp_path, 1)
    with pytest.raises(KeyboardInterrupt):
        make(1).fit(X, Y, callbacks=[backup, StopAt(stop)], **options)
    again = make(2).fit(X, Y, callbacks=[backup], **options)
    assert again.history == whole.history
    for a, b in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(a, b)
