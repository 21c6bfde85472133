"""Keras 3's `.weights.h5`, alone or inside a `.keras`: where it keeps each layer's arrays.

Layers have no names there but the path of what they stand in, and one made from their class: `layers/dense`,
`layers/dense_1`, … A layer's own name is an attribute of its `vars`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.arguments import Shape
from engine.errors import BadFile
from engine.files.conversions import own
from engine.files.layout import Group
from engine.files.safe import Opened
from engine.files.slots import Arrays, Slot
from engine.layer import Layer

#: What Keras 3 calls the classes that it calls otherwise.
CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
    "TimeDistributedDense": "Dense",
}
#: Layers whose weights belong to the cell that they run.
OF_CELLS = ("SimpleRNN", "GRU", "LSTM", "ConvLSTM2D")
#: What the container of the layers is called: by Keras 3, and by tf.keras before it.
ROOTS = ("layers", "_layer_checkpoint_dependencies")


@dataclass(frozen=True)
class Place:
    """Where a layer's own arrays lie."""

    path: str
    layer: Layer
    slots: tuple[Slot, ...]

    @property
    def vars(self) -> str:
        """The path of the group of its arrays."""
        return f"{self.path}/cell/vars" if type(self.layer).__name__ in OF_CELLS else f"{self.path}/vars"


def snake(name: str) -> str:
    """Turn a class's name into that of a path, as Keras 3 does."""
    apart = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", apart).lower()


def called(layer: Layer) -> str:
    """Name a layer's class as Keras 3 does."""
    return CLASSES.get(type(layer).__name__, type(layer).__name__)


def numbered(layers: list[Layer]) -> list[str]:
    """Name the members of one container: the class, and a number from the second on."""
    seen: Counter[str] = Counter()
    names = []
    for layer in layers:
        stem = snake(called(layer))
        names.append(f"{stem}_{seen[stem]}" if seen[stem] else stem)
        seen[stem] += 1
    return names


def places(layer: Layer, input_shape: Shape, path: str, prefix: str) -> Iterator[Place]:
    """List where the arrays of a layer lie, and of all layers that it is made of."""
    parts = list(layer.parts(input_shape))
    names = numbered([part.layer for part in parts])
    for part, name in zip(parts, names, strict=True):
        below = f"layers/{name}" if part.role == "layers" else part.role
        yield from places(part.layer, part.input_shape, f"{path}/{below}", f"{prefix}{part.layer.name}/")
    if not parts:
        yield Place(path, layer, tuple(own(layer, input_shape, prefix)))


def is_one(opened: Opened) -> bool:
    """Tell a `.weights.h5` by its structure."""
    return any(opened.has(opened.root, root) for root in ROOTS)


def read(opened: Opened, groups: list[Group], by_name: bool) -> Arrays:
    """Read weights for a model, by position or by the layers' names."""
    root = next(name for name in ROOTS if opened.has(opened.root, name))
    container = opened.child(opened.root, root, h5py.Group)
    paths = _by_name(opened, container, groups) if by_name else _by_position(opened, container, groups)
    loaded: Arrays = {}
    for group, path in paths:
        key = f"{group.prefix}{group.placed.layer.name}/"
        for place in places(group.placed.layer, group.placed.input_shape, path, key):
            loaded |= _place(opened, container, place)
    return loaded


def _by_position(opened: Opened, container: Any, groups: list[Group]) -> list[tuple[Group, str]]:
    names = numbered([group.placed.layer for group in groups])
    wanted = {name: group for name, group in zip(names, groups, strict=True) if group.slots}
    there = opened.children(container)
    extra = [name for name in there if name not in names and _holds_arrays(opened, container, name)]
    if extra or set(wanted) - set(there):
        raise BadFile(
            f"The file, of Keras 3, holds the layers {', '.join(sorted(there)[:20]) or 'of no model'}, but the model's "
            f"layers with weights would be {', '.join(wanted) or 'none'} there."
        )
    return [(group, name) for name, group in wanted.items()]


def _by_name(opened: Opened, container: Any, groups: list[Group]) -> list[tuple[Group, str]]:
    wanted = {group.name: group for group in groups if group.slots}
    found = []
    for path in opened.children(container):
        group = opened.child(container, path, h5py.Group)
        name = opened.text(opened.child(group, "vars", h5py.Group), "name") if opened.has(group, "vars") else None
        if name in wanted:
            found.append((wanted[name], path))
    if not found:
        raise BadFile(
            f"No layer of the file bears the name of one of the model's, which has {', '.join(list(wanted)[:20])}."
        )
    return found


def _holds_arrays(opened: Opened, container: Any, path: str) -> bool:
    """Tell whether a layer's group has arrays, or layers below it that may have some."""
    group = opened.child(container, path, h5py.Group)
    if any(opened.has(group, below) for below in ("cell", "layer", "forward_layer", "layers")):
        return True
    return opened.has(group, "vars") and len(opened.child(group, "vars", h5py.Group)) > 0


def _place(opened: Opened, container: Any, place: Place) -> Arrays:
    if not place.slots:
        return {}
    group = opened.child(container, place.vars, h5py.Group)
    if len(group) != len(place.slots):
        raise BadFile(
            f"{place.vars} of the file has {len(group)} arrays, but layer {place.layer.name} of the model has "
            f"{len(place.slots)}: {', '.join(slot.name for slot in place.slots)}."
        )
    loaded: Arrays = {}
    for number, slot in enumerate(place.slots):
        loaded |= slot.split(opened.array(group, str(number), slot.shape, f"{place.layer.name}'s {slot.name}"))
    return loaded


def write(file: Any, groups: list[Group], weights: Mapping[str, NDArray[Any]]) -> None:
    """Write weights as Keras 3's `save_weights` does."""
    names = numbered([group.placed.layer for group in groups])
    for name, group in zip(names, groups, strict=True):
        layer = group.placed.layer
        file.require_group(f"layers/{name}/vars").attrs["name"] = group.name
        for place in places(layer, group.placed.input_shape, f"layers/{name}", f"{group.prefix}{layer.name}/"):
            its = file.require_group(place.vars)
            for number, slot in enumerate(place.slots):
                its.create_dataset(str(number), data=np.ascontiguousarray(slot.join(weights), dtype=np.float32))
