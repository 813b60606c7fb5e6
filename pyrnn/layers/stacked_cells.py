"""Several cells as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer, deserialize, serialize
from pyrnn.layers.user_cell import StageCell, stage_of


class StackedRNNCells(Layer):
    """Cells one on the other: the output of each is the input of the next, at every step.

    cells: list of cells: SimpleRNNCell, GRUCell, LSTMCell, or your own (see `RNN`).

    In `RNN(StackedRNNCells([...]))` each cell of pyrnn's runs over the whole sequence in one call of its kernel, then
    the next: the numbers are those of the loop over steps. The states stand in the order of the cells.

    >>> import numpy as np
    >>> from pyrnn.layers import RNN, GRUCell, LSTMCell
    >>> layer = RNN(StackedRNNCells([LSTMCell(3), GRUCell(2)]), return_state=True)
    >>> y, (h, c), h2 = layer(np.ones((5, 7, 4), np.float32))
    >>> y.shape, h.shape, c.shape, h2.shape
    ((5, 2), (5, 3), (5, 3), (5, 2))

    Graves 2013, Generating sequences with recurrent neural networks, https://arxiv.org/abs/1308.0850
    """

    several_inputs = True

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        if not isinstance(cells, (list, tuple)) or not cells:
            raise TypeError(f"StackedRNNCells: cells: expected a list of cells, got {cells!r}")
        for i, cell in enumerate(cells):
            if isinstance(cell, StackedRNNCells):
                raise TypeError(f"StackedRNNCells: cells: expected one list of cells, got another stack at {i}")
            if any(cell is other for other in cells[:i]):
                raise ValueError(f"StackedRNNCells: cells: expected different cells, got {cell!r} twice")
        self.cells = list(cells)
        self.stages: list[StageCell] = [stage_of(cell, f"StackedRNNCells: cells[{i}]") for i, cell in enumerate(cells)]
        kwargs.setdefault("dtype", self.stages[0].dtype)
        super().__init__(**kwargs)
        for i, stage in enumerate(self.stages):
            if stage.dtype != self.dtype:
                raise ValueError(
                    f"StackedRNNCells: cells[{i}]: expected dtype {self.dtype.name} like the first, got "
                    f"{stage.dtype.name}"
                )

    @property
    def state_size(self) -> list[Any]:
        """State sizes of the cells, each an integer or a list."""
        return [stage.state_size for stage in self.stages]

    @property
    def output_size(self) -> int:
        """Width of the last cell's output."""
        return self.stages[-1].output_size

    def get_initial_state(self, batch_size: int | None = None) -> list[list[Array]]:
        """Zeros, a list for each cell."""
        return [stage.get_initial_state(batch_size) for stage in self.stages]

    def _build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        for stage in self.stages:
            stage.build(shape)
            shape = (shape[0], stage.output_size)
        self.parameters = [parameter for stage in self.stages for parameter in stage.parameters]

    def __call__(self, inputs: Any, states: Any = None, *, training: bool | None = None, **kwargs: Any) -> Any:
        """One step: inputs (B, D), states: a list for each cell -> (output (B, H), the new states)."""
        if not isinstance(states, (list, tuple)) or len(states) != len(self.stages):
            raise ValueError(f"{self.name}: states: expected a list of {len(self.stages)}, one for each cell")
        after = []
        for cell, state in zip(self.cells, states, strict=True):
            inputs, new = cell(inputs, state, training=training, **kwargs)
            after.append(new)
        return inputs, after

    def forward(self, x: Any, call: Call) -> Any:
        raise TypeError(f"{self.name}: expected to stand in RNN(...), got a place of its own")

    def backward(self, dy: Any, call: Call) -> Any:
        raise TypeError(f"{self.name}: expected to stand in RNN(...), got a place of its own")

    def get_config(self) -> dict[str, Any]:
        for i, stage in enumerate(self.stages):
            stage.check_config(f"StackedRNNCells: cells[{i}]")
        return super().get_config() | {"cells": [serialize(cell) for cell in self.cells]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> StackedRNNCells:
        return cls(**{**config, "cells": [deserialize(cell) for cell in config["cells"]]})
