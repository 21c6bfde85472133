"""Keras 1.2.2's `model.save`: definition, weights, compilation and what the optimizer remembers, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from engine.arguments import Json
from engine.compiled import Compile
from engine.expressions import Expression
from engine.files import hdf5
from engine.files.layout import groups
from engine.files.memory import COUNTING, Memory, by_name
from engine.model import Sequential

VERSION = "1.2.2"


def write(
    path: Path, model: Sequential, weights: Mapping[str, NDArray[Any]], compiled: Compile | None, memory: Memory
) -> None:
    """Write a whole model as Keras 1.2.2 does, so that its `load_model` goes on where it stands."""
    with h5py.File(path, "w") as file:
        _text(file, "keras_version", VERSION)
        _text(file, "model_config", json.dumps({"class_name": "Sequential", "config": model.to_json()["config"]}))
        hdf5.fill(file.create_group("model_weights"), groups(model), weights)
        if compiled is not None:
            _text(file, "training_config", json.dumps(training_config(compiled)))
            _fill(file.create_group("optimizer_weights"), model, compiled, memory)


def training_config(compiled: Compile) -> Json:
    """Say how a model was compiled; functions by their names, as Keras 1 has no other way."""
    optimizer = compiled.optimizer
    return {
        "optimizer_config": {"class_name": type(optimizer).__name__, "config": optimizer.get_config()},
        "loss": _named(compiled.loss),
        "metrics": [_named(each) for each in compiled.metrics or ()],
        "sample_weight_mode": compiled.sample_weight_mode,
        "loss_weights": None,
    }


def _named(function: str | Expression) -> str:
    return function if isinstance(function, str) else function.name or "custom"


def _text(file: Any, name: str, value: str) -> None:
    """Write text as the original's h5py did: ASCII of variable length, which it reads back as bytes."""
    file.attrs.create(name, value.encode(), dtype=h5py.string_dtype("ascii"))


def _fill(group: Any, model: Sequential, compiled: Compile, memory: Memory) -> None:
    optimizer = compiled.optimizer
    slots = by_name(model)
    arrays: list[NDArray[Any]] = []
    if type(optimizer).__name__ in COUNTING:
        heeded = type(optimizer).__name__ != "SGD" or getattr(optimizer, "decay", 0.0) > 0  # only then does SGD count
        arrays.append(np.array(memory.updates if heeded else 0.0))
    arrays += [slot.join(memory.moments[moment]) for moment in optimizer.moments for slot in slots]
    names = [f"param_{number}" for number in range(len(arrays))]
    group.attrs["weight_names"] = np.array([name.encode() for name in names])
    for name, array in zip(names, arrays, strict=True):
        group.create_dataset(name, data=np.asarray(array, dtype=np.float32))
