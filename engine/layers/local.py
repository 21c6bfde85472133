"""Locally connected layers: a window slides as in a convolution, but every place has a kernel of its own."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

from engine import activations
from engine.arguments import DimOrdering, PositiveInt, Shape
from engine.constraints import Constraint
from engine.errors import ShapeMismatch
from engine.layer import Weight, Weights, known_axis, layer, shape_text
from engine.layers.kernels import Convolving, OfSequences
from engine.layers.windows import Two, ValidBorder, Windows, channel_axis, channels_back, channels_first
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


class _Local(Convolving):
    def places(self, input_shape: Shape) -> tuple[int, ...]:
        """Count the window's places on each axis, all of which must be known."""
        lengths = [each for each in self.windows.lengths(self, input_shape) if each is not None]
        if len(lengths) < self.windows.rank:
            raise ShapeMismatch(
                f"Layer {self.name} ({type(self).__name__}) must know every axis of its input but the batch's, and "
                f"gets {shape_text(input_shape)}. Give `input_shape` in full."
            )
        return tuple(lengths)

    def output_shape(self, input_shape: Shape) -> Shape:
        self.places(input_shape)
        return super().output_shape(input_shape)

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        places = self.places(input_shape)
        channels = known_axis(self, input_shape, channel_axis(self.windows.dim_ordering))
        shape = (prod(places), prod(self.windows.size) * channels, self.nb_filter)
        yield Weight("W", shape, self.init, self.W_regularizer, self.W_constraint)
        if self.bias:
            yield Weight("b", (*places, self.nb_filter), "zero", self.b_regularizer, self.b_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        windows, rank = self.windows, self.windows.rank
        y = channels_first(x, windows.dim_ordering)
        for axis, (size, stride) in enumerate(zip(windows.size, windows.stride, strict=True), 2):
            y = y.unfold(axis, size, stride)
        places: Any = y.shape[2 : 2 + rank]
        around, window = range(2, 2 + rank), range(2 + rank, 2 + 2 * rank)
        patch = (1, *window) if windows.dim_ordering == "th" else (*window, 1)
        y = y.permute(*around, 0, *patch).reshape(prod(places), x.shape[0], -1)
        y = (y @ w["W"]).reshape(*places, x.shape[0], self.nb_filter)
        y = y.permute(rank, rank + 1, *range(rank))  # (n, filters, places)
        y = channels_back(y, windows.dim_ordering)
        if self.bias:
            y = y + w["b"].reshape(y.shape[1:])  # for th, Keras 1 reshapes what it should have turned
        return self.finished(y, run)


@layer()
class LocallyConnected1D(OfSequences, _Local):
    """Slides a window over steps, with a kernel of its own at every place.

    Args:
        nb_filter: Width of the output.
        filter_length: How many steps a kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid": whole windows only.
        subsample_length: How far a window lies from the next.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.
        input_dim: Width of the input; for a first layer. Loses against `batch_input_shape`.
        input_length: Number of steps of the input; for a first layer with `input_dim`.

    Shape:
        `(n, steps, input_dim) -> (n, places, nb_filter)`

    Weights:
        `W (places, filter_length * input_dim, nb_filter)`, `b (places, nb_filter)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or an axis is unknown.
    """

    nb_filter: PositiveInt
    filter_length: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: ValidBorder = "valid"
    subsample_length: PositiveInt = 1
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    input_dim: PositiveInt | None = None
    input_length: PositiveInt | None = None

    @property
    def windows(self) -> Windows:
        return Windows((self.filter_length,), (self.subsample_length,), self.border_mode, "tf")


@layer()
class LocallyConnected2D(_Local):
    """Slides a window over images, with a kernel of its own at every place.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows a kernel sees.
        nb_col: How many columns a kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid": whole windows only.
        subsample: How far a window lies from the next, in rows and columns.
        dim_ordering: Where the channels are: "th" first, "tf" last.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.

    Shape:
        th `(n, channels, rows, columns) -> (n, nb_filter, new rows, new columns)`,
        tf `(n, rows, columns, channels) -> (n, new rows, new columns, nb_filter)`

    Weights:
        `W (new rows * new columns, nb_row * nb_col * channels, nb_filter)`, `b (new rows, new columns, nb_filter)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or an axis is unknown.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: ValidBorder = "valid"
    subsample: Two = (1, 1)
    dim_ordering: DimOrdering = "default"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    input_rank = 4

    @property
    def windows(self) -> Windows:
        return Windows((self.nb_row, self.nb_col), self.subsample, self.border_mode, self.dim_ordering)
