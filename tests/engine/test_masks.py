"""Masks: where they come from, which layers pass them on, which refuse them, and what they do to the loss."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadModel, ShapeMismatch
from tests.engine.yard import Notebook, sequential, training

MASKING = ("Masking", {"mask_value": 2.0, "input_shape": [3, 4]})
SEQUENCE = np.random.default_rng(2).normal(size=(6, 3, 4)).astype(np.float32)
PASSING = [
    ("Activation", {"activation": "tanh"}),
    ("Dropout", {"p": 0.3}),
    ("SpatialDropout1D", {"p": 0.3}),
    ("GaussianNoise", {"sigma": 0.1}),
    ("GaussianDropout", {"p": 0.1}),
    ("ActivityRegularization", {"l1": 0.0}),
    ("BatchNormalization", {}),
    ("LeakyReLU", {}),
    ("ELU", {}),
    ("PReLU", {}),
    ("ParametricSoftplus", {}),
    ("SReLU", {}),
    ("ThresholdedReLU", {}),
    ("TimeDistributedDense", {"output_dim": 4}),
    ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"output_dim": 4}}}),
]
REFUSING = [
    ("Dense", {"output_dim": 4}),
    ("Flatten", {}),
    ("Reshape", {"target_shape": [12]}),
    ("Permute", {"dims": [2, 1]}),
    ("Convolution1D", {"nb_filter": 2, "filter_length": 2}),
    ("MaxPooling1D", {}),
    ("GlobalAveragePooling1D", {}),
    ("ZeroPadding1D", {}),
    ("LocallyConnected1D", {"nb_filter": 2, "filter_length": 2}),
]


def masked_data() -> dict[str, np.ndarray]:
    x = SEQUENCE.copy()
    x[0, 1] = x[3, 2] = x[5] = 2.0  # the last sample has no step at all
    return {"x": x, "y": np.ones((6, 3, 4), dtype=np.float32)}


def loss_of(data: dict[str, np.ndarray], *layers: tuple[str, dict], **scored: object) -> float:
    body = {
        "model": sequential(MASKING, *layers),
        "compile": {"optimizer": "sgd", "loss": "mse", "sample_weight_mode": "temporal"},
        "evaluate": {"x": "d/x", "y": "d/y", **scored},
    }
    return training(data, **body).evaluate(Notebook())["loss"]


def test_masking_sets_a_step_to_zero_only_if_all_its_values_are_the_masks():
    data = masked_data()
    data["x"][1, 0, 0] = 2.0
    y = training(data, model=sequential(MASKING), predict={"x": "d/x"}).predict(Notebook())

    expected = data["x"].copy()
    expected[0, 1] = expected[3, 2] = expected[5] = 0.0
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("passing", PASSING, ids=lambda each: each[0])
def test_a_mask_goes_through_this_layer_to_the_loss(passing):
    data = masked_data()
    other = {"x": data["x"], "y": data["y"].copy()}
    other["y"][0, 1] = other["y"][3, 2] = other["y"][5] = 77.0  # targets of masked steps

    assert loss_of(data, passing) == loss_of(other, passing)


@pytest.mark.parametrize("refusing", REFUSING, ids=lambda each: each[0])
def test_a_layer_that_would_lose_a_mask_refuses_it_by_name_and_place(refusing):
    with pytest.raises(BadModel, match=rf"{refusing[0]}\) does not support masking") as refusal:
        read_model(sequential(MASKING, ("Activation", {"activation": "tanh"}), refusing))

    assert refusal.value.where == "/config/2"


def test_a_mask_inside_a_nested_model_is_refused_where_it_is_lost():
    nested = sequential(("Activation", {"activation": "tanh"}), ("Dense", {"output_dim": 2}))
    outer = sequential(MASKING)
    outer["config"].append(nested)

    with pytest.raises(BadModel, match="does not support masking") as refusal:
        read_model(outer)

    assert refusal.value.where == "/config/1/config/1"


def test_the_loss_is_the_mean_over_steps_that_count_within_each_batch():
    data = masked_data()
    x = np.where((data["x"] == 2.0).all(-1, keepdims=True), 0.0, data["x"])
    counted = ~(data["x"] == 2.0).all(-1)
    each = np.square(x - 1.0).mean(-1)

    assert loss_of(data) == pytest.approx(each[counted].mean(), rel=1e-6)


def test_step_weights_act_beside_the_mask():
    data = masked_data() | {"w": np.random.default_rng(5).random((6, 3)).astype(np.float32)}
    data["w"][1, 2] = 0.0
    x = np.where((data["x"] == 2.0).all(-1, keepdims=True), 0.0, data["x"])
    counted = ~(data["x"] == 2.0).all(-1)
    each = np.square(x - 1.0).mean(-1) * counted / counted.mean() * data["w"] / (data["w"] != 0).mean()

    assert loss_of(data, sample_weight="d/w") == pytest.approx(each.mean(), rel=1e-6)


def test_metrics_do_not_heed_a_mask():
    data = masked_data()
    data["y"][0, 1] = 77.0
    body = {
        "model": sequential(MASKING),
        "compile": {"optimizer": "sgd", "loss": "mse", "metrics": ["mae"]},
        "evaluate": {"x": "d/x", "y": "d/y"},
    }
    x = np.where((data["x"] == 2.0).all(-1, keepdims=True), 0.0, data["x"])

    found = training(data, **body).evaluate(Notebook())

    assert found["mean_absolute_error"] == pytest.approx(np.abs(x - data["y"]).mean(), rel=1e-6)


def test_index_zero_is_masked_where_an_embedding_is_told_so():
    data = {"x": np.array([[1, 0, 2], [0, 0, 3]]), "y": np.zeros((2, 3, 2), dtype=np.float32)}
    body = {
        "model": sequential(
            ("Embedding", {"input_dim": 4, "output_dim": 2, "input_length": 3, "mask_zero": True}),
            ("Activation", {"activation": "linear"}),
        ),
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "evaluate": {"x": "d/x", "y": "d/y"},
        "predict": {"x": "d/x"},
    }
    run = training(data, **body)
    rows = run.predict(Notebook())

    each = np.square(rows).mean(-1)[data["x"] != 0]
    assert run.evaluate(Notebook())["loss"] == pytest.approx(each.mean(), rel=1e-6)


def test_masking_takes_sequences_only():
    with pytest.raises(ShapeMismatch, match=r"takes sequences"):
        read_model(sequential(("Masking", {"input_shape": [4]})))
