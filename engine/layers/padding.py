"""Layers that add, cut off or repeat cells at the border or between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import DimOrdering, Json, Kind, PositiveInt, Shape, Wrong
from engine.errors import ShapeMismatch
from engine.layer import Layer, Weights, layer, shape_text
from engine.layers.windows import Three, Two, sizes, spatial_axes

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

Sides = tuple[tuple[int, int], ...]


def _amounts(*counts: int, keys: tuple[str, ...]) -> Kind:
    """Make a kind that takes so many amounts in a list, or in an object with these keys; one count of 1 is a number."""

    def read(value: Any) -> int | tuple[int, ...]:
        if isinstance(value, Mapping):
            if not value or not set(value) <= set(keys):
                raise Wrong
            value = [value.get(key, 0) for key in keys]
        if 1 in counts and not isinstance(value, Sequence):
            value = [value]
            return int(sizes(1, 0).read(value)[0])
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) not in counts or len(value) == 1:
            raise Wrong
        amounts: tuple[int, ...] = sizes(len(value), 0).read(value)
        return amounts

    words = " or ".join("one integer" if each == 1 else f"a list of {each}" for each in counts)
    return Kind(f"{words} of 0 or more, or an object of {', '.join(keys)}", read, _plain)


def _plain(value: Any) -> Json:
    return list(value) if isinstance(value, tuple) else value


def _pairs(count: int) -> Kind:
    """Make a kind that takes a pair of amounts for each axis."""

    def read(value: Any) -> Sides:
        if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != count:
            raise Wrong
        return tuple(sizes(2, 0).read(each) for each in value)

    return Kind(f"a list of {count} pairs of integers of 0 or more", read, lambda value: [list(each) for each in value])


Around1 = Annotated[int | tuple[int, ...], _amounts(1, 2, keys=("left_pad", "right_pad"))]
Around2 = Annotated[tuple[int, ...], _amounts(2, 4, keys=("top_pad", "bottom_pad", "left_pad", "right_pad"))]
Around3 = Annotated[tuple[int, ...], sizes(3, 0)]
Pair = Annotated[tuple[int, ...], sizes(2, 0)]
Pairs2 = Annotated[Sides, _pairs(2)]
Pairs3 = Annotated[Sides, _pairs(3)]


class _Sided(Layer):
    """What layers share that change each axis at both its ends."""

    def sides(self) -> Sides:
        """What is done before and after each axis; negative where cells are cut off."""
        raise NotImplementedError(f"{type(self).__name__} says what it adds or cuts off")

    def output_shape(self, input_shape: Shape) -> Shape:
        lengths = list(input_shape)
        for axis, (before, after) in zip(self._axes(), self.sides(), strict=True):
            length = input_shape[axis]
            if length is None:
                continue
            if length + before + after < 1:
                raise ShapeMismatch(
                    f"Layer {self.name} ({type(self).__name__}) cuts {-before - after} cells off axis {axis} of "
                    f"{shape_text(input_shape)}, and nothing is left."
                )
            lengths[axis] = length + before + after
        return tuple(lengths)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        from torch.nn.functional import pad

        sides = self.sides()
        behind = x.dim() - 1 - self._axes()[-1]  # axes that stay, and that torch counts first
        return pad(x, [0, 0] * behind + [each for pair in reversed(sides) for each in pair])

    def _axes(self) -> range:
        return spatial_axes(len(self.sides()), getattr(self, "dim_ordering", "tf"))


class _Cropping(_Sided):
    cropping: Any

    def sides(self) -> Sides:
        pairs = self.cropping if isinstance(self.cropping[0], tuple) else (self.cropping,)
        return tuple((-before, -after) for before, after in pairs)


class _Repeating(Layer):
    """What layers share that repeat cells."""

    def times(self) -> tuple[int, ...]:
        """How often a cell is repeated along each axis."""
        raise NotImplementedError(f"{type(self).__name__} says how often it repeats")

    def _repeats(self) -> list[tuple[int, int]]:
        times = self.times()
        return list(zip(spatial_axes(len(times), getattr(self, "dim_ordering", "tf")), times, strict=True))

    def output_shape(self, input_shape: Shape) -> Shape:
        lengths = list(input_shape)
        for axis, times in self._repeats():
            length = input_shape[axis]
            lengths[axis] = None if length is None else length * times
        return tuple(lengths)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        for axis, times in self._repeats():
            wide = [*x.shape[: axis + 1], times, *x.shape[axis + 1 :]]
            x = x.unsqueeze(axis + 1).expand(wide).flatten(axis, axis + 1)
        return x


@layer()
class ZeroPadding1D(_Sided):
    """Adds zeros before and after sequences.

    Args:
        padding: How many steps of zeros: a number for both ends, or `[left, right]`.

    Shape:
        `(n, steps, features)`; the steps grow
    """

    padding: Around1 = 1
    input_rank = 3

    def sides(self) -> Sides:
        before, after = self.padding if isinstance(self.padding, tuple) else (self.padding, self.padding)
        return ((before, after),)


@layer()
class ZeroPadding2D(_Sided):
    """Adds zeros around images.

    Args:
        padding: How many: `[rows, columns]` on both sides, or `[top, bottom, left, right]`.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)`; rows and columns grow
    """

    padding: Around2 = (1, 1)
    dim_ordering: DimOrdering = "default"
    input_rank = 4

    def sides(self) -> Sides:
        if len(self.padding) == 4:
            top, bottom, left, right = self.padding
            return ((top, bottom), (left, right))
        return tuple((each, each) for each in self.padding)


@layer()
class ZeroPadding3D(_Sided):
    """Adds zeros around volumes.

    Args:
        padding: How many on both sides of each axis.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, a, b, c)`, tf `(n, a, b, c, channels)`; a, b and c grow
    """

    padding: Around3 = (1, 1, 1)
    dim_ordering: DimOrdering = "default"
    input_rank = 5

    def sides(self) -> Sides:
        return tuple((each, each) for each in self.padding)


@layer()
class Cropping1D(_Cropping):
    """Cuts off both ends of sequences.

    Args:
        cropping: How many steps at the beginning and at the end.

    Shape:
        `(n, steps, features)`; the steps shrink

    Raises:
        ShapeMismatch: Nothing would be left.
    """

    cropping: Pair = (1, 1)
    input_rank = 3


@layer()
class Cropping2D(_Cropping):
    """Cuts off the borders of images.

    Args:
        cropping: How many: `[[top, bottom], [left, right]]`.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)`; rows and columns shrink

    Raises:
        ShapeMismatch: Nothing would be left.
    """

    cropping: Pairs2 = ((0, 0), (0, 0))
    dim_ordering: DimOrdering = "default"
    input_rank = 4


@layer()
class Cropping3D(_Cropping):
    """Cuts off the borders of volumes.

    Args:
        cropping: How many at both ends of each axis.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, a, b, c)`, tf `(n, a, b, c, channels)`; a, b and c shrink

    Raises:
        ShapeMismatch: Nothing would be left.
    """

    cropping: Pairs3 = ((1, 1), (1, 1), (1, 1))
    dim_ordering: DimOrdering = "default"
    input_rank = 5


@layer()
class UpSampling1D(_Repeating):
    """Repeats every step.

    Args:
        length: How often.

    Shape:
        `(n, steps, features)`; the steps grow
    """

    length: PositiveInt = 2
    input_rank = 3

    def times(self) -> tuple[int, ...]:
        return (self.length,)


@layer()
class UpSampling2D(_Repeating):
    """Repeats every cell of images.

    Args:
        size: How often along each axis.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, rows, columns)`, tf `(n, rows, columns, channels)`; rows and columns grow
    """

    size: Two = (2, 2)
    dim_ordering: DimOrdering = "default"
    input_rank = 4

    def times(self) -> tuple[int, ...]:
        return self.size


@layer()
class UpSampling3D(_Repeating):
    """Repeats every cell of volumes.

    Args:
        size: How often along each axis.
        dim_ordering: Where the channels are: "th" first, "tf" last.

    Shape:
        th `(n, channels, a, b, c)`, tf `(n, a, b, c, channels)`; a, b and c grow
    """

    size: Three = (2, 2, 2)
    dim_ordering: DimOrdering = "default"
    input_rank = 5

    def times(self) -> tuple[int, ...]:
        return self.size
