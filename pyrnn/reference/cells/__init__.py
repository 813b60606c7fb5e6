"""All cells by name. A new file here that defines `CELLS` is found by itself."""

import importlib
import pkgutil

from ..cell import Cell

CELLS: dict[str, Cell] = {
    cell.name: cell
    for found in pkgutil.iter_modules(__path__)
    for cell in importlib.import_module(f"{__name__}.{found.name}").CELLS
}
