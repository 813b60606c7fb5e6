"""The one list of shapes that benchmarks run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Shape(NamedTuple):
    """T steps, batch B, D inputs, H hidden units, L layers, each reading the one below."""

    name: str
    steps: int
    batch: int
    inputs: int
    units: int
    layers: int = 1

    @property
    def widths(self) -> list[int]:
        """D of each layer."""
        return [self.inputs] + [self.units] * (self.layers - 1)

    def flops(self, gates: int) -> int:
        """Of the products of one forward pass; training takes three times as many."""
        rows = self.steps * self.batch
        return sum(2 * rows * gates * self.units * (width + self.units) for width in self.widths)

    @property
    def base(self) -> str:
        """The name in the grid, also of a shape that is a little off it."""
        return self.name.split("/")[0]

    def off(self) -> Shape:
        """About 10 % more or less units, a prime number: what no kernel can have been made for."""
        units = {32: 29, 64: 71, 128: 113, 256: 281, 384: 347, 512: 461, 1024: 929}[self.units]
        return self._replace(name=f"{self.name}/{units}", units=units)


SHAPES = (
    Shape("stream-128", 1, 1, 128, 128),
    Shape("stream-384", 1, 1, 384, 384),
    Shape("rl-step", 1, 16, 64, 256),
    Shape("seq-b1", 100, 1, 128, 256),
    Shape("addition", 12, 128, 12, 128),
    Shape("forecast", 100, 64, 8, 64),
    Shape("sentiment", 200, 32, 128, 128),
    Shape("char-rnn", 50, 50, 65, 512, 2),
    Shape("asr", 100, 32, 512, 1024),
    Shape("long", 5000, 4, 32, 128),
    Shape("tiny", 20, 8, 16, 32),
)
CELLS = ("lstm", "gru", "rnn_tanh")

# The shapes of the grid that some parts measure; they measure shapes given by sizes too.
PART_SHAPES = {
    "ragged": ("sentiment", "char-rnn"),
    "segments": ("long",),
    "bf16": ("sentiment", "char-rnn", "asr"),
}


def shapes_of_part(part: str, shapes: Sequence[Shape]) -> list[Shape]:
    in_grid = {shape.name for shape in SHAPES}
    return [shape for shape in shapes if shape.base in PART_SHAPES[part] or shape.base not in in_grid]
