"""TensorBoard's event files, read as their format is described: apart from what writes them."""

import struct
from dataclasses import dataclass, field


@dataclass
class Event:
    time: float = 0.0
    step: int = 0
    version: str = ""
    scalars: dict[str, float] = field(default_factory=dict)


def events_in(content: bytes) -> list[Event]:
    return [event_of(each) for each in records_in(content)]


def records_in(content: bytes) -> list[bytes]:
    """Cut a file into records, and hold each to its checksums."""
    records = []
    while content:
        (length,), (checksum,) = struct.unpack("<Q", content[:8]), struct.unpack("<I", content[8:12])
        assert checksum == masked(content[:8])
        record, content = content[12 : 12 + length], content[12 + length :]
        assert struct.unpack("<I", content[:4]) == (masked(record),)
        records.append(record)
        content = content[4:]
    return records


def masked(content: bytes) -> int:
    checksum = divided(content)
    return ((checksum >> 15) + (checksum << 17) + 0xA282EAD8) % 2**32


def divided(content: bytes) -> int:
    """The remainder of a division by Castagnoli's polynomial, bit by bit and without a table."""
    remainder = 2**32 - 1
    for byte in content:
        for place in range(8):
            odd = (remainder ^ byte >> place) & 1
            remainder = remainder >> 1 ^ (0x82F63B78 if odd else 0)
    return remainder ^ (2**32 - 1)


def fields_of(message: bytes):
    """List the fields of a protocol buffer: number and value."""
    while message:
        key, message = varint(message)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, message = varint(message)
        elif kind == 1:
            (value,), message = struct.unpack("<d", message[:8]), message[8:]
        elif kind == 5:
            (value,), message = struct.unpack("<f", message[:4]), message[4:]
        else:
            assert kind == 2
            length, message = varint(message)
            value, message = message[:length], message[length:]
            assert len(value) == length
        yield number, value


def varint(message: bytes) -> tuple[int, bytes]:
    value = 0
    for place, byte in enumerate(message):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, message[place + 1 :]
    raise AssertionError("a number has no end")


def event_of(record: bytes) -> Event:
    event = Event()
    for number, value in fields_of(record):
        if number == 5:
            event.scalars |= dict(scalar_of(each) for _, each in fields_of(value))
        else:
            setattr(event, {1: "time", 2: "step", 3: "version"}[number], value.decode() if number == 3 else value)
    return event


def scalar_of(message: bytes) -> tuple[str, float]:
    parts = dict(fields_of(message))
    assert set(parts) == {1, 2}
    return parts[1].decode(), parts[2]
