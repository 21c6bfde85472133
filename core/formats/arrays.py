"""numpy's own files: `.npy`, and `.npz`, which is a zip of them."""

import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from core.errors import BadDataset
from core.formats.checks import MAX_ARRAYS, check_array, check_names, check_total, describe, no_such_array

#: The only array of a `.npy` file has no name of its own.
ONLY = "data"
MAX_DIRECTORY_BYTES = MAX_ARRAYS * 512
CHUNK = 2**20
#: All that zipfile and zlib raise over bytes that are not what they should be.
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)
#: All that numpy raises over a header that is not what it should be: it parses a Python literal.
BAD_HEADER = (
    *DAMAGE, LookupError, TypeError, AttributeError, SyntaxError, MemoryError, OverflowError, TokenError,
)  # fmt: skip

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def inspect_npy(path: Path, max_bytes: int) -> dict[str, Any]:
    """See `core.formats.inspect`."""
    with path.open("rb") as file:
        shape, _, dtype = _header(file, ONLY)
        start = file.tell()
    total = check_array(ONLY, shape, dtype)
    check_total(total, max_bytes)
    _check_length(ONLY, total, path.stat().st_size - start)
    return {ONLY: describe(shape, dtype)}


def load_npy(path: Path, array: str) -> np.ndarray:
    """See `core.formats.load`."""
    if array != ONLY:
        raise no_such_array(array, [ONLY])
    with path.open("rb") as file:
        header = _header(file, ONLY)
        return _native(_mapped(path, file.tell(), header))


def inspect_npz(path: Path, max_bytes: int) -> dict[str, Any]:
    """See `core.formats.inspect`."""
    with _open(path) as archive:
        members = archive.infolist()
        check_names([_name(member) for member in members])
        check_total(sum(member.file_size for member in members), max_bytes)
        return {_name(member): _inspect_member(archive, member) for member in members}


def load_npz(path: Path, array: str) -> np.ndarray:
    """See `core.formats.load`."""
    with _open(path) as archive:
        members = {_name(member): member for member in archive.infolist()}
        if array not in members:
            raise no_such_array(array, members)
        member = members[array]
        with archive.open(member) as file:
            header = _header(file, array)
            start = file.tell()
            check_array(array, header[0], header[2])
            if member.compress_type == zipfile.ZIP_STORED:
                return _native(_mapped(path, _offset(path, member) + start, header))
            file.seek(0)
            return _native(npy.read_array(file, allow_pickle=False))


def _header(file: IO[bytes], name: str) -> Header:
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(file)
    except BAD_HEADER as error:
        raise BadDataset(
            f"array {name!r} is not in numpy's format, is damaged, or was cut short; write it with numpy.save"
        ) from error
    return shape, fortran, dtype


def _check_length(name: str, expected: int, actual: int) -> None:
    if actual != expected:
        raise BadDataset(
            f"array {name!r} declares {expected:,} bytes of numbers and holds {actual:,}: "
            "the file was cut short or tampered with; upload it again"
        )


def _mapped(path: Path, start: int, header: Header) -> np.ndarray:
    shape, fortran, dtype = header
    _check_fits(path, start, check_array("data", shape, dtype))
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _check_fits(path: Path, start: int, size: int) -> None:
    if start + size > path.stat().st_size:
        raise BadDataset(f"{path.name} ends before its array does; upload it again")


def _native(array: np.ndarray) -> np.ndarray:
    """Put bytes into this machine's order, for no tensor can hold another."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _open(path: Path) -> zipfile.ZipFile:
    _check_directory(path)
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
        raise BadDataset(
            "the file is no zip archive, or was cut short; write it with numpy.savez and upload it again"
        ) from error


def _check_directory(path: Path) -> None:
    """Refuse an archive whose table of contents alone would fill the memory."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_557))
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + 22:
            raise BadDataset("the file is no zip archive, or was cut short; write it with numpy.savez")
        (length,) = struct.unpack_from("<I", tail, end + 12)
        if length == 0xFFFFFFFF or tail[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
            length = max(_zip64_length(file, tail, end, size), 0 if length == 0xFFFFFFFF else length)
    if length > MAX_DIRECTORY_BYTES:
        raise BadDataset(f"the archive's table of contents takes {length:,} bytes; use fewer arrays")


def _zip64_length(file: IO[bytes], tail: bytes, end: int, size: int) -> int:
    if end < 20 or not tail[end - 20 : end].startswith(b"PK\x06\x07"):
        raise BadDataset("the archive's table of contents is damaged; write it with numpy.savez")
    (offset,) = struct.unpack_from("<Q", tail, end - 12)
    file.seek(min(offset, size))
    record = file.read(56)
    if len(record) < 56 or not record.startswith(b"PK\x06\x06"):
        raise BadDataset("the archive's table of contents is damaged; write it with numpy.savez")
    (length,) = struct.unpack_from("<Q", record, 40)
    return int(length)


def _name(member: zipfile.ZipInfo) -> str:
    name = member.filename
    if not name.endswith(".npy") or "/" in name or "\\" in name or name.startswith("."):
        raise BadDataset(f"the archive holds {name[:80]!r}; only plain arrays NAME.npy may be in it")
    if member.flag_bits & 0x1:
        raise BadDataset(f"{name!r} is encrypted; write the archive with numpy.savez")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadDataset(f"{name!r} is compressed in a way that numpy does not use; use numpy.savez_compressed")
    return name.removesuffix(".npy")


def _inspect_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> dict[str, Any]:
    name = _name(member)
    try:
        with archive.open(member) as file:
            shape, _, dtype = _header(file, name)
            total = check_array(name, shape, dtype)
            _check_length(name, total, member.file_size - file.tell())
            _check_length(name, total, _count(file))
    except DAMAGE as error:
        raise BadDataset(f"array {name!r} is damaged or declares more than it holds; upload it again") from error
    return describe(shape, dtype)


def _count(file: IO[bytes]) -> int:
    """Read to the end, which is also what makes zipfile compare the checksum."""
    count = 0
    while chunk := file.read(CHUNK):
        count += len(chunk)
    return count


def _offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Find a stored member's first byte: its local header has lengths of its own."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name_length, extra_length = struct.unpack("<HH", file.read(4))
    return member.header_offset + 30 + int(name_length) + int(extra_length)
