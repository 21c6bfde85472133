"""Data files of strangers: what is in them, and one array out of them.

A format is a pair of functions; nothing here ever unpickles, and nothing is believed that a file
declares about itself before it has been counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import BadDataset, UnsupportedFormat
from core.formats import arrays, nested

#: What a file's arrays may take in memory unless the caller says otherwise.
MAX_UNPACKED_BYTES = 16 * 2**30


@dataclass(frozen=True)
class Format:
    """How to look into one kind of file, and how to take an array out of it."""

    inspect: Callable[[Path, int], dict[str, Any]]
    load: Callable[[Path, str], np.ndarray]


def _of_tables(kind: str) -> Format:
    """Import what reads tables once there is one: its library starts a thread, and runners are forked."""

    def read(what: str, path: Path, asked: Any) -> Any:
        return getattr(import_module("core.formats.tabular"), f"{what}_{kind}")(path, asked)

    return Format(partial(read, "inspect"), partial(read, "load"))


FORMATS = {
    "npz": Format(arrays.inspect_npz, arrays.load_npz),
    "npy": Format(arrays.inspect_npy, arrays.load_npy),
    "csv": _of_tables("csv"),
    "parquet": _of_tables("parquet"),
    "json": Format(nested.inspect_json, nested.load_json),
}


def format_of(filename: str) -> str:
    """Tell the format by the end of a file's name.

    Raises:
        UnsupportedFormat: The ending is not one of ours.
    """
    ending = filename.rpartition(".")[2].lower()
    return _known(ending, f"{filename!r} is not a data file that is read here")


def inspect(path: Path, format: str, max_bytes: int = MAX_UNPACKED_BYTES) -> dict[str, Any]:
    """Check a whole file and list its arrays: `{name: {"shape": [...], "dtype": "float32"}}`.

    Raises:
        UnsupportedFormat: There is no such format.
        BadDataset: The file is damaged, dangerous, too large once unpacked, or not made of numbers.
    """
    found = FORMATS[_known(format, f"{format!r} is not a format")].inspect(path, max_bytes)
    if not found:
        raise BadDataset("the file holds no array; put at least one named array into it")
    return found


def load(path: Path, format: str, array: str) -> np.ndarray:
    """Read one array, mapped into memory where the file allows it.

    Raises:
        UnsupportedFormat: There is no such format.
        BadDataset: There is no such array, or the file is not what `inspect` accepted.
    """
    return FORMATS[_known(format, f"{format!r} is not a format")].load(path, array)


def _known(format: str, complaint: str) -> str:
    if format not in FORMATS:
        raise UnsupportedFormat(f"{complaint}; send one of {', '.join(FORMATS)}")
    return format
