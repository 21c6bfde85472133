"""BatchNormalization: which numbers each mode takes, and how its running averages move and are kept."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.errors import BadArgument, ShapeMismatch
from tests.engine.yard import Notebook, sequential, training

X = (np.random.default_rng(6).normal(size=(8, 5, 3)) * 2 + 1).astype(np.float32)
EPSILON = 1e-3


def normalized(*, fit=True, x=X, **config):
    run = training(
        {"x": x},
        model=sequential(("BatchNormalization", {"name": "bn", "input_shape": list(x.shape[1:]), **config})),
        compile={"optimizer": {"class_name": "SGD", "config": {"lr": 0.0}}, "loss": "mse"},
        fit={"x": "d/x", "y": "d/x", "nb_epoch": 1, "batch_size": 8},
        predict={"x": "d/x", "batch_size": 8},
    )
    if fit:
        run.fit(Notebook())
    return run


@pytest.mark.parametrize(("axis", "others"), [(-1, (0, 1)), (2, (0, 1)), (1, (0, 2))])
def test_running_averages_move_toward_the_batch_along_all_other_axes(axis, others):
    weights = normalized(axis=axis, momentum=0.75).weights()
    np.testing.assert_allclose(weights["bn/running_mean"], 0.25 * X.mean(others), rtol=1e-5)
    np.testing.assert_allclose(weights["bn/running_std"], 0.75 + 0.25 * (X.var(others) + EPSILON), rtol=1e-5)


def test_a_prediction_uses_the_running_averages():
    run = normalized(momentum=0.0)
    wanted = (X - X.mean((0, 1))) / np.sqrt(X.var((0, 1)) + 2 * EPSILON)
    np.testing.assert_allclose(run.predict(Notebook()), wanted, rtol=1e-4, atol=1e-5)


def test_mode_1_takes_each_sample_and_mode_2_each_batch():
    deviation = np.sqrt(X.var(-1, keepdims=True) + EPSILON)
    wanted = (X - X.mean(-1, keepdims=True)) / (deviation + EPSILON)
    np.testing.assert_allclose(normalized(fit=False, mode=1).predict(Notebook()), wanted, rtol=1e-4, atol=1e-5)
    wanted = (X - X.mean((0, 1))) / np.sqrt(X.var((0, 1)) + EPSILON)
    np.testing.assert_allclose(normalized(fit=False, mode=2).predict(Notebook()), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", [1, 2])
def test_modes_1_and_2_keep_no_running_averages_but_their_places(mode):
    weights = normalized(mode=mode).weights()
    assert list(weights) == ["bn/gamma", "bn/beta", "bn/running_mean", "bn/running_std"]
    assert weights["bn/running_mean"].tolist() == [0, 0, 0]
    assert weights["bn/running_std"].tolist() == [1, 1, 1]


def test_running_averages_move_in_a_frozen_layer_and_in_a_nested_model():
    frozen = normalized(trainable=False).weights()
    np.testing.assert_allclose(frozen["bn/running_mean"], 0.01 * X.mean((0, 1)), rtol=1e-4)
    inner = sequential(("BatchNormalization", {"name": "bn", "input_shape": [5, 3]}))
    run = training(
        {"x": X},
        model={"class_name": "Sequential", "config": [inner]},
        compile={"optimizer": "sgd", "loss": "mse"},
        fit={"x": "d/x", "y": "d/x", "nb_epoch": 1, "batch_size": 8},
    )
    run.fit(Notebook())
    np.testing.assert_allclose(run.weights()["sequential_1/bn/running_mean"], frozen["bn/running_mean"], rtol=1e-6)


def test_running_averages_are_counted_as_frozen_and_start_where_told():
    model, _ = read_model(sequential(("BatchNormalization", {"input_shape": [9], "gamma_init": "zero"})))
    assert model.summary()["parameters"] == {"trainable": 18, "frozen": 18, "total": 36}
    assert read_model(model.definition())[0] == model
    run = normalized(fit=False, gamma_init="zero", beta_init="one")
    assert (run.predict(Notebook()) == 1).all()


def test_gamma_and_beta_may_be_punished():
    model, _ = read_model(
        sequential(("BatchNormalization", {"input_shape": [9], "gamma_regularizer": "l2", "beta_regularizer": "l1"}))
    )
    assert [bool(each.regularizer) for each in model.all_weights] == [True, True, False, False]


def test_a_run_that_is_resumed_has_its_running_averages(tmp_path):
    first = normalized()
    first.save(tmp_path / "checkpoint")
    second = normalized(fit=False)
    second.restore(tmp_path / "checkpoint")
    assert second.weights_sha256() == first.weights_sha256()


@pytest.mark.parametrize(
    ("config", "error", "says", "where"),
    [
        ({"mode": 3}, BadArgument, "0, 1 or 2", "/config/0/config/mode"),
        ({"mode": True}, BadArgument, "0, 1 or 2", "/config/0/config/mode"),
        ({"axis": 0}, BadArgument, "1 to 2", "/config/0/config/axis"),
        ({"axis": -3}, BadArgument, "1 to 2", "/config/0/config/axis"),
        ({"axis": 3}, BadArgument, "1 to 2", "/config/0/config/axis"),
        ({"axis": 1, "mode": 1}, BadArgument, "the last one", "/config/0/config/axis"),
        ({"axis": 1, "input_shape": [None, 3]}, ShapeMismatch, "axis 1", "/config/0/config"),
    ],
)
def test_an_axis_or_mode_that_is_not_there_is_refused(config, error, says, where):
    with pytest.raises(error, match=says) as refusal:
        read_model(sequential(("BatchNormalization", {"input_shape": [5, 3], **config})))
    assert refusal.value.where == where
