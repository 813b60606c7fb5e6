"""BackupAndRestore: a run that is killed at any moment ends with the bits of the run that was left alone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.process import SETTINGS

import pyrnn

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


def kill_and_resume(folder: Path, kills: int, alone: Path, seed: int) -> int:
    """Kills runs at random moments until so many kills are done; every run that was killed is finished."""
    draw = random.Random(seed)
    done = mid = 0
    while done < kills:
        run = folder / str(done)
        run.mkdir(parents=True)
        for _ in range(draw.choice([2, 4, 6])):
            process = start(run, draw.choice(["1", "2", "1"]), 0.004, draw.choice([1, 2]))
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "ready"
            time.sleep(draw.uniform(0.0, 0.35))
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
    assert kill_and_resume(tmp_path, 5, alone, seed=1) >= 1


@pytest.mark.slow
def test_fifty_kills(alone: Path, tmp_path: Path) -> None:
    assert kill_and_resume(tmp_path, 50, alone, seed=2) >= 10
