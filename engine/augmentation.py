"""Keras 1's ImageDataGenerator as an option of `fit`: what is asked for, and how one step's images are moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Description, DimOrdering, Kind, NonNegative, Wrong, kind_of, one_of
from engine.errors import BadArgument

Numbers = NDArray[np.float64]

#: Added to deviations before they divide, and to the variances of whitening.
EPSILON, EPSILON_WHITENING = 1e-7, 1e-6
#: How many values an image may have whose whitening is learnt: the matrix has that number squared.
MAX_WHITENED = 4096


def _zoom(value: Any) -> tuple[float, float]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise Wrong
        low, high = (kind_of(NonNegative).read(each) for each in value)
        return low, high
    amount = kind_of(NonNegative).read(value)
    return 1.0 - amount, 1.0 + amount


Zoom = Annotated[
    tuple[float, float], Kind("an amount from 0, or the two factors between which images are zoomed", _zoom, list)
]


@dataclass(frozen=True)
class Augmentation(Description):
    """The arguments of Keras 1's ImageDataGenerator.

    Args:
        featurewise_center: Whether the mean of all training images is subtracted, channel by channel.
        samplewise_center: Whether the mean over its channels is subtracted from each pixel.
        featurewise_std_normalization: Whether values are divided by the standard deviation of all training images.
        samplewise_std_normalization: Whether each pixel is divided by the deviation of its channels.
        zca_whitening: Whether images are whitened.
        rotation_range: Images are turned by up to so many degrees.
        width_shift_range: They are moved sideways by up to this share of their width.
        height_shift_range: They are moved up and down by up to this share of their height.
        shear_range: They are sheared by an angle of up to so many radians.
        zoom_range: They are zoomed, rows and columns apart, by factors from 1 - z to 1 + z or between the two given.
        channel_shift_range: Up to so much is added to each channel, within the image's lowest and highest value.
        fill_mode: What comes in from beyond an edge.
        cval: The value that comes in with the fill mode "constant".
        horizontal_flip: Whether every second image, by chance, is mirrored left to right.
        vertical_flip: Whether every second image, by chance, is mirrored top to bottom.
        rescale: What values are multiplied by; null and 0 leave them.
        dim_ordering: Where images keep their channels; by default as in the job.
    """

    featurewise_center: bool = False
    samplewise_center: bool = False
    featurewise_std_normalization: bool = False
    samplewise_std_normalization: bool = False
    zca_whitening: bool = False
    rotation_range: NonNegative = 0.0
    width_shift_range: NonNegative = 0.0
    height_shift_range: NonNegative = 0.0
    shear_range: NonNegative = 0.0
    zoom_range: Zoom = (1.0, 1.0)
    channel_shift_range: NonNegative = 0.0
    fill_mode: Annotated[str, one_of("nearest", "constant", "reflect", "wrap")] = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    rescale: float | None = None
    dim_ordering: DimOrdering = "default"

    def check(self) -> None:
        """Refuse to zoom images away."""
        if self.zoom_range[0] <= 0.0 or self.zoom_range[1] < self.zoom_range[0]:
            low, high = self.zoom_range
            raise BadArgument(
                f"`zoom_range` must lead to factors above 0, the lower one first, but leads from {low:g} to {high:g}.",
                "/zoom_range",
            )

    @property
    def learns(self) -> bool:
        """Whether it goes by statistics of the training images."""
        return self.featurewise_center or self.featurewise_std_normalization or self.zca_whitening

    @property
    def standardizes(self) -> bool:
        """Whether data that is not trained on is changed too."""
        return self.learns or self.samplewise_center or self.samplewise_std_normalization or bool(self.rescale)

    def ordered(self, dim_ordering: str) -> Augmentation:
        """Return the same, with what "default" stands for."""
        return replace(self, dim_ordering=dim_ordering) if self.dim_ordering == "default" else self

    @property
    def is_geometric(self) -> bool:
        """Whether pixels change their places, other than by mirroring."""
        ranges = (self.rotation_range, self.width_shift_range, self.height_shift_range, self.shear_range)
        return any(ranges) or self.zoom_range != (1.0, 1.0)

    @property
    def channel_axis(self) -> int:
        """Which axis of a batch holds the channels."""
        return 1 if self.dim_ordering == "th" else 3


@dataclass(frozen=True)
class Moves:
    """What is done to each image of a step: `(n,)` each, channel shifts `(n, channels)`.

    Args:
        theta: Angles in radians.
        tx: Shifts along the rows' axis, in pixels.
        ty: Shifts along the columns' axis, in pixels.
        shear: Angles in radians.
        zx: Factors along the rows' axis.
        zy: Factors along the columns' axis.
        channel: What is added to each channel.
        mirrored: Which are mirrored left to right.
        upside_down: Which are mirrored top to bottom.
    """

    theta: Numbers
    tx: Numbers
    ty: Numbers
    shear: Numbers
    zx: Numbers
    zy: Numbers
    channel: Numbers
    mirrored: NDArray[np.bool_]
    upside_down: NDArray[np.bool_]


def draw(how: Augmentation, seed: int, step: int, images: int, size: tuple[int, int, int]) -> Moves:
    """Draw the moves of one step; they depend on the seed and the step's number alone.

    Args:
        how: Within which ranges.
        seed: The job's seed.
        step: The step's number, over all epochs.
        images: How many there are in its batch.
        size: Their rows, columns and channels.
    """
    rows, columns, channels = size
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2, step])))
    drawn = rng.random((images, 8 + channels))
    around = drawn * 2.0 - 1.0
    low, high = how.zoom_range
    return Moves(
        theta=np.pi / 180 * around[:, 0] * how.rotation_range,
        tx=around[:, 1] * how.height_shift_range * rows,
        ty=around[:, 2] * how.width_shift_range * columns,
        shear=around[:, 3] * how.shear_range,
        zx=low + drawn[:, 4] * (high - low),
        zy=low + drawn[:, 5] * (high - low),
        channel=around[:, 8:] * how.channel_shift_range,
        mirrored=(drawn[:, 6] < 0.5) & how.horizontal_flip,
        upside_down=(drawn[:, 7] < 0.5) & how.vertical_flip,
    )


def matrices(moves: Moves, rows: int, columns: int) -> Numbers:
    """Compose turning, shifting, shearing, zooming about the middle: from a pixel to its origin, `(n, 2, 3)`."""
    one, none = np.ones_like(moves.theta), np.zeros_like(moves.theta)
    cos, sin = np.cos(moves.theta), np.sin(moves.theta)
    turning = _stacked(cos, -sin, none, sin, cos, none)
    shifting = _stacked(one, none, moves.tx, none, one, moves.ty)
    shearing = _stacked(one, -np.sin(moves.shear), none, none, np.cos(moves.shear), none)
    zooming = _stacked(moves.zx, none, none, none, moves.zy, none)
    half = rows / 2 + 0.5, columns / 2 + 0.5
    there = np.array([[1.0, 0.0, half[0]], [0.0, 1.0, half[1]], [0.0, 0.0, 1.0]])
    back = np.array([[1.0, 0.0, -half[0]], [0.0, 1.0, -half[1]], [0.0, 0.0, 1.0]])
    composed: Numbers = there @ (turning @ shifting @ shearing @ zooming) @ back
    return composed[:, :2]


def _stacked(*values: Numbers) -> Numbers:
    last = np.broadcast_to([0.0, 0.0, 1.0], (len(values[0]), 3))
    return np.concatenate([np.stack(values, axis=1), last], axis=1).reshape(-1, 3, 3)
