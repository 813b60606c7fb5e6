"""If only one test file is run: the engine computes, differentiates, trains, saves and answers. Needs pytest alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pyrnn
from pyrnn import Sequential, ops
from pyrnn.layers import LSTM, Dense, Input

CELLS = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "rnn_tanh": 1, "rnn_relu": 1}
T, B, D, H = 5, 3, 4, 7


def parameters(cell: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    columns = CELLS[cell] * H
    b = (2, columns) if cell == "gru" else (columns,)
    return [0.3 * rng.standard_normal(size) for size in [(T, B, D), (D, columns), (H, columns), b]]


@pytest.mark.parametrize("cell", CELLS)
def test_gradient_is_the_slope(cell: str) -> None:
    """A small step along the gradient of sum(y * s) changes it by the squared length of the gradient."""
    arrays = parameters(cell)
    s = np.random.default_rng(2).standard_normal((T, B, H))
    y, _, tape = ops.forward(cell, *arrays, tape=True)
    assert y.shape == (T, B, H)
    assert np.isfinite(y).all()
    gradients = ops.backward(tape, s)
    slopes = [gradients.x, gradients.W_x, gradients.W_h, gradients.b]
    step = 1e-5
    sums = [
        (ops.forward(cell, *(a + side * step * da for a, da in zip(arrays, slopes, strict=True)))[0] * s).sum()
        for side in (1, -1)
    ]
    length = sum((da**2).sum() for da in slopes)
    assert (sums[0] - sums[1]) / (2 * step) == pytest.approx(length, rel=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_packed_and_streamed_steps_equal_the_sequence(cell: str) -> None:
    x, *weights = (a.astype(np.float32) for a in parameters(cell))
    y, _, _ = ops.forward(cell, x, *weights)
    packed = ops.pack(cell, *weights)
    assert np.array_equal(packed.forward(x)[0], y)
    stream = packed.stream(batch=B)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x]), y)


def test_a_model_learns_saves_and_loads(tmp_path: Path) -> None:
    """Which of two steps holds the larger number."""
    x = np.random.default_rng(3).standard_normal((512, 2, 1)).astype(np.float32)
    labels = (x[:, 1, 0] > x[:, 0, 0]).astype(np.int64)
    model = Sequential([Input((2, 1)), LSTM(8), Dense(2, activation="softmax")])
    model.compile(loss="sparse_categorical_crossentropy", optimizer=pyrnn.optimizers.Adam(0.02), metrics=["accuracy"])
    model.fit(x, labels, batch_size=32, epochs=15, verbose=0)
    loss, accuracy = model.evaluate(x, labels, verbose=0)
    assert loss < 0.2
    assert accuracy > 0.95
    file = tmp_path / "model.pyrnn"
    model.save(file)
    assert np.array_equal(pyrnn.load_model(file).predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_wrong_shape_is_named() -> None:
    x, *weights = parameters("lstm")
    with pytest.raises(ValueError, match=r"^x: expected .*D = 4, .*got \(5, 3, 3\)"):
        ops.forward("lstm", x[:, :, :3], *weights)


def test_configuration_is_told() -> None:
    config = pyrnn.show_config(mode="dict")
    assert config["isa"] in ("avx512", "avx2", "portable")
    assert pyrnn.get_num_threads() >= 1


def test_command_runs() -> None:
    """As a process of its own, with the package this test has imported."""
    root = Path(pyrnn.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); from pyrnn.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"pyrnn {pyrnn.__version__}\n"), done.stderr
