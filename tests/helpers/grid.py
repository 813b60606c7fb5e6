"""Sizes to try: around the width of a vector, whatever that is on the table at hand, and any that hypothesis draws."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .cases import FEATURES, Case, Dims, make_case
from .engine import CELLS, PRECISIONS, TABLES_OF

# Steps, rows, and inputs and units in lanes L: below, at and above one vector, several vectors, and single elements.
# The batches take every height of register tile and leave every remainder.
ODD_DIMS = {
    "B1-D1-H1": lambda L: Dims(3, 1, 1, 1),
    "B2-D=L-1-H=L+1": lambda L: Dims(4, 2, max(L - 1, 1), L + 1),
    "B3-D=L-H=L-1": lambda L: Dims(3, 3, L, max(L - 1, 1)),
    "B5-D=L+1-H=L": lambda L: Dims(4, 5, L + 1, L),
    "B7-D1-H=4L+1": lambda L: Dims(2, 7, 1, 4 * L + 1),
    "B8-D3-H1": lambda L: Dims(5, 8, 3, 1),
    "B13-D=2L+3-H=2L+3": lambda L: Dims(3, 13, 2 * L + 3, 2 * L + 3),
}


def draw_call(data: st.DataObject, cell: str, seed: int) -> tuple[Case, str, dict[str, Any]]:
    """Any case of a cell in float64, a dtype to run it in, and options of the call: table and threads."""
    dims = Dims(
        *(
            data.draw(st.integers(low, high), label=label)
            for label, low, high in (("T", 0, 6), ("B", 0, 14), ("D", 1, 40), ("H", 1, 70))
        )
    )
    features = data.draw(st.frozensets(st.sampled_from(FEATURES)), label="features")
    dtype = data.draw(st.sampled_from(PRECISIONS))
    isa = data.draw(st.sampled_from(list(TABLES_OF[dtype])))
    threads = data.draw(st.integers(1, 3), label="threads")
    return make_case(CELLS[cell], dims, features, seed), dtype, {"threads": threads, "_force": {"isa": isa}}
