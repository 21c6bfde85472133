"""Layers that disturb their input while training and let it pass otherwise."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

from engine.arguments import DimOrdering, Fraction, NonNegative
from engine.layer import Layer, Weights, layer
from engine.layers.core import dropped

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


@layer()
class GaussianNoise(Layer):
    """Adds normal noise of mean 0 while training.

    Args:
        sigma: Standard deviation of the noise.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    sigma: NonNegative

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        if not run.training or not self.sigma:
            return x
        return x + self.sigma * run.noise.normal(tuple(x.shape))


@layer()
class GaussianDropout(Layer):
    """Multiplies with normal noise of mean 1 and variance `p / (1 - p)` while training.

    Args:
        p: The share that a Dropout as strong would drop; only strictly between 0 and 1 does it act.

    Shape:
        `(n, ...) -> (n, ...)`
    """

    p: Fraction

    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        if not run.training or not 0.0 < self.p < 1.0:
            return x
        deviation = sqrt(self.p / (1.0 - self.p))
        return x * (1.0 + deviation * run.noise.normal(tuple(x.shape)))


def _over_space(x: Tensor, p: float, dim_ordering: str, run: Run) -> Tensor:
    """Drop whole channels, which are the last axis unless the ordering is `th`."""
    space = (1,) * (x.dim() - 2)
    samples, channels = x.shape[0], x.shape[1 if dim_ordering == "th" else -1]
    shape = (samples, channels, *space) if dim_ordering == "th" else (samples, *space, channels)
    return dropped(x, p, shape, run)


@layer()
class SpatialDropout1D(Layer):
    """Drops whole channels of a sequence while training and scales the rest up by `1 / (1 - p)`.

    Args:
        p: Share of the channels that is dropped; only strictly between 0 and 1 does it act.

    Shape:
        `(n, steps, channels) -> (n, steps, channels)`
    """

    p: Fraction

    input_rank = 3
    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return _over_space(x, self.p, "tf", run)


@layer()
class SpatialDropout2D(Layer):
    """Drops whole channels of an image while training and scales the rest up by `1 / (1 - p)`.

    Args:
        p: Share of the channels that is dropped; only strictly between 0 and 1 does it act.
        dim_ordering: Where the channels are: `th` first, `tf` last, `default` as the job says.

    Shape:
        `(n, rows, cols, channels) -> (n, rows, cols, channels)`, with `th`: `(n, channels, rows, cols)`
    """

    p: Fraction
    dim_ordering: DimOrdering = "default"

    input_rank = 4
    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return _over_space(x, self.p, self.dim_ordering, run)


@layer()
class SpatialDropout3D(Layer):
    """Drops whole channels of a volume while training and scales the rest up by `1 / (1 - p)`.

    Args:
        p: Share of the channels that is dropped; only strictly between 0 and 1 does it act.
        dim_ordering: Where the channels are: `th` first, `tf` last, `default` as the job says.

    Shape:
        `(n, a, b, c, channels) -> (n, a, b, c, channels)`, with `th`: `(n, channels, a, b, c)`
    """

    p: Fraction
    dim_ordering: DimOrdering = "default"

    input_rank = 5
    supports_masking = True

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        return _over_space(x, self.p, self.dim_ordering, run)
