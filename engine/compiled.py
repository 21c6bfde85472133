"""What `compile` settles: how a model learns and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from engine.arguments import Description, Kind, Shape, Wrong, list_of, one_of
from engine.metrics import ACCURACY, METRICS, Metric, accuracy_for
from engine.objectives import OBJECTIVES, Objective
from engine.optimizers import AnyOptimizer

if TYPE_CHECKING:
    from torch import Tensor


def _metric(value: object) -> str:
    if not isinstance(value, str):
        raise Wrong
    return value if value in ACCURACY else METRICS.canonical(value)


MetricNames = Annotated[
    tuple[str, ...], list_of(Kind("the name of a metric", _metric), 'a list of metrics, such as ["accuracy"]')
]


@dataclass(frozen=True)
class Compile(Description):
    """The arguments of Keras 1's `compile`.

    Args:
        optimizer: A name, or `{"class_name": "SGD", "config": {"lr": 0.1}}`.
        loss: The name of the objective.
        metrics: Names of what is logged beside the loss.
        sample_weight_mode: "temporal" where every step of a sequence has a weight of its own.
    """

    optimizer: AnyOptimizer
    loss: Objective
    metrics: MetricNames | None = None
    sample_weight_mode: Annotated[str, one_of("temporal")] | None = None

    def metric_functions(self, output_shape: Shape) -> list[Metric]:
        """Resolve the metrics; what "accuracy" means depends on the loss and the output."""
        return [
            accuracy_for(self.loss, output_shape) if name in ACCURACY else METRICS[name] for name in self.metrics or ()
        ]

    def metric_names(self) -> list[str]:
        """Name what is logged, the loss first, as Keras 1 does: a name that comes twice is numbered."""
        names = ["loss", *("acc" if name in ACCURACY else name for name in self.metrics or ())]
        return [
            f"{name}_{names[:index].count(name) + 1}" if names.count(name) > 1 else name
            for index, name in enumerate(names)
        ]

    def loss_of(self, t: Tensor, p: Tensor, weights: Tensor | None) -> Tensor:
        """Average the objective over a batch as Keras 1 does.

        Weighted values are divided by the share of weights that are not zero, so a batch without any
        gives NaN.
        """
        score = OBJECTIVES[self.loss](t, p)
        if weights is not None:
            if score.ndim > weights.ndim:
                score = score.flatten(weights.ndim).mean(-1)
            score = score * weights / (weights != 0).float().mean()
        return score.mean()
