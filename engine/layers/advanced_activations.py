"""Activations with a parameter, and those that learn theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from engine.activations import relu, softplus
from engine.arguments import Integers, Kind, NonNegative, Shape, kind_of
from engine.errors import BadArgument
from engine.layer import Layer, Weight, Weights, known_axis, layer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


def _axes(value: Any) -> tuple[int, ...]:
    alone = isinstance(value, int) and not isinstance(value, bool)
    axes: tuple[int, ...] = kind_of(Integers).read([value] if alone else value)
    return axes


Axes = Annotated[tuple[int, ...], Kind("an axis or a list of axes, counted from 1", _axes, list)]


def leaky(x: Tensor, slope: Tensor | float) -> Tensor:
    """`x` where positive, else `slope * x`; at 0 it rises by the mean of both, as in Keras 1 on Theano."""
    return 0.5 * (1.0 + slope) * x + 0.5 * (1.0 - slope) * x.abs()


@layer()
class LeakyReLU(Layer):
    """`x` where it is not negative, else `alpha * x`.

    Args:
        alpha: The slope for negative inputs.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    alpha: float = 0.3

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return leaky(x, self.alpha)


@layer()
class ELU(Layer):
    """`x` where it is positive, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: What large negative inputs approach, negated.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    alpha: float = 1.0

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x.where(x > 0, self.alpha * x.clamp(max=0.0).expm1())


@layer()
class ThresholdedReLU(Layer):
    """`x` where it is larger than `theta`, else 0.

    Args:
        theta: The threshold.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    theta: NonNegative = 1.0

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return x * (x > self.theta)


@dataclass(frozen=True, kw_only=True)
class Learned(Layer):
    """An activation whose parameters are learned, one for each element of a sample.

    Args:
        shared_axes: Axes along which the parameters are shared, counted from 1 without the batch axis.
    """

    shared_axes: Axes | None = None

    unwritten = frozenset({"shared_axes"})
    supports_masking = True

    def parameter_shape(self, input_shape: Shape) -> tuple[int, ...]:
        """Return the shape of each parameter: the sample's, with 1 in the place of shared axes.

        Raises:
            BadArgument: A shared axis is none of the input's.
            ShapeMismatch: An axis that is not shared may have any length.
        """
        shared = self.shared_axes or ()
        for each in shared:
            if not 0 < each < len(input_shape):
                raise BadArgument(
                    f"`shared_axes` counts from 1 to {len(input_shape) - 1} here, but got {list(shared)}.",
                    "/shared_axes",
                )
        return tuple(1 if i in shared else known_axis(self, input_shape, i) for i in range(1, len(input_shape)))


@layer()
class PReLU(Learned):
    """`x` where it is positive, else `alpha * x` with a learned alpha.

    Args:
        init: How `alphas` start; see `initializations`.

    Shape:
        `(n, ...) -> (n, ...)`

    Weights:
        `alphas`, of the input's shape without the batch axis and with 1 on shared axes

    Raises:
        BadArgument: A shared axis is none of the input's.
        ShapeMismatch: An axis that is not shared may have any length.
    """

    init: Initialization = "zero"

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        yield Weight("alphas", self.parameter_shape(input_shape), self.init)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return relu(x) + w["alphas"] * (x - x.abs()) * 0.5


@layer()
class ParametricSoftplus(Learned):
    """`alpha * log(1 + exp(beta * x))` with learned alpha and beta.

    Args:
        alpha_init: What `alphas` start with.
        beta_init: What `betas` start with.

    Shape:
        `(n, ...) -> (n, ...)`

    Weights:
        `alphas`, `betas`, each of the input's shape without the batch axis and with 1 on shared axes

    Raises:
        BadArgument: A shared axis is none of the input's.
        ShapeMismatch: An axis that is not shared may have any length.
    """

    alpha_init: float = 0.2
    beta_init: float = 5.0

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        shape = self.parameter_shape(input_shape)
        yield Weight("alphas", shape, "one", scale=self.alpha_init)
        yield Weight("betas", shape, "one", scale=self.beta_init)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return softplus(w["betas"] * x) * w["alphas"]


@layer()
class SReLU(Learned):
    """S-shaped: the identity between two learned thresholds, a line with a learned slope outside each.

    The upper threshold is `t_left + |t_right|`, and no value below it is carried past it.

    Args:
        t_left_init: How the lower threshold starts; see `initializations`.
        a_left_init: How the slope below it starts.
        t_right_init: How the distance to the upper threshold starts.
        a_right_init: How the slope above that starts.

    Shape:
        `(n, ...) -> (n, ...)`

    Weights:
        `t_left`, `a_left`, `t_right`, `a_right`, each of the input's shape without the batch axis and with 1 on
        shared axes

    Raises:
        BadArgument: A shared axis is none of the input's.
        ShapeMismatch: An axis that is not shared may have any length.
    """

    t_left_init: Initialization = "zero"
    a_left_init: Initialization = "glorot_uniform"
    t_right_init: Initialization = "glorot_uniform"
    a_right_init: Initialization = "one"

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        shape = self.parameter_shape(input_shape)
        yield Weight("t_left", shape, self.t_left_init)
        yield Weight("a_left", shape, self.a_left_init)
        yield Weight("t_right", shape, self.t_right_init)
        yield Weight("a_right", shape, self.a_right_init)

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        width = w["t_right"].abs()
        above = x - w["t_left"]
        middle = leaky(above, w["a_left"]).minimum(width)
        return w["t_left"] + middle + relu(above - width) * w["a_right"]
