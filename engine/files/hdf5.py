"""HDF5 weight files: written as Keras 1 does, read as Keras 1, 2 and 3 write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFile
from engine.files import keras3
from engine.files.layout import Group, groups
from engine.files.safe import MAX_NAMES, Opened, opened
from engine.files.slots import Arrays
from engine.model import Sequential

#: Last parts of names that only Keras 2 and 3 give.
MODERN_NAMES = {"kernel", "bias", "recurrent_kernel", "embeddings", "moving_mean", "alpha", "depthwise_kernel"}


def write(path: Path, model: Sequential, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write weights as Keras 1.2.2's `save_weights` does."""
    with h5py.File(path, "w") as file:
        fill(file, groups(model), weights)


def fill(root: Any, groups: list[Group], weights: Mapping[str, NDArray[Any]]) -> None:
    """Write weights into a group as Keras 1.2.2 does."""
    root.attrs["layer_names"] = np.array([group.name.encode() for group in groups])
    for group in groups:
        its = root.create_group(group.name)
        its.attrs["weight_names"] = np.array([slot.name.encode() for slot in group.slots])
        for slot in group.slots:
            its.create_dataset(slot.name, data=np.ascontiguousarray(slot.join(weights), dtype=np.float32))


def read(source: Path | IO[bytes], model: Sequential, by_name: bool = False, into: str | None = None) -> Arrays:
    """Read weights for a model, by position or by the layers' names.

    Returns:
        The arrays by the model's keys; by name, only those of layers that the file has.

    Raises:
        BadFile: It is no such file, does not fit the model, or reaches outside itself.
    """
    with opened(source) as file:
        if keras3.is_one(file) and "layer_names" not in file.root.attrs:
            return keras3.read(file, groups(model, into, version=3), by_name)
        root = weights_of(file)
        if "nb_layers" in root.attrs and "layer_names" not in root.attrs:
            return _Reading(file, root, 0).by_position(groups(model, into)) if not by_name else _nameless()
        version = version_of(file, root)
        reading = _Reading(file, root, version)
        wanted = groups(model, into, version)
        return reading.by_name(wanted) if by_name else reading.by_position(wanted)


def weights_of(file: Opened) -> Any:
    """Find the group of the weights: the file itself, or `model_weights` where the whole model was saved.

    Raises:
        BadFile: There is none.
    """
    root = file.root
    if not _lists_layers(root) and file.has(root, "model_weights"):
        root = file.child(root, "model_weights", h5py.Group)
    if not _lists_layers(root):
        raise BadFile("The HDF5 file has no `layer_names` and no `layers`: no Keras's save_weights or save wrote it.")
    return root


def _lists_layers(root: Any) -> bool:
    return any(name in root.attrs for name in ("layer_names", "layer_names0", "nb_layers"))


def version_of(file: Opened, root: Any) -> int:
    """Tell which Keras wrote a file: by what it says, else by what it calls the arrays.

    Raises:
        BadFile: It says it was a version that we do not know.
    """
    said = file.text(root, "keras_version") or file.text(file.root, "keras_version")
    if said is not None:
        if said[:1] not in ("0", "1", "2", "3"):
            raise BadFile(f"The file says that Keras {said[:40]!r} wrote it; files of Keras 1, 2 and 3 can be read.")
        return max(1, int(said[0]))
    for name in file.names(root, "layer_names"):
        for array in file.names(file.child(root, name, h5py.Group), "weight_names"):
            return 2 if array.partition(":")[0].rpartition("/")[2] in MODERN_NAMES else 1
    return 1


def _nameless() -> Arrays:
    raise BadFile("The file is of a Keras before 1.0, which wrote no names: load it by position.", "/weights/by_name")


class _Reading:
    """One reading of a file that lists its layers, as Keras 1 and 2 write it, and Keras 3 its `.h5`."""

    def __init__(self, file: Opened, root: Any, version: int) -> None:
        self.file, self.root, self.version = file, root, version

    def layers(self) -> list[str]:
        if self.version:
            return self.file.names(self.root, "layer_names")
        return [f"layer_{number}" for number in range(_count(self.root, "nb_layers"))]

    def arrays(self, group: Any) -> list[str]:
        if self.version:
            return self.file.names(group, "weight_names")
        return [f"param_{number}" for number in range(_count(group, "nb_params"))]

    def by_position(self, groups: list[Group]) -> Arrays:
        filled = [(name, arrays) for name in self.layers() if (arrays := self.arrays(self.child(name)))]
        wanted = [group for group in groups if group.slots]
        if len(filled) != len(wanted):
            raise BadFile(
                f"The file{self._read_as()} holds the weights of {len(filled)} layers, but the model has {len(wanted)} "
                f"with weights: {', '.join(group.name for group in wanted)}."
            )
        loaded: Arrays = {}
        for (name, arrays), group in zip(filled, wanted, strict=True):
            loaded |= self.group(name, arrays, group)
        return loaded

    def by_name(self, groups: list[Group]) -> Arrays:
        wanted = {group.name: group for group in groups if group.slots}
        names = self.layers()
        loaded: Arrays = {}
        for name in names:
            if name in wanted and (arrays := self.arrays(self.child(name))):
                loaded |= self.group(name, arrays, wanted[name])
        if not loaded:
            raise BadFile(
                "No layer of the file bears the name of one of the model's. The file has "
                f"{', '.join(names[:20])}; the model has {', '.join(list(wanted)[:20])}."
            )
        return loaded

    def child(self, name: str) -> Any:
        return self.file.child(self.root, name, h5py.Group)

    def group(self, name: str, arrays: list[str], group: Group) -> Arrays:
        its = self.child(name)
        if len(arrays) != len(group.slots):
            raise BadFile(
                f"Layer {name} of the file{self._read_as()} has {len(arrays)} arrays, but layer {group.name} of the "
                f"model has {len(group.slots)}."
            )
        loaded: Arrays = {}
        for array, slot in zip(arrays, group.slots, strict=True):
            loaded |= slot.split(self.file.array(its, array, slot.shape, slot.keys[0]))
        return loaded

    def _read_as(self) -> str:
        return f", read as one of Keras {self.version}," if self.version > 1 else ""


def _count(group: Any, attribute: str) -> int:
    value = group.attrs.get(attribute)
    if not isinstance(value, int | np.integer) or not 0 <= value <= MAX_NAMES:
        raise BadFile(f"`{attribute}` of the file is not a number of up to {MAX_NAMES:,}.")
    return int(value)
