"""What the metrics of a run have gathered, as plain values and arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyrnn.training.goals import Goals


def goals_state(goals: Goals) -> dict[str, Any]:
    """The means so far."""
    return {
        "total": goals.total,
        "seen": goals.seen,
        "totals": [goal.total for goal in goals.goals],
        "shapes": [None if goal.shapes is None else [list(s) for s in goal.shapes] for goal in goals.goals],
        "metrics": [chosen.state_arrays() for chosen in goals.sets()],
    }


def set_goals_state(goals: Goals, state: Any) -> None:
    """The way back from `goals_state`."""
    goals.reset()
    goals.total, goals.seen = float(state["total"]), int(state["seen"])
    for chosen, arrays in zip(goals.sets(), state["metrics"], strict=True):
        chosen.set_state_arrays(arrays)
    for goal, total, shapes in zip(goals.goals, state["totals"], state["shapes"], strict=True):
        goal.total = float(total)
        if shapes is not None:
            y, output = (np.broadcast_to(np.zeros((), np.float32), shape) for shape in shapes)
            for chosen in (goal.metrics, goal.weighted):
                if chosen.metrics:
                    chosen.choose(y, output)
            goal.shapes = (tuple(shapes[0]), tuple(shapes[1]))
