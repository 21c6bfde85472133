"""A model's weights as arrays: how they start, where they come from, where they go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.files import hdf5, tensors
from engine.files.layout import groups
from engine.initializations import draw
from engine.model import Sequential

Weights = dict[str, NDArray[Any]]


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
    reader = hdf5.read if _is_hdf5(path) else tensors.read
    loaded = reader(path, groups(model, into), by_name)
    return flipped(model, loaded) if kernels == "theano" else loaded


def flipped(model: Sequential, weights: Mapping[str, NDArray[Any]]) -> Weights:
    """Turn convolution kernels around, from Theano's reading to TensorFlow's or back."""
    flips = {each.name: each.flips for each in model.all_weights}
    return {key: np.flip(array, flips[key]).copy() for key, array in weights.items()}


def save(path: Path, model: Sequential, weights: Mapping[str, NDArray[Any]], format: str) -> None:
    """Write weights as Keras 1's "hdf5" or as "safetensors"."""
    if format == "hdf5":
        hdf5.write(path, groups(model), weights)
    else:
        tensors.write(path, weights)


def digest(weights: Mapping[str, NDArray[Any]]) -> str:
    """Hash all weights with SHA-256: equal digests mean equal bits."""
    sha256 = hashlib.sha256()
    for key, array in weights.items():
        sha256.update(key.encode() + str(array.shape).encode() + array.tobytes())
    return sha256.hexdigest()


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"
