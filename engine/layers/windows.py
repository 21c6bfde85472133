"""Windows that move over a layer's input: how many fit, how they are padded, and where the channels lie.

Padding is that of Keras 1.2.2 on Theano: `same` pads both sides alike and drops what is too much at the end. Later
Keras pads as TensorFlow does, which `same_tf` stands for: as little as needed, and the odd cell at the end. `causal`
pads at the beginning alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Kind, Shape, Wrong, one_of
from engine.errors import ShapeMismatch
from engine.layer import Layer, shape_text

if TYPE_CHECKING:
    from torch import Tensor


def sizes(count: int, low: int = 1) -> Kind:
    """Make a kind that takes a list of so many integers; it is kept as a tuple."""

    def read(value: Any) -> tuple[int, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != count:
            raise Wrong
        if not all(isinstance(each, int) and not isinstance(each, bool) and each >= low for each in value):
            raise Wrong
        return tuple(value)

    return Kind(f"a list of {count} integers of {low} or more", read, list)


Two = Annotated[tuple[int, ...], sizes(2)]
Three = Annotated[tuple[int, ...], sizes(3)]
StepsBorder = Annotated[str, one_of("valid", "same", "full", "same_tf", "causal")]
AnyBorder = Annotated[str, one_of("valid", "same", "full", "same_tf")]
Border = Annotated[str, one_of("valid", "same", "same_tf")]
KeepingBorder = Annotated[str, one_of("same", "same_tf")]
ValidBorder = Annotated[str, one_of("valid")]


#: So many cells a window may span where the border is filled up, or twice as many as there are.
MAX_REACH = 16_384
#: Borders that are padded on one side more than on the other.
UNEVEN = ("same_tf", "causal")


def output_length(length: int | None, window: int, border_mode: str, stride: int) -> int | None:
    """Count the places of a window on an axis; below 1 if it does not fit, None if the axis may have any length."""
    if length is None:
        return None
    if border_mode in ("same", *UNEVEN):
        return -(-length // stride)
    reach = length - window if border_mode == "valid" else length + window - 2
    return reach // stride + 1


def spatial_axes(rank: int, dim_ordering: str) -> range:
    """Return the axes of an image's rows, columns and so on, the batch axis counted."""
    return range(2, 2 + rank) if dim_ordering == "th" else range(1, 1 + rank)


def channel_axis(dim_ordering: str) -> int:
    """Return the axis of an image's channels."""
    return 1 if dim_ordering == "th" else -1


def channels_first(x: Tensor, dim_ordering: str) -> Tensor:
    """Move the channels to where torch has them."""
    return x if dim_ordering == "th" else x.movedim(-1, 1)


def channels_back(x: Tensor, dim_ordering: str) -> Tensor:
    """Move the channels back from where torch has them."""
    return x if dim_ordering == "th" else x.movedim(1, -1)


def crop(x: Tensor, lengths: Sequence[int], first_axis: int = 2) -> Tensor:
    """Drop what is too much at the end of each axis."""
    for axis, length in enumerate(lengths, first_axis):
        if x.shape[axis] > length:
            x = x.narrow(axis, 0, length)
    return x


@dataclass(frozen=True)
class Windows:
    """A window's size on each axis, its steps, its holes and what happens at the border."""

    size: tuple[int, ...]
    stride: tuple[int, ...]
    border_mode: str
    dim_ordering: str
    rate: tuple[int, ...] = ()

    @property
    def rank(self) -> int:
        """How many axes the window has."""
        return len(self.size)

    @property
    def rates(self) -> tuple[int, ...]:
        """How far apart the window's cells lie on each axis."""
        return self.rate or (1,) * self.rank

    @property
    def reach(self) -> tuple[int, ...]:
        """How many cells the window spans on each axis, its holes included."""
        return tuple((size - 1) * rate + 1 for size, rate in zip(self.size, self.rates, strict=True))

    @property
    def margin(self) -> tuple[int, ...]:
        """How many zeros a convolution adds on each side of each axis."""
        if self.border_mode in ("valid", *UNEVEN):
            return (0,) * self.rank
        return tuple(each // 2 if self.border_mode == "same" else each - 1 for each in self.reach)

    def uneven(self, lengths: Sequence[int]) -> list[tuple[int, int]]:
        """Say how many cells `same_tf` and `causal` add before and after each axis."""
        if self.border_mode == "causal":
            return [(reach - 1, 0) for reach in self.reach]
        sides = []
        for length, reach, stride in zip(lengths, self.reach, self.stride, strict=True):
            both = max((-(-length // stride) - 1) * stride + reach - length, 0)
            sides.append((both // 2, both - both // 2))
        return sides

    def filled(self, x: Tensor, value: float) -> Tensor:
        """Fill up what `same_tf` and `causal` see beyond the border, the channels being first."""
        from torch.nn.functional import pad

        if self.border_mode not in UNEVEN:
            return x
        return pad(x, [each for pair in reversed(self.uneven(x.shape[2:])) for each in pair], value=value)

    @property
    def axes(self) -> range:
        """The axes that the window moves along."""
        return spatial_axes(self.rank, self.dim_ordering)

    def lengths(self, layer: Layer, input_shape: Shape) -> tuple[int | None, ...]:
        """Count the window's places on each axis.

        Raises:
            ShapeMismatch: The window does not fit.
        """
        self._check_reach(layer, input_shape)
        lengths = tuple(
            output_length(input_shape[axis], reach, self.border_mode, stride)
            for axis, reach, stride in zip(self.axes, self.reach, self.stride, strict=True)
        )
        if any(each is not None and each < 1 for each in lengths):
            raise ShapeMismatch(
                f"Layer {layer.name} ({type(layer).__name__}) moves a window of {list(self.reach)} over "
                f"{shape_text(input_shape)}, where it does not fit.{self._hint(layer, input_shape)}"
            )
        return lengths

    def _check_reach(self, layer: Layer, input_shape: Shape) -> None:
        """Refuse to fill up far more than there is."""
        for axis, reach in zip(self.axes, self.reach, strict=True):
            if self.border_mode != "valid" and reach > max(MAX_REACH, 2 * (input_shape[axis] or 0)):
                raise ShapeMismatch(
                    f"Layer {layer.name} ({type(layer).__name__}) sees {reach:,} cells at once on axis {axis} of "
                    f"{shape_text(input_shape)} and fills up what is beyond the border, which is allowed up to "
                    f"{MAX_REACH:,} cells."
                )

    def _hint(self, layer: Layer, input_shape: Shape) -> str:
        if not hasattr(layer, "dim_ordering"):
            return ""
        place, other, there = ("last", "th", "first") if self.dim_ordering == "tf" else ("first", "tf", "last")
        channels = input_shape[channel_axis(self.dim_ordering)]
        return (
            f' Its dim_ordering is "{self.dim_ordering}": the {place} axis, {channels}, is taken for the channels. If '
            f'the channels come {there}, give the layer, or the whole job, "dim_ordering": "{other}".'
        )

    def shape(self, layer: Layer, input_shape: Shape, channels: int | None) -> Shape:
        """Infer the shape of a layer's output.

        Raises:
            ShapeMismatch: The window does not fit.
        """
        lengths = self.lengths(layer, input_shape)
        return with_spatial(input_shape[0], lengths, channels, self.dim_ordering)


def with_spatial(batch: int | None, lengths: Sequence[int | None], channels: int | None, dim_ordering: str) -> Shape:
    """Put a shape together."""
    return (batch, channels, *lengths) if dim_ordering == "th" else (batch, *lengths, channels)
