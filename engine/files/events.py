"""TensorBoard's event files: records in a frame with checksums, each an `Event` of protocol buffers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np

#: What the first event says the file is.
VERSION = b"brain.Event:2"
#: The polynomial of Castagnoli, its bits in reverse.
_POLYNOMIAL = 0x82F63B78
_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5


def written(began: float, epochs: Iterable[tuple[float, int, Mapping[str, float]]]) -> bytes:
    """Write scalars as the whole content of a file.

    Args:
        began: When it began, in seconds since 1970.
        epochs: For each, when it ended, its number, and its values by name.
    """
    events = [_field(1, _DOUBLE, began) + _field(3, _BYTES, VERSION)]
    events += [_event(*each) for each in epochs]
    return b"".join(_framed(each) for each in events)


def _event(time: float, step: int, values: Mapping[str, float]) -> bytes:
    summary = b"".join(_field(1, _BYTES, _scalar(name, value)) for name, value in values.items())
    return _field(1, _DOUBLE, time) + _field(2, _VARINT, step) + _field(5, _BYTES, summary)


def _scalar(name: str, value: float) -> bytes:
    return _field(1, _BYTES, name.encode()) + _field(2, _FLOAT, value)


def _field(number: int, kind: int, value: float | bytes) -> bytes:
    """Write one field of a message: its number and kind, then its value."""
    head = _varint(number << 3 | kind)
    if isinstance(value, bytes):
        return head + _varint(len(value)) + value
    if kind == _VARINT:
        return head + _varint(int(value))
    if kind == _DOUBLE:
        return head + struct.pack("<d", value)
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        return head + struct.pack("<f", np.float32(value))


def _varint(value: int) -> bytes:
    """Write a number of 0 or more in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _masked(length) + record + _masked(record)


def _masked(content: bytes) -> bytes:
    """Write a checksum, turned and moved so that a checksum of what holds checksums is sound."""
    checksum = crc32c(content)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def crc32c(content: bytes) -> int:
    """Return the cyclic checksum of 32 bits with Castagnoli's polynomial."""
    table, checksum = _table(), 0xFFFFFFFF
    for byte in content:
        checksum = table[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum ^ 0xFFFFFFFF


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table
