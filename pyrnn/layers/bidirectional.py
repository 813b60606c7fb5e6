"""One recurrent layer in each direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pyrnn import ops
from pyrnn._types import Array, Shape
from pyrnn.layers.base import Call, Layer, check_rank, deserialize, serialize
from pyrnn.layers.recurrent import Recurrent

MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """Reads a sequence from both ends with two layers of the same kind, each with weights of its own.

    layer: an LSTM, GRU or SimpleRNN; it reads forward, a copy of it backward.
    merge_mode: how the two outputs are combined: "concat", "sum", "mul", "ave", or None for a pair.
    backward_layer: the layer that reads backward, of the same class and size, with go_backwards=True.

    Input (B, T, D). Output (B, 2H) or (B, T, 2H) with "concat", (B, H) or (B, T, H) else; y[:, t] of both directions
    belongs to step t. With return_state the states follow, those of the forward layer first.
    Weights: those of the forward layer, then those of the backward layer.

    >>> import numpy as np
    >>> from pyrnn.layers import GRU
    >>> Bidirectional(GRU(3, return_sequences=True))(np.ones((2, 5, 4), np.float32)).shape
    (2, 5, 6)

    Schuster & Paliwal 1997, Bidirectional recurrent neural networks, IEEE Transactions on Signal Processing 45(11).
    """

    unsupported: ClassVar[Mapping[str, tuple[Any, str]]] = {"weights": (None, "use set_weights()")}

    def __init__(
        self,
        layer: Recurrent,
        merge_mode: str | None = "concat",
        backward_layer: Recurrent | None = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, Recurrent):
            raise TypeError(f"Bidirectional: layer: expected an LSTM, GRU or SimpleRNN, got {layer!r}")
        if merge_mode not in MERGE_MODES:
            raise ValueError(f"Bidirectional: merge_mode: expected one of {MERGE_MODES}, got {merge_mode!r}")
        if layer.built:
            raise ValueError("Bidirectional: layer: expected a layer without input_shape=; give it to Bidirectional")
        config = layer.get_config()
        if backward_layer is None:
            backward_layer = type(layer)(**(config | {"go_backwards": True}))
        self._check_pair(layer, backward_layer)
        self.forward_layer, self.backward_layer = layer, backward_layer
        self.forward_layer.name, self.backward_layer.name = f"forward_{config['name']}", f"backward_{config['name']}"
        self.merge_mode = merge_mode
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        kwargs.setdefault("dtype", layer.dtype)
        super().__init__(**kwargs)

    @staticmethod
    def _check_pair(layer: Recurrent, other: Recurrent) -> None:
        if type(other) is not type(layer) or other.built:
            raise TypeError(f"Bidirectional: backward_layer: expected a new {type(layer).__name__}, got {other!r}")
        for argument, given, expected in (("layer", layer, False), ("backward_layer", other, True)):
            if given.go_backwards is not expected:
                raise ValueError(f"Bidirectional: {argument}: expected go_backwards={expected}, got {not expected}")
        for argument in (
            "cell",
            "units",
            "dtype",
            "return_sequences",
            "return_state",
            "zero_output_for_mask",
            "memory_budget",
            "precision",
        ):
            a, b = getattr(layer, argument), getattr(other, argument)
            if a != b:
                raise ValueError(f"Bidirectional: backward_layer: expected {argument} {a!r} like layer's, got {b!r}")

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
        layer, other = deserialize(config["layer"]), deserialize(config["backward_layer"])
        assert isinstance(layer, Recurrent)
        assert isinstance(other, Recurrent)
        return cls(**{**config, "layer": layer, "backward_layer": other})

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        check_rank(self.name, input_shape, 3, "(batch, steps, width)")
        shape = self.forward_layer.compute_output_shape(input_shape)
        return (*shape[:-1], 2 * self.forward_layer.units) if self.merge_mode == "concat" else shape

    def compute_mask(self, x: Array, mask: Array | None) -> Array | None:
        return self.forward_layer.compute_mask(x, mask)

    def _build(self, input_shape: Shape) -> None:
        self.forward_layer.build(input_shape)
        self.backward_layer.build(input_shape)
        self.parameters = [*self.forward_layer.parameters, *self.backward_layer.parameters]

    @property
    def budget_shares(self) -> int:
        return self.forward_layer.budget_shares + self.backward_layer.budget_shares

    def tape_mode(self, call: Call) -> int | str:
        """What `ops.forward_both` is to keep: a budget in bytes is that of one layer."""
        mode = self.forward_layer.tape_mode(call)
        return mode if isinstance(mode, str) else 2 * mode

    def forward(self, x: Array, call: Call, initial_state: Any = None) -> Any:
        x = self.cast(x)
        batch, steps = x.shape[:2]
        training = call.run.training
        first, second = self.forward_layer, self.backward_layer
        scales = [layer.dropout_scales(batch, call, 2 * i) for i, layer in enumerate((first, second))]
        out = None
        joined = None
        if self.return_sequences and self.merge_mode == "concat":
            units = self.forward_layer.units
            joined = np.empty((batch, steps, 2 * units), self.dtype)
            out = (joined[..., :units].transpose(1, 0, 2), joined[..., units:].transpose(1, 0, 2))
        ys, states, tape = ops.forward_both(
            first.cell,
            x.transpose(1, 0, 2),
            first.weights,
            second.weights,
            self._state_pair(initial_state),
            mask=None if call.mask is None else call.mask.T,
            masked=first._masked,
            x_scale=_pair_or_none(scales[0][0], scales[1][0]),
            h_scale=_pair_or_none(scales[0][1], scales[1][1]),
            sequences=self.return_sequences,
            tape=(call.tape or self.tape_mode(call)) if training else False,
            out=out,
        )
        each = [list(s) if isinstance(s, tuple) else [s] for s in states]
        if ys is not None:
            outputs = [y.transpose(1, 0, 2) for y in ys]
        else:
            outputs = [each[0][0], each[1][0]]
        if training:
            call.kept, call.tape = (tape, outputs), None
        y = self._merge(outputs, joined)
        if not self.return_state:
            return y
        return (*(y if self.merge_mode is None else [y]), *each[0], *each[1])

    def _merge(self, outputs: list[Array], joined: Array | None) -> Any:
        a, b = outputs
        if self.merge_mode == "concat":
            return joined if joined is not None else np.concatenate((a, b), axis=-1)
        if self.merge_mode is None:
            return a, b
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) * self.dtype.type(0.5)

    def _split(self, dy: Any, outputs: list[Array]) -> tuple[Array, Array]:
        """Gradients of the two outputs."""
        if self.merge_mode is None:
            return self.cast(dy[0]), self.cast(dy[1])
        dy = self.cast(dy)
        if self.merge_mode == "concat":
            units = self.forward_layer.units
            return dy[..., :units], dy[..., units:]
        if self.merge_mode == "mul":
            return dy * outputs[1], dy * outputs[0]
        if self.merge_mode == "ave":
            dy = dy * self.dtype.type(0.5)
        return dy, dy

    def backward(self, dy: Any, call: Call) -> Array | None:
        tape, outputs = call.kept
        count = len(self.forward_layer._states)
        dstates: list[tuple[Array | None, ...]] = [(None,) * count, (None,) * count]
        if self.return_state:
            n = 2 if self.merge_mode is None else 1
            given = tuple(dy[n:])
            dy = dy[:n] if self.merge_mode is None else dy[0]
            dstates = [given[:count], given[count:]]
        halves = self._split(dy, outputs)
        if not self.return_sequences:
            for i, dh in enumerate(halves):
                h = dstates[i][0]
                dstates[i] = (dh if h is None else dh + h, *dstates[i][1:])
        dstate = tuple(self.forward_layer._dstate_argument(given, call) for given in dstates)
        a, b = self.forward_layer.parameter, self.backward_layer.parameter
        a.gradients, b.gradients = ops.backward_both(
            tape,
            tuple(half.transpose(1, 0, 2) for half in halves) if self.return_sequences else None,
            None if dstate[0] is None and dstate[1] is None else dstate,
            need_dx=call.need_dx,
            into=None if a.gradients is None or b.gradients is None else (a.gradients, b.gradients),
        )
        call.tape = tape
        return (a.gradients.x + b.gradients.x).transpose(1, 0, 2) if call.need_dx else None

    def _state_pair(self, initial_state: Any) -> Any:
        if initial_state is None:
            return None
        count = len(self.forward_layer._states)
        if not isinstance(initial_state, (tuple, list)) or len(initial_state) != 2 * count:
            raise ValueError(
                f"{self.name}: initial_state: expected a list of {2 * count} arrays, forward layer's first"
            )
        pair = [self.forward_layer._state_argument(initial_state[i : i + count]) for i in (0, count)]
        return tuple(pair)


def _pair_or_none(a: Array | None, b: Array | None) -> tuple[Array | None, Array | None] | None:
    return None if a is None and b is None else (a, b)
