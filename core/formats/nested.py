"""`.json`: an object of nested lists of numbers, for data small enough to be read by people.

Lists of different lengths become two arrays: `x`, all their values in one row, and `x.offsets`, where each begins.
"""

import json
from itertools import accumulate
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from core.errors import BadDataset
from core.formats.checks import check_array, check_names, check_total, describe, no_such_array

MAX_JSON_BYTES = 64 * 2**20
#: What the array is called that tells where each of a list of lists begins.
OFFSETS = ".offsets"


def inspect_json(path: Path, max_bytes: int) -> dict[str, Any]:
    """See `core.formats.inspect`."""
    found = {name: _array(name, value) for name, value in _flat(_read(path)).items()}
    check_total(sum(array.nbytes for array in found.values()), max_bytes)
    return {name: describe(array.shape, array.dtype) for name, array in found.items()}


def load_json(path: Path, array: str) -> np.ndarray:
    """See `core.formats.load`."""
    content = _flat(_read(path))
    if array not in content:
        raise no_such_array(array, content)
    return _array(array, content[array])


def _read(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise BadDataset(f"a JSON file may have {MAX_JSON_BYTES:,} bytes; send larger data as .npz")
    try:
        content = json.loads(path.read_text("utf-8-sig"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadDataset(f"the file is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadDataset('the file must hold an object of arrays, such as {"x": [[0, 1], [1, 0]], "y": [1, 0]}')
    return content


def _flat(content: dict[str, Any]) -> dict[str, Any]:
    """Part lists of different lengths into their values and their offsets."""
    return _unique([pair for name, value in content.items() for pair in _parts(name, value)])


def _parts(name: str, value: Any) -> list[tuple[str, Any]]:
    if not _is_ragged(value):
        return [(name, value)]
    ends = list(accumulate(map(len, value), initial=0))
    return [(name, [step for each in value for step in each]), (f"{name}{OFFSETS}", ends)]


def _is_ragged(value: Any) -> bool:
    lists = isinstance(value, list) and len(value) > 0 and all(isinstance(each, list) for each in value)
    return lists and len({len(each) for each in value}) > 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_names([name for name, _ in pairs])
    return dict(pairs)


def _no_constant(name: str) -> NoReturn:
    raise BadDataset(f"{name} is not a JSON number; send data that holds it as .npz")


def _array(name: str, value: Any) -> np.ndarray:
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise BadDataset(
            f"the lists of array {name!r} are not all of one length; make it a rectangle of numbers"
        ) from error
    if array.dtype.kind in "OUS":
        raise BadDataset(f"array {name!r} holds something that is not a number, or not one of 64 bits")
    check_array(name, array.shape, array.dtype)
    return array
