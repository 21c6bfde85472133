"""What convolutions share: the kernel, how it lies, and how it is applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from engine.activations import ACTIVATIONS, check_activation
from engine.arguments import Shape
from engine.layer import Layer, Weight, Weights, known_axis
from engine.layers.windows import (
    Windows,
    channel_axis,
    channels_back,
    channels_first,
    crop,
    output_length,
)
from engine.spreads import Start

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


class Convolving(Layer):
    """What all convolutions share, on however many axes."""

    nb_filter: int
    init: Start
    activation: str
    W_regularizer: Any
    b_regularizer: Any
    activity_regularizer: Any
    W_constraint: Any
    b_constraint: Any
    bias: bool

    @property
    def windows(self) -> Windows:
        """The window, its steps and its holes."""
        raise NotImplementedError(f"{type(self).__name__} says what its windows are")

    def kernel(self, channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the kernel's shape, and the axes of it that are the window's."""
        size, rank = self.windows.size, self.windows.rank
        if self.windows.dim_ordering == "th":
            return (self.nb_filter, channels, *size), tuple(range(2, 2 + rank))
        return (*size, channels, self.nb_filter), tuple(range(rank))

    def filters_first(self, kernel: Tensor) -> Tensor:
        """Turn the kernel to `(filters, channels, …)`, as torch has it."""
        if self.windows.dim_ordering == "th":
            return kernel
        rank = self.windows.rank
        return kernel.permute(rank + 1, rank, *range(rank))

    def output_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape, channel_axis(self.windows.dim_ordering))
        check_activation(self.activation, len(input_shape))
        return self.windows.shape(self, input_shape, self.nb_filter)

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        windows = self.windows
        shape, flips = self.kernel(known_axis(self, input_shape, channel_axis(windows.dim_ordering)))
        ordering = "th" if len(windows.size) == 1 else windows.dim_ordering
        yield Weight("W", shape, self.init, self.W_regularizer, self.W_constraint, dim_ordering=ordering, flips=flips)
        if self.bias:
            yield Weight("b", (self.nb_filter,), "zero", self.b_regularizer, self.b_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        windows = self.windows
        y = convolve(channels_first(x, windows.dim_ordering), self.filters_first(w["W"]), w.get("b"), windows)
        return self.finished(channels_back(y, windows.dim_ordering), run)

    def finished(self, y: Tensor, run: Run) -> Tensor:
        """Apply the activation and charge its penalty."""
        y = ACTIVATIONS[self.activation](y)
        if self.activity_regularizer is not None:
            run.penalise(self.activity_regularizer(y))
        return y


def convolve(x: Tensor, kernel: Tensor, b: Tensor | None, windows: Windows, groups: int = 1) -> Tensor:
    """Correlate with a kernel, the channels being first; `same` pads both sides alike and drops the surplus."""
    import torch
    from torch.nn import functional

    conv = getattr(functional, f"conv{windows.rank}d")
    if windows.rank == 2 and x.device.type == "cpu":  # oneDNN then need not rearrange images for every layer
        x = x.contiguous(memory_format=torch.channels_last)
    lengths: Any = [
        output_length(length, reach, windows.border_mode, stride)
        for length, reach, stride in zip(x.shape[2:], windows.reach, windows.stride, strict=True)
    ]
    y = conv(windows.filled(x, 0.0), kernel, b, windows.stride, windows.margin, windows.rates, groups)
    return crop(y, lengths)


class OfSequences(Layer):
    """A layer of steps whose first shape may be declared by `input_length` and `input_dim`."""

    input_dim: int | None
    input_length: int | None
    input_rank = 3

    def first_shape(self) -> Shape | None:
        """Return the shape that `batch_input_shape`, `input_dim` with `input_length`, or `input_shape` declares."""
        if self.batch_input_shape is None and self.input_dim is not None:
            return (None, self.input_length, self.input_dim)
        return super().first_shape()

    def as_later(self) -> Layer:
        """Return the description without a first layer's shape."""
        later: Any = replace(super().as_later())
        return cast(Layer, replace(later, input_dim=None, input_length=None))


class ConvolvingSteps(OfSequences, Convolving):
    """What convolutions over steps share."""

    filter_length: int
    border_mode: str
    subsample_length: int

    @property
    def windows(self) -> Windows:
        rate = (getattr(self, "atrous_rate", 1),)
        return Windows((self.filter_length,), (self.subsample_length,), self.border_mode, "tf", rate)

    def kernel(self, channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.filter_length, 1, channels, self.nb_filter), (0,)

    def filters_first(self, kernel: Tensor) -> Tensor:
        return kernel.squeeze(1).permute(2, 1, 0)


class ConvolvingImages(Convolving):
    """What convolutions over images share."""

    nb_row: int
    nb_col: int
    border_mode: str
    subsample: tuple[int, ...]
    dim_ordering: str
    input_rank = 4

    @property
    def windows(self) -> Windows:
        rate = getattr(self, "atrous_rate", ())
        return Windows((self.nb_row, self.nb_col), self.subsample, self.border_mode, self.dim_ordering, rate)
