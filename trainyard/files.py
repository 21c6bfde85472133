"""Weights from files and into files; HDF5 is read and written by the service."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from engine.drawing import draw
from engine.exports import EXPORTS
from trainyard import arrays, keeping, running, tensors
from trainyard.arrays import Array
from trainyard.errors import BadFile
from trainyard.http import Client

if TYPE_CHECKING:
    from trainyard.models import Sequential

#: By the end of a file's name, what the service calls such an export.
_WHOLE = {".h5": "keras1", ".hdf5": "keras1", ".keras": "keras3", ".onnx": "onnx"}


def save_weights(model: Sequential, path: Path, overwrite: bool) -> None:
    """See `Sequential.save_weights`."""
    _check_free(path, overwrite)
    with arrays.folder() as place:
        if path.suffix == ".safetensors":
            written = place / path.name
            tensors.write(written, keeping.weights_of(model))
        elif session := keeping.session_of(model):
            written = session.saved(".h5", place)
        else:
            written = arrays.fetched(model.client, running.job_with_weights(model), "weights.h5", place)
        _put(written, path)


def save_model(model: Sequential, path: Path, overwrite: bool) -> None:
    """See `Sequential.save`."""
    _check_free(path, overwrite)
    if path.suffix not in _WHOLE:
        raise BadFile(f"A model is saved as one of {', '.join(_WHOLE)}, but got {path.name}.")
    export = _WHOLE[path.suffix]
    compiled = model.is_compiled
    job = None if compiled and model.trained_compile != model.compiled.get_config() else keeping.job_of(model)
    left = [each["name"] for each in model.client.jobs.artifacts(job)["items"]] if job else []
    if job is None or EXPORTS[export] not in left:
        job = running.resting_in(model, keeping.start(model, goes_on=compiled) | {"exports": [export]}, compiled)
    with arrays.folder() as place:
        _put(arrays.fetched(model.client, job, EXPORTS[export], place), path)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists already; give `overwrite` as true, or another name.")


def _put(written: Path, path: Path) -> None:
    """Put a file in its place whole, or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.copyfile(written, partial)
    partial.replace(path)


def load_weights(model: Sequential, path: Path, by_name: bool, kernels: str) -> None:
    """See `Sequential.load_weights`."""
    job = running.resting_in(model, {"weights": {"id": sent(model.client, path, kernels), "by_name": by_name}})
    loaded = dict(arrays.weights_of(model.client, job))
    keeping.keep(model, _found(model, loaded) if by_name else loaded)


def sent(client: Client, path: Path, kernels: str) -> str:
    """Send a file of weights, and return the id that it has there.

    Raises:
        BadFile: There is none.
    """
    if not path.is_file():
        raise BadFile(f"There is no file {path}.")
    uploaded: str = client.upload_weights(path, kernels)["id"]
    return uploaded


def _found(model: Sequential, loaded: dict[str, Array]) -> dict[str, Array]:
    """Keep what layers have that the file lacks: those that came back as they were drawn from the model's seed."""
    drawn = draw(model.settled.all_weights, model.seed)
    known = keeping.weights_of(model)
    layers = {key.partition("/")[0] for key in loaded if (loaded[key] != drawn[key]).any()}
    return known | {key: each for key, each in loaded.items() if key.partition("/")[0] in layers}
