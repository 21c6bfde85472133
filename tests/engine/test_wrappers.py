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


# -- Bidirectional ------------------------------------------------------------------------------

LSTM = layer("LSTM", output_dim=2, return_sequences=True)


def both_ways(inner: dict = LSTM, **config: object) -> tuple[str, dict]:
    return ("Bidirectional", {"layer": inner, **config})


def halves(run) -> tuple[np.ndarray, np.ndarray]:
    """Run each direction alone, with the weights that it has in the pair."""
    rows = []
    for direction, backwards in (("forward", False), ("backward", True)):
        alone = training(
            {"x": X},
            model=sequential(("LSTM", LSTM["config"] | {"go_backwards": backwards, "input_shape": [3, 4]})),
            predict={"x": "d/x"},
        )
        prefix = f"bidirectional_1/{direction}_lstm_1/"
        alone.take(
            {key.replace(prefix, "lstm_1/"): each for key, each in run.weights().items() if key.startswith(prefix)}
        )
        rows.append(alone.predict(Notebook()))
    return rows[0], rows[1][:, ::-1]


@pytest.mark.parametrize(
    ("mode", "join"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("sum", np.add),
        ("mul", np.multiply),
        ("ave", lambda a, b: (a + b) / 2),
    ],
)
def test_both_directions_are_joined_step_by_step(mode, join):
    run = training({"x": X}, model=sequential(both_ways(merge_mode=mode, input_shape=[3, 4])), predict={"x": "d/x"})

    np.testing.assert_allclose(run.predict(Notebook()), join(*halves(run)), atol=1e-6)


def test_without_sequences_each_direction_gives_its_own_last_step():
    inner = layer("GRU", output_dim=2)
    model, _ = read_model(sequential(both_ways(inner, input_shape=[3, 4])))

    assert model.placed[-1].output_shape == (None, 4)
    assert [each.name for each in model.all_weights][:1] == ["bidirectional_1/forward_gru_1/W_z"]
    assert read_model(model.definition())[0] == model


def test_the_states_of_both_directions_are_kept():
    inner = layer("SimpleRNN", output_dim=2, stateful=True)
    body = {
        "model": sequential(both_ways(inner, batch_input_shape=[5, 3, 4])),
        "predict": {"x": "d/x", "batch_size": 5},
    }
    run = training({"x": X}, **body)
    first, second = run.predict(Notebook()), run.predict(Notebook())
    run.reset_states()

    assert (first[:, :2] != second[:, :2]).all()
    assert (first[:, 2:] != second[:, 2:]).all()
    np.testing.assert_array_equal(run.predict(Notebook()), first)


@pytest.mark.parametrize(
    ("config", "where", "words"),
    [
        ({"layer": layer("Dense", output_dim=2)}, "/config/0/config/layer", "recurrent layer, but got Dense"),
        ({"layer": LSTM, "merge_mode": None}, "/config/0/config/merge_mode", "two outputs"),
        ({"layer": LSTM, "merge_mode": "max"}, "/config/0/config/merge_mode", "one of 'concat'"),
    ],
)
def test_what_cannot_go_both_ways_is_refused_at_its_place(config, where, words):
    with pytest.raises(BadArgument, match=words) as refusal:
        read_model(sequential(("Bidirectional", config | {"input_shape": [3, 4]})))

    assert refusal.value.where == where


def test_a_layer_that_keeps_states_cannot_stand_at_every_step():
    inner = layer("LSTM", output_dim=2, stateful=True)
    with pytest.raises(BadModel, match="keeps no state"):
        read_model(sequential(distributed(inner, batch_input_shape=[2, 3, 4, 5])))


def test_images_over_time_can_go_both_ways():
    inner = layer("ConvLSTM2D", nb_filter=2, nb_row=3, nb_col=3, border_mode="same")
    model, _ = read_model(sequential(both_ways(inner, input_shape=[4, 3, 6, 6])), dim_ordering="th")

    assert model.placed[-1].output_shape[-1] == 12
    assert {each.flips for each in model.all_weights if "/W_" in each.name} != {()}
