"""Recurrent networks as textbooks write them: NumPy, float64, one readable loop. The engine's measure, not its help.

`cells/` has one file a cell with `step` and `step_backward`; `loops.py` runs them over a sequence; `numerical.py`
differentiates anything by finite differences. This package imports nothing of pyrnn, and nothing of pyrnn imports it.
"""

from .cell import Cell, StepGradients
from .cells import CELLS
from .loops import Gradients, Tape, backward, forward
from .numerical import numerical_gradient

__all__ = ["CELLS", "Cell", "Gradients", "StepGradients", "Tape", "backward", "forward", "numerical_gradient"]
