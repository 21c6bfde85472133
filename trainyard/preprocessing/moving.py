"""Images moved and standardized here, without torch: to the numbers to which the service moves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.augmentation import EPSILON, EPSILON_WHITENING, MAX_WHITENED, Augmentation, Moves, matrices
from trainyard.errors import TrainyardError

Array = NDArray[Any]


def moved(x: Array, moves: Moves, how: Augmentation) -> Array:
    """Move images `(n, channels, rows, columns)`: turn, shift, shear, zoom; shift channels; mirror."""
    if how.is_geometric:
        x = _sampled(x, matrices(moves, x.shape[2], x.shape[3]), how)
    if how.channel_shift_range:
        low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
        x = np.clip(x + moves.channel.astype(x.dtype)[:, :, None, None], low, high)
    x = np.where(moves.mirrored[:, None, None, None], x[..., ::-1], x)
    return np.where(moves.upside_down[:, None, None, None], x[:, :, ::-1], x)


def _sampled(x: Array, matrix: Array, how: Augmentation) -> Array:
    """Take each pixel from the one nearest to where its matrix points (interpolation of order 0)."""
    rows, columns = x.shape[2:]
    row, column = np.arange(rows).reshape(1, -1, 1), np.arange(columns).reshape(1, 1, -1)
    weights = matrix[:, :, :, None, None]
    places = [weights[:, axis, 2] + weights[:, axis, 0] * row + weights[:, axis, 1] * column for axis in (0, 1)]
    rows_from, columns_from = (
        _within(place, length, how.fill_mode) for place, length in zip(places, (rows, columns), strict=True)
    )
    index = (np.maximum(rows_from, 0) * columns + np.maximum(columns_from, 0)).reshape(len(x), 1, -1)
    taken = np.take_along_axis(x.reshape(*x.shape[:2], -1), index, 2).reshape(x.shape)
    if how.fill_mode != "constant":
        return taken
    return np.where(((rows_from < 0) | (columns_from < 0))[:, None], x.dtype.type(how.cval), taken)


def _within(place: Array, length: int, fill_mode: str) -> NDArray[np.int64]:
    """Bring places into an axis by a fill mode, and round them to pixels; -1 where the constant comes in."""
    last = length - 1
    outside = (place < 0) | (place > last)
    if fill_mode == "constant":
        return np.where(outside, -1.0, np.floor(place + 0.5)).astype(np.int64)
    if fill_mode == "wrap":  # as scipy has it: the last pixel and the first one are one place
        place = np.where(outside, np.mod(place, max(last, 1)), place)
    elif fill_mode == "reflect":
        folded = np.mod(place + 0.5, 2 * length)
        place = np.where(folded < length, folded, 2 * length - folded) - 0.5
    return np.clip(np.floor(place + 0.5), 0, last).astype(np.int64)


@dataclass(frozen=True)
class Statistics:
    """What was learnt of training images.

    Args:
        mean: Of each channel, shaped to be subtracted.
        std: The deviation of each channel.
        whitening: The matrix that flattened images are multiplied by.
    """

    mean: Array | None = None
    std: Array | None = None
    whitening: Array | None = None

    @classmethod
    def of(cls, how: Augmentation, images: Array) -> Statistics:
        """Take them of images, in double precision.

        Raises:
            ValueError: Images to be whitened hold too much.
        """
        x = images.astype(np.float64)
        axes = tuple(axis for axis in range(4) if axis != how.channel_axis)
        mean, std = x.mean(axes, keepdims=True), x.std(axes, keepdims=True)
        if not how.zca_whitening:
            return cls(mean, std)
        if x[0].size > MAX_WHITENED:
            raise ValueError(f"Images of up to {MAX_WHITENED:,} values are whitened, but these hold {x[0].size:,}.")
        if how.featurewise_center:
            x = x - mean
        if how.featurewise_std_normalization:
            x = x / (std + EPSILON)
        flat = x.reshape(len(x), -1)
        values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
        scales = 1.0 / np.sqrt(np.maximum(values, 0) + EPSILON_WHITENING)
        return cls(mean, std, vectors @ np.diag(scales) @ vectors.T)

    def standardized(self, how: Augmentation, x: Array) -> Array:
        """Standardize images.

        Raises:
            TrainyardError: Nothing was learnt yet that this goes by.
        """
        if how.rescale:
            x = x * np.float32(how.rescale)
        if how.samplewise_center:
            x = x - x.mean(how.channel_axis, keepdims=True)
        if how.samplewise_std_normalization:
            x = x / (x.std(how.channel_axis, keepdims=True) + np.float32(EPSILON))
        if how.learns:
            x = self._by_what_was_learnt(how, x)
        return x

    def _by_what_was_learnt(self, how: Augmentation, x: Array) -> Array:
        if self.mean is None or self.std is None:
            raise TrainyardError("This generator goes by statistics of the training images: call `fit(X)` first.")
        if how.featurewise_center:
            x = x - self.mean.astype(x.dtype)
        if how.featurewise_std_normalization:
            x = x / (self.std.astype(x.dtype) + x.dtype.type(EPSILON))
        if self.whitening is not None:
            x = (x.reshape(len(x), -1) @ self.whitening.astype(x.dtype)).reshape(x.shape)
        return x
