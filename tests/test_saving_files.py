"""Files: every byte counts, foreign files are named, weights alone, nothing is written by halves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrnn
from pyrnn import Input, Model, Sequential, saving
from pyrnn.layers import GRU, LSTM, Concatenate, Dense, RepeatVector


def model() -> Sequential:
    made = Sequential([Input((3, 2)), GRU(4), Dense(1)])
    made.compile("adam", "mse", metrics=["mae"])
    made.train_on_batch(np.ones((2, 3, 2)), np.ones((2, 1)))
    return made


def test_a_thousand_flipped_bits_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    model().save(file)
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    # the header byte by byte, then anywhere
    places = [(i, b) for i in range(100) for b in range(3)] + [
        (int(rng.integers(len(whole))), int(rng.integers(8))) for _ in range(700)
    ]
    assert len(places) == 1000
    for place, bit in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model.pyrnn: the file is damaged|model.pyrnn: is "):
            pyrnn.load_model(file)
    file.write_bytes(whole)
    pyrnn.load_model(file)


def test_two_hundred_cuts_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    model().save(file)
    whole = file.read_bytes()
    rng = np.random.default_rng(2)
    for length in [*range(100), *rng.integers(100, len(whole), 99).tolist(), len(whole) - 1]:
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="the file is damaged"):
            pyrnn.load_model(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="the file is damaged"):
        pyrnn.load_model(file)


def test_a_lying_header_takes_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    model().save(file)
    whole = bytearray(file.read_bytes())
    whole[:8] = (2**62).to_bytes(8, "little")
    file.write_bytes(whole)
    with pytest.raises(ValueError, match="the file is damaged"):
        pyrnn.load_model(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(200), "is a zip archive, as Keras writes .keras files, which pyrnn does not read"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "is an HDF5 file, as Keras writes .h5 files, .*set_weights"),
        (b"", "the file is damaged or no pyrnn model"),
        (b"\x80\x04\x95 a pickle", "the file is damaged or no pyrnn model"),
    ],
    ids=["keras", "h5", "empty", "pickle"],
)
def test_foreign_files(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pyrnn.load_model(file)
    with pytest.raises(ValueError, match=message):
        model().load_weights(file)


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    made = model()
    for name in ("m.keras", "m.h5", "m", "m.pyrnn"):
        made.save(tmp_path / name)
        other = pyrnn.load_model(tmp_path / name)
        assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), made.get_weights(), strict=True))
    with pytest.raises(FileExistsError, match=r"save: .*m.keras exists: pass overwrite=True"):
        made.save(tmp_path / "m.keras", overwrite=False)


def test_weights_alone(tmp_path: Path) -> None:
    made = model()
    file = tmp_path / "m.weights.h5"
    made.save_weights(file)
    other = Sequential([Input((3, 2)), GRU(4, name="mine"), Dense(1)])
    other.load_weights(file)
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), made.get_weights(), strict=True))
    made.save(tmp_path / "whole")
    other.load_weights(tmp_path / "whole")
    with pytest.raises(FileExistsError, match="save_weights: "):
        made.save_weights(file, overwrite=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Sequential([Input((3, 2)), GRU(5), Dense(1)]),
            r"array 0, 'kernel': expected \(2, 15\), got \(2, 12\)",
        ),
        (lambda: Sequential([Input((3, 2)), GRU(4)]), "expected 3 arrays for sequential, got 5"),
        (lambda: Sequential([Input((3, 2)), GRU(4, dtype="float64"), Dense(1)]), "expected float64, got float32"),
        (
            lambda: Sequential([Input((3, 2)), GRU(4, use_bias=False), Dense(3), Dense(1, use_bias=False)]),
            "array 2: expected 'kernel', got 'bias'",
        ),
        (lambda: Sequential([GRU(4), Dense(1)]), "there are no weights before the model is built"),
    ],
    ids=["shape", "count", "dtype", "name", "unbuilt"],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, make: Any, message: str) -> None:
    model().save_weights(tmp_path / "w")
    other = make()
    before = other.get_weights()
    with pytest.raises(ValueError, match=message):
        other.load_weights(tmp_path / "w")
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), before, strict=True))


def test_files_are_not_taken_for_one_another(tmp_path: Path) -> None:
    made = model()
    made.save_weights(tmp_path / "w")
    with pytest.raises(ValueError, match="does not describe a model"):
        pyrnn.load_model(tmp_path / "w")
    saving.write(tmp_path / "x", {"kind": "x"}, {})
    with pytest.raises(ValueError, match="expected a file of save_weights or save"):
        made.load_weights(tmp_path / "x")


def test_a_model_of_two_outputs_comes_back_and_trains_on(tmp_path: Path) -> None:
    source, target = Input((None, 5), name="source"), Input((None, 7), name="target")
    h = Concatenate()([LSTM(6)(source), LSTM(6)(target)])
    text = Dense(7, "softmax", name="text")(RepeatVector(4)(h))
    made = Model([source, target], [text, Dense(1, name="rest")(h)])
    made.compile(
        "adam",
        {"text": "categorical_crossentropy", "rest": "mse"},
        loss_weights={"text": 0.5},
        metrics={"text": ["accuracy"]},
    )
    rng = np.random.default_rng(1)
    x = {"source": rng.normal(size=(8, 3, 5)), "target": rng.normal(size=(8, 4, 7))}
    y = {"text": np.eye(7)[rng.integers(0, 7, (8, 4))], "rest": rng.normal(size=(8, 1))}
    made.fit(x, y, epochs=2, verbose=0)
    made.save(tmp_path / "m")
    other = pyrnn.load_model(tmp_path / "m")
    assert other.metrics_names == made.metrics_names == ["loss", "text_loss", "rest_loss", "text_accuracy"]
    for each in (made, other):
        each.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert other.evaluate(x, y, verbose=0) == made.evaluate(x, y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(other.get_weights(), made.get_weights(), strict=True))
