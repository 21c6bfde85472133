"""What a whole model in one file, as Keras saves it, says of itself: its layers, and how it was compiled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from engine.arguments import Json
from engine.definition import Note, read_model
from engine.dialects import translate_compile
from engine.errors import BadFile, DefinitionError, within
from engine.files import archive
from engine.files.safe import Opened, opened
from engine.limits import Limits
from engine.model import Sequential
from engine.training import weights

#: How long a model's JSON may be.
MAX_JSON_BYTES = 8 * 2**20


@dataclass(frozen=True)
class Saved:
    """A model as it was saved.

    Args:
        model: Its layers.
        compile: How it was compiled, in Keras 1's words; what it names may be functions that only its author has.
        optimizer: Whether the file holds what the optimizer has gathered.
        translated: What was read from other words.
        warnings: What could not be read.
    """

    model: Sequential
    compile: Mapping[str, Any] | None
    optimizer: bool
    translated: list[Note]
    warnings: list[Note]

    def to_json(self) -> dict[str, Json]:
        """Write it down."""
        return {
            "definition": self.model.definition(),
            "compile": self.compile,
            "optimizer": self.optimizer,
            "translated": self.translated,
            "warnings": self.warnings,
        }


def read(path: Path, limits: Limits) -> Saved:
    """Read it from Keras 1's and 2's HDF5, or from a `.keras`; the weights themselves are not looked at.

    Raises:
        BadFile: There is no model in it, or it is damaged or hostile.
        DefinitionError: The model cannot be made here.
    """
    if not weights.is_kept_by_keras(path):
        raise BadFile("Safetensors hold weights alone: there is no model in the file.")
    definition, compiled = _archived(path) if archive.is_archive(path) else _of_hdf5(path)
    with within("model"):
        model, notes = read_model(definition, limits)
    notes = [{**note, "pointer": "/model" + note["pointer"]} for note in notes]
    said, warnings = _compiled(compiled, notes)
    with opened(weights.source(path, model)) as file:
        return Saved(model, said, _has_optimizer(file), notes, warnings)


def _archived(path: Path) -> tuple[Any, Any]:
    config = _json(archive.read(path, archive.CONFIG, MAX_JSON_BYTES).read(), archive.CONFIG)
    if not isinstance(config, dict):
        raise BadFile(f"{archive.CONFIG} of the .keras archive holds no model.")
    return config, config.get("compile_config")


def _of_hdf5(path: Path) -> tuple[Any, Any]:
    with opened(path) as file:
        model = file.text(file.root, "model_config")
        if model is None:
            raise BadFile(
                "The file holds weights alone, as `save_weights` writes them: there is no model in it. Make the model, "
                "and load the weights into it."
            )
        compiled = file.text(file.root, "training_config")
        return _json(model, "model_config"), None if compiled is None else _json(compiled, "training_config")


def _json(text: str | bytes, what: str) -> Any:
    if len(text) > MAX_JSON_BYTES:
        raise BadFile(f"`{what}` of the file has {len(text):,} characters, and may have {MAX_JSON_BYTES:,}.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"`{what}` of the file is no JSON: {str(error)[:200]}") from None


def _compiled(value: Any, notes: list[Note]) -> tuple[Mapping[str, Any] | None, list[Note]]:
    """Say in Keras 1's words how it was compiled; what has no such words is warned of, and the model is there."""
    if not isinstance(value, Mapping) or not value:
        return None, []
    try:
        with within("compile"):
            said = translate_compile(_flat(value))
    except DefinitionError as error:
        return None, [{"pointer": error.where, "detail": error.message}]
    notes += [{**note, "pointer": "/compile" + note["pointer"]} for note in said.notes]
    return dict(said.value), []


def _flat(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take the metrics of the only output out of a list of outputs, as some versions of Keras 2 write them."""
    metrics = value.get("metrics")
    if isinstance(metrics, list) and len(metrics) == 1 and isinstance(metrics[0], list):
        return {**value, "metrics": metrics[0]}
    return value


def _has_optimizer(file: Opened) -> bool:
    root = file.root
    if file.has(root, "optimizer_weights"):
        return bool(file.names(file.child(root, "optimizer_weights", h5py.Group), "weight_names"))
    if not file.has(root, "optimizer"):
        return False
    kept = file.child(root, "optimizer", h5py.Group)
    # Of an optimizer that has not begun there are the counter and the learning rate only.
    return file.has(kept, "vars") and len(file.children(file.child(kept, "vars", h5py.Group))) > 2
