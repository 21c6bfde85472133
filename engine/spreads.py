"""How weights start in later Keras: initialisations with arguments, which Keras 1 can only name.

Each is written as `{"name": "VarianceScaling", "scale": 2.0, …}` where Keras 1 has a name. They count what flows in and
out by later Keras's rule: every axis of a kernel's window, wherever the channels are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from engine.arguments import Description, Json, Kind, NonNegative, Wrong, one_of
from engine.initializations import INITIALIZATIONS, check_initialization
from engine.registry import Registry

Array = NDArray[Any]
Random = np.random.Generator
#: The deviation that is left of a normal distribution cut off at two deviations.
CUT = 0.87962566103423978

SPREADS: Registry[type[Spread]] = Registry("initialization")


class Spread(Description):
    """How a weight starts; `shape` has the axes of a kernel's window first, then what comes in, then what goes out."""

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        raise NotImplementedError(f"{type(self).__name__} says how it draws")


def truncated(shape: tuple[int, ...], rng: Random, deviation: float) -> Array:
    """Draw normal numbers, again where they are more than two deviations from 0."""
    drawn = rng.normal(0.0, 1.0, shape)
    while (beyond := np.abs(drawn) > 2.0).any():
        drawn[beyond] = rng.normal(0.0, 1.0, int(beyond.sum()))
    return drawn * deviation


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Count what flows into and out of a weight."""
    if len(shape) < 2:
        return float(prod(shape)), float(prod(shape))
    window = prod(shape[:-2])
    return float(shape[-2] * window), float(shape[-1] * window)


@SPREADS.register("VarianceScaling")
@dataclass(frozen=True)
class VarianceScaling(Spread):
    """Mean 0, variance `scale / fan`.

    Args:
        scale: What the variance is multiplied with.
        mode: Which fan: what comes in, what goes out, or their mean.
        distribution: Even, normal, or normal and cut off at two deviations.
    """

    scale: NonNegative = 1.0
    mode: Annotated[str, one_of("fan_in", "fan_out", "fan_avg")] = "fan_in"
    distribution: Annotated[str, one_of("truncated_normal", "untruncated_normal", "uniform")] = "truncated_normal"

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        into, out = fans(shape)
        fan = {"fan_in": into, "fan_out": out, "fan_avg": (into + out) / 2}[self.mode]
        deviation = np.sqrt(self.scale / max(1.0, fan))
        if self.distribution == "uniform":
            limit = np.sqrt(3.0) * deviation
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "truncated_normal":
            return truncated(shape, rng, deviation / CUT)
        return rng.normal(0.0, deviation, shape)


@SPREADS.register("RandomNormal")
@dataclass(frozen=True)
class RandomNormal(Spread):
    """Normal.

    Args:
        mean: The mean.
        stddev: The standard deviation.
    """

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        return rng.normal(self.mean, self.stddev, shape)


@SPREADS.register("TruncatedNormal")
@dataclass(frozen=True)
class TruncatedNormal(Spread):
    """Normal, cut off at two deviations.

    Args:
        mean: The mean.
        stddev: The standard deviation before it is cut off.
    """

    mean: float = 0.0
    stddev: NonNegative = 0.05

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        return self.mean + truncated(shape, rng, self.stddev)


@SPREADS.register("RandomUniform")
@dataclass(frozen=True)
class RandomUniform(Spread):
    """Even between two limits.

    Args:
        minval: The lower limit.
        maxval: The upper limit.
    """

    minval: float = -0.05
    maxval: float = 0.05

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        return self.minval + (self.maxval - self.minval) * rng.random(shape)


@SPREADS.register("Constant")
@dataclass(frozen=True)
class Constant(Spread):
    """One number everywhere.

    Args:
        value: The number.
    """

    value: float = 0.0

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        return np.full(shape, self.value)


@SPREADS.register("Orthogonal")
@dataclass(frozen=True)
class Orthogonal(Spread):
    """A random orthogonal matrix; axes before the last count as one.

    Args:
        gain: What it is multiplied with; Keras 1's `orthogonal` has 1.1.
    """

    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        flat = (prod(shape[:-1]), shape[-1])
        u, _, v = np.linalg.svd(rng.normal(0.0, 1.0, flat), full_matrices=False)
        return np.asarray(self.gain * (u if u.shape == flat else v).reshape(shape))


@SPREADS.register("Identity")
@dataclass(frozen=True)
class Identity(Spread):
    """A multiple of the identity, cut off where a matrix is not square.

    Args:
        gain: What it is multiplied with.
    """

    gain: float = 1.0

    def draw(self, shape: tuple[int, ...], rng: Random) -> Array:
        """Draw a weight."""
        rows, columns = shape
        return np.asarray(self.gain * np.eye(rows, columns))


Start = str | Spread


def _read(value: Any) -> Start:
    if isinstance(value, Spread):
        return value
    if isinstance(value, str):
        return INITIALIZATIONS.canonical(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise Wrong
    return SPREADS[value["name"]].from_config({key: each for key, each in value.items() if key != "name"})


def _write(value: Start) -> Json:
    return value if isinstance(value, str) else {"name": type(value).__name__, **value.get_config()}


Initialization = Annotated[
    Start,
    Kind(
        'the name of an initialization, or one of later Keras, such as {"name": "VarianceScaling", "scale": 2.0}',
        _read,
        _write,
    ),
]


def check_start(start: Start, shape: tuple[int, ...]) -> str | None:
    """Say why a weight of this shape cannot start so, if it cannot."""
    if isinstance(start, str):
        return check_initialization(start, shape)
    if isinstance(start, Identity) and len(shape) != 2:
        return "`Identity` starts matrices only"
    if isinstance(start, Orthogonal) and len(shape) < 2:
        return "`Orthogonal` starts matrices and kernels only"
    return None
