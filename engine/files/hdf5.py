"""Keras 1's HDF5 weight files, written and read.

What strangers send is read without following anything out of the file: hard links only, no external or virtual
storage, nothing that declares more than the model has room for.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFile
from engine.files.layout import Group, Slot

Arrays = dict[str, NDArray[Any]]
MAX_LAYERS = 10_000


def write(path: Path, groups: list[Group], weights: Mapping[str, NDArray[Any]]) -> None:
    """Write weights as Keras 1.2.2's `save_weights` does."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([group.name.encode() for group in groups])
        for group in groups:
            its = file.create_group(group.name)
            its.attrs["weight_names"] = np.array([slot.name.encode() for slot in group.slots])
            for slot in group.slots:
                its.create_dataset(slot.name, data=np.ascontiguousarray(weights[slot.key], dtype=np.float32))


def read(path: Path, groups: list[Group], by_name: bool = False) -> Arrays:
    """Read weights for a model, by position or by the layers' names.

    Returns:
        The arrays by the model's keys; by name, only those of layers that the file has.

    Raises:
        BadFile: It is no such file, does not fit the model, or reaches outside itself.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, groups, by_name)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise BadFile(f"The HDF5 file cannot be read: {error}") from None


def _read(file: Any, groups: list[Group], by_name: bool) -> Arrays:
    root = file
    if "layer_names" not in file.attrs and "model_weights" in file:
        root = _child(file, "model_weights", h5py.Group)
    if "layer_names" not in root.attrs:
        raise BadFile("The HDF5 file has no `layer_names`: it was not written by Keras's save_weights or save.")
    names = _names(root, "layer_names")
    return _by_name(root, names, groups) if by_name else _by_position(root, names, groups)


def _names(group: Any, attribute: str) -> list[str]:
    values = np.asarray(group.attrs.get(attribute, ())).reshape(-1)
    if len(values) > MAX_LAYERS:
        raise BadFile(f"`{attribute}` lists {len(values):,} names, and may list {MAX_LAYERS:,}.")
    return [each.decode() if isinstance(each, bytes) else str(each) for each in values]


def _by_position(root: Any, names: list[str], groups: list[Group]) -> Arrays:
    filled = [(name, arrays) for name in names if (arrays := _names(_child(root, name, h5py.Group), "weight_names"))]
    wanted = [group for group in groups if group.slots]
    if len(filled) != len(wanted):
        raise BadFile(
            f"The file holds the weights of {len(filled)} layers, but the model has {len(wanted)} with weights: "
            f"{', '.join(group.name for group in wanted)}."
        )
    loaded: Arrays = {}
    for (name, arrays), group in zip(filled, wanted, strict=True):
        loaded |= _group(_child(root, name, h5py.Group), name, arrays, group)
    return loaded


def _by_name(root: Any, names: list[str], groups: list[Group]) -> Arrays:
    wanted = {group.name: group for group in groups if group.slots}
    loaded: Arrays = {}
    for name in names:
        if name in wanted:
            its = _child(root, name, h5py.Group)
            if arrays := _names(its, "weight_names"):
                loaded |= _group(its, name, arrays, wanted[name])
    if not loaded:
        raise BadFile(
            f"No layer of the file bears the name of one of the model's. The file has {', '.join(names[:20])}; the "
            f"model has {', '.join(list(wanted)[:20])}."
        )
    return loaded


def _group(its: Any, name: str, arrays: list[str], group: Group) -> Arrays:
    if len(arrays) != len(group.slots):
        raise BadFile(
            f"Layer {name} of the file has {len(arrays)} arrays, but layer {group.name} of the model has "
            f"{len(group.slots)}."
        )
    return {slot.key: _array(its, array, slot) for array, slot in zip(arrays, group.slots, strict=True)}


def _array(group: Any, name: str, slot: Slot) -> NDArray[Any]:
    dataset = _child(group, name, h5py.Dataset)
    if dataset.shape != slot.shape:
        raise BadFile(f"Array {name} of the file is {list(dataset.shape)}, but {slot.key} is {list(slot.shape)}.")
    if dataset.dtype.kind not in "fiu":
        raise BadFile(f"Array {name} of the file holds {dataset.dtype}, not numbers.")
    if dataset.is_virtual or dataset.external:
        raise BadFile(f"Array {name} of the file keeps its numbers in another file.")
    return np.asarray(dataset[()], dtype=np.float32)


def _child(group: Any, name: str, kind: type) -> Any:
    """Open a member that lies in the file itself, step by step, so that no link leads elsewhere."""
    here = group
    for step in name.split("/"):
        if not isinstance(here.get(step, getlink=True), h5py.HardLink):
            raise BadFile(f"{name!r} is missing from the file, or is a link that leads elsewhere.")
        here = here[step]
    if not isinstance(here, kind):
        raise BadFile(f"{name!r} of the file is not a {kind.__name__.lower()}.")
    return here
