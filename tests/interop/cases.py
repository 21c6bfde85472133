"""The recorded cases of real Keras 2 and 3, and their arrays in the order and layout of our weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.layer import Weight
from engine.model import Placed, Sequential

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent for path in HERE.glob("keras[23]/*/model.json"))


def named(folder: Path) -> str:
    return f"{folder.parent.name}-{folder.name}"


class Recorded:
    """One case."""

    def __init__(self, folder: Path) -> None:
        self.model: dict[str, Any] = json.loads((folder / "model.json").read_text())
        self.facts: dict[str, Any] = json.loads((folder / "facts.json").read_text())
        with np.load(folder / "data.npz") as file:
            self.data = {name: file[name] for name in file.files}

    def arrays(self) -> list[list[np.ndarray]]:
        """List the arrays of each layer that has any."""
        layers: dict[str, list[np.ndarray]] = {}
        for name in sorted(name for name in self.data if name.startswith("w")):
            layers.setdefault(name[:3], []).append(self.data[name])
        return list(layers.values())

    def weights(self, model: Sequential) -> dict[str, np.ndarray]:
        """Give each of our weights its array."""
        loaded: dict[str, np.ndarray] = {}
        filled = [each for each in unique(model.leaves()) if each.weights]
        for placed, arrays in zip(filled, self.arrays(), strict=True):
            loaded |= dict(zip([each.name for each in placed.weights], fitted(placed, arrays), strict=True))
        return loaded


def unique(leaves: Iterator[Placed]) -> list[Placed]:
    return list({each.layer.name: each for each in leaves}.values())


def fitted(placed: Placed, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Lay arrays of later Keras as ours."""
    kind = type(placed.layer).__name__
    if kind == "ConvLSTM2D":
        pieces = [np.split(each, 4, -1) for each in arrays]  # in the order i, f, c, o
        arrays = [piece[gate] for gate in (0, 2, 1, 3) for piece in pieces]
    return [laid(kind, array, weight) for array, weight in zip(arrays, placed.weights, strict=True)]


def laid(kind: str, array: np.ndarray, weight: Weight) -> np.ndarray:
    if kind == "Deconvolution2D" and array.ndim == 4:
        array = array.transpose(0, 1, 3, 2)
    if weight.filters_lead and array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    return array.reshape(weight.shape)
