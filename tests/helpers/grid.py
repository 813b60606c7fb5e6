"""Sizes around the width of a vector, whatever that is on the table at hand."""

from __future__ import annotations

from .cases import Dims

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
