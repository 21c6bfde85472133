"""A folder of blobs, listed in pages: sorted, from any key on, never more than a page in memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nsmallest
from pathlib import Path

#: Names of one folder that are held at once.
NAMES = 1_000


@dataclass(frozen=True)
class Found:
    """A blob as the storage lists it; `modified` is by the storage's own clock."""

    key: str
    bytes: int
    modified: datetime


def walk(root: Path, folder: str, after: str = "") -> Iterator[Found]:
    """List the files below `root/folder`, folder by folder, that come after the key `after`.

    Half-written files of writers that died (`name#1`) are listed too: nobody else would ever find them.
    """
    first, _, rest = _below(folder, after).partition("/")
    for name in _names(root / folder, first):
        inner, within = f"{folder}/{name}", after if name == first and rest else ""
        if (root / inner).is_dir():
            yield from walk(root, inner, within)
        elif name != first or rest:
            yield from _found(root, inner)


def _below(folder: str, after: str) -> str:
    return after.removeprefix(f"{folder}/") if after.startswith(f"{folder}/") else ""


def _names(folder: Path, first: str) -> Iterator[str]:
    """Name what is in a folder in order, from `first` on; what is removed meanwhile is left out."""
    last: str | None = None
    while True:
        try:
            names = nsmallest(NAMES, (name for name in _all(folder) if name >= first and (not last or name > last)))
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from names
        if len(names) < NAMES:
            return
        last = names[-1]


def _all(folder: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.name


def _found(root: Path, key: str) -> Iterator[Found]:
    try:
        stat = (root / key).stat()
    except FileNotFoundError:
        return
    yield Found(key, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))
