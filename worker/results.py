"""The files that a finished training leaves."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core.columns import finite
from engine.errors import NotExported
from engine.exports import EXPORTS, chosen
from engine.training import exporting
from engine.training.loop import Training

#: What the optimizer has gathered, kept beside the weights so that a later job can take it along.
OPTIMIZER = "optimizer.safetensors"
#: What stateful layers remember, kept for the same.
STATES = "states.safetensors"

#: By the end of a file's name, what its format is called.
FORMATS = {
    ".csv": "csv",
    ".json": "json",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".keras": "keras",
    ".onnx": "onnx",
}

#: How a file is stored: by its name, and by what writes it, which may return how far its predictions are from ours.
Store = Callable[[str, Callable[[Path], object]], None]


def leave(training: Training, definition: dict[str, Any], store: Store) -> None:
    """Store the model, its weights in two formats and as asked for, and what a fit or a session leaves besides."""
    store("model.json", lambda path: write_json(path, definition["model"]))
    store("weights.h5", lambda path: training.save_weights(path, "hdf5"))
    store("weights.safetensors", lambda path: training.save_weights(path, "safetensors"))
    for export in chosen(training.plan.model, definition.get("exports")):
        try:
            store(EXPORTS[export], partial(exporting.export, training, export))
        except NotExported as error:
            training.warn(str(error))
    if training.plan.model.all_memories:
        store(STATES, training.save_states)
    if "fit" in definition or ("session" in definition and "compile" in definition):
        store(OPTIMIZER, training.save_optimizer)
    if "fit" in definition:
        store("history.json", lambda path: write_json(path, finite(training.history)))


def leave_predictions(y: np.ndarray, store: Store) -> None:
    """Store the outputs."""
    store("predictions.npz", lambda path: _save_npz(path, y))


def write_json(path: Path, value: Any) -> None:
    """Write a value so that it can be read by people as well."""
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _save_npz(path: Path, y: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, y=y)
