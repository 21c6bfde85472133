"""One array of a file, and the weights of ours that lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.layer import Weight

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Slot:
    """One array of a file.

    Args:
        name: What it is called there.
        keys: The weights that lie in it, joined along the last axis.
        part: The shape of each of them.
        shape: Its own shape.
        axes: The order in which it has our axes.
    """

    name: str
    keys: tuple[str, ...]
    part: tuple[int, ...]
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def join(self, weights: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Make the file's array from our weights."""
        turned = [np.transpose(weights[key], self.axes) for key in self.keys]
        return np.concatenate(turned, -1).reshape(self.shape) if len(turned) > 1 else turned[0].reshape(self.shape)

    def split(self, array: NDArray[Any]) -> Arrays:
        """Make our weights from the file's array."""
        if len(self.keys) == 1:
            pieces = [array.reshape([self.part[axis] for axis in self.axes])]
        else:
            width = self.part[self.axes[-1]]
            whole = array.reshape([*(self.part[axis] for axis in self.axes[:-1]), width * len(self.keys)])
            pieces = np.split(whole, len(self.keys), -1)
        back = np.argsort(self.axes) if self.axes else ()
        return {key: np.ascontiguousarray(np.transpose(e, back)) for key, e in zip(self.keys, pieces, strict=True)}


def as_it_is(name: str, key: str, weight: Weight) -> Slot:
    """Make the slot of a weight that a file has as we have it."""
    axes = tuple(range(len(weight.shape)))
    return Slot(name, (key,), weight.shape, weight.shape, axes)
