"""BatchNormalization, in Keras 1's three modes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Fraction, Kind, NonNegative, Shape, Wrong
from engine.errors import BadArgument
from engine.layer import Layer, Weight, Weights, known_axis, layer, shape_text
from engine.regularizers import Regularizer
from engine.spreads import Initialization

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


def _mode(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1, 2):
        raise Wrong
    return value


def _version(value: Any) -> int:
    if isinstance(value, bool) or value not in (1, 2, 3):
        raise Wrong
    return int(value)


Mode = Annotated[int, Kind("0, 1 or 2", _mode)]
Version = Annotated[int, Kind("1, 2 or 3", _version)]


@layer()
class BatchNormalization(Layer):
    """Brings its input to mean 0 and variance 1, then scales by `gamma` and shifts by `beta`.

    Mode 0 takes mean and variance of every feature from the batch while training and from running averages otherwise,
    mode 1 those of every sample, mode 2 always those of the batch. The running averages move in training even where
    `trainable` is false. As in Keras 1 on Theano, `running_std` is a variance, to which `epsilon` was added already.

    Args:
        epsilon: Added to the variance.
        mode: 0, 1 or 2, as above.
        axis: The axis of the features; for `th` images it is 1. Modes 0 and 2 take averages over all others.
        momentum: How much of the running averages each batch leaves.
        beta_init: How `beta` starts; see `initializations`.
        gamma_init: How `gamma` starts.
        gamma_regularizer: Penalty on `gamma`.
        beta_regularizer: Penalty on `beta`.
        center: Whether to shift by `beta`.
        scale: Whether to scale by `gamma`.
        version: Which Keras's averages: 1 as above; 2 and 3 keep the variance without `epsilon` and let running
            averages rest, and use them, where `trainable` is false; 2 keeps that of images (4 axes) unbiased.

    Shape:
        `(n, ...) -> (n, ...)`

    Weights:
        `gamma` with `scale`, `beta` with `center`, `running_mean`, `running_std`, each `(features,)`; the last two
        are not trained

    Raises:
        BadArgument: `axis` is none of the input's, the batch's, or in mode 1 not the last.
        ShapeMismatch: There may be any number of features.
    """

    epsilon: NonNegative = 1e-3
    mode: Mode = 0
    axis: int = -1
    momentum: Fraction = 0.99
    beta_init: Initialization = "zero"
    gamma_init: Initialization = "one"
    gamma_regularizer: Regularizer | None = None
    beta_regularizer: Regularizer | None = None
    center: bool = True
    scale: bool = True
    version: Version = 1

    unwritten = frozenset({"beta_init", "gamma_init", "center", "scale", "version"})
    supports_masking = True

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        self._check_axis(input_shape)
        shape = (known_axis(self, input_shape, self.axis),)
        if self.scale:
            yield Weight("gamma", shape, self.gamma_init, self.gamma_regularizer)
        if self.center:
            yield Weight("beta", shape, self.beta_init, self.beta_regularizer)
        yield Weight("running_mean", shape, "zero", trainable=False)
        yield Weight("running_std", shape, "one", trainable=False)

    def _check_axis(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 0 < axis < rank or (self.mode == 1 and axis != rank - 1):
            wanted = "the last one" if self.mode == 1 else f"one from 1 to {rank - 1}, or counted from the end"
            raise BadArgument(
                f"`axis` must be {wanted} for an input of {shape_text(input_shape)} in mode {self.mode}, but got "
                f"{self.axis}.",
                "/axis",
            )

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        if self.mode == 1:
            return self._finished(self._by_sample(x), w, [-1])
        features = self.axis % x.dim()
        others = [each for each in range(x.dim()) if each != features]
        shape = [-1 if each == features else 1 for each in range(x.dim())]
        mean, variance = w["running_mean"], w["running_std"]
        if (run.training and not self._rests) or self.mode == 2:
            mean = x.mean(others)
            variance = (x - mean.view(shape)).square().mean(others)
            if self.mode == 0:
                self._move(w, run, "running_mean", mean)
                self._move(w, run, "running_std", self._kept(variance, x))
        scale = (variance + self.epsilon).rsqrt() if not self.scale else w["gamma"] / (variance + self.epsilon).sqrt()
        y = (x - mean.view(shape)) * scale.view(shape)
        return y + w["beta"].view(shape) if self.center else y

    @property
    def _rests(self) -> bool:
        return self.version > 1 and not self.trainable

    def _kept(self, variance: Tensor, x: Tensor) -> Tensor:
        """Return what the running average of the variance is told of a batch."""
        if self.version == 1:
            return variance + self.epsilon
        count = x.numel() // len(variance)
        return variance * (count / max(count - 1, 1)) if self.version == 2 and x.dim() == 4 else variance

    def _finished(self, y: Tensor, w: Weights, shape: list[int]) -> Tensor:
        y = y * w["gamma"].view(shape) if self.scale else y
        return y + w["beta"].view(shape) if self.center else y

    def _by_sample(self, x: Tensor) -> Tensor:
        apart = x - x.mean(-1, keepdim=True)
        deviation = (apart.square().mean(-1, keepdim=True) + self.epsilon).sqrt()
        return apart / (deviation + self.epsilon)

    def _move(self, w: Weights, run: Run, name: str, value: Tensor) -> None:
        run.update(name, self.momentum * w[name] + (1.0 - self.momentum) * value.detach())
