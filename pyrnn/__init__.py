"""pyrnn: recurrent networks on a CPU at the speed the hardware allows.

>>> from pyrnn import Sequential
>>> from pyrnn.layers import LSTM, Dense
>>> model = Sequential()
>>> model.add(LSTM(128, input_shape=(7, 12)))
>>> model.add(Dense(12, activation="softmax"))
>>> model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyrnn import ops
from pyrnn.config import get_num_threads, set_num_threads, show_config

if TYPE_CHECKING:
    from pyrnn.layers import Input
    from pyrnn.models import Model, Sequential, load_model

__version__ = "0.1.0"

__all__ = [
    "Input",
    "Model",
    "Sequential",
    "__version__",
    "get_num_threads",
    "load_model",
    "ops",
    "set_num_threads",
    "show_config",
]

# Loaded when they are first asked for: whoever only calls `ops` does not wait for layers and training.
_LAZY = {"Input": "pyrnn.layers", "Model": "pyrnn.models", "Sequential": "pyrnn.models", "load_model": "pyrnn.models"}
_MODULES = (
    "activations",
    "callbacks",
    "constraints",
    "data",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "saving",
    "tasks",
    "training",
    "utils",
)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return import_module(f"pyrnn.{name}")
    raise AttributeError(f"module 'pyrnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_MODULES})
