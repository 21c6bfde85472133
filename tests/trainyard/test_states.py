"""Stateful models, which remember from call to call, as Keras 1 recorded them."""

from contextlib import closing

import numpy as np
import pytest

from engine.errors import ShapeMismatch
from tests.engine.yard import Golden
from tests.trainyard.small import equal
from trainyard.errors import TrainyardError
from trainyard.layers import LSTM, Dense
from trainyard.models import Sequential, model_from_config
from trainyard.optimizers import SGD

TRACE = Golden("stateful_trace")
RNG = np.random.default_rng(5)
X, Y = RNG.random((8, 3, 5), dtype=np.float32), RNG.random((8, 2), dtype=np.float32)


def make(seed=3):
    model = Sequential([LSTM(4, stateful=True, return_sequences=True, batch_input_shape=(4, 3, 5), name="below")])
    model.add(LSTM(2, stateful=True, name="above"))
    model.seed = seed
    model.compile(SGD(lr=0.1), "mse")
    return model


def recorded(case):
    golden = Golden(case)
    model = model_from_config(golden.model)
    model.load_weights(golden.folder / "initial.h5")
    model.compile(**golden.facts["compile"])
    return golden, model


def test_s117_states_last_from_call_to_call_and_are_those_that_keras_1_recorded(client):
    data, losses = TRACE.data, dict(each for each in TRACE.facts["log"] if isinstance(each, list))
    with closing(model_from_config(TRACE.model)) as model:
        model.set_weights([data[f"w_{index}"] for index in range(12)])
        model.compile("sgd", "mse")
        np.testing.assert_allclose(model.predict(data["x"], 2), data["p1"], atol=1e-6)
        np.testing.assert_allclose(model.predict(data["x"], 2), data["p2"], atol=1e-6)
        model.reset_states()
        assert model.train_on_batch(data["x"][:2], data["y"][:2]) == pytest.approx(losses["train_on_batch"])
        tested = model.test_on_batch(data["x"][2:4], data["y"][2:4])
        assert tested == pytest.approx(losses["test_on_batch"], rel=1e-4)
        with pytest.raises(ShapeMismatch, match="multiple of 2"):
            model.predict(data["x"][:5], 2)


@pytest.mark.parametrize("case", ["stateful_lstm_reset", "stateful_lstm_noreset"])
def test_an_epoch_at_a_time_with_and_without_forgetting_ends_where_keras_1_s_loop_ended(client, case):
    golden, model = recorded(case)
    data, facts = golden.data, golden.facts
    losses = []
    for _ in range(4):
        losses += model.fit(data["x"], data["y"], 8, 1, 0, shuffle=False).history["loss"]
        if case == "stateful_lstm_reset":
            model.reset_states()
    np.testing.assert_allclose(losses, facts["history"]["loss"], rtol=1e-4)
    with closing(model):
        if case == "stateful_lstm_noreset":
            np.testing.assert_allclose(model.predict(data["x"], 8), data["pred_after_noreset"], atol=1e-5)
            model.reset_states()
        np.testing.assert_allclose(model.predict(data["x"], 8), data["pred_after"], atol=1e-5)
        model.reset_states()
        np.testing.assert_allclose(model.evaluate(data["x"], data["y"], 8), facts["evaluate_after"], rtol=1e-4)


def test_s117_every_kind_of_call_goes_on_from_the_one_before_it(client):
    """`fit`, `predict`, `train_on_batch` and `predict_classes` in a row, against the same with no call in between."""
    with closing(make()) as model, closing(make()) as other:
        model.fit(X, Y, 4, 1, 0, shuffle=False)
        model.predict(X, 4)
        first = model.train_on_batch(X[:4], Y[:4])
        classes = model.predict_classes(X[4:], 4, 0)

        for at in (0, 4):
            other.train_on_batch(X[at : at + 4], Y[at : at + 4])
        other.predict_on_batch(X[:4])
        other.predict_on_batch(X[4:])
        assert other.train_on_batch(X[:4], Y[:4]) == first
        equal([other.predict_classes(X[4:], 4, 0)], [classes])
        equal(model.get_weights(), other.get_weights())

        forgetful = other.evaluate(X, Y, 4)
        other.reset_states()
        assert other.evaluate(X, Y, 4) != forgetful


def test_a_session_is_closed_by_a_fit_that_goes_on_from_what_it_remembered(client):
    with closing(make()) as model, closing(make()) as other:
        model.train_on_batch(X[:4], Y[:4])
        model.fit(X, Y, 4, 1, 0, shuffle=False)
        for at in (0, 0, 4):
            other.train_on_batch(X[at : at + 4], Y[at : at + 4])
        equal(model.get_weights(), other.get_weights())


def test_forgetting_twice_is_forgetting_once_and_before_the_first_call_nothing(client):
    with closing(make()) as model:
        model.reset_states()
        once = model.predict(X, 4)
        model.reset_states()
        model.reset_states()
        equal([model.predict(X, 4)], [once])
        assert (model.predict(X, 4) != once).any()


def test_s117_one_layer_may_forget_alone(client):
    with closing(make()) as model:
        fresh = model.predict(X[:4], 4)
        going_on = model.predict(X[:4], 4)
        outputs = []
        for name in ("below", "above"):
            model.reset_states()
            model.predict(X[:4], 4)
            model.get_layer(name).reset_states()
            outputs.append(model.predict(X[:4], 4))
        for output in outputs:
            assert (output != fresh).any()
            assert (output != going_on).any()
        model.layers[0].reset_states()
        model.layers[1].reset_states()
        equal([model.predict(X[:4], 4)], [fresh])


def test_a_layer_that_remembers_nothing_has_nothing_to_forget():
    model = Sequential([Dense(2, input_dim=5)])
    with pytest.raises(TrainyardError, match="not stateful"):
        model.layers[0].reset_states()


def test_compiling_anew_leaves_what_is_remembered(client):
    with closing(make()) as model, closing(make()) as other:
        expected = [each.predict(X, 4) for each in (model, other)]
        model.compile("adam", "mae")
        equal([model.predict(X, 4)], [other.predict(X, 4)])
        assert model.evaluate(X, Y, 4) > 0
        equal([model.predict(X, 4)], [(other.predict(X, 4), other.predict(X, 4))[1]])
        assert (expected[0] == expected[1]).all()


def test_who_comes_back_to_a_job_comes_back_to_what_it_remembered(client):
    with closing(make()) as model:
        history = model.fit(X, Y, 4, 1, 0, shuffle=False)
        with closing(Sequential.attach(history.job, verbose=0)) as back:
            equal([back.predict(X, 4)], [model.predict(X, 4)])
