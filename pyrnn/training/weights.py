"""Weights alone as files."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyrnn import _files

if TYPE_CHECKING:
    from pyrnn.training.compilable import Compilable

KIND = "weights"


def save_weights(model: Compilable, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model's weights, in Keras's order and layout, with their names."""
    path = Path(fspath(filepath))
    check_overwrite("save_weights", path, overwrite)
    arrays = model.get_weights()
    if not arrays:
        raise ValueError(f"{model.name}: save_weights: there are no weights before the model is built: call build()")
    tensors = {f"weights/{i}": np.asarray(array, order="C") for i, array in enumerate(arrays)}
    _files.write(path, {"kind": KIND, "names": model.weight_names}, tensors)


def load_weights(model: Compilable, filepath: str | PathLike[str]) -> None:
    """Set a model's weights from a file of `save_weights` or `save`; all of them or none."""
    config, tensors = _files.read(filepath)
    path = fspath(filepath)
    names: Any = config.get("names")
    if not isinstance(names, list) or len(names) != sum(name.startswith("weights/") for name in tensors):
        raise ValueError(f"{path}: expected a file of save_weights or save, got another file of pyrnn's")
    arrays = [tensors[f"weights/{i}"] for i in range(len(names))]
    mine = model.weight_names
    if not mine:
        raise ValueError(f"{model.name}: load_weights: there are no weights before the model is built: call build()")
    if len(arrays) != len(mine):
        raise ValueError(f"{path}: expected {len(mine)} arrays for {model.name}, got {len(arrays)}")
    for i, (name, given, now, array) in enumerate(zip(mine, names, model.get_weights(), arrays, strict=True)):
        if name != given:
            raise ValueError(f"{path}: array {i}: expected {name!r}, got {given!r}")
        if now.shape != array.shape:
            raise ValueError(f"{path}: array {i}, {name!r}: expected {now.shape}, got {array.shape}")
        if now.dtype != array.dtype:
            raise ValueError(f"{path}: array {i}, {name!r}: expected {now.dtype}, got {array.dtype}")
    model.set_weights(arrays)


def check_overwrite(owner: str, path: Path, overwrite: bool) -> None:
    """Raise where a file exists that is not to be replaced."""
    if not overwrite and path.exists():
        raise FileExistsError(f"{owner}: {path} exists: pass overwrite=True or choose another name")
