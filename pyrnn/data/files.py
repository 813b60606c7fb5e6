"""Files that examples load: from the disk, or once from the network."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

BLOCK_BYTES = 1 << 20


def get_file(
    fname: str | os.PathLike[str] | None = None,
    origin: str | os.PathLike[str] | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str = "auto",
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
) -> str:
    """The path of a file: fetched once and kept, or, where `origin` is a path, the file itself.

    fname: name that it gets; that of the origin where it is not given.
    origin: http(s) or file URL, or a path.
    untar: unpack a tar archive into the folder that fetched files are kept in; the path is then its name there without
        the ending, as in Keras 2.
    extract: unpack a tar or zip archive into a folder of its own, whose path is returned, as in Keras 3.
    md5_hash, file_hash, hash_algorithm: what the file's MD5 or SHA-256 must be.
    archive_format: "auto", "tar" or "zip".
    cache_dir, cache_subdir: where fetched files are kept; `~/.pyrnn/datasets`, or below PYRNN_HOME.
    force_download: fetch it again.

    Raises FileNotFoundError where a path does not lead to a file, ValueError for a wrong hash or an unsafe archive,
    OSError where the network fails.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".txt") as file:
    ...     get_file(origin=file.name) == file.name
    True

    Keras, https://keras.io/api/utils/python_utils/
    """
    if origin is None:
        raise TypeError("get_file: origin: expected a URL or a path, got None")
    place = os.fspath(origin)
    parts = urlparse(place)
    folder = Path(cache_dir) if cache_dir else Path(os.environ.get("PYRNN_HOME", Path.home() / ".pyrnn"))
    folder = folder / cache_subdir
    if parts.scheme in ("http", "https"):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / Path(fname if fname is not None else unquote(parts.path)).name
        if force_download or not path.exists():
            _fetch(place, path)
    else:
        path = Path(unquote(parts.path) if parts.scheme == "file" else place)
        if not path.is_file():
            raise FileNotFoundError(f"get_file: origin: there is no file {path}")
    _check_hash(path, md5_hash or file_hash, "md5" if md5_hash else hash_algorithm)
    if not (untar or extract):
        return str(path)
    stem = _stem(fname if fname is not None else path.name)
    if untar:
        marker = folder / f".{stem}.unpacked"
        if force_download or not marker.exists():
            _unpack(path, folder, archive_format)
            marker.touch()
        return str(folder / stem)
    target = folder / f"{stem}_extracted"
    if force_download or not target.exists():
        _unpack(path, target, archive_format)
    return str(target)


def _fetch(url: str, path: Path) -> None:
    """Beside its place first, so that half a file is never taken for a whole one."""
    from urllib.request import urlopen

    from tqdm import tqdm

    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with urlopen(url, timeout=60) as source, open(beside, "xb") as file:
            size = int(source.headers.get("Content-Length") or 0)
            with tqdm(total=size or None, unit="B", unit_scale=True, desc=path.name, leave=False) as bar:
                while block := source.read(BLOCK_BYTES):
                    file.write(block)
                    bar.update(len(block))
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _check_hash(path: Path, expected: str | None, algorithm: str) -> None:
    if expected is None:
        return
    names: Mapping[str, str] = {"md5": "md5", "sha256": "sha256", "auto": "sha256" if len(expected) == 64 else "md5"}
    if algorithm not in names:
        raise ValueError(f"get_file: hash_algorithm: expected one of {', '.join(names)}, got {algorithm!r}")
    digest = hashlib.new(names[algorithm])
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != expected.lower():
        raise ValueError(f"get_file: {path}: expected the {names[algorithm]} {expected}, got {digest.hexdigest()}")


def _unpack(path: Path, target: Path, archive_format: str) -> None:
    """No member may lie outside the target."""
    import tarfile
    import zipfile

    if archive_format not in ("auto", "tar", "zip"):
        raise ValueError(f"get_file: archive_format: expected 'auto', 'tar' or 'zip', got {archive_format!r}")
    target.mkdir(parents=True, exist_ok=True)
    archive: Any
    if zipfile.is_zipfile(path) and archive_format != "tar":
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive.namelist())
            archive.extractall(target)
    elif tarfile.is_tarfile(path) and archive_format != "zip":
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            _check_members(path, [member.name for member in members])
            if any(not (member.isfile() or member.isdir()) for member in members):
                raise ValueError(f"get_file: {path}: expected files and folders only, got links or devices")
            for member in members:
                member.mode = 0o755 if member.isdir() else 0o644
                archive.extract(member, target)
    else:
        raise ValueError(f"get_file: {path}: expected a tar or zip archive")


def _check_members(path: Path, names: list[str]) -> None:
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"get_file: {path}: the archive has a member outside its folder: {name!r}")


def _stem(name: str | os.PathLike[str]) -> str:
    name = Path(name).name
    for suffix in (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tar", ".zip"):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name
