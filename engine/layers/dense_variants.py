"""Dense's relatives: the best of several, a gate past the layer, and Keras 0's Dense for sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine import activations
from engine.activations import ACTIVATIONS, check_activation
from engine.arguments import PositiveInt, Shape
from engine.constraints import Constraint
from engine.errors import ShapeMismatch
from engine.gradients import largest
from engine.layer import Layer, Weight, Weights, WithInputDim, known_axis, layer, shape_text
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


@layer()
class MaxoutDense(WithInputDim):
    """The largest of several fully connected layers: `max over k of (x @ W[k] + b[k])`.

    Args:
        output_dim: Width of the output.
        nb_feature: How many layers compete.
        init: How `W` starts; see `initializations`.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b`.

    Shape:
        `(n, input_dim) -> (n, output_dim)`

    Weights:
        `W (nb_feature, input_dim, output_dim)`, `b (nb_feature, output_dim)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The input is of unknown width.
    """

    output_dim: PositiveInt
    nb_feature: PositiveInt = 4
    init: Initialization = "glorot_uniform"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True

    input_rank = 2

    def output_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape)
        return (input_shape[0], self.output_dim)

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        shape = (self.nb_feature, known_axis(self, input_shape), self.output_dim)
        yield Weight("W", shape, self.init, self.W_regularizer, self.W_constraint)
        if self.bias:
            yield Weight("b", (self.nb_feature, self.output_dim), "zero", self.b_regularizer, self.b_constraint)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        scores = x @ w["W"]  # (nb_feature, n, output_dim)
        y = largest(scores + w["b"].unsqueeze(1) if self.bias else scores, 0)
        if self.activity_regularizer is not None:
            run.penalise(self.activity_regularizer(y))
        return y


@layer()
class Highway(WithInputDim):
    """A gate between a fully connected layer and its input: `t * activation(x @ W + b) + (1 - t) * x`.

    The gate `t` is `sigmoid(x @ W_carry + b_carry)`.

    Args:
        init: How `W` and `W_carry` start; see `initializations`.
        activation: Applied to what is let through; see `activations`.
        W_regularizer: Penalty on `W`.
        b_regularizer: Penalty on `b`.
        activity_regularizer: Penalty on the output, summed over the batch.
        W_constraint: Applied to `W` after every update.
        b_constraint: Applied to `b` after every update.
        bias: Whether to add `b` and `b_carry`.

    Shape:
        `(n, input_dim) -> (n, input_dim)`

    Weights:
        `W (input_dim, input_dim)`, `W_carry (input_dim, input_dim)`, `b (input_dim,)`, `b_carry (input_dim,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The input is of unknown width.
    """

    init: Initialization = "glorot_uniform"
    activation: activations.Activation = "linear"
    W_regularizer: Regularizer | None = None
    b_regularizer: Regularizer | None = None
    activity_regularizer: Regularizer | None = None
    W_constraint: Constraint | None = None
    b_constraint: Constraint | None = None
    bias: bool = True

    input_rank = 2

    def output_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape)
        return input_shape

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        width = known_axis(self, input_shape)
        yield Weight("W", (width, width), self.init, self.W_regularizer, self.W_constraint)
        yield Weight("W_carry", (width, width), self.init)
        if self.bias:
            yield Weight("b", (width,), "zero", self.b_regularizer, self.b_constraint)
            yield Weight("b_carry", (width,), "one")

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        gate, y = x @ w["W_carry"], x @ w["W"]
        if self.bias:
            gate, y = gate + w["b_carry"], y + w["b"]
        gate = gate.sigmoid()
        y = gate * ACTIVATIONS[self.activation](y) + (1.0 - gate) * x
        if self.activity_regularizer is not None:
            run.penalise(self.activity_regularizer(y))
        return y


@layer()
class TimeDistributedDense(Layer):
    """Fully connected at every step of a sequence; Keras 1 keeps it for old models, Dense does the same.

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
        input_dim: Width of a step; for a first layer. Loses against `batch_input_shape`, wins over `input_shape`.
        input_length: How many steps there are; any number when absent. Goes with `input_dim`.

    Shape:
        `(n, input_length, input_dim) -> (n, input_length, output_dim)`

    Weights:
        `W (input_dim, output_dim)`, `b (output_dim,)`

    Raises:
        BadArgument: An argument is not of its kind.
        ShapeMismatch: The input is of unknown width, or of another length.
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
    input_dim: PositiveInt | None = None
    input_length: PositiveInt | None = None

    input_rank = 3
    supports_masking = True

    def first_shape(self) -> Shape | None:
        if self.batch_input_shape is None and self.input_dim is not None:
            return (None, self.input_length, self.input_dim)
        return super().first_shape()

    def output_shape(self, input_shape: Shape) -> Shape:
        known_axis(self, input_shape)
        if self.input_length not in (None, input_shape[1]) and input_shape[1] is not None:
            raise ShapeMismatch(
                f"Layer {self.name} (TimeDistributedDense) has an `input_length` of {self.input_length}, but gets "
                f"{shape_text(input_shape)}."
            )
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
