"""ImageDataGenerator on the device: images moved by gathering, whole batches at a time, and standardized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from engine.augmentation import EPSILON, EPSILON_WHITENING, Augmentation, Moves, draw, matrices
from engine.errors import BadData
from engine.training.data import BLOCK_BYTES, Batch, Feed


class Images:
    """What a job does to its images; nothing, where it asks for nothing.

    Args:
        how: What is asked for, with its `dim_ordering` settled.
    """

    def __init__(self, how: Augmentation | None) -> None:
        self.how = how
        self.learns = how is not None and how.learns
        self._mean: Tensor | None = None
        self._std: Tensor | None = None
        self._whitening: Tensor | None = None

    def moved(self, batch: Batch, seed: int, step: int) -> Batch:
        """Augment a batch for training, and standardize it; of steps that lie together each is drawn by itself."""
        if self.how is None:
            return batch
        parts = batch.x[0].chunk(batch.steps)
        moved = [self._moved(self.how, part, seed, step + index) for index, part in enumerate(parts)]
        return replace(batch, x=(torch.cat(moved) if len(moved) > 1 else moved[0],))

    def standing(self, batch: Batch) -> Batch:
        """Standardize a batch that is not trained on."""
        return batch if self.how is None else replace(batch, x=(self._standardized(self.how, batch.x[0]),))

    def learn(self, feed: Feed) -> None:
        """Take the statistics of the training images, as they were uploaded; once.

        Raises:
            BadData: An image holds a value that is not finite.
        """
        if self.how is None or not self.learns or self._mean is not None:
            return
        # By the processor, in double precision: the result is then the same wherever the rest is computed.
        self._mean, self._std = _moments(feed, self.how.channel_axis)
        if self.how.zca_whitening:
            centre = self._mean if self.how.featurewise_center else torch.zeros_like(self._mean)
            scale = self._std + EPSILON if self.how.featurewise_std_normalization else torch.ones_like(self._std)
            self._whitening = _whitening(feed, centre, scale)

    def _moved(self, how: Augmentation, x: Tensor, seed: int, step: int) -> Tensor:
        planes = x.movedim(how.channel_axis, 1)  # channels first, whatever the layout
        rows, columns = planes.shape[2:]
        moves = draw(how, seed, step, len(planes), (rows, columns, planes.shape[1]))
        return self._standardized(how, transform(planes, moves, how).movedim(1, how.channel_axis))

    def _standardized(self, how: Augmentation, x: Tensor) -> Tensor:
        if how.rescale:
            x = x * how.rescale
        if how.samplewise_center:
            x = x - x.mean(how.channel_axis, keepdim=True)
        if how.samplewise_std_normalization:
            x = x / (x.std(how.channel_axis, correction=0, keepdim=True) + EPSILON)
        if how.featurewise_center and self._mean is not None:
            x = x - self._mean.to(x)
        if how.featurewise_std_normalization and self._std is not None:
            x = x / (self._std.to(x) + EPSILON)
        if self._whitening is not None:
            x = (x.flatten(1) @ self._whitening.to(x)).view(x.shape)
        return x.contiguous()


def transform(x: Tensor, moves: Moves, how: Augmentation) -> Tensor:
    """Move images `(n, channels, rows, columns)`: turn, shift, shear, zoom; shift channels; mirror."""
    if how.is_geometric:
        x = sample(x, torch.from_numpy(matrices(moves, *x.shape[2:])).to(x.device), how.fill_mode, how.cval)
    if how.channel_shift_range:
        flat = x.flatten(1)
        low, high = (each.view(-1, 1, 1, 1) for each in (flat.amin(1), flat.amax(1)))
        added = torch.from_numpy(moves.channel).to(x)[:, :, None, None]
        x = torch.minimum(torch.maximum(x + added, low), high)
    for flags, axis, asked in ((moves.mirrored, 3, how.horizontal_flip), (moves.upside_down, 2, how.vertical_flip)):
        if asked:
            x = torch.where(torch.from_numpy(flags).to(x.device).view(-1, 1, 1, 1), x.flip(axis), x)
    return x


def sample(x: Tensor, matrix: Tensor, fill_mode: str, cval: float) -> Tensor:
    """Take each pixel from the one nearest to where its matrix points, as Keras 1 does (interpolation of order 0)."""
    rows, columns = x.shape[2:]
    row = torch.arange(rows, dtype=torch.float64, device=x.device).view(1, -1, 1)
    column = torch.arange(columns, dtype=torch.float64, device=x.device).view(1, 1, -1)
    weights = matrix[:, :, :, None, None]
    places = [weights[:, axis, 2] + weights[:, axis, 0] * row + weights[:, axis, 1] * column for axis in (0, 1)]
    rows_from, columns_from = (
        _within(place, length, fill_mode) for place, length in zip(places, (rows, columns), strict=True)
    )
    index = (rows_from.clamp(min=0) * columns + columns_from.clamp(min=0)).flatten(1)
    taken = x.flatten(2).gather(2, index[:, None].expand(-1, x.shape[1], -1)).view(x.shape)
    if fill_mode != "constant":
        return taken
    return taken.masked_fill(((rows_from < 0) | (columns_from < 0))[:, None], cval)


def _within(place: Tensor, length: int, fill_mode: str) -> Tensor:
    """Bring places into an axis by a fill mode, and round them to pixels; -1 where the constant comes in."""
    last = length - 1
    if fill_mode == "constant":
        pixel = (place + 0.5).floor()
        return torch.where((place < 0) | (place > last), -1.0, pixel).long()
    if fill_mode == "wrap":  # as scipy has it: the last pixel and the first one are one place
        place = torch.where((place < 0) | (place > last), place.remainder(max(last, 1)), place)
    elif fill_mode == "reflect":
        folded = (place + 0.5).remainder(2 * length)
        place = torch.where(folded < length, folded, 2 * length - folded) - 0.5
    return (place + 0.5).floor().clamp(0, last).long()


def _chunks(feed: Feed) -> Iterator[Tensor]:
    column, rows = feed.x[0], feed.rows
    step = max(1, BLOCK_BYTES // max(1, column.width))
    for first in range(rows.start, rows.stop, step):
        yield column.take(slice(first, min(first + step, rows.stop))).cpu().double()


def _moments(feed: Feed, channel_axis: int) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation of each channel, shaped to be subtracted from an image."""
    axes = [axis for axis in range(4) if axis != channel_axis]
    count = len(feed) * feed.x[0].width // feed.x[0].dtype.itemsize // feed.x[0].array.shape[channel_axis]
    mean = sum((chunk.sum(axes, keepdim=True) for chunk in _chunks(feed)), torch.zeros(())) / count
    squares = sum(((chunk - mean).square().sum(axes, keepdim=True) for chunk in _chunks(feed)), torch.zeros(()))
    if not mean.isfinite().all():
        raise BadData("The training images hold values that are not finite, so they have no mean.", "/fit/x")
    return mean, (squares / count).sqrt()


def _whitening(feed: Feed, centre: Tensor, scale: Tensor) -> Tensor:
    flats = (((chunk - centre) / scale).flatten(1) for chunk in _chunks(feed))
    products = sum((flat.T @ flat for flat in flats), torch.zeros(()))
    values, vectors = torch.linalg.eigh(products / len(feed))
    whitening: Tensor = vectors @ torch.diag((values.clamp(min=0) + EPSILON_WHITENING).rsqrt()) @ vectors.T
    return whitening
