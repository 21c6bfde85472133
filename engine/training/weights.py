"""A model's weights as arrays: how they start, where they come from, where they go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engine.drawing import draw
from engine.files import archive, hdf5, memory, tensors
from engine.files.layout import groups
from engine.model import Sequential
from engine.optimizers import Optimizer

Weights = dict[str, NDArray[Any]]
#: How much the weights inside a `.keras` may take: themselves and an optimizer's slots, and so many bytes of structure.
ROOM_FOR_SLOTS = 4
ROOM_BESIDE = 16 * 2**20


def initial(model: Sequential, seed: int) -> Weights:
    """Draw every weight; each draw depends on the seed and the weight's place alone."""
    return draw(model.all_weights, seed)


def load(path: Path, model: Sequential, kernels: str, by_name: bool, into: str | None) -> Weights:
    """Read those weights of a model that an HDF5 or safetensors file holds.

    Args:
        path: The file.
        model: The model they are for.
        kernels: Whose convolution kernels it holds: `tensorflow`'s, or `theano`'s, which are flipped.
        by_name: Whether layers are found by name, and may be missing, rather than by position.
        into: The layer or nested model that the file belongs to; the whole model when absent.

    Raises:
        BadFile: The file is damaged, hostile, or does not fit the model.
    """
    if is_kept_by_keras(path):
        loaded = hdf5.read(source(path, model), model, by_name, into)
    else:
        loaded = tensors.read(path, groups(model, into), by_name)
    return flipped(model, loaded) if kernels == "theano" else loaded


def load_memory(path: Path, model: Sequential, optimizer: Optimizer, kernels: str) -> memory.Memory:
    """Read what an optimizer remembered when Keras saved a whole model.

    Raises:
        BadFile: The file has no such thing, is damaged, hostile, or is of another model or optimizer.
    """
    found = memory.read(source(path, model), model, optimizer)
    if kernels == "theano":
        found = found.turned(lambda arrays: flipped(model, arrays))
    return found


def is_kept_by_keras(path: Path) -> bool:
    """Tell a file that some Keras wrote, HDF5 or a `.keras`, by its first bytes."""
    with path.open("rb") as file:
        start = file.read(8)
    return start == b"\x89HDF\r\n\x1a\n" or start.startswith(archive.MAGIC)


def source(path: Path, model: Sequential) -> Path | IO[bytes]:
    """Return the HDF5 file itself, or the one inside a `.keras`."""
    if not archive.is_archive(path):
        return path
    held = 8 * sum(each.size for each in model.all_weights)
    return archive.read(path, archive.WEIGHTS, ROOM_FOR_SLOTS * held + ROOM_BESIDE)


def flipped(model: Sequential, weights: Mapping[str, NDArray[Any]]) -> Weights:
    """Turn convolution kernels around, from Theano's reading to TensorFlow's or back."""
    flips = {each.name: each.flips for each in model.all_weights}
    return {key: np.flip(array, flips[key]).copy() for key, array in weights.items()}


def save(path: Path, model: Sequential, weights: Mapping[str, NDArray[Any]], format: str) -> None:
    """Write weights as Keras 1's "hdf5" or as "safetensors"."""
    if format == "hdf5":
        hdf5.write(path, model, weights)
    else:
        tensors.write(path, weights)


def digest(weights: Mapping[str, NDArray[Any]]) -> str:
    """Hash all weights with SHA-256: equal digests mean equal bits."""
    sha256 = hashlib.sha256()
    for key, array in weights.items():
        sha256.update(key.encode() + str(array.shape).encode() + array.tobytes())
    return sha256.hexdigest()
