"""Event files of TensorBoard, as far as scalars need them.

A file is a row of records: length (8 bytes), its masked CRC-32C, the data, their masked CRC-32C, all little-endian
(TFRecord). Each record is an Event in the wire format of protocol buffers:
Event {1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary}, Summary {1: repeated Value},
Value {1: string tag, 2: float simple_value}.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path

_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()
_count = 0


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def masked_crc(data: bytes) -> int:
    """The form in which records hold it."""
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Data as a record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


class EventFile:
    """An event file in a folder, which is made where it is missing."""

    def __init__(self, folder: Path) -> None:
        global _count
        _count += 1
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{_count}.v2"
        self._file = open(folder / name, "xb")
        self._write(_bytes_field(3, b"brain.Event:2"))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one value."""
        one = _bytes_field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        self._write(b"\x10" + _varint(step) + _bytes_field(5, _bytes_field(1, one)))

    def _write(self, fields: bytes) -> None:
        self._file.write(record(b"\x09" + struct.pack("<d", time.time()) + fields))

    def flush(self) -> None:
        """Bring what was written to the file."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _bytes_field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data
