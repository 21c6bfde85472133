"""Whole models in the words of Keras 3: a Sequential, or where branches are merged a functional model; and `.keras`."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Json, Shape
from engine.files.archive import CONFIG, METADATA, WEIGHTS
from engine.files.keras3_layers import STEEPER, Configs, element, inexpressible, translated
from engine.layer import Input, Layer
from engine.model import Placed, Sequential

VERSION = "3.0.0"
#: When it was written does not matter, and equal models shall be equal files.
WRITTEN = "1980-01-01@00:00:00"
MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "concat": "Concatenate",
    "dot": "Dot",
    "cos": "Dot",
}


def definition(model: Sequential) -> dict[str, Json]:
    """Write a model down as Keras 3 does.

    Raises:
        Inexpressible: Keras 3 has nothing like one of its layers.
    """
    if model.layers[0].transparent:
        return _Graph(model).written()
    return sequential(model, model.placed[0].input_shape, model.inputs()[0])


def sequential(
    model: Sequential, input_shape: Shape, first: Input | None = None, masked: bool = False
) -> dict[str, Json]:
    """Write a model without branches."""
    dtype = _dtype(first) if first else "float32"
    config: dict[str, Json] = {
        "batch_shape": list(input_shape),
        "dtype": dtype,
        "name": f"{model.name or 'model'}_input",
    }
    layers = [element("InputLayer", config), *_row(model, input_shape, masked)]
    about: dict[str, Json] = {"name": model.name or "sequential", "trainable": model.trainable, "layers": layers}
    return element("Sequential", about, "keras")


def _dtype(first: Input) -> str:
    return first.dtype if first.dtype in ("float32", "int32", "int64") else "float32"


def _row(model: Sequential, input_shape: Shape, masked: bool = False) -> Configs:
    return [each for configs in _masked(model.place(input_shape), masked) for each in configs]


def _masked(row: tuple[Placed, ...], masked: bool) -> Iterator[Configs]:
    """Write layers in a row, minding where a mask goes: it may mean something else there."""
    for placed in row:
        _check_mask(placed.layer, masked)
        yield _of(placed, masked)
        masked = placed.layer.masked(masked)


def _check_mask(layer: Any, masked: bool) -> None:
    if not masked or type(layer).__name__ != "Bidirectional":
        return
    if layer.layer.return_sequences and not layer.layer.zero_masked:
        raise inexpressible(layer, "steps that its mask leaves out would give zeros there, and not the step before")


def _of(placed: Placed, masked: bool = False) -> Configs:
    layer = placed.layer
    if layer.transparent:
        raise inexpressible(layer, "a Merge can only begin a model that is not inside another")
    if isinstance(layer, Sequential):
        return [sequential(layer, placed.input_shape, masked=masked)]
    return translated(layer, placed.input_shape)


@dataclass
class _Graph:
    """A functional model: layers, each with what goes into it."""

    model: Sequential
    layers: Configs = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    #: What each branch that was written ends in.
    ends: dict[int, str] = field(default_factory=dict)
    known_branches: list[Sequential] = field(default_factory=list)

    def written(self) -> dict[str, Json]:
        end = self.branch(self.model)
        config: dict[str, Json] = {
            "name": self.model.name or "functional",
            "trainable": self.model.trainable,
            "layers": self.layers,
            "input_layers": [[name, 0, 0] for name in self.inputs],
            "output_layers": [[end, 0, 0]],
        }
        return element("Functional", config, "keras.src.models.functional") | {"registered_name": "Functional"}

    def branch(self, model: Sequential) -> str:
        """Write the layers of a branch; return the name of the last."""
        if id(model) in self.ends:
            return self.ends[id(model)]
        first = model.layers[0]
        if first.transparent:
            end, placed = self.merge(first), model.placed[1:]
        else:
            end, placed = self.input(model.inputs()[0]), model.placed
        for configs in _masked(placed, False):
            for config in configs:
                end = self.add(config, [end])
        self.ends[id(model)] = end
        return end

    def input(self, given: Input) -> str:
        config: dict[str, Json] = {"batch_shape": list(given.shape), "dtype": _dtype(given), "name": given.name}
        self.inputs.append(given.name)
        return self.add(element("InputLayer", config), [])

    def merge(self, merge: Any) -> str:
        if not isinstance(merge.mode, str):
            raise inexpressible(merge, "it joins by a function")
        branches = [each if isinstance(each, Sequential) else Sequential((each,)) for each in merge.layers]
        if any(each.masked(False) for each in branches):
            raise inexpressible(merge, "it drops the masks of its branches, which would go on there")
        ends = [self.branch(self.known(each)) for each in branches]
        return self.add(self.joined(merge, branches), ends, together=True)

    def known(self, branch: Sequential) -> Sequential:
        """Return the branch itself, or its twin that was written before."""
        self.known_branches.append(branch)
        return next(each for each in self.known_branches if each == branch)

    def joined(self, merge: Any, branches: list[Sequential]) -> dict[str, Json]:
        config: dict[str, Json] = {"name": merge.name}
        if merge.mode == "concat":
            config["axis"] = merge.concat_axis
        if merge.mode in ("dot", "cos"):
            ranks = [len(each.placed[-1].output_shape) for each in branches]
            if merge.mode == "cos" and ranks != [2, 2]:
                raise inexpressible(merge, "it takes the cosine of vectors only")
            axes = merge.dot_axes if isinstance(merge.dot_axes, tuple) else (merge.dot_axes,) * 2
            config["axes"] = [axis % rank for axis, rank in zip(axes, ranks, strict=True)]
            config["normalize"] = merge.mode == "cos"
        return element(MERGES[merge.mode], config)

    def add(self, config: dict[str, Json], sources: list[str], together: bool = False) -> str:
        name = str(config["config"]["name"])
        tensors: list[Json] = [
            {
                "class_name": "__keras_tensor__",
                "config": {"shape": [None], "dtype": "float32", "keras_history": [each, 0, 0]},
            }
            for each in sources
        ]
        arguments: list[Json] = [tensors] if together else tensors
        nodes: list[Json] = [{"args": arguments, "kwargs": {}}] if sources else []
        self.layers.append({**config, "name": name, "inbound_nodes": nodes})
        return name


def scaled(model: Sequential, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Make the weights of gates larger whose hard_sigmoid is Keras 1's: Keras 3's is as much less steep."""
    changed = dict(weights)
    for prefix, layer in _leaves(model, model.placed[0].input_shape, ""):
        if getattr(layer, "inner_activation", "") == "hard_sigmoid":
            for key in [each for each in weights if each.startswith(prefix)]:
                changed[key] = _steeper(layer, key.removeprefix(prefix), weights[key])
    return changed


def _leaves(layer: Layer, input_shape: Shape, prefix: str) -> list[tuple[str, Layer]]:
    parts = list(layer.parts(input_shape))
    if not parts:
        return [(prefix, layer)]
    return [each for p in parts for each in _leaves(p.layer, p.input_shape, f"{prefix}{p.layer.name}/")]


def _steeper(layer: Any, name: str, array: NDArray[Any]) -> NDArray[Any]:
    plain = "h" if type(layer).__name__ == "GRU" else "c"  # what is no gate
    gate = name.partition("_")[2]
    if gate:
        return array if gate == plain else array * np.float32(STEEPER)
    width = array.shape[-1] // len(layer.joined)
    factors = np.repeat([1.0 if each == plain else STEEPER for each in layer.joined], width)
    return array * factors.astype(np.float32)


def write(path: Path, model: Sequential, weights: Mapping[str, NDArray[Any]]) -> None:
    """Write a `.keras`, which Keras 3 loads with `keras.models.load_model`.

    Raises:
        Inexpressible: Keras 3 has nothing like one of the layers.
    """
    import h5py

    from engine.files import keras3
    from engine.files.layout import groups

    config = definition(model)
    content = BytesIO()
    with h5py.File(content, "w") as file:
        keras3.write(file, groups(model, version=3), scaled(model, weights))
    metadata = {"keras_version": VERSION, "date_saved": WRITTEN}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (
            (METADATA, json.dumps(metadata).encode()),
            (CONFIG, json.dumps(config).encode()),
            (WEIGHTS, content.getvalue()),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)
