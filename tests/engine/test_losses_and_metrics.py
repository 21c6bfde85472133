"""Every loss and metric against the values that Keras 1.2.2 itself computed, zeros and ones included."""

import numpy as np
import pytest
import torch

from engine import metrics
from engine.metrics import METRICS
from engine.objectives import OBJECTIVES
from tests.engine.yard import Golden

TABLE = Golden.table("loss_metric_table")
RECORDED = sorted(name for name in TABLE if name.startswith(("loss__", "metric__")))


def tensors(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    predicted = "prob" if kind == "sparse" else kind
    return torch.tensor(TABLE[f"ytrue_{kind}"]), torch.tensor(TABLE[f"ypred_{predicted}"])


@pytest.mark.parametrize("recorded", RECORDED)
def test_a_loss_or_metric_gives_keras_1s_value(recorded):
    family, name, kind = recorded.split("__")
    true, predicted = tensors(kind)
    if name == "top_k_categorical_accuracy":
        value = metrics.top_k_categorical_accuracy(true, predicted, k=2)
    else:
        value = (OBJECTIVES if family == "loss" else METRICS)[name](true, predicted)
    np.testing.assert_allclose(value.numpy(), TABLE[recorded], rtol=1e-5, atol=1e-6, equal_nan=True)


def test_every_loss_and_metric_is_in_the_record():
    recorded = {name.split("__")[1] for name in RECORDED}
    assert set(OBJECTIVES) | set(METRICS) == recorded


@pytest.mark.parametrize(
    ("alias", "name"),
    [("mse", "mean_squared_error"), ("MAE", "mean_absolute_error"), ("kld", "kullback_leibler_divergence")],
)
def test_s38_a_loss_goes_by_its_aliases_too(alias, name):
    assert OBJECTIVES.canonical(alias) == name


def test_binary_crossentropy_of_a_certain_error_is_what_float32_makes_of_it():
    wrong = OBJECTIVES["binary_crossentropy"](torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [0.0]]))
    np.testing.assert_allclose(wrong.numpy(), [15.9424, 16.1181], atol=1e-4)


def test_s46_binary_accuracy_rounds_a_half_to_zero():
    assert metrics.binary_accuracy(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [0.5]])) == 0.5


def test_matthews_correlation_of_a_perfect_prediction_is_one():
    t = torch.tensor([[0.0], [1.0], [1.0]])
    assert metrics.matthews_correlation(t, t).item() == pytest.approx(1.0, abs=1e-6)
