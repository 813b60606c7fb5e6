"""One recurrent layer in each direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array
from pyrnn.layers.base import Call, Layer, deserialize, serialize
from pyrnn.layers.cell import Cell, add, dstates_argument
from pyrnn.layers.recurrent import RNN
from pyrnn.layers.sequence_inputs import check_mask, join_states

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """Reads a sequence from both ends with two layers, each with weights of its own.

    layer: an LSTM, GRU, SimpleRNN or RNN(cell); it reads forward, a copy of it backward.
    merge_mode: how the two outputs are combined: "concat", "sum", "mul", "ave", or None for a pair.
    backward_layer: the layer that reads in the other direction. It may be of another class, and with "concat" or
        None of another size. Two layers that are alike run in one call of the engine, so that threads can split them.

    As in Keras, the layers' zero_output_for_mask is set to their return_sequences, whatever it was.

    Input (B, T, D). Output (B, 2H) or (B, T, 2H) with "concat", (B, H) or (B, T, H) else; y[:, t] of both directions
    belongs to step t. With return_state the states follow, those of the forward layer first; initial_state= takes them
    in that order. Weights: those of the forward layer, then those of the backward layer.

    Raises ValueError or TypeError naming the argument.

    >>> import numpy as np
    >>> from pyrnn.layers import GRU
    >>> Bidirectional(GRU(3, return_sequences=True))(np.ones((2, 5, 4), np.float32)).shape
    (2, 5, 6)

    Schuster & Paliwal 1997, Bidirectional recurrent neural networks, IEEE Transactions on Signal Processing 45(11).
    """

    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {"weights": (None, "use set_weights()")}

    def __init__(
        self,
        layer: RNN,
        merge_mode: str | None = "concat",
        weights: None = None,
        backward_layer: RNN | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, RNN):
            raise TypeError(f"Bidirectional: layer: expected an LSTM, GRU, SimpleRNN or RNN, got {layer!r}")
        if backward_layer is not None and not isinstance(backward_layer, RNN):
            raise TypeError(f"Bidirectional: backward_layer: expected a layer as layer, got {backward_layer!r}")
        if merge_mode not in MERGE_MODES:
            raise ValueError(f"Bidirectional: merge_mode: expected one of {MERGE_MODES}, got {merge_mode!r}")
        self.merge_mode = merge_mode
        if backward_layer is None:
            backward_layer = _reversed_copy(layer)
        self._check_pair(layer, backward_layer)
        self.forward_layer, self.backward_layer = layer, backward_layer
        for one, prefix in ((layer, "forward_"), (backward_layer, "backward_")):
            one.name = prefix + one.name.removeprefix("forward_").removeprefix("backward_")
            one.zero_output_for_mask = one.return_sequences
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        self.stateful = layer.stateful
        kwargs.setdefault("dtype", layer.dtype)
        super().__init__(weights=weights, **kwargs)

    def _check_pair(self, layer: RNN, other: RNN) -> None:
        for argument, given in (("layer", layer), ("backward_layer", other)):
            if given.built:
                raise ValueError(
                    f"Bidirectional: {argument}: expected a layer without input_shape=; give it to Bidirectional"
                )
        if other is layer or any(stage is one for stage in other.stages for one in layer.stages):
            raise ValueError("Bidirectional: backward_layer: expected a layer of its own, got layer's weights")
        if other.go_backwards == layer.go_backwards:
            raise ValueError(
                f"Bidirectional: backward_layer: expected go_backwards={not layer.go_backwards}, got "
                f"{other.go_backwards}, as layer has"
            )
        names = ("stateful", "return_sequences", "return_state", "dtype")
        for argument in names if self.merge_mode in ("concat", None) else (*names, "output_size"):
            a, b = getattr(layer, argument), getattr(other, argument)
            if a != b:
                raise ValueError(f"Bidirectional: backward_layer: expected {argument} {a!r} like layer's, got {b!r}")

    # Facts -----------------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """What runs the layers: "engine", or "per-step loop" and why."""
        return next((one.path for one in self._layers if one.path != "engine"), "engine")

    @property
    def _layers(self) -> tuple[RNN, RNN]:
        return self.forward_layer, self.backward_layer

    @property
    def budget_shares(self) -> int:
        return self.forward_layer.budget_shares + self.backward_layer.budget_shares

    def tape_mode(self, call: Call) -> int | str:
        """What `ops.forward_both` is to keep: a budget in bytes is that of one layer."""
        mode = self.forward_layer.tape_mode(call)
        return mode if isinstance(mode, str) else 2 * mode

    def trainable_parameters(self) -> list[Any]:
        return [p for layer in self._layers for p in layer.trainable_parameters()] if self.trainable else []

    def get_config(self) -> dict[str, Any]:
        inner = []
        for layer, prefix in ((self.forward_layer, "forward_"), (self.backward_layer, "backward_")):
            config = serialize(layer)
            config["config"]["name"] = config["config"]["name"].removeprefix(prefix)
            inner.append(config)
        return super().get_config() | {
            "layer": inner[0],
            "merge_mode": self.merge_mode,
            "backward_layer": inner[1],
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Bidirectional:
        layers = {name: deserialize(config[name]) for name in ("layer", "backward_layer")}
        return cls(**{**config, **layers})

    # Shapes ----------------------------------------------------------------------------------------------------------

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = self._output_shapes(input_shape)
        a, b = (list(s) if isinstance(s, list) else [s] for s in shapes)
        if self.merge_mode is None:
            out = [a[0], b[0]]
        elif self.merge_mode == "concat":
            out = [(*a[0][:-1], a[0][-1] + b[0][-1])]
        else:
            out = [a[0]]
        if len(out) == 1 and not self.return_state:
            return out[0]
        return [*out, *a[1:], *b[1:]]

    def _output_shapes(self, input_shape: Any) -> list[Any]:
        if not isinstance(input_shape, list):
            return [layer.compute_output_shape(input_shape) for layer in self._layers]
        x, *states = input_shape
        return [
            layer.compute_output_shape([x, *half])
            for layer, half in zip(self._layers, self._halves(states), strict=True)
        ]

    def _halves(self, states: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The states of the forward layer and those of the backward layer."""
        counts = [sum(layer._counts) for layer in self._layers]
        if states and len(states) != sum(counts):
            raise ValueError(
                f"{self.name}: initial_state: expected a list of {sum(counts)} arrays, forward layer's first, got "
                f"{len(states)}"
            )
        return states[: counts[0]], states[counts[0] :]

    def compute_mask(self, x: Any, mask: Any) -> Any:
        mask = (mask[0] if isinstance(mask, (list, tuple)) else mask) if self.return_sequences else None
        outputs = 2 if self.merge_mode is None else 1
        states = sum(sum(layer._counts) for layer in self._layers) if self.return_state else 0
        return [mask] * outputs + [None] * states if outputs + states > 1 else mask

    def _build(self, input_shape: Any) -> None:
        shape = input_shape[0] if isinstance(input_shape, list) else input_shape
        self.forward_layer.build(shape)
        self.backward_layer.build(shape)
        self.parameters = [*self.forward_layer.parameters, *self.backward_layer.parameters]
        self._alike = self._find_alike()

    def _find_alike(self) -> bool:
        """Whether both layers run in one call of the engine."""
        a, b = self._layers
        if self.path != "engine" or a.go_backwards or len(a.stages) != 1 or len(b.stages) != 1:
            return False
        one, other = a.stages[0], b.stages[0]
        assert isinstance(one, Cell)
        assert isinstance(other, Cell)
        return (one.engine_cell, one.units, one.precision, a.memory_budget) == (
            other.engine_cell,
            other.units,
            other.precision,
            b.memory_budget,
        )

    # States ----------------------------------------------------------------------------------------------------------

    def reset_state(self) -> None:
        """Start the next batch from zeros (stateful=True)."""
        for layer in self._layers:
            layer.reset_state()

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    @property
    def states(self) -> list[Any] | None:
        """Copies of the states that the next batch starts from, or None where it starts from zeros."""
        a, b = (layer.states for layer in self._layers)
        return None if a is None or b is None else [*a, *b]

    def state_arrays(self) -> list[Array]:
        """Copies of the carried states in a flat list; none before the first batch."""
        return [state for layer in self._layers for state in layer.state_arrays()]

    def set_state_arrays(self, arrays: Sequence[Any]) -> None:
        """Set what `state_arrays` returns."""
        for layer, half in zip(self._layers, self._halves(arrays), strict=True):
            layer.set_state_arrays(half)

    # Calls -----------------------------------------------------------------------------------------------------------

    def __call__(
        self, inputs: Any, initial_state: Any = None, *, training: bool | None = None, mask: Any = None, **kwargs: Any
    ) -> Any:
        """As `RNN.__call__`; initial_state: the states of the forward layer, then those of the backward layer."""
        return super().__call__(inputs, training=training, mask=mask, initial_state=initial_state, **kwargs)

    def _join_inputs(self, inputs: Any, kwargs: Mapping[str, Any]) -> tuple[Any, Mapping[str, Any]]:
        return join_states(self.name, inputs, kwargs)

    def forward(self, x: Any, call: Call) -> Any:
        several = isinstance(x, list)
        given: Sequence[Array] = ()
        if several:
            x, *given = x
        x = self.cast(x)
        mask = call.mask[0] if isinstance(call.mask, list) else call.mask
        halves = self._halves(given)
        joined, kept = None, None
        if self._alike:
            outputs, states, joined, kept = self._forward_both(x, mask, halves, call)
        else:
            outputs, states = self._forward_each(x, mask, halves, call)
        if call.run.training:
            call.kept = (several, outputs if self.merge_mode == "mul" else None, kept)
        y = self._merge(outputs, joined)
        if not self.return_state:
            return y
        return (*(y if self.merge_mode is None else [y]), *states)

    def _forward_each(
        self, x: Array, mask: Any, halves: Sequence[Sequence[Array]], call: Call
    ) -> tuple[list[Array], list[Array]]:
        """The layers one after the other."""
        outputs, states = [], []
        for i, layer in enumerate(self._layers):
            inner = call.child(i)
            inner.mask = mask
            y = layer.forward([x, *halves[i]] if halves[i] else x, inner)
            if self.return_state:
                y, *after = y
                states += after
            outputs.append(y[:, ::-1] if i and self.return_sequences else y)
        return outputs, states

    def _forward_both(
        self, x: Array, mask: Any, halves: Sequence[Sequence[Array]], call: Call
    ) -> tuple[list[Array], list[Array], Array | None, Any]:
        """Both layers in one call of the engine."""
        batch, steps = x.shape[:2]
        training = call.run.training
        cells = [layer.stages[0] for layer in self._layers]
        starts = [layer._start(half, batch)[0] for layer, half in zip(self._layers, halves, strict=True)]
        scales = [cell.dropout_scales(batch, call, 2 * i) for i, cell in enumerate(cells)]  # type: ignore[union-attr]
        if mask is not None:
            mask = np.asarray(mask, bool).T
            check_mask(self.name, mask, x)
        out = None
        joined = None
        if self.return_sequences and self.merge_mode == "concat":
            units = cells[0].output_size
            joined = np.empty((batch, steps, 2 * units), self.dtype)
            out = (joined[..., :units].transpose(1, 0, 2), joined[..., units:].transpose(1, 0, 2))
        first, second = (cell.weights for cell in cells)  # type: ignore[union-attr]
        ys, states, tape = ops.forward_both(
            first.cell,
            x.transpose(1, 0, 2),
            first,
            second,
            _state_pair(starts),
            mask=mask,
            masked="zero",
            x_scale=_pair_or_none(scales[0][0], scales[1][0]),
            h_scale=_pair_or_none(scales[0][1], scales[1][1]),
            sequences=self.return_sequences,
            tape=(call.tape or self.tape_mode(call)) if training else False,
            out=out,
        )
        if training:
            call.tape = None
        each = [s if isinstance(s, tuple) else (s,) for s in states]
        if self.stateful:
            for layer, final in zip(self._layers, each, strict=True):
                layer._carried = [final]
        outputs = [y.transpose(1, 0, 2) for y in ys] if ys is not None else [each[0][0], each[1][0]]
        return outputs, [*each[0], *each[1]], joined, tape

    def _merge(self, outputs: list[Array], joined: Array | None) -> Any:
        a, b = outputs
        if self.merge_mode == "concat":
            return joined if joined is not None else np.concatenate((a, b), axis=-1)
        if self.merge_mode is None:
            return a, b
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) * self.dtype.type(0.5)

    def _split(self, dy: Any, outputs: Any) -> tuple[Array | None, Array | None]:
        """Gradients of the two outputs."""
        if self.merge_mode is None:
            a, b = (None if d is None else self.cast(d) for d in dy)
            return a, b
        if dy is None:
            return None, None
        dy = self.cast(dy)
        if self.merge_mode == "concat":
            units = self.forward_layer.output_size
            return dy[..., :units], dy[..., units:]
        if self.merge_mode == "mul":
            return dy * outputs[1], dy * outputs[0]
        if self.merge_mode == "ave":
            dy = dy * self.dtype.type(0.5)
        return dy, dy

    def backward(self, dy: Any, call: Call) -> Any:
        several, outputs, tape = call.kept
        given: Sequence[Array | None] = ()
        if self.return_state:
            n = 2 if self.merge_mode is None else 1
            given = [None if d is None else self.cast(d) for d in dy[n:]]
            dy = dy[:n] if self.merge_mode is None else dy[0]
        halves = self._split(dy, outputs)
        if not self._alike:
            return self._backward_each(halves, self._halves(given), several, call)
        return self._backward_both(halves, self._halves(given), several, call, tape)

    def _backward_each(
        self, dys: Sequence[Array | None], dstates: Sequence[Sequence[Array | None]], several: bool, call: Call
    ) -> Any:
        dx: Array | None = None
        states: list[Any] = []
        for i, layer in enumerate(self._layers):
            dy = dys[i]
            if dy is not None and i and self.return_sequences:
                dy = dy[:, ::-1]
            inner = call.child(i)
            before = layer.backward((dy, *dstates[i]) if self.return_state else dy, inner)
            if not call.need_dx:
                continue
            if isinstance(before, list):
                before, *starts = before
                states += starts
            dx = add(dx, before)
        return [dx, *states] if several and call.need_dx else dx

    def _backward_both(
        self,
        dys: Sequence[Array | None],
        dstates: Sequence[Sequence[Array | None]],
        several: bool,
        call: Call,
        tape: Any,
    ) -> Any:
        count = self.forward_layer._counts[0]
        into_states = [list(d) or [None] * count for d in dstates]
        dy_pair: Any = None
        if not self.return_sequences:
            for d, dh in zip(into_states, dys, strict=True):
                d[0] = add(dh, d[0])
        elif dys[0] is not None or dys[1] is not None:
            dy_pair = tuple(None if dy is None else dy.transpose(1, 0, 2) for dy in dys)
        pair = tuple(dstates_argument(d, call, self.dtype) for d in into_states)
        a, b = (layer.stages[0].parameter for layer in self._layers)  # type: ignore[union-attr]
        a.gradients, b.gradients = ops.backward_both(
            tape,
            dy_pair,
            None if pair[0] is None and pair[1] is None else pair,
            need_dx=call.need_dx,
            into=None if a.gradients is None or b.gradients is None else (a.gradients, b.gradients),
        )
        call.tape = tape
        if not call.need_dx:
            return None
        dx = (a.gradients.x + b.gradients.x).transpose(1, 0, 2)
        if not several:
            return dx
        starts = [g.state if isinstance(g.state, tuple) else (g.state,) for g in (a.gradients, b.gradients)]
        return [dx, *starts[0], *starts[1]]


def _reversed_copy(layer: RNN) -> RNN:
    try:
        config = layer.get_config()
    except TypeError as error:
        raise TypeError(f"Bidirectional: backward_layer: expected a layer, got None: {error}") from None
    copy = type(layer).from_config(config | {"go_backwards": not layer.go_backwards})
    assert isinstance(copy, RNN)
    return copy


def _state_pair(starts: Sequence[Any]) -> Any:
    """Initial states as `ops.forward_both` takes them."""
    if starts[0] is None and starts[1] is None:
        return None
    return tuple(s if s is None or len(s) > 1 else s[0] for s in starts)


def _pair_or_none(a: Array | None, b: Array | None) -> tuple[Array | None, Array | None] | None:
    return None if a is None and b is None else (a, b)
