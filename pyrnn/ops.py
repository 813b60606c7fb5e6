"""The functional API over the engine: one call runs a cell over a sequence, forward or backward.

Letters: T time, B batch, D input width, H hidden units, G gates. x is (T, B, D), states are (B, H), and the weights are
W_x (D, G*H), W_h (H, G*H), b (G*H) in Keras's layout, or b (2, G*H) where the cell has an input and a recurrent bias.
All floating-point arrays of a call are float32, or all are float64.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from pyrnn import _engine
from pyrnn._engine import Gradients, Tape
from pyrnn._step_ops import adadelta_step, adagrad_step, adamax_step, nadam_step
from pyrnn._training_ops import (
    activation_backward,
    activation_forward,
    adam_step,
    batch_product,
    binary_cross_entropy_from_probabilities,
    cross_entropy_from_probabilities,
    dense_backward,
    dense_forward,
    dropout_scales,
    embedding_backward,
    embedding_forward,
    rmsprop_step,
    sgd_step,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    squared_error,
    sum_axis,
    sum_of_squares,
)
from pyrnn._types import Array
from pyrnn.data.dataset import DataArray

__all__ = [
    "Gradients",
    "Packed",
    "Stream",
    "Tape",
    "Weights",
    "activation_backward",
    "activation_forward",
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "adamax_step",
    "backward",
    "backward_both",
    "batch_product",
    "binary_cross_entropy_from_probabilities",
    "convert_to_numpy",
    "convert_to_tensor",
    "cross_entropy_from_probabilities",
    "dense_backward",
    "dense_forward",
    "dropout_scales",
    "embedding_backward",
    "embedding_forward",
    "forward",
    "forward_both",
    "nadam_step",
    "pack",
    "rmsprop_step",
    "sgd_step",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
    "sum_axis",
    "sum_of_squares",
]

State = Array | tuple[Array, ...]  # h, or (h, c)
Integers = Array | Sequence[int]
Both = tuple[Any, Any]  # one entry a direction
Precision = Literal["bf16"]


def forward(
    cell: str,
    x: Array,
    W_x: Array | Weights,
    W_h: Array | None = None,
    b: Array | None = None,
    state: State | None = None,
    *,
    extra: None = None,
    lengths: Integers | None = None,
    mask: Array | None = None,
    masked: str = "zero",
    resets: Array | None = None,
    reverse: bool = False,
    x_scale: Array | None = None,
    h_scale: Array | None = None,
    zoneout: Array | tuple[Array | None, ...] | None = None,
    sequences: bool = True,
    tape: bool | str | int | Tape = False,
    out: Array | None = None,
    threads: int | None = None,
    precision: Precision | None = None,
    _force: dict[str, Any] | None = None,
) -> tuple[Array | None, State, Tape | None]:
    """Run a cell over a sequence: h_t, c_t = cell(x_t W_x + h_{t-1} W_h + b, c_{t-1}).

    cell: "lstm", "gru" (two biases), "gru_reset_before", "rnn_tanh" or "rnn_relu".
    x: (T, B, D) inputs; time-major or batch-major in memory.
    W_x: (D, G*H) input weights, or `Weights` in place of W_x, W_h and b.
    W_h: (H, G*H) recurrent weights.
    b: (G*H) or (2, G*H) biases; None for zeros.
    state: (B, H) initial h, or the tuple (h, c); None for zeros.
    extra: further parameters of the cell; none of the cells has any.
    lengths: (B,) steps of each row, 0 to T; what lies behind is never read, y is 0 there.
    mask: (T, B) of bool; false steps carry the state.
    masked: y of a masked step: "zero", or "hold" for the previous y.
    resets: (T, B) of bool; true cuts the sequence between t - 1 and t.
    reverse: start at each row's last step; y keeps its time index.
    x_scale: (B, D) factors of x, the same at every step (dropout).
    h_scale: (B, H) factors of the h that W_h multiplies (recurrent dropout).
    zoneout: (T, B, H) share of the previous state that is kept, 0 to 1 or bool; or one a state, in a tuple.
    sequences: False for no y, only the final state.
    tape: True or "full" to keep what `backward` needs. "segments" keeps the least memory that is possible, a number the
        most that fits into so many bytes: the states here and there, from which `backward` computes the steps again, a
        segment at a time, to the same bits. Or a consumed Tape, whose memory and mode are used again.
    out: (T, B, H) array for y.
    threads: the most threads to use; None for `pyrnn.get_num_threads()`.
    precision: "bf16" to round what is multiplied to bfloat16, forward and backward; sums, states, gradients and all
        arrays of the call stay float32. None for the dtype; `Weights` say their own.

    Returns (y, state, tape): y (T, B, H) or None, the final h (B, H) or (h, c), and a Tape or None. A tape refers to x,
    which must not change before `backward`; `tape.nbytes` is the memory that it takes until then.
    Raises ValueError and TypeError that name the argument; KeyboardInterrupt leaves `out` as it was.

    >>> import numpy as np
    >>> x = np.ones((5, 3, 2), np.float32)
    >>> W_x, W_h = np.ones((2, 16), np.float32), np.zeros((4, 16), np.float32)
    >>> y, (h, c), tape = forward("lstm", x, W_x, W_h)
    >>> y.shape, h.shape, bool((y[-1] == h).all())
    ((5, 3, 4), (3, 4), True)

    References: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; Cho et al., 2014, arXiv:1406.1078; for the
    segments, Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, arXiv:1604.06174.
    """
    return _engine.forward(
        cell, x, W_x, W_h, b, state, extra, lengths, mask, masked, resets, reverse, x_scale, h_scale, zoneout,
        sequences, tape, out, threads, precision, _force,
    )  # fmt: skip


def backward(
    tape: Tape,
    dy: Array | dict[str, Array] | None = None,
    dstate: State | tuple[Array | None, ...] | None = None,
    *,
    need_dx: bool = True,
    into: Gradients | None = None,
    threads: int | None = None,
    _force: dict[str, Any] | None = None,
) -> Gradients:
    """Backpropagate through time: dL/da = sum over t of dL/dy_t dy_t/da, for every argument a of `forward`.

    tape: what `forward` returned for `tape=True` or another mode that keeps one; it is consumed.
    dy: (T, B, H) gradient of y; or a dict with any of "y" and the states' names ("h", "c"), whose arrays (T, B, H) are
        gradients into the states after every step.
    dstate: (B, H) gradient of the final h, or a tuple (h, c) in which None stands for zeros.
    need_dx: False to skip the gradient of x.
    into: Gradients of an earlier call; those of the parameters are added to it, x and state replaced.
    threads: the most threads to use.

    Returns Gradients: x (T, B, D), W_x, W_h, b, state like the initial state; with `Weights` also flat.
    Raises RuntimeError where the tape was consumed or its Weights have changed; ValueError and TypeError as `forward`.

    >>> import numpy as np
    >>> x = np.ones((5, 3, 2), np.float32)
    >>> W_x, W_h = np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32)
    >>> y, h, tape = forward("rnn_relu", x, W_x, W_h, tape=True)
    >>> grads = backward(tape, np.ones_like(y))
    >>> float(grads.W_x[0, 0]), grads.x.shape
    (15.0, (5, 3, 2))

    Reference: Werbos, Backpropagation through time: what it does and how to do it, 1990.
    """
    return _engine.backward(tape, dy, dstate, need_dx, into, threads, _force)


def forward_both(
    cell: str,
    x: Array,
    forward_weights: Weights | tuple[Array, ...],
    backward_weights: Weights | tuple[Array, ...],
    state: Both | None = None,
    *,
    extra: None = None,
    lengths: Integers | None = None,
    mask: Array | None = None,
    masked: str = "zero",
    resets: Array | None = None,
    x_scale: Both | None = None,
    h_scale: Both | None = None,
    zoneout: Both | None = None,
    sequences: bool = True,
    tape: bool | str | int | Tape = False,
    out: tuple[Array, Array] | None = None,
    threads: int | None = None,
    precision: Precision | None = None,
    _force: dict[str, Any] | None = None,
) -> tuple[tuple[Array, Array] | None, tuple[State, State], Tape | None]:
    """Run two directions over one sequence in one call, so that threads can split them; the second is reversed.

    forward_weights, backward_weights: each `Weights`, or a tuple (W_x, W_h) or (W_x, W_h, b).
    state, x_scale, h_scale, zoneout, out: pairs (forward, backward) of what `forward` takes, or None.
    The other arguments are those of `forward`.

    Returns ((y_f, y_b), (state_f, state_b), tape).
    Raises as `forward`.

    >>> import numpy as np
    >>> x = np.ones((5, 3, 2), np.float32)
    >>> weights = np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32)
    >>> (y_f, y_b), (h_f, h_b), _ = forward_both("rnn_tanh", x, weights, weights)
    >>> bool((y_f == y_b).all())
    True

    Reference: Schuster and Paliwal, Bidirectional recurrent neural networks, 1997.
    """
    return _engine.forward_both(
        cell, x, forward_weights, backward_weights, state, extra, lengths, mask, masked, resets, x_scale, h_scale,
        zoneout, sequences, tape, out, threads, precision, _force,
    )  # fmt: skip


def backward_both(
    tape: Tape,
    dy: Both | None = None,
    dstate: Both | None = None,
    *,
    need_dx: bool = True,
    into: tuple[Gradients, Gradients] | None = None,
    threads: int | None = None,
    _force: dict[str, Any] | None = None,
) -> tuple[Gradients, Gradients]:
    """Backpropagate through both directions: dx is the sum of the two results' x.

    tape: of `forward_both`; it is consumed.
    dy, dstate, into: pairs (forward, backward) of what `backward` takes, or None.

    Returns Gradients of each direction, each with its own x (T, B, D).
    Raises as `backward`.

    >>> import numpy as np
    >>> x = np.ones((5, 3, 2), np.float32)
    >>> weights = np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32)
    >>> (y_f, y_b), _, tape = forward_both("rnn_tanh", x, weights, weights, tape=True)
    >>> forward_grads, backward_grads = backward_both(tape, (np.ones_like(y_f), None))
    >>> bool(backward_grads.x.any())
    False

    Reference: Schuster and Paliwal, Bidirectional recurrent neural networks, 1997.
    """
    return _engine.backward_both(tape, dy, dstate, need_dx, into, threads, _force)


class Weights(_engine.Weights):
    """W_x, W_h and b of a cell, packed for the kernels once; stands wherever the three stand.

    cell: name of the cell.
    W_x: (D, G*H), W_h: (H, G*H), b: (G*H) or (2, G*H), or None for a cell without bias.

    `flat` is a view of all parameters in the packed layout, padding included; `Gradients.flat` has the same layout, so
    an optimiser's step is one pass over both. Whoever writes it calls `touch()`. `version` counts the changes; a Tape
    refuses weights that have changed. W_x, W_h and b are copies; `set` replaces all three.

    >>> import numpy as np
    >>> weights = Weights("rnn_tanh", np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32))
    >>> y, h, tape = forward("rnn_tanh", np.ones((5, 3, 2), np.float32), weights, tape=True)
    >>> weights.flat[:] -= np.float32(0.1) * backward(tape, np.ones_like(y)).flat
    >>> weights.touch()

    Reference: Keras's layers hold the same arrays (kernel, recurrent_kernel, bias).
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cell, self.W_x, self.W_h, self.b, self.precision)


class Packed:
    """Weights of a cell for inference; made by `pack`.

    >>> import numpy as np
    >>> packed = pack("rnn_tanh", np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32))
    >>> y, h = packed.forward(np.ones((5, 3, 2), np.float32))
    >>> y.shape
    (5, 3, 4)
    """

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._cell = weights.cell

    @property
    def cell(self) -> str:
        """Name of the cell."""
        return self._cell

    def forward(
        self,
        x: Array,
        state: State | None = None,
        lengths: Integers | None = None,
        threads: int | None = None,
    ) -> tuple[Array, State]:
        """Run a sequence: as `ops.forward`, without what only training needs.

        x: (T, B, D); state: (B, H) or (h, c); lengths: (B,).

        Returns (y, state): (T, B, H) and the final h or (h, c).
        Raises as `ops.forward`.
        """
        # As `forward` calls it: a second Python call would cost as much as a small step.
        y, state, _ = _engine.forward(
            self._cell, x, self._weights, None, None, state, None, lengths, None, "zero", None,
            False, None, None, None, True, False, None, threads, None, None,
        )  # fmt: skip
        return y, state

    def stream(self, batch: int = 1) -> Stream:
        """Start `batch` sequences from zero state, to be fed step by step."""
        return Stream(self._weights, batch)


def pack(cell: str, W_x: Array, W_h: Array, b: Array | None = None, *, precision: Precision | None = None) -> Packed:
    """Pack copies of the weights for inference.

    cell: name of the cell; W_x: (D, G*H); W_h: (H, G*H); b: (G*H) or (2, G*H), or None.
    precision: "bf16" for products of bfloat16, about twice as fast where the machine has the instruction.

    Returns Packed.
    Raises ValueError and TypeError that name the argument.

    >>> import numpy as np
    >>> stream = pack("rnn_tanh", np.ones((2, 4), np.float32), np.zeros((4, 4), np.float32)).stream()
    >>> stream.step(np.zeros(2, np.float32))
    array([0., 0., 0., 0.], dtype=float32)
    """
    return Packed(Weights(cell, W_x, W_h, b, precision))


class Stream(_engine.Stream):
    """Sequences fed step by step; the stream owns their state. Made by `Packed.stream`.

    `step(x, out=None)`: x (B, D), or (D,) where B is 1; returns y (B, H), or (H,). With `out` nothing is allocated.
    `state`: copies of h (B, H) or (h, c); may be set. `reset(rows=None)`: zero state for all rows, the rows with these
    indices, or the rows where an array of bool is true.

    >>> import numpy as np
    >>> stream = pack("rnn_tanh", np.ones((2, 4), np.float32), np.eye(4, dtype=np.float32)).stream(batch=3)
    >>> y = stream.step(np.ones((3, 2), np.float32))
    >>> bool((stream.state == y).all())
    True
    """

    def __init__(self, weights: Weights, batch: int = 1) -> None:
        super().__init__(weights, batch)
        self._weights = weights

    def fork(self) -> Stream:
        """A second stream that goes on from the same state, independently."""
        other = Stream(self._weights, self.facts["batch"])
        other.state = self.state
        return other

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a safetensors file, whole or not at all.

        path: file to write.

        Raises OSError where it cannot be written.
        """
        state = self.state
        parts = state if isinstance(state, tuple) else (state,)
        metadata = {"pyrnn": "stream", "cell": str(self.facts["cell"])}
        arrays = {f"state.{i}": part for i, part in enumerate(parts)}
        temporary = f"{os.fspath(path)}.{os.getpid()}.part"
        try:
            safetensors.numpy.save_file(arrays, temporary, metadata)
            os.replace(temporary, path)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Set the state to that of a file written by `save`.

        path: file of a stream of the same cell, batch, units and dtype.

        Raises ValueError where the file is something else; the state is then as before.
        """
        try:
            with safetensors.safe_open(os.fspath(path), framework="numpy") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}
        except safetensors.SafetensorError as error:
            raise ValueError(f"path: expected a file of Stream.save, got {os.fspath(path)} ({error})") from error
        if metadata.get("pyrnn") != "stream" or metadata.get("cell") != self.facts["cell"]:
            raise ValueError(f"path: expected the state of a stream of {self.facts['cell']}, got {metadata}")
        parts = tuple(arrays[name] for name in sorted(arrays))
        self.state = parts if self.facts["states"] > 1 else parts[0]


def convert_to_tensor(x: Any, dtype: Any = None) -> Array:
    """x as an array: Keras's name for what NumPy does, for code written for Keras.

    >>> convert_to_tensor([1, 2], "float32").numpy()
    array([1., 2.], dtype=float32)
    """
    return np.asarray(x, dtype).view(DataArray)


def convert_to_numpy(x: Any) -> Array:
    """x as a plain array.

    >>> convert_to_numpy(convert_to_tensor([1, 2]))
    array([1, 2])
    """
    return np.asarray(x)
