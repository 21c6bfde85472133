"""Convolutions: one small kernel slides over the whole input."""

from __future__ import annotations

from engine import activations
from engine.arguments import DimOrdering, PositiveInt
from engine.constraints import Constraint
from engine.layer import layer
from engine.layers.kernels import Convolving, ConvolvingImages, ConvolvingSteps
from engine.layers.windows import AnyBorder, StepsBorder, Three, Two, Windows
from engine.regularizers import Regularizer
from engine.spreads import Initialization


@layer("Conv1D")
class Convolution1D(ConvolvingSteps):
    """Slides a kernel over steps.

    Args:
        nb_filter: Width of the output.
        filter_length: How many steps the kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step), "full" takes
            every window that touches the input; "same_tf" is later Keras's "same", "causal" sees no later step.
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
        `(n, steps, input_dim) -> (n, new steps, nb_filter)`

    Weights:
        `W (filter_length, 1, input_dim, nb_filter)`, `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    filter_length: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: StepsBorder = "valid"
    subsample_length: PositiveInt = 1
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    input_dim: PositiveInt | None = None
    input_length: PositiveInt | None = None


@layer("AtrousConv1D")
class AtrousConvolution1D(ConvolvingSteps):
    """Slides a kernel over steps, with holes between the steps it sees.

    Args:
        nb_filter: Width of the output.
        filter_length: How many steps the kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step), "full" takes
            every window that touches the input; "same_tf" is later Keras's "same", "causal" sees no later step.
        subsample_length: How far a window lies from the next.
        atrous_rate: How far apart the steps that the kernel sees lie.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.
        input_dim: Width of the input; for a first layer. Loses against `batch_input_shape`.
        input_length: Number of steps of the input; for a first layer with `input_dim`.

    Shape:
        `(n, steps, input_dim) -> (n, new steps, nb_filter)`

    Weights:
        `W (filter_length, 1, input_dim, nb_filter)`, `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    filter_length: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: StepsBorder = "valid"
    subsample_length: PositiveInt = 1
    atrous_rate: PositiveInt = 1
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    input_dim: PositiveInt | None = None
    input_length: PositiveInt | None = None


@layer("Conv2D")
class Convolution2D(ConvolvingImages):
    """Slides a kernel over images.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows the kernel sees.
        nb_col: How many columns the kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step), "full" takes
            every window that touches the input; "same_tf" is later Keras's "same".
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
        `W` th `(nb_filter, channels, nb_row, nb_col)`, tf `(nb_row, nb_col, channels, nb_filter)`; `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: AnyBorder = "valid"
    subsample: Two = (1, 1)
    dim_ordering: DimOrdering = "default"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True


@layer("AtrousConv2D")
class AtrousConvolution2D(ConvolvingImages):
    """Slides a kernel over images, with holes between the cells it sees.

    Args:
        nb_filter: Number of channels of the output.
        nb_row: How many rows the kernel sees.
        nb_col: How many columns the kernel sees.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step), "full" takes
            every window that touches the input; "same_tf" is later Keras's "same".
        subsample: How far a window lies from the next, in rows and columns.
        atrous_rate: How far apart the cells that the kernel sees lie, in rows and columns.
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
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    nb_row: PositiveInt
    nb_col: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: AnyBorder = "valid"
    subsample: Two = (1, 1)
    atrous_rate: Two = (1, 1)
    dim_ordering: DimOrdering = "default"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True


@layer("Conv3D")
class Convolution3D(Convolving):
    """Slides a kernel over volumes.

    Args:
        nb_filter: Number of channels of the output.
        kernel_dim1: How far the kernel sees on the first axis.
        kernel_dim2: How far it sees on the second.
        kernel_dim3: How far it sees on the third.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        border_mode: "valid" takes whole windows only, "same" keeps the length (divided by the step), "full" takes
            every window that touches the input; "same_tf" is later Keras's "same".
        subsample: How far a window lies from the next on each axis.
        dim_ordering: Where the channels are: "th" first, "tf" last.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.

    Shape:
        th `(n, channels, a, b, c) -> (n, nb_filter, a', b', c')`,
        tf `(n, a, b, c, channels) -> (n, a', b', c', nb_filter)`

    Weights:
        `W` th `(nb_filter, channels, *kernel)`, tf `(*kernel, channels, nb_filter)`; `b (nb_filter,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The window does not fit, or the number of channels is unknown.
    """

    nb_filter: PositiveInt
    kernel_dim1: PositiveInt
    kernel_dim2: PositiveInt
    kernel_dim3: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    border_mode: AnyBorder = "valid"
    subsample: Three = (1, 1, 1)
    dim_ordering: DimOrdering = "default"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    input_rank = 5

    @property
    def windows(self) -> Windows:
        size = (self.kernel_dim1, self.kernel_dim2, self.kernel_dim3)
        return Windows(size, self.subsample, self.border_mode, self.dim_ordering)
