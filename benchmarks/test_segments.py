"""What a bounded tape costs in time: forward and backward over 10,000 steps, beside the full tape."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pyrnn import ops

STEPS = 10_000
SIZES = [(8, 16, 64), (4, 32, 128), (1, 128, 256)]  # B, D, H


class Training:
    """An LSTM's forward and backward, its tape's memory used again in every call."""

    def __init__(self, batch: int, inputs: int, units: int, mode: Any) -> None:
        rng = np.random.default_rng(7)
        W_x = 0.1 * rng.standard_normal((inputs, 4 * units), np.float32)
        W_h = 0.1 * rng.standard_normal((units, 4 * units), np.float32)
        self.weights = ops.Weights("lstm", W_x, W_h)
        self.x = rng.standard_normal((STEPS, batch, inputs), np.float32)
        self.dy = rng.standard_normal((STEPS, batch, units), np.float32)
        self.tape = mode

    def __call__(self) -> NDArray[Any]:
        _, _, self.tape = ops.forward("lstm", self.x, self.weights, tape=self.tape)
        flat: NDArray[Any] = ops.backward(self.tape, self.dy).flat
        return flat


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "B{}-D{}-H{}".format(*size))
@pytest.mark.parametrize("mode", ["full", "half", "segments"])
def test_training_with_a_tape(benchmark: Any, size: tuple[int, int, int], mode: str) -> None:
    full = Training(*size, "full")
    expected, full_bytes = full(), full.tape.nbytes
    training = Training(*size, full_bytes // 2 if mode == "half" else mode)
    assert np.array_equal(training(), expected)
    benchmark.group = f"{STEPS} steps, B, D, H = {size}"
    benchmark.extra_info["share_of_the_full_tape"] = training.tape.nbytes / full_bytes
    benchmark(training)
