"""One point of the grid as arrays, what a contestant returns for it, and how far results may lie apart.

Letters: T steps, B batch, D inputs, H units, G gates. Weights are in pyrnn's layout and gate order, all in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from shapes import Shape

from pyrnn import _engine

Array = NDArray[np.float32]
Results = dict[str, Array]
FACTS: dict[str, dict[str, Any]] = {facts["name"]: facts for facts in _engine.cells()}


class Layer(NamedTuple):
    """W_x (D, G*H), W_h (H, G*H), b (G*H) or (2, G*H)."""

    W_x: Array
    W_h: Array
    b: Array


class Problem:
    """A stack of layers of one cell: x (T, B, D), the gradient dy (T, B, H) of the output, each layer's weights and
    initial states (B, H). The states are inputs like x: a compiler that knew them to be 0 would skip W_h at T = 1.
    """

    def __init__(self, cell: str, shape: Shape, threads: int, seed: int = 7) -> None:
        self.cell, self.shape, self.threads = cell, shape, threads
        self.gates: list[str] = FACTS[cell]["gates"]
        rng = np.random.default_rng(seed)
        self.x: Array = rng.standard_normal((shape.steps, shape.batch, shape.inputs), np.float32)
        self.dy: Array = rng.standard_normal((shape.steps, shape.batch, shape.units), np.float32)
        self.layers = [self._layer(rng, inputs) for inputs in shape.widths]
        self.states = [tuple(self._state(rng) for _ in FACTS[cell]["states"]) for _ in shape.widths]

    def _layer(self, rng: np.random.Generator, inputs: int) -> Layer:
        """Uniform in +-1/sqrt(H), as PyTorch starts."""
        units, columns = self.shape.units, len(self.gates) * self.shape.units
        rows = FACTS[self.cell]["bias_rows"]
        sizes = [(inputs, columns), (units, columns), (columns,) if rows == 1 else (rows, columns)]
        return Layer(*(rng.uniform(-1, 1, size).astype(np.float32) / np.float32(units**0.5) for size in sizes))

    def _state(self, rng: np.random.Generator) -> Array:
        return rng.uniform(-1, 1, (self.shape.batch, self.shape.units)).astype(np.float32)

    def state_of(self, i: int) -> Array | tuple[Array, ...]:
        """The initial state of a layer as pyrnn takes it: h, or (h, c)."""
        return self.states[i] if len(self.states[i]) > 1 else self.states[i][0]


class Run(NamedTuple):
    """A contestant's call, which is timed, and how its value becomes arrays in pyrnn's layout, which is not.

    Inference gives {"y": (T, B, H)}. Training gives y, dx and, for each layer i, dW_x[i], dW_h[i], db[i] and the
    gradients of its initial states, dstate[i][0] and dstate[i][1].
    """

    call: Callable[[], Any]
    results: Callable[[Any], Results]


def gradients_of_layer(i: int, dW_x: Array, dW_h: Array, db: Array, dstates: Sequence[Array]) -> Results:
    """dstates: of h, or of h and c."""
    parameters = {f"dW_x[{i}]": dW_x, f"dW_h[{i}]": dW_h, f"db[{i}]": db}
    return parameters | {f"dstate[{i}][{j}]": dstate for j, dstate in enumerate(dstates)}


def reorder(a: NDArray[Any], source: list[Any], target: list[Any], axis: int = -1) -> NDArray[Any]:
    """Blocks of gates along an axis from one order into another."""
    blocks = np.split(a, len(source), axis)
    return np.concatenate([blocks[source.index(gate)] for gate in target], axis)


# A chain of n additions is off by about 0.2 sqrt(n) eps of its result, see `error_share`; two sides make that 0.3. The
# largest of many elements is off by five times as much. A step hands on 1/sqrt(3) of the error it got, as W_h is
# uniform in +-1/sqrt(H), so all steps together make it 2.4 times larger: 0.3 * 5 * 2.4.
DEVIATIONS = 4.0
EPS = float(np.finfo(np.float32).eps)


def terms_of(what: str, shape: Shape, gates: int) -> int:
    """Products summed one after the other on the way to a result: along a row, and for weights over all rows too."""
    row = shape.layers * (max(shape.widths) + shape.units)
    if what == "y":
        return row
    backward = row + shape.layers * gates * shape.units
    return backward if what == "dx" or what.startswith("dstate") else backward + shape.steps * shape.batch


def error_share(found: Array, expected: Array, terms: int, eps: float = EPS) -> float:
    """The largest difference as a share of the bound: over 1 is wrong.

    An addition is off by eps/2 of its partial sum at most, with any sign. After k of n terms of size s the partial sum
    is about sqrt(k) s, so all n errors together are about eps/2 sqrt(1/3 sum of k) s = 0.2 eps n s, and the result is
    about sqrt(n) s.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return math.inf
    bound = DEVIATIONS * eps * math.sqrt(terms) * float(np.abs(expected).max(initial=0.0))
    largest = float(np.abs(found - expected).max(initial=0.0))
    return 0.0 if largest == 0 else largest / bound if bound > 0 else math.inf


def check(found: Results, expected: Results, problem: Problem) -> dict[str, float]:
    """The share of the bound that each result's difference takes."""
    if found.keys() != expected.keys():
        raise ValueError(f"expected results {sorted(expected)}, got {sorted(found)}")
    gates = len(problem.gates)
    return {w: error_share(found[w], expected[w], terms_of(w, problem.shape, gates)) for w in expected}


def wrong_results(errors: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The results that are off by more than their bound, by contestant."""
    wrong = {name: {what: s for what, s in shares.items() if not s <= 1} for name, shares in errors.items()}
    return {name: shares for name, shares in wrong.items() if shares}
