"""What a cell tells the loops: its name, its parts by name, and two functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
States: TypeAlias = tuple[Array, ...]
Slots: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class StepGradients:
    """Gradients of one step: of its input, of the states it came from, and of the parameters (to be added up)."""

    x: Array  # (B, D)
    state: States  # each (B, H)
    W_x: Array
    W_h: Array
    b: Array


@dataclass(frozen=True)
class Cell:
    """One cell. `step` and `step_backward` work on any number of rows and know nothing of sequences.

    step(x, state, W_x, W_h, b, h_scale) -> (state, slots)
        x (B, D); state: one (B, H) a name in `states`; h_scale (B, H) multiplies what W_h multiplies, nothing else.
        slots: one (B, H) a name in `slots`, all that step_backward needs besides the arguments.
    step_backward(dstate, x, state, slots, W_x, W_h, h_scale) -> StepGradients
        dstate: gradients of the new states; state: the previous ones, as `step` got them.
    """

    name: str
    gates: tuple[str, ...]  # column blocks of W_x (D, G*H), W_h (H, G*H) and b
    states: tuple[str, ...]  # the first is the output
    slots: tuple[str, ...]
    bias_rows: int  # 1: b (G*H); 2: b (2, G*H), the biases of the input and of the recurrent product
    step: Callable[[Array, States, Array, Array, Array, Array], tuple[States, Slots]]
    step_backward: Callable[[States, Array, States, Slots, Array, Array, Array], StepGradients]

    def bias_shape(self, units: int) -> tuple[int, ...]:
        """Shape of b for a number of hidden units."""
        columns = len(self.gates) * units
        return (columns,) if self.bias_rows == 1 else (self.bias_rows, columns)


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), without overflow on either side."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, e) / (1.0 + e)
