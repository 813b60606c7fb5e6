"""What the recurrent cells have in common: weights, and one stage of a recurrent layer over a whole sequence.

A stage runs on the engine's kernel, one call for all steps, where the engine has the cell with these activations;
else it is a loop over `step` and `step_backward` (layers/loop.py). `path` says which.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from pyrnn import activations, constraints, initializers, ops, regularizers
from pyrnn._engine import cells
from pyrnn._types import Array, Shape, float_dtype
from pyrnn.layers import loop
from pyrnn.layers.arguments import check_flag, check_positive, check_rank, check_rate
from pyrnn.layers.base import Call, Layer
from pyrnn.layers.parameters import Parameter, RecurrentParameter
from pyrnn.layers.tensor import Tensor
from pyrnn.utils import next_seed

CELLS: Mapping[str, Mapping[str, Any]] = {facts["name"]: facts for facts in cells()}

States = tuple[Array, ...]


class Sweep(NamedTuple):
    """How a stage goes over its sequence.

    mask: (T, B) or None; masked: "zero" or "hold".
    reverse: from the last step to the first.
    sequences: y of every step is wanted.
    tape: what `ops.forward` is to keep in training.
    """

    mask: Array | None = None
    masked: str = "zero"
    reverse: bool = False
    sequences: bool = False
    tape: int | str = "full"


class Cell(Layer):
    """Base of SimpleRNNCell, GRUCell and LSTMCell.

    A subclass says which cell of the engine it is (`engine_cell`, None where its activations are others), and writes
    one step and its adjoint for the other case.
    """

    arguments: ClassVar[tuple[str, ...]] = (
        "units",
        "activation",
        "use_bias",
        "kernel_initializer",
        "recurrent_initializer",
        "bias_initializer",
        "kernel_regularizer",
        "recurrent_regularizer",
        "bias_regularizer",
        "kernel_constraint",
        "recurrent_constraint",
        "bias_constraint",
        "dropout",
        "recurrent_dropout",
        "seed",
        "precision",
    )
    several_inputs = True
    # what each activation must be for the engine's kernel
    engine_activations: ClassVar[Mapping[str, tuple[str, ...]]] = {"activation": ("tanh",)}

    def __init__(
        self,
        units: int,
        *,
        activation: Any,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        implementation: int = 2,
        precision: ops.Precision | None = None,
        owner: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__ if owner is None else owner
        self.units = check_positive(kind, "units", units)
        float_dtype(kwargs.get("dtype"), kind)
        self.activation = activations.get(activation, f"{kind}: activation")
        self.use_bias = check_flag(kind, "use_bias", use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer, f"{kind}: kernel_initializer")
        self.recurrent_initializer = initializers.get(recurrent_initializer, f"{kind}: recurrent_initializer")
        self.bias_initializer = initializers.get(bias_initializer, f"{kind}: bias_initializer")
        self.kernel_regularizer = regularizers.get(kernel_regularizer, f"{kind}: kernel_regularizer")
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer, f"{kind}: recurrent_regularizer")
        self.bias_regularizer = regularizers.get(bias_regularizer, f"{kind}: bias_regularizer")
        self.kernel_constraint = constraints.get(kernel_constraint, f"{kind}: kernel_constraint")
        self.recurrent_constraint = constraints.get(recurrent_constraint, f"{kind}: recurrent_constraint")
        self.bias_constraint = constraints.get(bias_constraint, f"{kind}: bias_constraint")
        self.dropout = check_rate(kind, "dropout", dropout)
        self.recurrent_dropout = check_rate(kind, "recurrent_dropout", recurrent_dropout)
        self.seed = _check_seed(kind, seed)
        if implementation not in (0, 1, 2):
            raise ValueError(f"{kind}: implementation: expected 0, 1 or 2, got {implementation!r}")
        self.precision = _check_precision(kind, precision, kwargs.get("dtype"))
        if self.precision is not None and self.engine_cell is None:
            raise ValueError(f"{kind}: precision: expected None with {', '.join(self.other_activations())}, got 'bf16'")
        super().__init__(**kwargs)

    # What a subclass writes ------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _engine_name(self) -> str:
        """The engine's name of the cell with the usual activations."""

    @abstractmethod
    def step(self, x: Array, states: Sequence[Array], scales: loop.Scales = (None, None)) -> loop.Step:
        """One step in NumPy: x (B, D), states (B, H) each -> y (B, H), the new states, what `step_backward` needs."""

    @abstractmethod
    def step_backward(
        self, dy: Array, dstates: Sequence[Array], kept: Any, scales: loop.Scales = (None, None)
    ) -> tuple[Array, States]:
        """The adjoint of `step`: gradients of y and of the new states -> of x and of the states."""

    # Facts -----------------------------------------------------------------------------------------------------------

    def other_activations(self) -> list[str]:
        """The activations that the engine's kernel does not have, as "name=value"."""
        found = []
        for argument, known in self.engine_activations.items():
            value = getattr(self, argument)
            if value not in known:
                found.append(f"{argument}={getattr(value, 'name', value)}")
        return found

    @property
    def engine_cell(self) -> str | None:
        """The engine's name of the cell, or None where it has no kernel with these activations."""
        return None if self.other_activations() else self._engine_name

    @property
    def path(self) -> str:
        """What runs the cell: "engine", or "per-step loop" and why."""
        others = self.other_activations()
        return f"per-step loop: {', '.join(others)}" if others else "engine"

    @property
    def _facts(self) -> Mapping[str, Any]:
        return CELLS[self._engine_name]

    @property
    def state_names(self) -> list[str]:
        """Names of the states: h, or h and c."""
        names: list[str] = self._facts["states"]
        return names

    @property
    def state_size(self) -> int | list[int]:
        """H, or [H, H] where there are two states."""
        count = len(self.state_names)
        return self.units if count == 1 else [self.units] * count

    @property
    def state_sizes(self) -> list[int]:
        """Widths of the states, always a list."""
        return [self.units] * len(self.state_names)

    @property
    def output_size(self) -> int:
        """H, width of the output."""
        return self.units

    def get_initial_state(self, batch_size: int | None = None) -> list[Array]:
        """Zeros (B, H), one array a state."""
        if batch_size is None:
            raise ValueError(f"{self.name}: get_initial_state: expected a batch_size, got None")
        return [np.zeros((batch_size, size), self.dtype) for size in self.state_sizes]

    def check_config(self, owner: str) -> None:
        """Whether a file can name the cell: yes."""

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            name: activations_config(getattr(self, name)) for name in self.engine_activations
        }

    # Weights ---------------------------------------------------------------------------------------------------------

    def initial_bias(self) -> Array:
        """Values of the bias: (G*H) or, with two rows, (2, G*H)."""
        width = len(self._facts["gates"]) * self.units
        rows = self._facts["bias_rows"]
        return self.bias_initializer((width,) if rows == 1 else (rows, width), self.dtype)

    def _build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        width, columns = shape[-1], len(self._facts["gates"]) * self.units
        kernel = self.kernel_initializer((width, columns), self.dtype)
        recurrent = self.recurrent_initializer((self.units, columns), self.dtype)
        bias = self.initial_bias() if self.use_bias else None
        penalties = (self.kernel_regularizer, self.recurrent_regularizer, self.bias_regularizer)
        limits = (self.kernel_constraint, self.recurrent_constraint, self.bias_constraint)
        self._dropout_seed = next_seed() if self.seed is None else self.seed
        cell = self.engine_cell
        self._fast = cell is not None
        if cell is None:
            names = ("kernel", "recurrent_kernel", "bias")[: 3 if self.use_bias else 2]
            self.parameters = [
                Parameter(name, value, regularizer=penalty, constraint=limit)
                for name, value, penalty, limit in zip(
                    names, (kernel, recurrent, bias), penalties, limits, strict=False
                )
                if value is not None
            ]
            return
        self.weights = ops.Weights(cell, kernel, recurrent, bias, self.precision)
        count = 3 if self.use_bias else 2
        self.parameter = RecurrentParameter(
            self.weights, self.use_bias, regularizers=penalties[:count], constraints=limits[:count]
        )
        self.parameters = [self.parameter]

    def dropout_scales(self, batch: int, call: Call, first: int = 0) -> loop.Scales:
        """Multipliers of the input (B, D) and of the recurrent operand (B, H), one mask a sequence (Gal 2016)."""
        if not call.run.training or not (self.dropout or self.recurrent_dropout):
            return None, None
        scales: list[Array | None] = []
        width = self.input_width
        for i, (rate, size) in enumerate(((self.dropout, width), (self.recurrent_dropout, self.units))):
            scales.append(
                ops.dropout_scales(
                    (batch, size),
                    rate,
                    seed=self._dropout_seed,
                    step=call.run.step,
                    layer=(call.key * 4 + first + i) % 2**32,
                    dtype=self.dtype,
                )
                if rate
                else None
            )
        return scales[0], scales[1]

    @property
    def input_width(self) -> int:
        """D, width of the input."""
        return int(self.parameters[0].shapes[0][0])

    # A stage of a recurrent layer ------------------------------------------------------------------------------------

    def sweep(self, x: Array, states: States | None, how: Sweep, call: Call) -> tuple[Array | None, States]:
        """x (T, B, D) and initial states -> y (T, B, H), or None without sequences, and the final states."""
        training = call.run.training
        scales = self.dropout_scales(x.shape[1], call)
        if not self._fast:
            return loop.forward(self, x, states, how, call, scales)
        x_scale, h_scale = scales
        state = states if states is None or len(states) > 1 else states[0]
        y, after, tape = ops.forward(
            self.weights.cell,
            x,
            self.weights,
            state=state,
            mask=how.mask,
            masked=how.masked,
            reverse=how.reverse,
            x_scale=x_scale,
            h_scale=h_scale,
            sequences=how.sequences,
            tape=(call.tape or how.tape) if training else False,
        )
        if training:
            call.kept, call.tape = tape, None
        return y, after if isinstance(after, tuple) else (after,)

    def sweep_backward(
        self, dy: Array | None, dstates: Sequence[Array | None], call: Call
    ) -> tuple[Array | None, States]:
        """Gradients of y and of the final states -> of x, where `call.need_dx`, and of the initial states."""
        if not self._fast:
            return loop.backward(self, dy, dstates, call)
        gradients = self.parameter.gradients = ops.backward(
            call.kept,
            dy,
            dstates_argument(dstates, call, self.dtype),
            need_dx=call.need_dx,
            into=self.parameter.gradients,
        )
        call.tape = call.kept
        state = gradients.state
        return (gradients.x if call.need_dx else None), state if isinstance(state, tuple) else (state,)

    # The cell by itself: one step ------------------------------------------------------------------------------------

    def __call__(self, inputs: Any, states: Any = None, *, training: bool | None = None, **kwargs: Any) -> Any:
        """One step: inputs (B, D), states: list of (B, H) -> (output (B, H), list of the new states).

        Of arrays or, for a place in a model, of Tensors.
        """
        if states is None:
            raise ValueError(f"{self.name}: states: expected {len(self.state_names)} arrays, got None")
        given = list(states) if isinstance(states, (list, tuple)) else [states]
        if len(given) != len(self.state_names):
            raise ValueError(
                f"{self.name}: states: expected {len(self.state_names)} arrays ({', '.join(self.state_names)}), "
                f"got {len(given)}"
            )
        if not any(isinstance(array, Tensor) for array in (inputs, *given)):
            inputs, *given = (np.asarray(array) for array in (inputs, *given))
        output, *after = super().__call__([inputs, *given], training=training, **kwargs)
        return output, after

    def compute_output_shape(self, input_shape: Any) -> list[Shape]:
        if not isinstance(input_shape, list):
            input_shape = [input_shape]
        first, *rest = input_shape
        check_rank(self.name, first, 2, "(batch, width)")
        if first[-1] is None:
            raise ValueError(f"{self.name}: expected a known width, got {first}")
        for shape in rest:
            if len(shape) != 2 or shape[-1] not in (None, self.units):
                raise ValueError(f"{self.name}: states: expected (batch, {self.units}), got {tuple(shape)}")
        return [(first[0], self.units)] * (1 + len(self.state_names))

    def forward(self, x: Any, call: Call) -> Any:
        inputs, *states = x
        arrays = tuple(self.cast(np.asarray(state)) for state in states)
        _, after = self.sweep(self.cast(inputs)[None], arrays, Sweep(), call)
        return (after[0], *after)

    def backward(self, dy: Any, call: Call) -> Any:
        dh, *dstates = (None if d is None else self.cast(d) for d in dy)
        dstates[0] = add(dh, dstates[0])
        dx, before = self.sweep_backward(None, dstates, call)
        return [dx[0], *before] if dx is not None else None

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return None


def add(a: Array | None, b: Array | None) -> Array | None:
    """a + b, where None is 0."""
    if a is None or b is None:
        return b if a is None else a
    total: Array = a + b
    return total


def activations_config(activation: Any) -> Any:
    """An activation as a config knows it: its name."""
    if isinstance(activation, str):
        return activation
    return activations.serialize(activation)  # type: ignore[attr-defined,unused-ignore]


def dstates_argument(dstates: Sequence[Array | None], call: Call, dtype: Any) -> Any:
    """Gradients into the final states as `ops` takes them; None where there are none at all."""
    given = next((d for d in dstates if d is not None), None)
    if given is None:
        return None
    if len(dstates) == 1:
        return given
    zeros = call.buffer("zeros", given.shape, dtype)
    return tuple(zeros if d is None else d for d in dstates)


def _check_seed(kind: str, seed: Any) -> int | None:
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"{kind}: seed: expected an integer or None, got {seed!r}")
    if seed < 0:
        raise ValueError(f"{kind}: seed: expected an integer >= 0, got {seed}")
    return int(seed)


def _check_precision(kind: str, precision: Any, dtype: Any) -> ops.Precision | None:
    if precision is not None and precision != "bf16":
        raise ValueError(f"{kind}: precision: expected None or 'bf16', got {precision!r}")
    if precision is not None and float_dtype(dtype, kind) != np.float32:
        raise TypeError(f"{kind}: precision: expected None with dtype float64, got 'bf16', whose sums are float32")
    return "bf16" if precision is not None else None
