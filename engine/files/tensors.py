"""Weights as safetensors: one tensor under each weight's key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engine.errors import BadFile
from engine.files.layout import Group

Arrays = dict[str, NDArray[Any]]


def write(path: Path, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write weights under their keys, `layer/weight`."""
    save_file({key: np.ascontiguousarray(value) for key, value in weights.items()}, path)


def read(path: Path, groups: list[Group], by_name: bool = False) -> Arrays:
    """Read weights for a model by their keys.

    Raises:
        BadFile: It is no such file, or lacks a weight that was not left out `by_name`.
    """
    try:
        with safe_open(path, framework="np") as file:
            return _read(file, groups, by_name)
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise BadFile(f"The safetensors file cannot be read: {error}") from None


def _read(file: Any, groups: list[Group], by_name: bool) -> Arrays:
    present = set(file.keys())
    loaded: Arrays = {}
    for slot in (slot for group in groups for slot in group.slots):
        if slot.keys[0] not in present:
            if by_name:
                continue
            raise BadFile(f"The file has no {slot.keys[0]}; it has {', '.join(sorted(present)[:20])}.")
        if tuple(file.get_slice(slot.keys[0]).get_shape()) != slot.shape:
            raise BadFile(f"{slot.keys[0]} of the file is not {list(slot.shape)}, as in the model.")
        loaded[slot.keys[0]] = np.asarray(file.get_tensor(slot.keys[0]), dtype=np.float32)
    if not loaded:
        raise BadFile(f"The file has none of the model's weights; it has {', '.join(sorted(present)[:20])}.")
    return loaded
