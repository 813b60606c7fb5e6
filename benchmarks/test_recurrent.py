"""Engine, NumPy reference and a plain Cython loop side by side: a group is one pass of one cell at one shape.

Every benchmark asserts its result before it is timed. The two rivals sit out where one call takes them seconds.
"""

from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from shapes import CELLS, SHAPES, Shape

from pyrnn import ops, reference

RIVAL_FLOPS = 4e9
GRID = [(shape, cell) for shape in SHAPES for cell in CELLS]
Arrays = list[NDArray[Any]]


class Work:
    """A stack of layers of one cell at one shape: input, weights and output gradient in float32, answers in float64."""

    def __init__(self, shape: Shape, cell: str) -> None:
        self.name = f"{shape.name} {cell}"
        self.cell = reference.CELLS[cell]
        rng = np.random.default_rng(7)
        self.x = rng.standard_normal((shape.steps, shape.batch, shape.inputs), np.float32)
        self.dy = rng.standard_normal((shape.steps, shape.batch, shape.units), np.float32)
        self.layers: list[Arrays] = []
        for inputs in [shape.inputs] + [shape.units] * (shape.layers - 1):
            columns = len(self.cell.gates) * shape.units
            scale = np.float32((inputs + shape.units) ** -0.5)
            sizes = [(inputs, columns), (shape.units, columns), self.cell.bias_shape(shape.units)]
            self.layers.append([rng.standard_normal(size, np.float32) * scale for size in sizes])

    @staticmethod
    def flops(shape: Shape, cell: str) -> int:
        return shape.flops(len(reference.CELLS[cell].gates))

    @cached_property
    def y(self) -> NDArray[Any]:
        return self.numpy_forward()[0]

    @cached_property
    def gradients(self) -> Arrays:
        return self.numpy_training()

    def numpy_forward(self) -> tuple[NDArray[Any], list[reference.Tape]]:
        y, tapes = self.x.astype(np.float64), []
        for layer in self.layers:
            W_x, W_h, b = (weights.astype(np.float64) for weights in layer)
            y, _, tape = reference.forward(self.cell, y, W_x, W_h, b)
            tapes.append(tape)
        return y, tapes

    def numpy_training(self) -> Arrays:
        """dx of the first layer, then W_x, W_h, b of each layer from the last."""
        dx, found = self.dy.astype(np.float64), []
        for tape in reversed(self.numpy_forward()[1]):
            gradients = reference.backward(tape, dx)
            dx = gradients.x
            found += [gradients.W_x, gradients.W_h, gradients.b]
        return [dx, *found]

    def cython_forward(self, loops: ModuleType) -> NDArray[Any]:
        y = self.x
        for layer in self.layers:
            y = getattr(loops, self.cell.name)(y, *layer)
        return y


class Engine:
    """The same work in the engine, its weights packed once as training and inference keep them."""

    def __init__(self, work: Work, threads: int) -> None:
        self.work = work
        self.threads = threads
        self.weights = [ops.Weights(work.cell.name, *layer) for layer in work.layers]

    def forward(self) -> NDArray[Any]:
        y = self.work.x
        for weights in self.weights:
            y, _, _ = ops.forward(self.work.cell.name, y, weights, threads=self.threads)
        return y

    def training(self) -> Arrays:
        """As numpy_training."""
        y, tapes = self.work.x, []
        for weights in self.weights:
            y, _, tape = ops.forward(self.work.cell.name, y, weights, tape=True, threads=self.threads)
            tapes.append(tape)
        dx, found = self.work.dy, []
        for tape in reversed(tapes):
            gradients = ops.backward(tape, dx, threads=self.threads)
            dx = gradients.x
            found.append(gradients)
        return [dx, *(array for g in found for array in (g.W_x, g.W_h, g.b))]


def label(point: tuple[Shape, str]) -> str:
    return f"{point[0].name}-{point[1]}"


@pytest.fixture(scope="module", params=GRID, ids=label)
def work(request: pytest.FixtureRequest) -> Work:
    return Work(*request.param)


@pytest.fixture(scope="module", params=[p for p in GRID if Work.flops(*p) <= RIVAL_FLOPS], ids=label)
def light_work(request: pytest.FixtureRequest) -> Work:
    return Work(*request.param)


def assert_close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Equal to float32's precision, measured against the largest value: sums of thousands cancel."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("threads", [1, 2])
def test_inference_engine(benchmark: Any, work: Work, threads: int) -> None:
    engine = Engine(work, threads)
    assert_close(engine.forward(), work.y)
    benchmark.group = f"inference {work.name}"
    benchmark(engine.forward)


def test_inference_numpy(benchmark: Any, light_work: Work) -> None:
    assert_close(light_work.y, Engine(light_work, 1).forward())
    benchmark.group = f"inference {light_work.name}"
    benchmark(light_work.numpy_forward)


def test_inference_cython(benchmark: Any, light_work: Work, loops: ModuleType) -> None:
    assert_close(light_work.cython_forward(loops), light_work.y)
    benchmark.group = f"inference {light_work.name}"
    benchmark(light_work.cython_forward, loops)


@pytest.mark.parametrize("threads", [1, 2])
def test_training_engine(benchmark: Any, work: Work, threads: int) -> None:
    engine = Engine(work, threads)
    for array, expected in zip(engine.training(), work.gradients, strict=True):
        assert_close(array, expected)
    benchmark.group = f"training {work.name}"
    benchmark(engine.training)


def test_training_numpy(benchmark: Any, light_work: Work) -> None:
    for array, expected in zip(light_work.gradients, Engine(light_work, 1).training(), strict=True):
        assert_close(array, expected)
    benchmark.group = f"training {light_work.name}"
    benchmark(light_work.numpy_training)
