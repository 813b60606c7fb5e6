"""Models as files: safetensors, with the configuration as JSON in its metadata.

A file is written beside its place, flushed to the disk and renamed, so that it is whole or not there. It carries the
SHA-256 of its content; a file that was damaged is refused. Reading it never imports a name or runs code: the
configuration is JSON, and the models that are made of it know pyrnn's own layers, losses, metrics and optimisers only.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from pyrnn._types import Array

METADATA = "pyrnn model"
FORMAT_VERSION = 1


def write(filepath: str | PathLike[str], config: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Write a configuration and arrays; a file that exists is replaced.

    config: plain values (JSON).
    tensors: name -> array.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder) / "m.pyrnn", {"units": 2}, {"bias": np.zeros(2)})
    ...     read(Path(folder) / "m.pyrnn")
    ({'units': 2}, {'bias': array([0., 0.])})
    """
    from safetensors.numpy import save

    text = json.dumps(config, sort_keys=True)
    whole = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    about = {"format_version": FORMAT_VERSION, "config": text, "sha256": _digest(text, whole)}
    # one entry: safetensors writes several in an order that differs from run to run
    _write_atomically(Path(fspath(filepath)), save(whole, {METADATA: json.dumps(about)}))


def read(filepath: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `write` wrote.

    Raises FileNotFoundError where there is no file, ValueError where it is damaged or something else.
    """
    path = Path(fspath(filepath))
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            if METADATA not in metadata:
                raise ValueError(f"{path}: expected a model written by pyrnn, got another safetensors file")
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path}: the file is damaged or no pyrnn model: {error}") from None
    try:
        about = json.loads(metadata[METADATA])
        version, text, digest = about["format_version"], about["config"], about["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: the file is damaged: its metadata cannot be read ({error})") from None
    if version != FORMAT_VERSION:
        raise ValueError(f"{path}: expected format version {FORMAT_VERSION}, got {version}: update pyrnn")
    if _digest(text, tensors) != digest:
        raise ValueError(f"{path}: the file is damaged: its content does not have the SHA-256 that was written with it")
    return json.loads(text), tensors


def _digest(config: str, tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the config and every array's name, dtype, shape and bytes."""
    digest = hashlib.sha256(str(config).encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _write_atomically(path: Path, content: bytes) -> None:
    """Either the whole content or what was there before, whatever happens."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: the folder {path.parent} does not exist")
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if hasattr(os, "O_DIRECTORY"):  # the new name too must reach the disk
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
