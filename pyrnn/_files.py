"""The one file format: safetensors, with a JSON config and a SHA-256 in its metadata.

A file is written beside its place, flushed to the disk and renamed, so that it is whole or not there. The SHA-256 is
over every byte of the file, its own digits counted as zeros; a file that was cut or changed anywhere is refused before
anything in it is believed. Reading never imports a name or runs code: the configuration is JSON.
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
_NO_DIGITS = "0" * 64
# how every file begins after the 8 bytes of the header's length; the digits follow at once
_BEGIN = ('{"__metadata__":{"' + METADATA + '":"{\\"sha256\\": \\"').encode()
_DIGITS = slice(8 + len(_BEGIN), 8 + len(_BEGIN) + 64)

_FOREIGN = (
    (b"PK\x03\x04", "a zip archive, as Keras writes .keras files"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes .h5 files"),
)


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

    text = json.dumps(config)
    whole = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    about = {"sha256": _NO_DIGITS, "format_version": FORMAT_VERSION, "config": text}
    # one entry: safetensors writes several in an order that differs from run to run
    content = bytearray(save(whole, {METADATA: json.dumps(about)}))
    if content[8 : 8 + len(_BEGIN)] != _BEGIN:
        raise RuntimeError("safetensors no longer writes the metadata first: this version of it cannot be used")
    content[_DIGITS] = _digest(content).encode()
    _write_atomically(Path(fspath(filepath)), content)


def read(filepath: str | PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """What `write` wrote.

    Raises FileNotFoundError where there is no file, ValueError where it is damaged or something else.
    """
    path = Path(fspath(filepath))
    content = _read_checked(path)
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        # by here the bytes are those that were written; what follows guards against a file made with intent
        length = int.from_bytes(content[:8], "little")
        about = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][METADATA])
        version, text = about["format_version"], about["config"]
        if version != FORMAT_VERSION:
            raise ValueError(f"{path}: expected format version {FORMAT_VERSION}, got {version}: update pyrnn")
        config = json.loads(text)
        if not isinstance(config, dict):
            raise TypeError("its configuration is no dict")
        return config, load(content)
    except (KeyError, TypeError, RecursionError, MemoryError, SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: the file is damaged: its metadata cannot be read ({error})") from None


def _read_checked(path: Path) -> bytes:
    """All bytes of a file of ours whose SHA-256 is right."""
    with open(path, "rb") as file:
        begin = file.read(_DIGITS.stop)
        for magic, what in _FOREIGN:
            if begin.startswith(magic):
                raise ValueError(
                    f"{path}: is {what}, which pyrnn does not read; in Keras load it and give "
                    "keras_model.get_weights() to set_weights() of the same model made of pyrnn's layers"
                )
        if begin[8 : 8 + len(_BEGIN)] != _BEGIN:
            what = "another safetensors file" if _looks_like_safetensors(begin) else "something else"
            raise ValueError(
                f"{path}: the file is damaged or no pyrnn model: expected a model written by pyrnn, got {what}"
            )
        content = begin + file.read()
    if content[_DIGITS] != _digest(content).encode():
        raise ValueError(
            f"{path}: the file is damaged: its content does not have the SHA-256 that was written with it; "
            "take an earlier copy"
        )
    return content


def _looks_like_safetensors(begin: bytes) -> bool:
    return begin[8:10] == b'{"' and not any(begin[4:8])


def _digest(content: bytes | bytearray) -> str:
    """SHA-256 over a file, its own digits as zeros."""
    view = memoryview(content)
    digest = hashlib.sha256(view[: _DIGITS.start])
    digest.update(_NO_DIGITS.encode())
    digest.update(view[_DIGITS.stop :])
    return digest.hexdigest()


def _write_atomically(path: Path, content: bytes | bytearray) -> None:
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
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Bring new and deleted names of a folder to the disk."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
