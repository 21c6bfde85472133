"""What every format asks of a name, a type and a size."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.errors import BadDataset

MAX_ARRAYS = 10_000
MAX_NAME = 200


def describe(shape: Sequence[int], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Write down an array as the API shows it."""
    return {"shape": [int(size) for size in shape], "dtype": dtype.name}


def check_names(names: Iterable[str]) -> list[str]:
    """Refuse names that could not be told apart or written into a reference.

    Raises:
        BadDataset: A name is empty, too long, unprintable or there twice, or there are too many.
    """
    seen: set[str] = set()
    for name in names:
        if not 0 < len(name) <= MAX_NAME or not name.isprintable():
            raise BadDataset(f"{name[:40]!r} is no name for an array: use 1 to {MAX_NAME} printable characters")
        if name in seen:
            raise BadDataset(f"{name!r} is there twice; give every array a name of its own")
        seen.add(name)
    if len(seen) > MAX_ARRAYS:
        raise BadDataset(f"the file holds {len(seen)} arrays or columns; {MAX_ARRAYS} are the most")
    return list(seen) if isinstance(names, set) else list(names)


def check_array(name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Return the bytes an array takes, if it is one a network can be fed.

    Raises:
        BadDataset: It is no array of plain numbers with at least one row.
    """
    if dtype.hasobject:
        raise BadDataset(
            f"array {name!r} holds Python objects, which only a pickle can store and which are never read; "
            "convert it to numbers with .astype('float32')"
        )
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise BadDataset(f"array {name!r} is of type {dtype}; send booleans, integers or floats up to 64 bits")
    if len(shape) == 0:
        raise BadDataset(f"array {name!r} is a single number; the first axis must count the samples")
    if min(shape) < 1:
        raise BadDataset(f"array {name!r} has shape {tuple(shape)}; every axis must be 1 or more")
    if len(shape) > 32:
        raise BadDataset(f"array {name!r} has {len(shape)} axes; 32 are the most")
    return math.prod(shape) * dtype.itemsize


def check_total(total: int, max_bytes: int) -> None:
    """Refuse files that are small only while they are packed.

    Raises:
        BadDataset: The arrays together would take too much memory.
    """
    if total > max_bytes:
        raise BadDataset(f"the arrays take {total:,} bytes once unpacked; {max_bytes:,} are the most")


def no_such_array(name: str, names: Iterable[str]) -> BadDataset:
    """Say which arrays there are instead."""
    return BadDataset(f"there is no array {name!r}; the file holds {', '.join(sorted(names)[:20])}")
