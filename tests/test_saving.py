"""Model files: what is written comes back; what is damaged is refused; nothing is written by halves."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import pyrnn
from pyrnn import Input, Sequential, _files, saving, utils
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
from pyrnn.metrics import Metric
from pyrnn.optimizers import SGD, Adam, RMSprop
from pyrnn.optimizers.schedules import CosineDecay


def everything(**compiled: Any) -> Sequential:
    model = Sequential(
        [
            Input((None,)),
            Embedding(9, 4, mask_zero=True),
            Bidirectional(LSTM(5, return_sequences=True, dropout=0.1, seed=1), merge_mode="sum"),
            Dropout(0.1, seed=3),
            GRU(6, use_bias=False),
            RepeatVector(3),
            SimpleRNN(7, "relu", return_sequences=True, trainable=False),
            TimeDistributed(Dense(5, "tanh"), name="steps"),
            Dense(2),
            Activation("softmax"),
        ],
        name="everything",
    )
    options: dict[str, Any] = {"loss": "sparse_categorical_crossentropy", "optimizer": "adam", "metrics": ["accuracy"]}
    model.compile(**(options | compiled))
    return model


RNG = np.random.default_rng(1)
X, Y = RNG.integers(1, 9, (20, 6)), RNG.integers(0, 2, (20, 3))


@pytest.mark.parametrize(
    "optimizer",
    [lambda: Adam(CosineDecay(0.01, 50), clipnorm=1.0), lambda: SGD(0.01, 0.9), SGD, lambda: RMSprop(momentum=0.5)],
    ids=["adam", "momentum", "sgd", "rmsprop"],
)
def test_a_model_comes_back_and_trains_on(tmp_path: Path, optimizer: Any) -> None:
    model = everything(optimizer=optimizer())
    model.fit(X, Y, epochs=2, verbose=0)
    file = tmp_path / "model.pyrnn"
    model.save(file)
    other = pyrnn.load_model(file)
    assert np.array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    assert other.evaluate(X, Y, verbose=0, return_dict=True) == model.evaluate(X, Y, verbose=0, return_dict=True)
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert other.name == "everything"
    for each in (model, other):
        each.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert other.optimizer.iterations == model.optimizer.iterations == 4


def test_models_that_are_not_compiled_or_not_built(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    model = Sequential([LSTM(3), Dense(2)])
    model.save(file)
    other = pyrnn.load_model(str(file))
    assert not other.built
    assert other.predict(np.zeros((1, 2, 3)), verbose=0).shape == (1, 2)
    model.build((None, None, 4))
    model.save(file)
    other = pyrnn.load_model(file)
    assert np.array_equal(other.get_weights()[1], model.get_weights()[1])
    with pytest.raises(RuntimeError, match="not compiled"):
        other.evaluate(X, Y)


def test_float64_comes_back(tmp_path: Path) -> None:
    model = Sequential([Input((3, 2)), GRU(3, dtype="float64")])
    model.save(tmp_path / "m")
    other = pyrnn.load_model(tmp_path / "m")
    assert other.get_weights()[0].dtype == np.float64
    assert np.array_equal(other.get_weights()[0], model.get_weights()[0])


def test_a_file_is_the_same_bytes_for_the_same_model(tmp_path: Path) -> None:
    model = everything()
    for name in "ab":
        model.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    Sequential([Input((3, 2)), GRU(2), Dense(1)]).save(file)
    whole = file.read_bytes()
    rng = np.random.default_rng(1)
    for place in [*range(40), *rng.integers(0, len(whole), 200).tolist()]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(0, 7))
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model.pyrnn: "):
            pyrnn.load_model(file)
    for length in (0, 4, 100, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged"):
            pyrnn.load_model(file)
    file.write_bytes(whole)
    pyrnn.load_model(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.pyrnn"
    with pytest.raises(FileNotFoundError):
        pyrnn.load_model(file)
    save_file({"w": np.zeros(2)}, file)
    with pytest.raises(ValueError, match="expected a model written by pyrnn, got another safetensors file"):
        pyrnn.load_model(file)
    file.write_bytes(b"\x80\x04\x95 a pickle")
    with pytest.raises(ValueError, match="the file is damaged or no pyrnn model"):
        pyrnn.load_model(file)


def test_files_name_nothing_but_known_classes(tmp_path: Path) -> None:
    """A config whose checksum is right, but which asks for what a model may not have."""
    good = {"name": "s", "trainable": True, "input_shape": [None, 3, 2], "layers": []}
    file = tmp_path / "model.pyrnn"
    for change, message in (
        ({"layers": [{"class_name": "os.system", "config": {}}]}, "layer: expected one of .* got 'os.system'"),
        ({"layers": [{"class_name": "Layer", "config": {}}]}, "layer: expected one of"),
        ({"layers": [{"class_name": "Dense", "config": {"units": 2, "exec": "x"}}]}, "Dense: unknown argument 'exec'"),
        ({"layers": [{"class_name": "Dense", "config": {"units": -2}}]}, "Dense: units: expected an integer >= 1"),
        ({"layers": None}, "does not describe a model"),
        ({"layers": [{"class_name": "Dense", "config": {"units": 2}}]}, "weights: expected 2 arrays, got 0"),
    ):
        saving.write(file, {"model": {"class_name": "Sequential", "config": good | change}}, {})
        with pytest.raises(ValueError, match=message):
            pyrnn.load_model(file)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.pyrnn"
    monkeypatch.setattr(_files, "FORMAT_VERSION", 2)
    Sequential([Input((3, 2)), GRU(2)]).save(file)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="expected format version 1, got 2: update pyrnn"):
        pyrnn.load_model(file)


def test_what_cannot_be_read_again_is_not_written(tmp_path: Path) -> None:
    class Mine(Metric):
        default_name = "mine"

        def values(self, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
            return y_pred[..., 0]

    model = everything(metrics=[Mine()])
    assert len(model.evaluate(X, Y, verbose=0)) == 2
    with pytest.raises(TypeError, match="metrics: Mine is not one of pyrnn's, so it cannot be saved"):
        model.save(tmp_path / "model.pyrnn")
    assert not any(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.pyrnn"
    model = Sequential([Input((3, 2)), GRU(2)])
    model.save(file)
    before = file.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    utils.set_random_seed(9)
    with pytest.raises(OSError, match="No space left"):
        Sequential([Input((3, 2)), GRU(2)]).save(file)
    monkeypatch.undo()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.pyrnn"]
    with pytest.raises(FileNotFoundError, match="the folder .* does not exist"):
        model.save(tmp_path / "nowhere" / "model.pyrnn")


def test_arrays_are_stored_in_keras_layout_under_plain_names(tmp_path: Path) -> None:
    """Not packed: a file moves between machines with other vector widths."""
    model = Sequential([Input((3, 2)), LSTM(3)])
    model.compile(loss="mse", optimizer="adam")
    model.fit(np.zeros((4, 3, 2)), np.zeros((4, 3)), verbose=0)
    model.save(tmp_path / "m")
    config, tensors = saving.read(tmp_path / "m")
    assert json.loads(json.dumps(config)) == config
    assert {name: array.shape for name, array in tensors.items() if name.startswith("weights/")} == {
        "weights/0": (2, 12), "weights/1": (3, 12), "weights/2": (12,),
    }  # fmt: skip
    assert tensors["optimizer/0/velocity/1"].shape == (3, 12)
