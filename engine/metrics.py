"""Keras 1's metrics: each gives one number for a batch; masks and sample weights do not touch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.arguments import Shape
from engine.numbers import EPSILON
from engine.objectives import OBJECTIVES
from engine.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Metric = Callable[["Tensor", "Tensor"], "Tensor"]
#: What `accuracy` may be written as: which one that is depends on the loss and the output.
ACCURACY = ("accuracy", "acc")
METRICS: Registry[Metric] = Registry("metric", beside=ACCURACY)


@METRICS.register("binary_accuracy")
def binary_accuracy(t: Tensor, p: Tensor) -> Tensor:
    """How often the rounded prediction is right; a half rounds to even."""
    return (t == p.round()).float().mean()


@METRICS.register("categorical_accuracy")
def categorical_accuracy(t: Tensor, p: Tensor) -> Tensor:
    """How often the largest prediction is at the largest target."""
    return (t.argmax(-1) == p.argmax(-1)).float().mean()


@METRICS.register("sparse_categorical_accuracy")
def sparse_categorical_accuracy(t: Tensor, p: Tensor) -> Tensor:
    """How often the largest prediction is at the class number."""
    return (t.amax(-1) == p.argmax(-1)).float().mean()


@METRICS.register("top_k_categorical_accuracy")
def top_k_categorical_accuracy(t: Tensor, p: Tensor, k: int = 5) -> Tensor:
    """How often the class is among the five largest predictions."""
    top = p.argsort(dim=-1, stable=True)[..., -k:]  # of equal predictions the later ones count, as in Keras 1
    return (top == t.argmax(-1, keepdim=True)).any(-1).float().mean()


def _mean_of(objective: Metric) -> Metric:
    def metric(t: Tensor, p: Tensor) -> Tensor:
        return objective(t, p).mean()

    metric.__doc__ = (objective.__doc__ or "").rstrip(".") + ", averaged over the batch."
    return metric


for _name, _aliases in {
    "mean_squared_error": ("mse", "MSE"),
    "mean_absolute_error": ("mae", "MAE"),
    "mean_absolute_percentage_error": ("mape", "MAPE"),
    "mean_squared_logarithmic_error": ("msle", "MSLE"),
    "hinge": (),
    "squared_hinge": (),
    "categorical_crossentropy": (),
    "sparse_categorical_crossentropy": (),
    "binary_crossentropy": (),
    "kullback_leibler_divergence": (),
    "poisson": (),
    "cosine_proximity": ("cosine",),
}.items():
    METRICS.register(_name, *_aliases)(_mean_of(OBJECTIVES[_name]))


def _count(x: Tensor) -> Tensor:
    return x.clamp(0.0, 1.0).round()


@METRICS.register("precision")
def precision(t: Tensor, p: Tensor) -> Tensor:
    """The share of the predicted positives that are right, over the batch."""
    return _count(t * p).sum() / (_count(p).sum() + EPSILON)


@METRICS.register("recall")
def recall(t: Tensor, p: Tensor) -> Tensor:
    """The share of the real positives that are found, over the batch."""
    return _count(t * p).sum() / (_count(t).sum() + EPSILON)


@METRICS.register("fbeta_score")
def fbeta_score(t: Tensor, p: Tensor) -> Tensor:
    """The harmonic mean of precision and recall."""
    exact, found = precision(t, p), recall(t, p)
    return 2.0 * exact * found / (exact + found + EPSILON)


@METRICS.register("fmeasure", "fscore", "f1score")
def fmeasure(t: Tensor, p: Tensor) -> Tensor:
    """The harmonic mean of precision and recall."""
    return fbeta_score(t, p)


@METRICS.register("matthews_correlation")
def matthews_correlation(t: Tensor, p: Tensor) -> Tensor:
    """The correlation of rounded targets and predictions, from -1 to 1."""
    t, p = _count(t), _count(p)
    tp, tn = (t * p).sum(), ((1 - t) * (1 - p)).sum()
    fp, fn = ((1 - t) * p).sum(), (t * (1 - p)).sum()
    root = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)).clamp(min=0.0).sqrt()
    return (tp * tn - fp * fn) / (root + EPSILON)


def accuracy_for(loss: object, output_shape: Shape) -> Metric:
    """Choose what "accuracy" means, by Keras 1's first match."""
    if output_shape[-1] == 1 or loss == "binary_crossentropy":
        return binary_accuracy
    if loss == "sparse_categorical_crossentropy":
        return sparse_categorical_accuracy
    return categorical_accuracy
