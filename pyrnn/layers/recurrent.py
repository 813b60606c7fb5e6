"""Recurrent layers: one direction over a sequence, a stage for each cell.

A stage runs on the engine, one call for the whole sequence, where the cell is one of pyrnn's with the usual
activations; any other cell runs step by step in Python, and the layer warns of it (`RNN.path`).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn._types import Array, Shape
from pyrnn.layers.arguments import check_flag, check_memory_budget, check_rank
from pyrnn.layers.base import Call, Layer, deserialize, serialize
from pyrnn.layers.cell import Cell, States, Sweep, add
from pyrnn.layers.loop import SlowPathWarning
from pyrnn.layers.sequence_inputs import check_mask, join_states, leading_mask
from pyrnn.layers.stacked_cells import StackedRNNCells
from pyrnn.layers.user_cell import StageCell, stage_of


class RNN(Layer):
    """A cell, or several on each other, over a sequence.

    cell: SimpleRNNCell, GRUCell or LSTMCell (each runs on the engine, one call for the whole sequence), a
        StackedRNNCells or list of cells, or an object of your own, which runs step by step in Python with a
        `SlowPathWarning`. It has `state_size` (an integer or a list of them), and may have `output_size`,
        `build(shape)`, `get_initial_state(batch_size)`, `parameters` (a list of `Parameter`), `dtype`. It trains where
        it has `step(x, states) -> (y, new_states, kept)` and `step_backward(dy, dstates, kept) -> (dx, dstates)`, which
        adds to its parameters' gradients. With `call(x, states) -> (y, new_states)` alone it can only predict, since
        nothing is differentiated automatically.
    return_sequences: return the output of every step, not only of the last.
    return_state: return the last states too.
    go_backwards: process the steps from last to first; sequences come out in that order.
    stateful: a batch starts from the states in which the one before ended; `reset_states()` starts anew. The batch size
        is that of batch_shape=, else that of the first batch.
    unroll: taken for Keras's sake; it cannot change a result.
    zero_output_for_mask: the output of a masked step is 0, not the state before it.
    memory_budget: bytes (or "256MB") that training may keep of a batch, "segments" for as few as possible, "full" for
        all; None leaves it to `fit`.

    Input (B, T, D). Output (B, H), or (B, T, H) with return_sequences; with return_state the states follow, those of
    each of StackedRNNCells in a list where a cell has several. Called as layer(x, initial_state=states) or
    layer([x, *states]). Weights: those of the cells, in their order.

    Raises ValueError or TypeError naming the argument.

    >>> import numpy as np
    >>> from pyrnn.layers import LSTMCell
    >>> RNN([LSTMCell(3), LSTMCell(2)], return_sequences=True)(np.ones((5, 7, 4), np.float32)).shape
    (5, 7, 2)

    Keras, https://keras.io/api/layers/recurrent_layers/rnn/
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
        "memory_budget",
    )
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "time_major": (False, "arrays are (batch, steps, width)"),
        "reset_after": (True, "only GRU has it"),
        "recurrent_activation": ("sigmoid", "SimpleRNN has no gates"),
        "unit_forget_bias": (True, "only LSTM has a forget gate"),
    }

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        memory_budget: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.cell = StackedRNNCells(cell) if isinstance(cell, (list, tuple)) else cell
        stacked = isinstance(self.cell, StackedRNNCells)
        self.stages: list[StageCell] = self.cell.stages if stacked else [stage_of(self.cell, f"{kind}: cell")]
        self.return_sequences = check_flag(kind, "return_sequences", return_sequences)
        self.return_state = check_flag(kind, "return_state", return_state)
        self.go_backwards = check_flag(kind, "go_backwards", go_backwards)
        self.stateful = check_flag(kind, "stateful", stateful)
        self.unroll = check_flag(kind, "unroll", unroll)
        self.zero_output_for_mask = check_flag(kind, "zero_output_for_mask", zero_output_for_mask)
        self.memory_budget = check_memory_budget(kind, memory_budget)
        self._counts = [len(stage.state_sizes) for stage in self.stages]
        self._state_names = [name for stage in self.stages for name in stage.state_names]
        self._carried: list[States | None] = [None] * len(self.stages)
        self._batch_size: int | None = None
        dtype = self.stages[0].dtype
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = dtype
        elif np.dtype(kwargs["dtype"]) != dtype:
            raise ValueError(f"{kind}: dtype: expected {dtype.name} like the cell's, got {kwargs['dtype']}")
        super().__init__(**kwargs)

    # Facts -----------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """What runs the layer: "engine", or "per-step loop" and why."""
        return next((stage.path for stage in self.stages if stage.path != "engine"), "engine")

    @property
    def state_size(self) -> list[Any]:
        """Widths of the states, a list for each of StackedRNNCells."""
        size = self.cell.state_size
        return list(size) if isinstance(size, (list, tuple)) else [size]

    @property
    def output_size(self) -> int:
        """Width of the output."""
        return self.stages[-1].output_size

    @property
    def budget_shares(self) -> int:
        return len(self.stages) if self.memory_budget is None else 0

    def tape_mode(self, call: Call) -> int | str:
        """What `ops.forward` is to keep of each stage: as the layer says, else as the model does, else all."""
        if isinstance(self.memory_budget, int):
            return max(1, self.memory_budget // len(self.stages))
        return self.memory_budget or call.run.memory_budget or "full"

    def get_config(self) -> dict[str, Any]:
        for stage in self.stages:
            stage.check_config(self.name)
        return super().get_config() | {"cell": serialize(self.cell)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> RNN:
        return cls(**{**config, "cell": deserialize(config["cell"])})

    def trainable_parameters(self) -> list[Any]:
        if not self.trainable:
            return []
        return [parameter for stage in self.stages if stage.trainable for parameter in stage.parameters]

    # Shapes ----------------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        first, *rest = input_shape if isinstance(input_shape, list) else [input_shape]
        if all(isinstance(stage, Cell) for stage in self.stages):
            check_rank(self.name, first, 3, "(batch, steps, width)")
        elif len(first) < 3:
            raise ValueError(f"{self.name}: expected an input (batch, steps, ...), got {tuple(first)}")
        if first[-1] is None:
            raise ValueError(f"{self.name}: expected a known width, got (batch, {first[1]}, None)")
        sizes = [size for stage in self.stages for size in stage.state_sizes]
        if rest:
            self._check_state_shapes(rest, sizes)
        out: Shape = (first[0], first[1], self.output_size) if self.return_sequences else (first[0], self.output_size)
        return [out, *((first[0], size) for size in sizes)] if self.return_state else out

    def _check_state_shapes(self, shapes: Sequence[Shape], sizes: Sequence[int]) -> None:
        self._check_count(len(shapes))
        for name, shape, size in zip(self._state_names, shapes, sizes, strict=True):
            if len(shape) != 2 or shape[1] != size:
                raise ValueError(f"{self.name}: initial_state: {name}: expected (batch, {size}), got {tuple(shape)}")

    def _check_count(self, count: int) -> None:
        if count != len(self._state_names):
            raise ValueError(
                f"{self.name}: initial_state: expected {len(self._state_names)} arrays "
                f"({', '.join(self._state_names)}), got {count}"
            )

    def compute_mask(self, x: Any, mask: Any) -> Any:
        mask = (mask[0] if isinstance(mask, (list, tuple)) else mask) if self.return_sequences else None
        return [mask] + [None] * len(self._state_names) if self.return_state else mask

    def _build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        self._batch_size = shape[0]
        step = (shape[0], *shape[2:])
        for stage in self.stages:
            stage.build(step)
            step = (shape[0], stage.output_size)
        self.parameters = [parameter for stage in self.stages for parameter in stage.parameters]
        if self.path != "engine":
            warnings.warn(
                f"{self.name}: not on the engine's kernel but a {self.path}; it is many times slower",
                SlowPathWarning,
                stacklevel=2,
            )

    # States ----------------------------------------------------------------------------------------------------------

    def reset_state(self) -> None:
        """Start the next batch from zeros (stateful=True)."""
        self._carried = [None] * len(self.stages)

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    @property
    def states(self) -> list[Any] | None:
        """Copies of the states that the next batch starts from, or None where it starts from zeros."""
        return self._nested(self.state_arrays()) if self.state_arrays() else None

    def state_arrays(self) -> list[Array]:
        """Copies of the carried states in a flat list; none before the first batch."""
        return [state.copy() for states in self._carried if states is not None for state in states]

    def set_state_arrays(self, arrays: Sequence[Any]) -> None:
        """Set what `state_arrays` returns."""
        if not arrays:
            self.reset_state()
            return
        self._check_count(len(arrays))
        self._carried = self._grouped([np.array(array, self.dtype) for array in arrays])

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Zeros, or what the cells say, as `initial_state=` takes them."""
        return self._nested([state for stage in self.stages for state in stage.get_initial_state(batch_size)])

    def _grouped(self, flat: Sequence[Any]) -> list[States | None]:
        """States in a flat list -> a tuple for each stage."""
        groups: list[States | None] = []
        begin = 0
        for count in self._counts:
            groups.append(tuple(flat[begin : begin + count]))
            begin += count
        return groups

    def _nested(self, flat: Sequence[Any]) -> list[Any]:
        """States in a flat list -> as Keras nests them: a list for each of StackedRNNCells that has several."""
        if len(self.stages) == 1:
            return list(flat)
        return [group[0] if len(group) == 1 else list(group) for group in self._grouped(flat) if group is not None]

    def _start(self, given: Sequence[Array], batch: int) -> list[States | None]:
        """The states a batch starts from."""
        if self.stateful:
            self._check_batch(batch)
        if given:
            self._check_count(len(given))
            for name, state in zip(self._state_names, given, strict=True):
                if len(state) != batch:
                    raise ValueError(
                        f"{self.name}: initial_state: {name}: expected a batch of {batch} as x, got {len(state)}"
                    )
            return self._grouped([self.cast(state) for state in given])
        return self._carried if self.stateful else [None] * len(self.stages)

    def _check_batch(self, batch: int) -> None:
        if self._batch_size not in (None, batch):
            raise ValueError(
                f"{self.name}: x: expected a batch of {self._batch_size} as in its batch_shape (stateful=True keeps a "
                f"state for each row), got {batch}: build the layer with another batch_shape"
            )
        states = self._carried[0]
        if states is not None and len(states[0]) != batch:
            raise ValueError(
                f"{self.name}: x: expected a batch of {len(states[0])} as the one before (stateful=True keeps a state "
                f"for each row), got {batch}: call reset_states() before a batch of another size, or choose a "
                "batch_size that divides the number of samples"
            )

    # Calls -----------------------------------------------------------------------------------------------------------

    def __call__(
        self, inputs: Any, initial_state: Any = None, *, training: bool | None = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """Run the layer on arrays outside a model, or give it a place in one.

        inputs: (B, T, D), or [x, *states]; Tensors make a place in a model.
        initial_state: the states to start from, (B, H) each.
        training: whether dropout acts; in a model None leaves it to the model.
        mask: (B, T); in a model it comes from Embedding(mask_zero=True) or Masking.

        Returns new arrays, or Tensors.
        """
        result = super().__call__(inputs, training=training, mask=mask, initial_state=initial_state, **kwargs)
        if not self.return_state:
            return result
        out, *states = result
        return type(result)((out, *self._nested(states)))

    def _join_inputs(self, inputs: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        return join_states(self.name, inputs, kwargs)

    @property
    def final_activation(self) -> Any:
        return "linear"  # the cell's is inside its loop

    def forward(self, x: Any, call: Call) -> Any:
        several = isinstance(x, list)
        given: Sequence[Array] = ()
        if several:
            x, *given = x
        x = self.cast(x)
        starts = self._start(given, x.shape[0])
        mask = call.mask[0] if isinstance(call.mask, list) else call.mask
        hold = not self.zero_output_for_mask
        if mask is not None:
            mask = np.asarray(mask, bool).T
            check_mask(self.name, mask, x)
        y: Array | None = x.transpose(1, 0, *range(2, x.ndim))
        tape = self.tape_mode(call)
        last = len(self.stages) - 1
        finals: list[States] = []
        for i, stage in enumerate(self.stages):
            masked = "hold" if hold and i == last else "zero"
            how = Sweep(mask, masked, self.go_backwards, self.return_sequences or i < last, tape)
            assert y is not None
            y, final = stage.sweep(y, starts[i], how, call.child(i) if last else call)
            finals.append(final)
        states = [state for final in finals for state in final]
        if self.stateful:
            self._carried = list(finals)
        lead = None
        if mask is not None and hold and starts[last] is not None and self.stages[last].path == "engine":
            # the kernel holds the output before, which is 0 at first; Keras holds the state
            lead = leading_mask(mask, self.go_backwards)
        at_end = None
        if y is None:
            out = finals[last][0]
            if mask is not None and not hold and len(mask):
                at_end = mask[0 if self.go_backwards else -1][:, None]
                out = np.where(at_end, out, out.dtype.type(0))
        else:
            if lead is not None:
                start = starts[last]
                assert start is not None
                y[lead] = np.broadcast_to(start[0], y.shape)[lead]
            out = y.transpose(1, 0, 2)
            if self.go_backwards:
                out = out[:, ::-1]
        if call.run.training:
            call.kept = (several, lead, at_end, call.kept)
        return (out, *states) if self.return_state else out

    def backward(self, dy: Any, call: Call) -> Any:
        several, lead, at_end, call.kept = call.kept
        flat: list[Array | None] = [None] * len(self._state_names)
        if self.return_state:
            dy, *rest = dy
            flat = [None if d is None else self.cast(d) for d in rest]
        dstates: list[list[Array | None]] = [list(group or ()) for group in self._grouped(flat)]
        dy = None if dy is None else self.cast(dy)
        held = None
        if not self.return_sequences:
            if dy is not None and at_end is not None:
                dy = np.where(at_end, dy, dy.dtype.type(0))
            dstates[-1][0], dy = add(dstates[-1][0], dy), None
        elif dy is not None:
            dy = (dy[:, ::-1] if self.go_backwards else dy).transpose(1, 0, 2)
            if lead is not None:
                held = np.where(lead[..., None], dy, 0).sum(axis=0, dtype=self.dtype)
        before: list[Any] = []
        for i in range(len(self.stages) - 1, -1, -1):
            inner = call
            if len(self.stages) > 1:
                inner = call.child(i)
                inner.need_dx = call.need_dx or i > 0
            dy, starts = self.stages[i].sweep_backward(dy, dstates[i], inner)  # dx of a stage is dy of the one below
            before = [*starts, *before]
        if held is not None:
            first = len(before) - self._counts[-1]
            before[first] = before[first] + held
        if not call.need_dx:
            return None
        dx = dy.transpose(1, 0, *range(2, dy.ndim))
        return [dx, *before] if several else dx


class Recurrent(RNN):
    """Base of LSTM, GRU and SimpleRNN: an RNN that makes its own cell, whose arguments are the layer's.

    A subclass names its cell's class.
    """

    cell_class: ClassVar[type[Cell]]

    def __init__(self, units: int, *, use_cudnn: bool | str = "auto", **given: Any) -> None:
        kind = type(self).__name__
        if use_cudnn not in ("auto", False):
            raise ValueError(f"{kind}: use_cudnn={use_cudnn!r} is not supported: pyrnn runs on the CPU")
        names = {*inspect.signature(self.cell_class).parameters, *Cell.arguments, "implementation"} - {"kwargs"}
        mine = {name: given.pop(name) for name in list(given) if name in names}
        self.use_cudnn = use_cudnn
        cell = self.cell_class(
            units,
            **mine,
            owner=kind,
            dtype=given.get("dtype"),
            trainable=given.get("trainable", True),
        )
        super().__init__(cell, **given)

    @property
    def activation(self) -> Any:
        """That of the cell."""
        return self.cell.activation

    def __getattr__(self, name: str) -> Any:
        """The cell's arguments and weights: `layer.units`, `layer.dropout`, ..."""
        cell = self.__dict__.get("cell")
        if cell is None or not (name in cell.arguments or name in ("weights", "parameter", "dropout_scales")):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(cell, name)

    def get_config(self) -> dict[str, Any]:
        config = Layer.get_config(self)
        own = {name: value for name, value in self.cell.get_config().items() if name in self.cell.arguments}
        return config | own

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Recurrent:
        return cls(**config)
