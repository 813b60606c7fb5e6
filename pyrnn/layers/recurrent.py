"""What LSTM, GRU and SimpleRNN have in common: one direction over a sequence, run by the engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import initializers, ops
from pyrnn._engine import cells
from pyrnn._types import Array, Shape, float_dtype
from pyrnn.layers.base import Call, Layer, check_flag, check_memory_budget, check_positive, check_rank, check_rate
from pyrnn.layers.parameters import RecurrentParameter
from pyrnn.utils import next_seed

CELLS: Mapping[str, Mapping[str, Any]] = {facts["name"]: facts for facts in cells()}


class Recurrent(Layer):
    """Base of the recurrent layers.

    A subclass says which cell of the engine it is (`cell`) and lists Keras's arguments in Keras's order.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "units",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "dropout",
        "recurrent_dropout",
        "seed",
        "return_sequences",
        "return_state",
        "go_backwards",
        "zero_output_for_mask",
        "memory_budget",
        "precision",
    )
    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {
        "stateful": (False, "use pyrnn.ops.pack(...).stream(), which owns its state, or initial_state="),
        "unroll": (False, "the engine loops over the steps itself"),
        "time_major": (False, "arrays are (batch, steps, width)"),
        "implementation": (2, "the engine chooses"),
        "use_cudnn": ("auto", "pyrnn runs on the CPU"),
        "reset_after": (True, "only GRU has it"),
    }
    weights: ops.Weights

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        return_sequences: bool,
        return_state: bool,
        go_backwards: bool,
        zero_output_for_mask: bool = False,
        memory_budget: int | str | None = None,
        precision: ops.Precision | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        self.units = check_positive(kind, "units", units)
        self.use_bias = check_flag(kind, "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, f"{kind}: kernel_initializer")
        self.recurrent_initializer = initializers.get(recurrent_initializer, f"{kind}: recurrent_initializer")
        self.bias_initializer = initializers.get(bias_initializer, f"{kind}: bias_initializer")
        self.dropout = check_rate(kind, "dropout", dropout)
        self.recurrent_dropout = check_rate(kind, "recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self.return_sequences = check_flag(kind, "return_sequences", return_sequences)
        self.return_state = check_flag(kind, "return_state", return_state)
        self.go_backwards = check_flag(kind, "go_backwards", go_backwards)
        self.zero_output_for_mask = check_flag(kind, "zero_output_for_mask", zero_output_for_mask)
        self.memory_budget = check_memory_budget(kind, memory_budget)
        self.precision = _check_precision(kind, precision, kwargs.get("dtype"))
        self._masked = "zero" if zero_output_for_mask else "hold"
        self._facts = CELLS[self.cell]
        self._states: list[str] = self._facts["states"]
        self._several_states = len(self._states) > 1
        super().__init__(**kwargs)

    @property
    @abstractmethod
    def cell(self) -> str:
        """The engine's name of the cell."""

    def initial_bias(self) -> Array:
        """Values of the bias: (G*H) or, with two rows, (2, G*H)."""
        width = len(self._facts["gates"]) * self.units
        rows = self._facts["bias_rows"]
        return self.bias_initializer((width,) if rows == 1 else (rows, width), self.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        if input_shape[2] is None:
            raise ValueError(f"{self.name}: expected a known width, got (batch, {input_shape[1]}, None)")
        return (input_shape[0], input_shape[1], self.units) if self.return_sequences else (input_shape[0], self.units)

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        return mask if self.return_sequences else None

    def _build(self, input_shape: Shape) -> None:
        width, columns = input_shape[2], len(self._facts["gates"]) * self.units
        assert width is not None
        self.weights = ops.Weights(
            self.cell,
            self.kernel_initializer((width, columns), self.dtype),
            self.recurrent_initializer((self.units, columns), self.dtype),
            self.initial_bias() if self.use_bias else None,
            self.precision,
        )
        self.parameter = RecurrentParameter(self.weights, self.use_bias)
        self.parameters = [self.parameter]
        self._dropout_seed = next_seed() if self.seed is None else self.seed

    def dropout_scales(self, batch: int, call: Call, first: int = 0) -> tuple[Array | None, Array | None]:
        """Multipliers of the input (B, D) and of the recurrent operand (B, H), one mask a sequence (Gal 2016)."""
        if not call.run.training or not (self.dropout or self.recurrent_dropout):
            return None, None
        scales: list[Array | None] = []
        for i, (rate, width) in enumerate(
            ((self.dropout, self.weights.inputs), (self.recurrent_dropout, self.weights.units))
        ):
            scales.append(
                ops.dropout_scales(
                    (batch, width),
                    rate,
                    seed=self._dropout_seed,
                    step=call.run.step,
                    layer=call.key * 4 + first + i,
                    dtype=self.dtype,
                )
                if rate
                else None
            )
        return scales[0], scales[1]

    @property
    def budget_shares(self) -> int:
        return int(self.memory_budget is None)

    def tape_mode(self, call: Call) -> int | str:
        """What `ops.forward` is to keep: as the layer says, else as the model does, else all."""
        return self.memory_budget or call.run.memory_budget or "full"

    def forward(self, x: Array, call: Call, initial_state: Any = None) -> Any:
        x = self.cast(x)
        batch = x.shape[0]
        training = call.run.training
        x_scale, h_scale = self.dropout_scales(batch, call)
        y, state, tape = ops.forward(
            self.cell,
            x.transpose(1, 0, 2),
            self.weights,
            state=self._state_argument(initial_state),
            mask=None if call.mask is None else call.mask.T,
            masked=self._masked,
            reverse=self.go_backwards,
            x_scale=x_scale,
            h_scale=h_scale,
            sequences=self.return_sequences,
            tape=(call.tape or self.tape_mode(call)) if training else False,
        )
        if training:
            call.kept, call.tape = tape, None
        states = state if self._several_states else (state,)
        if y is None:
            out = states[0]
        else:
            out = y.transpose(1, 0, 2)
            if self.go_backwards:
                out = out[:, ::-1]
        return (out, *states) if self.return_state else out

    def backward(self, dy: Any, call: Call) -> Array | None:
        dstates: tuple[Array | None, ...] = (None,) * len(self._states)
        if self.return_state:
            dy, *rest = dy
            dstates = tuple(rest)
        if self.return_sequences:
            dy = self.cast(dy)
            dy = (dy[:, ::-1] if self.go_backwards else dy).transpose(1, 0, 2)
        else:
            dy, dh = None, self.cast(dy)
            dstates = (dh if dstates[0] is None else dh + dstates[0], *dstates[1:])
        gradients = self.parameter.gradients = ops.backward(
            call.kept,
            dy,
            self._dstate_argument(dstates, call),
            need_dx=call.need_dx,
            into=self.parameter.gradients,
        )
        call.tape = call.kept
        return gradients.x.transpose(1, 0, 2) if call.need_dx else None

    def _state_argument(self, initial_state: Any) -> Any:
        """initial_state as `ops` takes it: h, or (h, c)."""
        if initial_state is None:
            return None
        states = initial_state if isinstance(initial_state, (tuple, list)) else [initial_state]
        if len(states) != len(self._states):
            raise ValueError(
                f"{self.name}: initial_state: expected {len(self._states)} arrays "
                f"({', '.join(self._states)}), got {len(states)}"
            )
        arrays = tuple(self.cast(np.asarray(state)) for state in states)
        return arrays if self._several_states else arrays[0]

    def _dstate_argument(self, dstates: Sequence[Array | None], call: Call) -> Any:
        """Gradients into the final states as `ops` takes them; None where there are none at all."""
        given = next((d for d in dstates if d is not None), None)
        if given is None:
            return None
        if not self._several_states:
            return dstates[0]
        zeros = call.buffer("zeros", given.shape, self.dtype)
        return tuple(zeros if d is None else self.cast(d) for d in dstates)


def _check_precision(kind: str, precision: Any, dtype: Any) -> ops.Precision | None:
    if precision is not None and precision != "bf16":
        raise ValueError(f"{kind}: precision: expected None or 'bf16', got {precision!r}")
    if precision is not None and float_dtype(dtype, kind) != np.float32:
        raise TypeError(f"{kind}: precision: expected None with dtype float64, got 'bf16', whose sums are float32")
    return "bf16" if precision is not None else None
