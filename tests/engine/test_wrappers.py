"""Wrappers: a layer at every step, and a recurrent layer in both directions."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, BadModel, DefinitionError, ShapeMismatch
from tests.engine.yard import Notebook, sequential, training

X = np.random.default_rng(3).normal(size=(5, 3, 4)).astype(np.float32)


def distributed(inner: dict, **config: object) -> tuple[str, dict]:
    return ("TimeDistributed", {"layer": inner, **config})


def layer(name: str, **config: object) -> dict:
    return {"class_name": name, "config": config}


def predicted(*layers: tuple[str, dict], x: np.ndarray = X) -> np.ndarray:
    return training({"x": x}, model=sequential(*layers), predict={"x": "d/x"}).predict(Notebook())


def test_every_step_goes_through_the_same_layer():
    run = training(
        {"x": X},
        model=sequential(distributed(layer("Dense", output_dim=2, activation="tanh"), input_shape=[3, 4])),
        predict={"x": "d/x"},
    )
    weights = run.weights()
    w, b = weights["timedistributed_1/dense_1/W"], weights["timedistributed_1/dense_1/b"]

    np.testing.assert_allclose(run.predict(Notebook()), np.tanh(X @ w + b), atol=1e-6)


def test_a_whole_model_can_stand_at_every_step():
    inner = sequential(("Dense", {"output_dim": 6, "activation": "relu"}), ("Dense", {"output_dim": 2}))
    model, _ = read_model(sequential(distributed(inner, input_shape=[None, 4])))

    assert model.placed[-1].output_shape == (None, None, 2)
    assert sum(each.size for each in model.all_weights) == 4 * 6 + 6 + 6 * 2 + 2
    assert read_model(model.definition())[0] == model


def test_images_over_time_keep_their_order_of_channels():
    model, _ = read_model(
        sequential(
            distributed(layer("Convolution2D", nb_filter=2, nb_row=3, nb_col=3), input_shape=[7, 3, 8, 8]),
            distributed(layer("Flatten")),
        ),
        dim_ordering="th",
    )

    assert [each.output_shape for each in model.placed] == [(None, 7, 2, 6, 6), (None, 7, 72)]
    assert model.all_weights[0].flips == (2, 3)


def test_penalties_and_frozen_layers_reach_through_the_wrapper():
    dense = layer("Dense", output_dim=2, W_regularizer={"name": "L1L2Regularizer", "l1": 0.0, "l2": 0.5})
    frozen = sequential(distributed(dense | {"config": dense["config"] | {"trainable": False}}, input_shape=[3, 4]))
    body = {
        "model": frozen,
        "compile": {"optimizer": "sgd", "loss": "mse"},
        "fit": {"x": "d/x", "y": "d/y", "nb_epoch": 1},
    }
    run = training({"x": X, "y": np.zeros((5, 3, 2), dtype=np.float32)}, **body)
    before = run.weights()
    run.fit(Notebook())

    w, b = before["timedistributed_1/dense_1/W"], before["timedistributed_1/dense_1/b"]
    expected = np.square(X @ w + b).mean() + 0.5 * np.square(w).sum()
    assert run.history["series"]["loss"] == [pytest.approx(expected, rel=1e-5)]
    np.testing.assert_array_equal(run.weights()["timedistributed_1/dense_1/W"], w)


@pytest.mark.parametrize(
    ("config", "error", "where", "words"),
    [
        ({"layer": 7, "input_shape": [3, 4]}, BadArgument, "/config/0/config/layer", "must be a layer"),
        ({"input_shape": [3, 4]}, BadArgument, "/config/0/config/layer", "needs `layer`"),
        (
            {"layer": layer("Dense"), "input_shape": [3, 4]},
            BadArgument,
            "/config/0/config/layer/config/output_dim",
            "needs",
        ),
        (
            {"layer": layer("Nothing"), "input_shape": [3, 4]},
            DefinitionError,
            "/config/0/config/layer/class_name",
            "no layer named",
        ),
        ({"layer": layer("Dense", output_dim=2), "input_shape": [4]}, ShapeMismatch, "/config/0", "takes sequences"),
        (
            {"layer": layer("Convolution1D", nb_filter=2, filter_length=2), "input_shape": [3, 4]},
            ShapeMismatch,
            "/config/0/config/layer",
            "takes an input of 3 axes",
        ),
    ],
)
def test_what_cannot_stand_at_every_step_is_refused_at_its_place(config, error, where, words):
    with pytest.raises(error, match=words) as refusal:
        read_model(sequential(("TimeDistributed", config)))

    assert refusal.value.where == where


def test_a_merge_cannot_stand_at_every_step():
    branch = {"class_name": "Sequential", "config": [layer("Dense", output_dim=2, input_dim=4)]}
    with pytest.raises(BadModel, match="one input"):
        read_model(sequential(distributed(layer("Merge", layers=[branch, branch]), input_shape=[3, 4])))
