"""Dense and the layers that only reshape, drop or activate."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

from engine import activations
from engine.activations import ACTIVATIONS, check_activation
from engine.arguments import Fraction, Integers, NonNegative, PositiveInt, Shape
from engine.constraints import Constraint
from engine.errors import BadArgument, ShapeMismatch
from engine.layer import Layer, Weight, Weights, WithInputDim, known_axis, layer, shape_text
from engine.regularizers import L1L2Regularizer, MeanActivityRegularizer, Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


@layer()
class Dense(WithInputDim):
    """Fully connected: `activation(x @ W + b)`.

    Args:
        output_dim: Width of the output.
        init: How `W` starts; see `initializations`.
        activation: Applied to the result; see `activations`.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.
        passes_mask: Whether a mask on the input stays on the output, as in later Keras; Keras 1 refuses it.

    Shape:
        `(n, ..., input_dim) -> (n, ..., output_dim)`

    Weights:
        `W (input_dim, output_dim)`, `b (output_dim,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The input has no feature axis, or one of unknown width.
    """

    output_dim: PositiveInt
    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True
    passes_mask: bool = False

    unwritten = frozenset({"passes_mask"})

    def masked(self, incoming: bool) -> bool:
        return incoming if self.passes_mask else super().masked(incoming)

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 2:
            raise ShapeMismatch(f"Layer {self.name} (Dense) takes (n, ..., d), but gets {shape_text(input_shape)}.")
        known_axis(self, input_shape)
        check_activation(self.activation, len(input_shape))
        return (*input_shape[:-1], self.output_dim)

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        shape = (known_axis(self, input_shape), self.output_dim)
        yield Weight("W", shape, self.init, self.W_regularizer, self.W_constraint)
        if self.bias:
            yield Weight("b", (self.output_dim,), "zero", self.b_regularizer, self.b_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        y = x @ w["W"]
        y = ACTIVATIONS[self.activation](y + w["b"] if self.bias else y)
        if self.activity_regularizer is not None:
            run.penalise(self.activity_regularizer(y))
        return y


@layer()
class Activation(Layer):
    """Applies an activation function.

    Args:
        activation: Its name; see `activations`.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    activation: activations.Activation

    supports_masking = True

    def output_shape(self, input_shape: Shape) -> Shape:
        check_activation(self.activation, len(input_shape))
        return input_shape

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return ACTIVATIONS[self.activation](x)


@layer()
class Dropout(Layer):
    """Sets a share of the inputs to zero while training and scales the rest up by `1 / (1 - p)`.

    Args:
        p: Share that is dropped; only strictly between 0 and 1 does it act.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    p: Fraction

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return dropped(x, self.p, tuple(x.shape), run)


def dropped(x: Tensor, p: float, shape: tuple[int, ...], run: Run) -> Tensor:
    """Set a share `p` of a tensor to zero while training, by a mask of `shape`, and scale the rest up."""
    if not run.training or not 0.0 < p < 1.0:
        return x
    keep = 1.0 - p
    return x * ((run.noise.uniform(shape) < keep) * (1.0 / keep))


@layer()
class Flatten(Layer):
    """Joins all axes but the batch's.

    Shape:
        `(n, a, b, ...) -> (n, a * b * ...)`

    Raises:
        ShapeMismatch: The input is already flat, or one of its axes may have any length.
    """

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) < 3:
            raise ShapeMismatch(
                f"Layer {self.name} (Flatten) takes 3 axes or more, but gets {shape_text(input_shape)}, "
                "which is flat already. Leave the layer out."
            )
        lengths = [each for each in input_shape[1:] if each is not None]
        if len(lengths) < len(input_shape) - 1:
            raise ShapeMismatch(
                f"Layer {self.name} (Flatten) must know every axis of its input but the batch's, and gets "
                f"{shape_text(input_shape)}. Give `input_shape` in full, or use a global pooling layer."
            )
        return (input_shape[0], prod(lengths))

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.flatten(1)


@layer()
class Reshape(Layer):
    """Gives the input another shape of the same size.

    Args:
        target_shape: The shape wanted, without the batch axis; one axis may be -1.

    Shape:
        `(n, ...) -> (n, *target_shape)`

    Raises:
        BadArgument: More than one axis is -1, or one is neither -1 nor positive.
        ShapeMismatch: The sizes differ, or the input's size is unknown.
    """

    target_shape: Integers

    def check(self) -> None:
        free = [each for each in self.target_shape if each < 1]
        if free not in ([], [-1]) or not 0 < len(self.target_shape) <= 8:
            raise BadArgument(
                "`target_shape` must be 1 to 8 positive integers, of which one may be -1, but got "
                f"{list(self.target_shape)}.",
                "/target_shape",
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        lengths = [each for each in input_shape[1:] if each is not None]
        if len(lengths) < len(input_shape) - 1:
            raise ShapeMismatch(
                f"Layer {self.name} (Reshape) must know every axis of its input but the batch's, and gets "
                f"{shape_text(input_shape)}."
            )
        size, fixed = prod(lengths), prod(each for each in self.target_shape if each > 0)
        if size % fixed or (-1 not in self.target_shape and size != fixed):
            raise ShapeMismatch(
                f"Layer {self.name} (Reshape) cannot turn {shape_text(input_shape)}, {size} values a sample, "
                f"into {list(self.target_shape)}."
            )
        return (input_shape[0], *(size // fixed if each == -1 else each for each in self.target_shape))

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.reshape(x.shape[0], *self.target_shape)


@layer()
class Permute(Layer):
    """Puts the axes in another order.

    Args:
        dims: The axes in the order wanted, counted from 1; the batch axis stays first and is not named.

    Shape:
        `(n, ...) -> (n, ...)`, with `dims` of (2, 1): `(n, a, b) -> (n, b, a)`

    Raises:
        BadArgument: `dims` is no order of the numbers from 1.
        ShapeMismatch: The input has another number of axes.
    """

    dims: Integers

    def check(self) -> None:
        if not self.dims or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise BadArgument(
                f"`dims` must hold each number from 1 to the number of axes once, but got {list(self.dims)}.", "/dims"
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        if len(input_shape) != len(self.dims) + 1:
            raise ShapeMismatch(
                f"Layer {self.name} (Permute) orders {len(self.dims)} axes besides the batch's, but gets "
                f"{shape_text(input_shape)}."
            )
        return (input_shape[0], *(input_shape[each] for each in self.dims))

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.permute(0, *self.dims)


@layer()
class RepeatVector(Layer):
    """Repeats a vector as every step of a sequence.

    Args:
        n: How many steps.

    Shape:
        `(batch, d) -> (batch, n, d)`
    """

    n: PositiveInt

    input_rank = 2

    def output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.n, input_shape[1])

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.unsqueeze(1).expand(-1, self.n, -1)


@layer()
class Masking(Layer):
    """Marks the steps whose values all equal `mask_value` as steps to pass over, and sets them to zero.

    Args:
        mask_value: The value of such steps.

    Shape:
        `(n, steps, ...) -> (n, steps, ...)`
    """

    mask_value: float = 0.0

    def check_rank(self, input_shape: Shape) -> None:
        if len(input_shape) < 3:
            raise ShapeMismatch(
                f"Layer {self.name} (Masking) takes sequences, (n, steps, d), but gets {shape_text(input_shape)}."
            )

    def masked(self, incoming: bool) -> bool:
        return True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        kept = (x != self.mask_value).any(-1)
        run.mask = kept
        return x * kept.unsqueeze(-1)


@layer()
class ActivityRegularization(Layer):
    """Lets its input pass and adds a penalty on it to the loss, summed over the batch.

    Args:
        l1: Weight of the sum of absolute values.
        l2: Weight of the sum of squares.
        per_sample: Whether it is divided by the number of samples, as in later Keras.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0
    per_sample: bool = False

    unwritten = frozenset({"per_sample"})
    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        penalty = MeanActivityRegularizer if self.per_sample else L1L2Regularizer
        run.penalise(penalty(self.l1, self.l2)(x))
        return x
