"""A recurrent layer step by step, for cells that the engine has no kernel for. Slow: a dozen calls a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn._types import Array

if TYPE_CHECKING:
    from pyrnn.layers.base import Call
    from pyrnn.layers.cell import Sweep

Scales = tuple[Array | None, Array | None]  # dropout multipliers of x and of the recurrent operand
Step = tuple[Array, tuple[Array, ...], Any]  # y, the new states, what the step's adjoint needs


class SlowPathWarning(UserWarning):
    """A recurrent layer runs as a loop in Python, not on the engine's kernel.

    >>> import warnings
    >>> from pyrnn.layers import GRU
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     GRU(2, activation="softsign").build((None, 3, 4))
    >>> caught[0].category.__name__
    'SlowPathWarning'
    """


def forward(
    cell: Any, x: Array, states: Sequence[Array] | None, how: Sweep, call: Call, scales: Scales = (None, None)
) -> tuple[Array | None, tuple[Array, ...]]:
    """x (T, B, ...) and initial states -> y (T, B, H), or None without sequences, and the final states.

    A masked step keeps the states; its output is 0, or the first state before it, as in Keras.
    """
    steps, batch = x.shape[:2]
    current = _zeros(cell, batch) if states is None else tuple(states)
    kept: list[Any] = []
    ys: list[Array | None] = [None] * steps
    training = call.run.training
    step = _with_scales(cell.step, scales)
    for t in _order(steps, how.reverse):
        y, after, saved = step(x[t], current)
        if how.mask is not None:
            going = how.mask[t][:, None]
            y = _masked_output(cell, y, going, current, how.masked)
            after = tuple(np.where(going, new, old) for new, old in zip(after, current, strict=True))
        if training:
            kept.append((t, saved))
        ys[t], current = y, tuple(after)
    if training:
        call.kept = (kept, how, scales, x.shape, current)
    if not how.sequences:
        return None, current
    return (np.stack(ys) if steps else np.zeros((0, batch, cell.output_size), x.dtype)), current  # type: ignore[arg-type]


def backward(
    cell: Any, dy: Array | None, dstates: Sequence[Array | None], call: Call
) -> tuple[Array | None, tuple[Array, ...]]:
    """Gradients of y and of the final states -> of x, where `call.need_dx`, and of the initial states."""
    kept, how, scales, shape, final = call.kept
    call.kept = None
    current = tuple(np.zeros_like(s) if d is None else d for d, s in zip(dstates, final, strict=True))
    dx = np.zeros(shape, final[0].dtype) if call.need_dx else None
    step_backward = _with_scales(cell.step_backward, scales)
    silent = np.zeros((shape[1], cell.output_size), final[0].dtype)
    for t, saved in reversed(kept):
        dy_t = silent if dy is None else dy[t]
        if how.mask is None:
            dx_t, current = step_backward(dy_t, current, saved)
        else:
            going = how.mask[t][:, None]
            inner = tuple(np.where(going, d, 0) for d in current)
            around = [np.where(going, 0, d) for d in current]
            if how.masked == "hold" and dy is not None:
                around[0] = around[0] + np.where(going, 0, dy_t)
            dx_t, before = step_backward(np.where(going, dy_t, 0), inner, saved)
            current = tuple(a + b for a, b in zip(before, around, strict=True))
        if dx is not None:
            dx[t] = dx_t
    return dx, tuple(current)


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _zeros(cell: Any, batch: int) -> tuple[Array, ...]:
    return tuple(np.zeros((batch, size), cell.dtype) for size in cell.state_sizes)


def _with_scales(function: Any, scales: Scales) -> Any:
    if scales[0] is None and scales[1] is None:
        return function
    return lambda *arguments: function(*arguments, scales)


def _masked_output(cell: Any, y: Array, going: Array, states: Sequence[Array], masked: str) -> Array:
    if masked == "zero":
        return np.where(going, y, y.dtype.type(0))
    if states[0].shape != y.shape:
        raise ValueError(
            f"{cell.name}: mask: a masked step gives the first state, expected it to be {y.shape} as the output, got "
            f"{states[0].shape}: set zero_output_for_mask=True"
        )
    return np.where(going, y, states[0])


# What steps are written with -----------------------------------------------------------------------------------------


def scaled(x: Array, scale: Array | None) -> Array:
    """x with its dropout multipliers."""
    if scale is None:
        return x
    y: Array = x * scale
    return y
