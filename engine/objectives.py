"""Keras 1's losses: each gives one value for every sample (and step), the mean over the last axis.

`t` is what was wanted, `p` what was predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from engine.arguments import named
from engine.numbers import EPSILON, TINY
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

OBJECTIVES: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry("loss")
Objective = Annotated[str, named(OBJECTIVES)]


@OBJECTIVES.register("mean_squared_error", "mse", "MSE")
def mean_squared_error(t: Tensor, p: Tensor) -> Tensor:
    """`mean((p - t)²)`."""
    return (p - t).square().mean(-1)


@OBJECTIVES.register("mean_absolute_error", "mae", "MAE")
def mean_absolute_error(t: Tensor, p: Tensor) -> Tensor:
    """`mean(|p - t|)`."""
    return (p - t).abs().mean(-1)


@OBJECTIVES.register("mean_absolute_percentage_error", "mape", "MAPE")
def mean_absolute_percentage_error(t: Tensor, p: Tensor) -> Tensor:
    """`100 * mean(|t - p| / max(|t|, eps))`."""
    return 100.0 * ((t - p).abs() / t.abs().clamp(min=EPSILON)).mean(-1)


@OBJECTIVES.register("mean_squared_logarithmic_error", "msle", "MSLE")
def mean_squared_logarithmic_error(t: Tensor, p: Tensor) -> Tensor:
    """`mean((log(1 + max(p, eps)) - log(1 + max(t, eps)))²)`."""
    return ((p.clamp(min=EPSILON) + 1.0).log() - (t.clamp(min=EPSILON) + 1.0).log()).square().mean(-1)


@OBJECTIVES.register("squared_hinge")
def squared_hinge(t: Tensor, p: Tensor) -> Tensor:
    """`mean(max(1 - t * p, 0)²)`; targets are -1 and 1."""
    return (1.0 - t * p).clamp(min=0.0).square().mean(-1)


@OBJECTIVES.register("hinge")
def hinge(t: Tensor, p: Tensor) -> Tensor:
    """`mean(max(1 - t * p, 0))`; targets are -1 and 1."""
    return (1.0 - t * p).clamp(min=0.0).mean(-1)


@OBJECTIVES.register("categorical_crossentropy")
def categorical_crossentropy(t: Tensor, p: Tensor) -> Tensor:
    """`-sum(t * log(p / sum(p)))`; `t` is one-hot or soft, `p` a probability, not a logit."""
    p = p / p.sum(-1, keepdim=True)
    return -(t * p.clamp(EPSILON, 1.0 - EPSILON).log()).sum(-1)


@OBJECTIVES.register("sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(t: Tensor, p: Tensor) -> Tensor:
    """`-log(p[t] / sum(p))`; `t` holds class numbers, with a last axis of 1."""
    p = (p / p.sum(-1, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)
    return -p.gather(-1, t.long()).log().squeeze(-1)


@OBJECTIVES.register("binary_crossentropy")
def binary_crossentropy(t: Tensor, p: Tensor) -> Tensor:
    """`-mean(t * log(p) + (1 - t) * log(1 - p))`."""
    p = p.clamp(EPSILON, 1.0 - EPSILON)
    return -(t * p.log() + (1.0 - t) * (1.0 - p).log()).mean(-1)


@OBJECTIVES.register("kullback_leibler_divergence", "kld", "KLD")
def kullback_leibler_divergence(t: Tensor, p: Tensor) -> Tensor:
    """`sum(t * log(t / p))`, both clipped to `[eps, 1]`."""
    t, p = t.clamp(EPSILON, 1.0), p.clamp(EPSILON, 1.0)
    return (t * (t / p).log()).sum(-1)


@OBJECTIVES.register("poisson")
def poisson(t: Tensor, p: Tensor) -> Tensor:
    """`mean(p - t * log(p + eps))`."""
    return (p - t * (p + EPSILON).log()).mean(-1)


@OBJECTIVES.register("cosine_proximity", "cosine")
def cosine_proximity(t: Tensor, p: Tensor) -> Tensor:
    """`-mean(t / ‖t‖ * p / ‖p‖)`: the cosine divided by the width, as in Keras 1."""
    return -(_unit(t) * _unit(p)).mean(-1)


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(-1, keepdim=True).clamp(min=TINY).sqrt()
