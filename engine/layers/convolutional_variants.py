"""Convolutions of other kinds: turned around, and split into two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from engine import activations
from engine.activations import check_activation
from engine.arguments import DimOrdering, Kind, PositiveInt, Shape, Wrong
from engine.constraints import Constraint
from engine.errors import ShapeMismatch
from engine.layer import Weight, Weights, known_axis, layer, shape_text
from engine.layers.kernels import ConvolvingImages, convolve
from engine.layers.windows import Border, Two, Windows, channel_axis, channels_back, channels_first, with_spatial
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


def _whole_shape(value: Any) -> Shape | str:
    if value == "auto":
        return "auto"
    if isinstance(value, str) or not isinstance(value, list | tuple) or len(value) != 4:
        raise Wrong
    for index, each in enumerate(value):
        if (each is None and index) or (each is not None and (type(each) is not int or each < 1)):
            raise Wrong
    return tuple(value)


WholeShape = Annotated[
    Shape | str,
    Kind(
        'a list of 4: the batch axis, a positive integer or null, and 3 positive integers; or "auto"',
        _whole_shape,
        lambda value: value if isinstance(value, str) else list(value),
    ),
]


@layer("Deconv2D")
class Deconvolution2D(ConvolvingImages):
    """Spreads every cell of an image by a kernel: a convolution turned around.

    In JSON `deconvolved_shape` is called `output_shape`, as in Keras 1.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows the kernel covers.
        nb_col: How many columns the kernel covers.
        deconvolved_shape: Shape of the output, batch axis included; a convolution of the same window must lead from
            it back to the input. "auto", as in later Keras, is the input's size times the step, and with "valid"
            what a window reaches beyond its step.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" or "same", or later Keras's "same_tf": that of the convolution that leads back.
        subsample: How far the input's cells lie apart in the output, in rows and columns.
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
        `W` th `(nb_filter, channels, nb_row, nb_col)`, tf `(nb_row, nb_col, channels, nb_filter)`; `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: No convolution leads from the output's shape back to the input's.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    deconvolved_shape: WholeShape
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: Border = "valid"
    subsample: Two = (1, 1)
    dim_ordering: DimOrdering = "default"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True

    called = {"deconvolved_shape": "output_shape"}

    def output_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape, channel_axis(self.dim_ordering))
        if isinstance(self.deconvolved_shape, str):
            return self._grown(input_shape)
        super().output_shape(self.deconvolved_shape)
        windows = self.windows
        back = windows.lengths(self, self.deconvolved_shape)
        channels = self.deconvolved_shape[channel_axis(self.dim_ordering)]
        for axis, length in zip(windows.axes, back, strict=True):
            if channels != self.nb_filter or input_shape[axis] not in (None, length):
                raise ShapeMismatch(
                    f"Layer {self.name} (Deconvolution2D) cannot turn {shape_text(input_shape)} into "
                    f"{shape_text(self.deconvolved_shape)} with {self.nb_filter} filters and steps of "
                    f"{list(self.subsample)}: a convolution leads from there to {list(back)} cells."
                )
        return (input_shape[0], *self.deconvolved_shape[1:])

    def _grown(self, input_shape: Shape) -> Shape:
        """Tell the shape of the output as later Keras does."""
        windows = self.windows
        lengths = [
            None if (length := input_shape[axis]) is None else length * stride + self._beyond(size - stride)
            for axis, size, stride in zip(windows.axes, windows.size, windows.stride, strict=True)
        ]
        check_activation(self.activation, len(input_shape))
        return with_spatial(input_shape[0], lengths, self.nb_filter, self.dim_ordering)

    def _beyond(self, more: int) -> int:
        return max(more, 0) if self.border_mode == "valid" else 0

    def _cut(self, axis: int, size: int, stride: int, length: int) -> tuple[int, int]:
        """Say how many cells before and how many to keep, of all that the kernel reaches from `length` cells."""
        place = self.windows.axes.index(axis)
        if isinstance(self.deconvolved_shape, str):
            wanted: Any = length * stride + self._beyond(size - stride)
        else:
            wanted = self.deconvolved_shape[axis]
        if self.border_mode == "same_tf":
            return self.windows.uneven([wanted] * self.windows.rank)[place][0], wanted
        return self.windows.margin[place], wanted

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        from torch.nn.functional import conv_transpose2d, pad

        windows = self.windows
        kernel = self.filters_first(w["W"]).transpose(0, 1)
        x = channels_first(x, self.dim_ordering)
        y = conv_transpose2d(x, kernel, None, windows.stride)
        cut: list[int] = []
        for place in (1, 0):
            size, stride = windows.size[place], windows.stride[place]
            margin, wanted = self._cut(windows.axes[place], size, stride, x.shape[2 + place])
            cut += [-margin, wanted + margin - y.shape[2 + place]]
        y = pad(y, cut)
        if self.bias:
            y = y + w["b"].reshape(1, -1, 1, 1)
        return self.finished(channels_back(y, self.dim_ordering), run)


@layer("SeparableConv2D")
class SeparableConvolution2D(ConvolvingImages):
    """Convolves every channel of an image by kernels of its own, then mixes the channels cell by cell.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows a kernel sees.
        nb_col: How many columns a kernel sees.
        init: How both kernels start; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step); "same_tf"
            is later Keras's "same".
        subsample: How far a window lies from the next, in rows and columns.
        depth_multiplier: How many kernels every channel has.
        dim_ordering: Where the channels are: "th" first, "tf" last.
        depthwise_regularizer: Penalty on `depthwise_kernel`.
        pointwise_regularizer: Penalty on `pointwise_kernel`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        depthwise_constraint: Applied to `depthwise_kernel` after every update.
        pointwise_constraint: Applied to `pointwise_kernel` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.

    Shape:
        th `(n, channels, rows, columns) -> (n, nb_filter, new rows, new columns)`,
        tf `(n, rows, columns, channels) -> (n, new rows, new columns, nb_filter)`

    Weights:
        `depthwise_kernel` th `(depth_multiplier, channels, nb_row, nb_col)`,
        tf `(nb_row, nb_col, channels, depth_multiplier)`;
        `pointwise_kernel` th `(nb_filter, depth_multiplier * channels, 1, 1)`,
        tf `(1, 1, depth_multiplier * channels, nb_filter)`; `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: Border = "valid"
    subsample: Two = (1, 1)
    depth_multiplier: PositiveInt = 1
    dim_ordering: DimOrdering = "default"
    depthwise_regularizer: Regularizer | None = None
    pointwise_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    depthwise_constraint: Constraint | None = None
    pointwise_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        ordering = self.dim_ordering
        channels = known_axis(self, input_shape, channel_axis(ordering))
        deep, size, mixed = self.depth_multiplier, (self.nb_row, self.nb_col), self.depth_multiplier * channels
        first = ordering == "th"
        yield Weight(
            "depthwise_kernel",
            (deep, channels, *size) if first else (*size, channels, deep),
            self.init,
            self.depthwise_regularizer,
            self.depthwise_constraint,
            dim_ordering=ordering,
            flips=(2, 3) if first else (0, 1),
        )
        yield Weight(
            "pointwise_kernel",
            (self.nb_filter, mixed, 1, 1) if first else (1, 1, mixed, self.nb_filter),
            self.init,
            self.pointwise_regularizer,
            self.pointwise_constraint,
            dim_ordering=ordering,
        )
        if self.bias:
            yield Weight("b", (self.nb_filter,), "zero", self.b_regularizer, self.b_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        depthwise = self.filters_first(w["depthwise_kernel"]).transpose(0, 1).flatten(0, 1).unsqueeze(1)
        pointwise = self.filters_first(w["pointwise_kernel"])
        x = channels_first(x, self.dim_ordering)
        y = convolve(x, depthwise, None, self.windows, groups=x.shape[1])
        y = convolve(y, pointwise, w.get("b"), Windows((1, 1), (1, 1), "valid", "th"))
        return self.finished(channels_back(y, self.dim_ordering), run)
