"""What is done to a weight after every update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Description, Fraction, Integers, Json, Kind, NonNegative, Wrong, kind_of
from engine.numbers import EPSILON
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


def _axes(value: Any) -> int | tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    axes: tuple[int, ...] = kind_of(Integers).read(value)
    return axes


Axis = Annotated[
    int | tuple[int, ...],
    Kind("an axis or a list of axes", _axes, lambda value: value if isinstance(value, int) else list(value)),
]


def _norm(w: Tensor, axis: int | tuple[int, ...]) -> Tensor:
    return w.square().sum(axis, keepdim=True).clamp(min=0.0).sqrt()


@dataclass(frozen=True)
class MaxNorm(Description):
    """Shrinks vectors longer than `m`: `w * clip(norm, 0, m) / (eps + norm)`.

    Args:
        m: The longest norm allowed.
        axis: The axes along which a vector lies.
    """

    m: NonNegative = 2.0
    axis: Axis = 0

    def __call__(self, w: Tensor) -> Tensor:
        """Return the constrained weight."""
        norm = _norm(w, self.axis)
        return w * (norm.clamp(0.0, self.m) / (EPSILON + norm))


@dataclass(frozen=True)
class NonNeg(Description):
    """Sets negative weights to zero."""

    def __call__(self, w: Tensor) -> Tensor:
        """Return the constrained weight."""
        return w * (w >= 0)


@dataclass(frozen=True)
class UnitNorm(Description):
    """Scales vectors to length 1.

    Args:
        axis: The axes along which a vector lies.
    """

    axis: Axis = 0

    def __call__(self, w: Tensor) -> Tensor:
        """Return the constrained weight."""
        return w / (EPSILON + _norm(w, self.axis))


@dataclass(frozen=True)
class MinMaxNorm(Description):
    """Pulls the length of vectors into a range.

    Args:
        low: The shortest norm wanted.
        high: The longest norm wanted.
        rate: How far each update goes there, from 0 to 1.
        axis: The axes along which a vector lies.
    """

    low: NonNegative = 0.0
    high: NonNegative = 1.0
    rate: Fraction = 1.0
    axis: Axis = 0

    def __call__(self, w: Tensor) -> Tensor:
        """Return the constrained weight."""
        norm = _norm(w, self.axis)
        target = self.rate * norm.clamp(self.low, self.high) + (1.0 - self.rate) * norm
        return w * (target / (EPSILON + norm))


Bound = MaxNorm | NonNeg | UnitNorm | MinMaxNorm

CONSTRAINTS: Registry[type[Bound]] = Registry("constraint")
CONSTRAINTS.register("MaxNorm", "maxnorm")(MaxNorm)
CONSTRAINTS.register("NonNeg", "nonneg")(NonNeg)
CONSTRAINTS.register("UnitNorm", "unitnorm")(UnitNorm)
CONSTRAINTS.register("MinMaxNorm")(MinMaxNorm)


def _read(value: Any) -> Bound:
    if isinstance(value, Bound):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise Wrong
    return CONSTRAINTS[value["name"]].from_config({k: v for k, v in value.items() if k != "name"})


def _write(value: Bound) -> Json:
    return {"name": type(value).__name__, **value.get_config()}


Constraint = Annotated[Bound, Kind('a constraint, such as {"name": "MaxNorm", "m": 2}', _read, _write)]


def check_axes(constraint: Bound | None, rank: int) -> str | None:
    """Say what is wrong when a constraint names an axis that a weight of `rank` axes lacks."""
    axis = getattr(constraint, "axis", ())
    for each in (axis,) if isinstance(axis, int) else axis:
        if not -rank <= each < rank:
            return f"axis {each} is outside a weight of {rank} axes"
    return None
