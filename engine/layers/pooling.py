"""Layers that take the largest or the mean of a window, or of all there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.arguments import DimOrdering, PositiveInt, Shape
from engine.errors import ShapeMismatch
from engine.gradients import largest
from engine.layer import Layer, Weights, layer, shape_text
from engine.layers.windows import (
    Border,
    Three,
    Two,
    Windows,
    channel_axis,
    channels_back,
    channels_first,
    crop,
    output_length,
    spatial_axes,
)

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


def padding_of(windows: Windows) -> tuple[int, ...]:
    """Say how many cells `same` adds on each side of an axis: Theano's rule in Keras 1.2.2."""
    if windows.border_mode != "same":
        return (0,) * windows.rank
    return tuple(size - 2 if size > 2 and size % 2 else size - 1 for size in windows.size)


def padded(x: Tensor, windows: Windows, value: float) -> Tensor:
    """Fill up both sides of each axis, the channels being first."""
    from torch.nn.functional import pad

    amounts = padding_of(windows)
    if not any(amounts):
        return windows.filled(x, value)
    return pad(x, [each for amount in reversed(amounts) for each in (amount, amount)], value=value)


def max_pool(x: Tensor, windows: Windows) -> Tensor:
    """Take the largest of each window: axis by axis where windows overlap, so that ties need no more room."""
    import torch

    y = padded(x, windows, torch.finfo(x.dtype).min)
    if windows.size == windows.stride:
        return _largest_of_tiles(y, windows.size)
    for axis, (size, stride) in enumerate(zip(windows.size, windows.stride, strict=True), 2):
        if (size, stride) != (1, 1):
            y = largest(y.unfold(axis, size, stride), -1)
    return y


def _largest_of_tiles(x: Tensor, size: tuple[int, ...]) -> Tensor:
    from engine.slopes import LargestOfTiles

    whole = [length // tile * tile for length, tile in zip(x.shape[2:], size, strict=True)]
    y: Tensor = LargestOfTiles.apply(crop(x, whole), size)  # type: ignore[no-untyped-call]
    return y


def average_pool(x: Tensor, windows: Windows) -> Tensor:
    """Take the mean of each window's real cells."""
    from torch.nn import functional

    pool = getattr(functional, f"avg_pool{windows.rank}d")
    y: Tensor = pool(padded(x, windows, 0.0), windows.size, windows.stride)
    if windows.border_mode != "valid":
        real = padded(x.new_ones(1, 1, *x.shape[2:]), windows, 0.0)
        y = y / pool(real, windows.size, windows.stride)
    return y


class Pooling(Layer):
    """What all pooling layers share."""

    def pool(self, x: Tensor, windows: Windows) -> Tensor:
        """Turn every window into one number, the channels being first."""
        raise NotImplementedError(f"{type(self).__name__} says how it pools")

    @property
    def windows(self) -> Windows:
        """The window and its steps."""
        raise NotImplementedError(f"{type(self).__name__} says what its windows are")

    def output_shape(self, input_shape: Shape) -> Shape:
        windows = self.windows
        for axis, size in zip(windows.axes, windows.size, strict=True):
            length = input_shape[axis]
            if windows.border_mode != "valid" and length is not None and size > max(2, 2 * length):
                raise ShapeMismatch(
                    f"Layer {self.name} ({type(self).__name__}) pools {list(windows.size)} cells of "
                    f"{shape_text(input_shape)}, which has no more than {length} on axis {axis}."
                )
        return windows.shape(self, input_shape, input_shape[channel_axis(windows.dim_ordering)])

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        windows = self.windows
        x = channels_first(x, windows.dim_ordering)
        lengths: Any = [
            output_length(length, size, windows.border_mode, stride)
            for length, size, stride in zip(x.shape[2:], windows.size, windows.stride, strict=True)
        ]
        return channels_back(crop(self.pool(x, windows), lengths), windows.dim_ordering)


class _Max(Pooling):
    def pool(self, x: Tensor, windows: Windows) -> Tensor:
        return max_pool(x, windows)


class _Average(Pooling):
    def pool(self, x: Tensor, windows: Windows) -> Tensor:
        return average_pool(x, windows)


class _Sequences(Pooling):
    pool_length: int
    stride: int | None
    border_mode: str
    input_rank = 3

    def check(self) -> None:
        object.__setattr__(self, "stride", self.stride or self.pool_length)

    @property
    def windows(self) -> Windows:
        return Windows((self.pool_length,), (self.stride or self.pool_length,), self.border_mode, "tf")


class _Images(Pooling):
    pool_size: tuple[int, ...]
    strides: tuple[int, ...] | None
    border_mode: str
    dim_ordering: str

    def check(self) -> None:
        object.__setattr__(self, "strides", self.strides or self.pool_size)

    @property
    def windows(self) -> Windows:
        return Windows(self.pool_size, self.strides or self.pool_size, self.border_mode, self.dim_ordering)


@layer()
class MaxPooling1D(_Max, _Sequences):
    """Takes the largest of every window of steps.

    Args:
        pool_length: How many steps a window has.
        stride: How far a window lies from the next; `pool_length` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".

    Shape:
        `(n, steps, features) -> (n, pooled steps, features)`

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_length: PositiveInt = 2
    stride: PositiveInt | None = None
    border_mode: Border = "valid"


@layer()
class AveragePooling1D(_Average, _Sequences):
    """Takes the mean of every window of steps.

    Args:
        pool_length: How many steps a window has.
        stride: How far a window lies from the next; `pool_length` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".

    Shape:
        `(n, steps, features) -> (n, pooled steps, features)`

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_length: PositiveInt = 2
    stride: PositiveInt | None = None
    border_mode: Border = "valid"


@layer()
class MaxPooling2D(_Max, _Images):
    """Takes the largest of every window of an image.

    Args:
        pool_size: The window's size on each axis.
        strides: How far a window lies from the next on each axis; `pool_size` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)`; the channels stay

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_size: Two = (2, 2)
    strides: Two | None = None
    border_mode: Border = "valid"
    dim_ordering: DimOrdering = "default"
    input_rank = 4


@layer()
class AveragePooling2D(_Average, _Images):
    """Takes the mean of every window of an image.

    Args:
        pool_size: The window's size on each axis.
        strides: How far a window lies from the next on each axis; `pool_size` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)`; the channels stay

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_size: Two = (2, 2)
    strides: Two | None = None
    border_mode: Border = "valid"
    dim_ordering: DimOrdering = "default"
    input_rank = 4


@layer()
class MaxPooling3D(_Max, _Images):
    """Takes the largest of every window of a volume.

    Args:
        pool_size: The window's size on each axis.
        strides: How far a window lies from the next on each axis; `pool_size` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, depth, rows, columns)`, tf `(n, depth, rows, columns, channels)`; the channels stay

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_size: Three = (2, 2, 2)
    strides: Three | None = None
    border_mode: Border = "valid"
    dim_ordering: DimOrdering = "default"
    input_rank = 5


@layer()
class AveragePooling3D(_Average, _Images):
    """Takes the mean of every window of a volume.

    Args:
        pool_size: The window's size on each axis.
        strides: How far a window lies from the next on each axis; `pool_size` unless told.
        border_mode: "valid" takes whole windows only; "same" also those that reach over the border;
            "same_tf" is later Keras's "same".
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, depth, rows, columns)`, tf `(n, depth, rows, columns, channels)`; the channels stay

    Raises:
        ShapeMismatch: The window does not fit.
    """

    pool_size: Three = (2, 2, 2)
    strides: Three | None = None
    border_mode: Border = "valid"
    dim_ordering: DimOrdering = "default"
    input_rank = 5


class _Global(Layer):
    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], input_shape[channel_axis(getattr(self, "dim_ordering", "tf"))])

    def axes(self, x: Tensor) -> list[int]:
        """The axes that are pooled, the last one first."""
        return list(reversed(spatial_axes(x.dim() - 2, getattr(self, "dim_ordering", "tf"))))


class _GlobalMax(_Global):
    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        for axis in self.axes(x):
            x = largest(x, axis)
        return x


class _GlobalAverage(_Global):
    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.mean(self.axes(x))


@layer()
class GlobalMaxPooling1D(_GlobalMax):
    """Takes the largest of all steps.

    Shape:
        `(n, steps, features) -> (n, features)`
    """

    input_rank = 3


@layer()
class GlobalAveragePooling1D(_GlobalAverage):
    """Takes the mean of all steps.

    Shape:
        `(n, steps, features) -> (n, features)`
    """

    input_rank = 3


@layer()
class GlobalMaxPooling2D(_GlobalMax):
    """Takes the largest of a whole image, channel by channel.

    Args:
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)` -> `(n, channels)`
    """

    dim_ordering: DimOrdering = "default"
    input_rank = 4


@layer()
class GlobalAveragePooling2D(_GlobalAverage):
    """Takes the mean of a whole image, channel by channel.

    Args:
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)` -> `(n, channels)`
    """

    dim_ordering: DimOrdering = "default"
    input_rank = 4


@layer()
class GlobalMaxPooling3D(_GlobalMax):
    """Takes the largest of a whole volume, channel by channel.

    Args:
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, depth, rows, columns)`, tf `(n, depth, rows, columns, channels)` -> `(n, channels)`
    """

    dim_ordering: DimOrdering = "default"
    input_rank = 5


@layer()
class GlobalAveragePooling3D(_GlobalAverage):
    """Takes the mean of a whole volume, channel by channel.

    Args:
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, depth, rows, columns)`, tf `(n, depth, rows, columns, channels)` -> `(n, channels)`
    """

    dim_ordering: DimOrdering = "default"
    input_rank = 5
