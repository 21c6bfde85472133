"""Penalties on weights and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from engine.arguments import Description, Json, Kind, NonNegative, Wrong
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class L1L2Regularizer(Description):
    """Adds `l1 * sum(|w|) + l2 * sum(w²)` to the loss.

    Args:
        l1: Weight of the absolute values.
        l2: Weight of the squares.
    """

    l1: NonNegative = 0.0
    l2: NonNegative = 0.0

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty of `w`, a scalar; on an output it is summed over the whole batch."""
        penalty = w.new_zeros(())
        if self.l1:
            penalty = penalty + self.l1 * w.abs().sum()
        if self.l2:
            penalty = penalty + self.l2 * w.square().sum()
        return penalty


@dataclass(frozen=True)
class MeanActivityRegularizer(L1L2Regularizer):
    """The penalty of an output as later Keras has it: that of L1L2Regularizer, divided by the number of samples.

    Args:
        l1: Weight of the absolute values.
        l2: Weight of the squares.
    """

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty of an output, a scalar."""
        return super().__call__(w) / w.shape[0]


@dataclass(frozen=True)
class EigenvalueRegularizer(Description):
    """Adds `k * sqrt(the dominant eigenvalue of WᵀW)` to the loss, found by power iteration.

    Args:
        k: Weight of the penalty.
    """

    k: NonNegative

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty of a matrix, a scalar."""
        gram = w.T @ w
        vector = gram @ gram.new_ones((gram.shape[0], 1))
        for _ in range(8):
            vector = gram @ vector
        dominant = gram @ vector
        return self.k * ((vector * dominant).sum() / vector.square().sum()) ** 0.5


Penalty = L1L2Regularizer | EigenvalueRegularizer
Values = Mapping[str, Any]


def _shorthand(l1: float | None, l2: float | None) -> Any:
    """Make the reader of a function such as `l2(l=0.1)`, whose strength is 0.01 unless given."""

    def read(config: Values) -> L1L2Regularizer:
        return L1L2Regularizer.from_config(_strengths(config, l1, l2))

    return read


def _strengths(config: Values, l1: float | None, l2: float | None) -> dict[str, Any]:
    start = {name: value for name, value in (("l1", l1), ("l2", l2)) if value is not None}
    if len(start) == 1 and "l" in config:
        (only,) = start
        config = {only: config["l"], **{key: value for key, value in config.items() if key != "l"}}
    return start | dict(config)


REGULARIZERS: Registry[Any] = Registry("regularizer")
REGULARIZERS.register("L1L2Regularizer", "WeightRegularizer", "ActivityRegularizer")(L1L2Regularizer.from_config)
REGULARIZERS.register("MeanActivityRegularizer")(MeanActivityRegularizer.from_config)
REGULARIZERS.register("EigenvalueRegularizer")(EigenvalueRegularizer.from_config)
REGULARIZERS.register("l1", "activity_l1")(_shorthand(0.01, None))
REGULARIZERS.register("l2", "activity_l2")(_shorthand(None, 0.01))
REGULARIZERS.register("l1l2", "activity_l1l2")(_shorthand(0.01, 0.01))


def _read(value: Any) -> Penalty:
    if isinstance(value, Penalty):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise Wrong
    penalty: Penalty = REGULARIZERS[value["name"]]({k: v for k, v in value.items() if k != "name"})
    return penalty


def _write(value: Penalty) -> Json:
    return {"name": type(value).__name__, **value.get_config()}


Regularizer = Annotated[
    Penalty, Kind('a regularizer, such as {"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.01}', _read, _write)
]
