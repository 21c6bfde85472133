"""HDF5 files from strangers, read without following anything out of them or believing what they declare.

Only hard links are followed, step by step, along names that Keras gives or the model asks for, so that a circle of
links leads nowhere. Nothing is allocated for a number that the file alone tells: arrays must have the shape that the
model has room for, and attributes are measured before they are read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFile

#: How many names an attribute may list, or members a group may have.
MAX_NAMES = 10_000
MAX_TEXT_BYTES = 64 * 2**20
#: How a collection of strings of variable length begins in a file.
HEAP = b"GCOL\x01\x00\x00\x00"


class Opened:
    """An HDF5 file that is open, and what bounds the strings in it."""

    def __init__(self, file: Any, longest_text: int) -> None:
        self.root = file
        self.longest_text = longest_text

    def child(self, group: Any, name: str, kind: type) -> Any:
        """Open a member that lies in the file itself, step by step, so that no link leads elsewhere."""
        here = group
        for step in name.split("/"):
            if not isinstance(here, h5py.Group) or not isinstance(here.get(step, getlink=True), h5py.HardLink):
                raise BadFile(f"{name[:200]!r} is missing from the file, or is a link that leads elsewhere.")
            here = here[step]
        if not isinstance(here, kind):
            raise BadFile(f"{name[:200]!r} of the file is not a {kind.__name__.lower()}.")
        return here

    def has(self, group: Any, name: str) -> bool:
        """Tell whether a group has a member of that name, of whatever kind."""
        return name in group.keys()  # noqa: SIM118  # `in group` would follow links

    def children(self, group: Any) -> list[str]:
        """List the names of a group's members."""
        if len(group) > MAX_NAMES:
            raise BadFile(f"A group of the file has {len(group):,} members, and may have {MAX_NAMES:,}.")
        return list(group.keys())

    def text(self, group: Any, attribute: str) -> str | None:
        """Read an attribute that is one piece of text; None if there is none."""
        values = self._strings(group, attribute)
        return values[0] if values else None

    def names(self, group: Any, attribute: str) -> list[str]:
        """Read an attribute that lists names; Keras 2 cuts long lists into `…0`, `…1` and so on."""
        found = self._strings(group, attribute)
        if found is None and (found := self._strings(group, f"{attribute}0")) is not None:
            number = 1
            while len(found) <= MAX_NAMES and (more := self._strings(group, f"{attribute}{number}")) is not None:
                found, number = found + more, number + 1
        if len(found or ()) > MAX_NAMES:
            raise BadFile(f"`{attribute}` lists {len(found or ()):,} names, and may list {MAX_NAMES:,}.")
        return found or []

    def _strings(self, group: Any, attribute: str) -> list[str] | None:
        key = attribute.encode()
        if not h5py.h5a.exists(group.id, key):
            return None
        declared = h5py.h5a.open(group.id, key)
        count = prod(declared.shape)
        if count == 0:
            return []
        self._check_text(attribute, declared.dtype, count)
        values = np.asarray(group.attrs[attribute], dtype=object).reshape(-1)
        return [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in values]

    def _check_text(self, attribute: str, dtype: np.dtype[Any], count: int) -> None:
        form = h5py.check_string_dtype(dtype)
        if form is None:
            raise BadFile(f"Attribute `{attribute}` of the file holds {dtype}, not text.")
        if count > MAX_NAMES:
            raise BadFile(f"`{attribute}` lists {count:,} names, and may list {MAX_NAMES:,}.")
        longest = form.length or self.longest_text
        if count * longest > MAX_TEXT_BYTES and (form.length or count > 1):
            raise BadFile(f"`{attribute}` may have up to {count * longest:,} bytes of text, and may have 64 MiB.")

    def array(self, group: Any, name: str, shape: tuple[int, ...], what: str) -> NDArray[Any]:
        """Read numbers of the shape that they must have.

        Raises:
            BadFile: They have another shape, are no plain numbers, or do not lie in the file as they are.
        """
        dataset = self.child(group, name, h5py.Dataset)
        if dataset.shape != shape:
            raise BadFile(f"Array {name} of the file is {_listed(dataset.shape)}, but {what} is {list(shape)}.")
        if dataset.dtype.kind not in "fiu":
            raise BadFile(f"Array {name} of the file holds {dataset.dtype}, not numbers.")
        if dataset.is_virtual or dataset.external:
            raise BadFile(f"Array {name} of the file keeps its numbers in another file.")
        if dataset.id.get_create_plist().get_nfilters():
            raise BadFile(
                f"Array {name} of the file is compressed or filtered, which no Keras does: what it would grow to "
                "cannot be known. Save the weights once more, without compression."
            )
        return np.asarray(dataset[()], dtype=np.float32)

    def shape(self, group: Any, name: str) -> tuple[int, ...]:
        """Tell what shape an array declares."""
        return tuple(self.child(group, name, h5py.Dataset).shape or ())


def _listed(shape: tuple[int, ...] | None) -> str:
    return "empty" if shape is None else str(list(shape))


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[Opened]:
    """Open an HDF5 file, or one that lies in memory, for reading.

    Raises:
        BadFile: It is no such file, or is damaged.
    """
    try:
        with h5py.File(source, "r") as file:
            yield Opened(file, _longest_text(source))
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, UnicodeError) as error:
        raise BadFile(f"The HDF5 file cannot be read: {str(error)[:300]}") from None


def _longest_text(source: Path | IO[bytes]) -> int:
    """Find the largest collection of strings in a file: no string is longer, though many names may point at one."""
    if not isinstance(source, Path):
        source.seek(0)
        return _largest_heap(source.read())
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _largest_heap(content)


def _largest_heap(content: bytes | mmap.mmap) -> int:
    largest, at = 0, content.find(HEAP)
    while at >= 0:
        size = int.from_bytes(content[at + 8 : at + 16], "little")
        largest = max(largest, min(size, len(content)))
        at = content.find(HEAP, at + len(HEAP))
    return largest
