"""Keras 3's `.keras`: a zip of `config.json`, `metadata.json` and `model.weights.h5`, as strangers send it.

Nothing is ever unpacked to a path that the archive names, and no more than a caller has room for.
"""

from __future__ import annotations

import stat
import struct
import zipfile
from io import BytesIO
from pathlib import Path

from engine.errors import BadFile

MAGIC = b"PK\x03\x04"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_MEMBERS = 1000
MAX_DIRECTORY_BYTES = 2**20
#: A zip's last bytes: signature, numbers of the disk (4 fields), size and place of the directory, length of a comment.
_END = struct.Struct("<4s4H2LH")
_SIXTY_FOUR = b"PK\x06\x07"


def is_archive(path: Path) -> bool:
    """Tell a zip by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def check(path: Path) -> None:
    """Refuse what is no `.keras`, or no harmless one.

    Raises:
        BadFile: It is another zip, is damaged, or its members would lead elsewhere or hide one another.
    """
    with _opened(path):
        pass


def read(path: Path, name: str, room: int) -> BytesIO:
    """Unpack one member into memory.

    Args:
        path: The archive.
        name: The member's name.
        room: How many bytes it may have.

    Raises:
        BadFile: It is not there, is damaged, or is larger.
    """
    with _opened(path) as archive:
        try:
            with archive.open(name) as member:
                content = member.read(room + 1)
        except KeyError:
            raise BadFile(f"The .keras archive has no {name}.") from None
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise BadFile(f"{name} of the .keras archive cannot be read: {str(error)[:200]}") from None
    if len(content) > room:
        raise BadFile(f"{name} of the .keras archive is larger than the {room:,} bytes that the model has room for.")
    return BytesIO(content)


def _opened(path: Path) -> zipfile.ZipFile:
    _check_end(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadFile(f"The .keras archive cannot be read: {str(error)[:200]}") from None
    try:
        _check_members(archive.infolist())
    except BadFile:
        archive.close()
        raise
    return archive


def _check_end(path: Path) -> None:
    """Measure the directory before anything reads it: each of its entries costs memory."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END.size - 20))
        last = file.read()
    if len(last) < _END.size + 20 or last[20:24] != b"PK\x05\x06":
        raise BadFile("The .keras archive is cut short, or has a comment at its end, which Keras never writes.")
    _, _, _, _, members, directory, _, _ = _END.unpack(last[20:])
    if last[:4] == _SIXTY_FOUR or members > MAX_MEMBERS or directory > MAX_DIRECTORY_BYTES:
        raise BadFile(
            f"The .keras archive has too many members, or is larger than 4 GiB: it may have {MAX_MEMBERS}. Send its "
            f"{WEIGHTS} alone."
        )


def _check_members(members: list[zipfile.ZipInfo]) -> None:
    names = [each.filename for each in members]
    if {CONFIG, WEIGHTS} - set(names):
        raise BadFile(f"The archive is no .keras file: it lacks {CONFIG} or {WEIGHTS}.")
    for each in members:
        _check_member(each, names.count(each.filename))


def _check_member(member: zipfile.ZipInfo, count: int) -> None:
    name = member.filename
    if name.startswith(("/", "\\")) or ":" in name or ".." in name.replace("\\", "/").split("/"):
        raise BadFile(f"Member {name[:200]!r} of the .keras archive would lead out of it.")
    if count > 1:
        raise BadFile(f"The .keras archive has {count} members of the name {name[:200]!r}.")
    mode = member.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise BadFile(f"Member {name[:200]!r} of the .keras archive is a link or a device.")
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadFile(f"Member {name[:200]!r} of the .keras archive is encrypted, or packed in an unusual way.")
