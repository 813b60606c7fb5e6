"""Random calls of a cell: arguments, keywords and gradients to send back, all from one seed.

Every value is exact in float32, so that the engine in float and in double and the reference get the same numbers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]


class Dims(NamedTuple):
    T: int
    B: int
    D: int
    H: int

    def __str__(self) -> str:
        return f"T{self.T}-B{self.B}-D{self.D}-H{self.H}"


# What a call may have besides x, W_x, W_h and an array dy.
FEATURES = (
    "bias",  # else b=None
    "state",  # else zeros
    "lengths",
    "mask",
    "hold",  # masked="hold"
    "resets",
    "reverse",
    "x_scale",
    "h_scale",
    "zoneout",  # one array for all states
    "zoneout_last",  # only for the last state: a tuple
    "dstate",  # gradient of the final state
    "dstates",  # dy is a dict with gradients of every step's states too
)

# Readable names for the combinations that the grids use.
VARIANTS: dict[str, frozenset[str]] = {
    name: frozenset(features.split())
    for name, features in {
        "bare": "",
        "plain": "bias state dstate",
        "reverse": "bias state dstate reverse",
        "lengths": "bias state dstate lengths",
        "lengths_reverse": "bias state dstate lengths reverse",
        "mask_zero": "bias state dstate mask",
        "mask_hold": "bias state dstate mask hold",
        "mask_hold_lengths_reverse": "bias state dstate mask hold lengths reverse",
        "resets": "bias state dstate resets",
        "resets_reverse": "bias state dstate resets reverse",
        "x_scale": "bias state dstate x_scale",
        "h_scale": "bias state dstate h_scale",
        "zoneout": "bias state dstate zoneout",
        "zoneout_last": "bias state dstate zoneout_last",
        "dstates": "bias state dstate dstates",
        "all_zero": "bias state dstate dstates lengths mask resets x_scale h_scale zoneout",
        "all_hold_reverse": "bias state dstate dstates lengths mask hold resets reverse x_scale h_scale zoneout_last",
    }.items()
}


def dtype_of(precision: npt.DTypeLike) -> str:
    """The dtype of arrays: float32 for "bf16"."""
    return "float32" if precision == "bf16" else np.dtype(precision).name


@dataclass(frozen=True)
class Case:
    cell: str
    dims: Dims
    x: Floats
    W_x: Floats
    W_h: Floats
    b: Floats | None
    state: Any
    keywords: dict[str, Any]
    dy: Any
    dstate: Any

    @property
    def forward(self) -> tuple[Any, ...]:
        """The positional arguments of `forward` after the cell."""
        return (self.x, self.W_x, self.W_h, self.b, self.state)

    @property
    def precision(self) -> str | None:
        """What `ops.Weights` and `ops.pack` must be told."""
        return self.keywords.get("precision")

    @property
    def features(self) -> dict[str, Any]:
        """The keywords that packed weights leave to the call."""
        return {name: value for name, value in self.keywords.items() if name != "precision"}

    def astype(self, dtype: npt.DTypeLike) -> Case:
        """The same numbers as arrays of another float type, or for products of "bf16"."""
        if dtype == "bf16":
            single = self.astype("float32")
            return replace(single, keywords={**single.keywords, "precision": "bf16"})

        def convert(value: Any) -> Any:
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                return value.astype(dtype)
            if isinstance(value, tuple):
                return tuple(convert(v) for v in value)
            if isinstance(value, dict):
                return {k: convert(v) for k, v in value.items()}
            return value

        changed = {name: convert(value) for name, value in vars(self).items() if name not in ("cell", "dims")}
        changed["keywords"].pop("precision", None)
        return Case(self.cell, self.dims, **changed)


def make_case(
    facts: dict[str, Any], dims: Dims, features: frozenset[str] | str = "bias state dstate", seed: int = 0
) -> Case:
    """A case in float64. facts: `name`, `gates`, `states` and `bias_rows` of the cell."""
    features = frozenset(features.split()) if isinstance(features, str) else features
    assert features <= set(FEATURES), f"no such feature: {sorted(features - set(FEATURES))}"
    T, B, D, H = dims
    states = list(facts["states"])
    columns = len(facts["gates"]) * H
    rng = np.random.default_rng([seed, zlib.crc32(facts["name"].encode()), *dims])

    def floats(*shape: int, scale: float = 1.0) -> Floats:
        return (rng.uniform(-scale, scale, shape)).astype(np.float32).astype(np.float64)

    def state_like() -> Any:
        parts = tuple(floats(B, H) for _ in states)
        return parts[0] if len(parts) == 1 else parts

    def flags(share: float) -> npt.NDArray[np.bool_]:
        return rng.random((T, B)) < share

    keywords: dict[str, Any] = {}
    if "lengths" in features:
        lengths = rng.integers(0, T + 1, B)
        lengths[B // 2 : B // 2 + 1] = T
        if B > 1:
            lengths[0] = 0
        keywords["lengths"] = lengths
    if "mask" in features:
        mask = flags(0.6)
        mask[:1, ::2] = False  # nothing to hold yet
        mask[-1:, ::3] = False
        keywords["mask"] = mask
    if "hold" in features:
        keywords["masked"] = "hold"
    if "resets" in features:
        keywords["resets"] = flags(0.3)
    if "reverse" in features:
        keywords["reverse"] = True
    if "x_scale" in features:
        keywords["x_scale"] = rng.choice([0.0, 1.0, 1.25], (B, D))
    if "h_scale" in features:
        keywords["h_scale"] = rng.choice([0.0, 1.0, 1.25], (B, H))
    if "zoneout" in features or "zoneout_last" in features:
        keep = np.abs(floats(T, B, H)) * rng.choice([0.0, 1.0], (T, B, H))
        keep[rng.random((T, B, H)) < 0.2] = 1
        keywords["zoneout"] = keep if "zoneout" in features else (None,) * (len(states) - 1) + (keep,)

    dy: Any = floats(T, B, H)
    if "dstates" in features:
        dy = {"y": dy, **{name: floats(T, B, H) for name in states}}
    return Case(
        cell=facts["name"],
        dims=dims,
        x=floats(T, B, D),
        W_x=floats(D, columns, scale=1.5 / np.sqrt(D)),
        W_h=floats(H, columns, scale=1.5 / np.sqrt(H)),
        b=floats(*([columns] if facts["bias_rows"] == 1 else [facts["bias_rows"], columns]))
        if "bias" in features
        else None,
        state=state_like() if "state" in features else None,
        keywords=keywords,
        dy=dy,
        dstate=state_like() if "dstate" in features else None,
    )


def states_of(state: Any) -> tuple[Floats, ...]:
    """The states of a cell as a tuple, also where there is one."""
    return state if isinstance(state, tuple) else (state,)
