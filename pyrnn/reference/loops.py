"""The time loop, forward and backward. It names no cell.

Letters: T time, B batch, D inputs, H hidden units. At every step each row is one of
    live    valid and not masked: the cell runs
    masked  valid, mask false: the states are carried; y is 0, or the previous y where masked="hold"
    padded  t >= lengths[b]: the states are carried, y is 0, nothing of the row is read
A cut (resets) lies between t - 1 and t: the later of the two in processing order starts from zero states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from .cell import Array, Cell, Slots, States

State: TypeAlias = Array | States  # h, or a tuple where the cell has several states
Flags: TypeAlias = npt.NDArray[np.bool_]
Zoneout: TypeAlias = Array | Sequence[Array | None]


@dataclass
class Step:
    """What one step leaves for backward. All arrays but `valid` and `cut` hold the live rows only."""

    t: int
    valid: Flags  # (B,)
    cut: Flags  # (B,) rows whose states were set to zero before this step
    rows: npt.NDArray[np.intp]  # the live rows
    x: Array
    state: States  # the previous ones
    slots: Slots
    keep: States  # zoneout: share of the previous state, one a state


@dataclass
class Tape:
    """The steps in processing order, the arguments they share, and the traces by time."""

    cell: Cell
    W_x: Array
    W_h: Array
    hold: bool
    x_scale: Array  # (B, D)
    h_scale: Array  # (B, H)
    steps: list[Step] = field(default_factory=list)
    states: dict[str, Array] = field(default_factory=dict)  # (T, B, H) after each step
    gates: dict[str, Array] = field(default_factory=dict)  # (T, B, H), 0 where the row is not live


@dataclass
class Gradients:
    x: Array
    W_x: Array
    W_h: Array
    b: Array
    state: State


def forward(
    cell: Cell,
    x: Array,
    W_x: Array,
    W_h: Array,
    b: Array | None = None,
    state: State | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    masked: Literal["zero", "hold"] = "zero",
    resets: npt.ArrayLike | None = None,
    reverse: bool = False,
    x_scale: Array | None = None,
    h_scale: Array | None = None,
    zoneout: Zoneout | None = None,
) -> tuple[Array, State, Tape]:
    """Runs a cell over a sequence.

    x: (T, B, D); W_x: (D, G*H); W_h: (H, G*H); b: cell.bias_shape(H), None for zeros
    state: (B, H), or a tuple of them; None for zeros
    lengths: (B,) valid steps of a row; mask: (T, B) false steps carry the state; resets: (T, B) cuts before t
    x_scale: (B, D) multiplies x; h_scale: (B, H) multiplies what W_h multiplies
    zoneout: (T, B, H) share of the previous state that is kept, for all states, or a tuple with one (or None) a state

    Returns y (T, B, H), the final state in the form of `state`, and the tape for `backward`.
    """
    steps, batch, inputs = x.shape
    units = W_h.shape[0]
    bias = np.zeros(cell.bias_shape(units)) if b is None else b
    valid = np.arange(steps)[:, None] < (np.full(batch, steps) if lengths is None else np.asarray(lengths))
    live = valid if mask is None else valid & np.asarray(mask, dtype=bool)
    cuts = np.zeros((steps, batch), dtype=bool) if resets is None else valid & np.asarray(resets, dtype=bool)
    keep = _zoneout_of_each_state(cell, zoneout, (steps, batch, units))

    tape = Tape(
        cell,
        W_x,
        W_h,
        hold=masked == "hold",
        x_scale=np.ones((batch, inputs)) if x_scale is None else x_scale,
        h_scale=np.ones((batch, units)) if h_scale is None else h_scale,
        states={name: np.zeros((steps, batch, units)) for name in cell.states},
        gates={name: np.zeros((steps, batch, units)) for name in cell.slots},
    )
    states = _initial_states(cell, state, (batch, units))
    y = np.zeros((steps, batch, units))
    y_held = np.zeros((batch, units))

    for t in reversed(range(steps)) if reverse else range(steps):
        cut = _cut_before(cuts, t, reverse)
        for s in states:
            s[cut] = 0
        y_held[cut] = 0

        rows = np.flatnonzero(live[t])
        x_t = x[t, rows] * tape.x_scale[rows]
        previous = tuple(s[rows] for s in states)
        new, slots = cell.step(x_t, previous, W_x, W_h, bias, tape.h_scale[rows])
        kept = tuple(k[t, rows] for k in keep)
        tape.steps.append(Step(t, valid[t], cut, rows, x_t, previous, slots, kept))

        for s, s_prev, s_new, k in zip(states, previous, new, kept, strict=True):
            s[rows] = k * s_prev + (1 - k) * s_new
        y_held[rows] = states[0][rows]
        seen = valid[t] if tape.hold else live[t]
        y[t, seen] = y_held[seen]

        for name, s in zip(cell.states, states, strict=True):
            tape.states[name][t] = s
        for name, slot in slots.items():
            tape.gates[name][t, rows] = slot

    return y, _as_given(states), tape


def backward(tape: Tape, dy: Array | Mapping[str, Array] | None = None, dstate: State | None = None) -> Gradients:
    """Backpropagation through time.

    dy: (T, B, H) gradient of y; or a dict with any of "y" and the names of the states, whose arrays are gradients of
        the states after every step (at a masked step they flow on through the carry; at a padded one they are ignored)
    dstate: gradient of the final state, in its form
    """
    cell, W_x, W_h = tape.cell, tape.W_x, tape.W_h
    batch, inputs = tape.x_scale.shape
    steps, units = len(tape.steps), W_h.shape[0]
    into = dict(dy) if isinstance(dy, Mapping) else {} if dy is None else {"y": dy}

    dx = np.zeros((steps, batch, inputs))
    dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros(cell.bias_shape(units))
    dstates = _initial_states(cell, dstate, (batch, units))
    dy_held = np.zeros((batch, units))  # gradient of the y that later masked steps repeat

    for step in reversed(tape.steps):
        t, rows = step.t, step.rows
        for name, ds in zip(cell.states, dstates, strict=True):
            if name in into:
                ds[step.valid] += into[name][t, step.valid]

        if "y" in into:
            seen = step.valid if tape.hold else rows
            dy_held[seen] += into["y"][t, seen]
        dnew = [ds[rows] for ds in dstates]
        dnew[0] += dy_held[rows]
        dy_held[rows] = 0

        dcell = tuple((1 - k) * ds for k, ds in zip(step.keep, dnew, strict=True))
        gradients = cell.step_backward(dcell, step.x, step.state, step.slots, W_x, W_h, tape.h_scale[rows])
        for ds, k, ds_new, ds_prev in zip(dstates, step.keep, dnew, gradients.state, strict=True):
            ds[rows] = k * ds_new + ds_prev
        dx[t, rows] = gradients.x * tape.x_scale[rows]
        dW_x += gradients.W_x
        dW_h += gradients.W_h
        db += gradients.b

        for ds in dstates:
            ds[step.cut] = 0
        dy_held[step.cut] = 0

    return Gradients(dx, dW_x, dW_h, db, _as_given(dstates))


def _cut_before(cuts: Flags, t: int, reverse: bool) -> Flags:
    """Rows whose states are set to zero before time t is processed."""
    before = t + 1 if reverse else t
    none = np.zeros(cuts.shape[1], dtype=bool)
    return np.asarray(cuts[before]) if before < len(cuts) else none


def _zoneout_of_each_state(cell: Cell, zoneout: Zoneout | None, shape: tuple[int, int, int]) -> States:
    given = zoneout if isinstance(zoneout, (tuple, list)) else [zoneout] * len(cell.states)
    return tuple(np.zeros(shape) if k is None else np.asarray(k, dtype=np.float64) for k in given)


def _initial_states(cell: Cell, state: State | None, shape: tuple[int, int]) -> list[Array]:
    if state is None:
        return [np.zeros(shape) for _ in cell.states]
    given = state if isinstance(state, tuple) else (state,)
    return [np.array(s, dtype=np.float64) for s in given]


def _as_given(states: list[Array]) -> State:
    return states[0] if len(states) == 1 else tuple(states)
