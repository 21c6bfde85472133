"""Weights in safetensors, with numpy alone: a length, a header in JSON, and the numbers."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainyard.errors import BadFile

Arrays = dict[str, NDArray[Any]]

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}
_MAX_HEADER_BYTES = 100 * 2**20


def write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, as float32, under their names."""
    header: dict[str, Any] = {}
    ready = {name: np.ascontiguousarray(array, dtype="<f4") for name, array in arrays.items()}
    end = 0
    for name, array in ready.items():
        start, end = end, end + array.nbytes
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in ready.values():
            file.write(array.tobytes())


def read(path: Path) -> Arrays:
    """Read all arrays by their names.

    Raises:
        BadFile: It cannot be read, or is no such file.
    """
    try:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        if not 2 <= length <= min(_MAX_HEADER_BYTES, len(content) - 8):
            raise ValueError("its header does not fit into it")
        header, numbers = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
        return {name: _array(entry, numbers) for name, entry in header.items() if name != "__metadata__"}
    except OSError as error:
        raise BadFile(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadFile(f"{path} holds no safetensors: {error}.") from error


def _array(entry: Any, numbers: memoryview) -> NDArray[Any]:
    dtype, shape = np.dtype(_TYPES[entry["dtype"]]), tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(numbers) or end - start != prod(shape) * dtype.itemsize:
        raise ValueError("an array does not lie where the header says")
    return np.frombuffer(numbers[start:end], dtype).reshape(shape).copy()
