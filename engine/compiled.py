"""What `compile` settles: how a model learns and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from engine.arguments import Description, Json, Kind, Shape, Wrong, list_of, one_of
from engine.errors import BadArgument, BadData, within
from engine.expressions import Expression, read_expression
from engine.expressions.python import as_source
from engine.metrics import ACCURACY, METRICS, Metric, accuracy_for
from engine.objectives import OBJECTIVES
from engine.optimizers import AnyOptimizer

if TYPE_CHECKING:
    from torch import Tensor


def _loss(value: object) -> str | Expression:
    value = as_source(value)
    if isinstance(value, str):
        return OBJECTIVES.canonical(value)
    if not isinstance(value, dict | Expression):
        raise Wrong
    custom = read_expression(value, unnamed="loss")
    if custom.results[0][0]:
        raise BadArgument("A loss returns one value, not a dict.", "/source")
    if not custom.uses_prediction:
        message = f"This loss does not depend on `{custom.parameters[1]}`, so there is nothing to minimise."
        raise BadArgument(message, "/source")
    return custom


def _metric(value: object) -> str | Expression:
    value = as_source(value)
    if isinstance(value, dict | Expression):
        return read_expression(value)
    if not isinstance(value, str):
        raise Wrong
    return value if value in ACCURACY else METRICS.canonical(value)


def _written(value: str | Expression) -> Json:
    return value.to_json() if isinstance(value, Expression) else value


Loss = Annotated[
    str | Expression, Kind('the name of a loss, or {"name": …, "source": <a Python function>}', _loss, _written)
]
Metrics = Annotated[
    tuple[str | Expression, ...],
    list_of(
        Kind('the name of a metric, or {"name": …, "source": <a Python function>}', _metric, _written),
        'a list of metrics, such as ["accuracy"]',
    ),
]


@dataclass(frozen=True)
class Compile(Description):
    """The arguments of Keras 1's `compile`.

    Args:
        optimizer: A name, or `{"class_name": "SGD", "config": {"lr": 0.1}}`.
        loss: The name of the objective, or a function of (y_true, y_pred) in Python; see `engine.expressions`.
        metrics: What is logged beside the loss: names, or functions, which may return a dict of several.
        sample_weight_mode: "temporal" where every step of a sequence has a weight of its own.
    """

    optimizer: AnyOptimizer
    loss: Loss
    metrics: Metrics | None = None
    sample_weight_mode: Annotated[str, one_of("temporal")] | None = None

    def check(self) -> None:
        names = self.metric_names()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadArgument(f"Two metrics would both be logged as {twice[0]!r}. Rename one.", "/metrics")

    def metric_functions(self, output_shape: Shape) -> list[Metric]:
        """Resolve the metrics; what "accuracy" means depends on the loss and the output."""
        functions: list[Metric] = []
        for index, each in enumerate(self.metrics or ()):
            if isinstance(each, Expression):
                functions += [_placed(each, index, result) for result in range(len(each.results))]
            else:
                functions.append(accuracy_for(self.loss, output_shape) if each in ACCURACY else METRICS[each])
        return functions

    def metric_names(self) -> list[str]:
        """Name what is logged, the loss first, as Keras 1 does: a name that comes twice is numbered."""
        names = ["loss"]
        for each in self.metrics or ():
            names += each.names if isinstance(each, Expression) else ["acc" if each in ACCURACY else each]
        return [
            f"{name}_{names[:index].count(name) + 1}" if names.count(name) > 1 else name
            for index, name in enumerate(names)
        ]

    def loss_of(self, t: Tensor, p: Tensor, weights: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """Average the objective over a batch as Keras 1 does.

        With a mask, `(n, steps)`, only the steps it keeps count. Weighted values are divided by the share of weights
        that are not zero, so a batch without any gives NaN.

        Raises:
            BadData: A custom loss does not fit its data.
        """
        score = OBJECTIVES[self.loss](t, p) if isinstance(self.loss, str) else self._custom(self.loss, t, p, weights)
        if mask is not None:
            kept = mask.to(score.dtype).reshape(*mask.shape, *(1,) * (score.ndim - mask.ndim))
            score = score * kept / kept.mean()
        if weights is not None:
            if score.ndim > weights.ndim:
                score = score.flatten(weights.ndim).mean(-1)
            score = score * weights / (weights != 0).float().mean()
        return score.mean()

    @staticmethod
    def _custom(loss: Expression, t: Tensor, p: Tensor, weights: Tensor | None) -> Tensor:
        with within("compile", "loss", "source"):
            score = loss.values(t, p)
            axes = 1 if weights is None else weights.ndim
            if score.ndim and tuple(score.shape[:axes]) != tuple(p.shape[:axes]):
                raise BadData(
                    f"A loss must give a value for every sample, or one in all, but this one gives "
                    f"{tuple(score.shape)} for predictions of {tuple(p.shape)}."
                )
            if p.requires_grad and not score.requires_grad:
                raise BadData("This loss has no gradient: counting, comparing and K.argmax have no slope.")
        return score


def _placed(custom: Expression, index: int, result: int) -> Metric:
    """Return a custom metric that says where it stands when it cannot be computed."""
    compute = custom.metric(result)

    def metric(t: Tensor, p: Tensor) -> Tensor:
        with within("compile", "metrics", index, "source"):
            return compute(t, p)

    return metric
