"""Models trained, judged and asked a batch at a time, by the steps of a session on a running service."""

import os
import signal
from contextlib import closing, suppress

import numpy as np
import pytest

from engine.errors import ShapeMismatch
from tests.trainyard.small import X, Y, equal, make
from tests.trainyard.yards import family_of
from trainyard.errors import JobCancelled, Refused, StepFailed
from trainyard.http import Client
from trainyard.layers import Dense, Dropout, Merge
from trainyard.models import Sequential
from trainyard.optimizers import SGD

BATCHES = [(X[at : at + 16], Y[at : at + 16]) for at in range(0, 64, 16)]


def jobs(client):
    return [each["id"] for each in client.jobs.list(page_size=200)["items"]]


def train(model, batches=BATCHES):
    return [model.train_on_batch(*each) for each in batches]


def noisy():
    return make(Dense(8, input_dim=5), Dropout(0.5), Dense(3, activation="softmax"))


@pytest.fixture
def trained():
    """A model with an open session, in which it was trained on all batches."""
    with closing(make()) as model:
        train(model)
        yield model


# -- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [make, noisy])
def test_s125_batches_one_by_one_end_where_one_fit_over_them_ends(client, made):
    whole = made()
    history = whole.fit(X, Y, 16, 1, 0, shuffle=False).history
    with closing(made()) as by_batches:
        scores = train(by_batches)
        equal(by_batches.get_weights(), whole.get_weights())
    np.testing.assert_allclose(np.mean(scores, 0), [history["loss"][0], history["acc"][0]])


def test_all_that_is_done_batch_by_batch_is_one_job_that_ends_as_a_training_does(client):
    before = jobs(client)
    model = make()
    train(model)
    model.test_on_batch(*BATCHES[0])
    model.predict_on_batch(X[:3])
    model.evaluate(X, Y)
    model.predict(X)
    model.get_weights()
    model.close()

    (job,) = set(jobs(client)) - set(before)
    assert client.jobs.get(job)["state"] == "succeeded"
    left = {each["name"] for each in client.jobs.artifacts(job)["items"]}
    assert {"weights.h5", "weights.safetensors", "optimizer.safetensors", "model.json"} <= left
    assert len(client.jobs.steps(job)["steps"]) == len(BATCHES) + 6


def test_class_and_sample_weights_count_as_in_a_fit(client):
    weights = {"class_weight": {0: 1, 1: np.float32(3), 2: 0.5}, "sample_weight": np.linspace(0.1, 2, 64)}
    whole = make()
    whole.fit(X, Y, 64, 1, 0, shuffle=False, **weights)
    with closing(make()) as model:
        model.train_on_batch(X, Y, **weights)
        equal(model.get_weights(), whole.get_weights())


def test_the_learning_rate_may_be_set_between_two_batches(client):
    whole = make()
    for rate, at in ((0.001, 0), (0.1, 32)):
        whole.learning_rate = rate
        whole.fit(X[at : at + 32], Y[at : at + 32], 16, 1, 0, shuffle=False)
    with closing(make()) as model:
        train(model, BATCHES[:2])
        model.learning_rate = 0.1
        train(model, BATCHES[2:])
        equal(model.get_weights(), whole.get_weights())


def test_a_large_batch_goes_as_a_dataset_and_gives_the_same(client, trained, monkeypatch):
    monkeypatch.setattr("trainyard.steps._STEP_BYTES", 0)
    before = client.datasets.list(page_size=200)["items"]
    with closing(make()) as model:
        train(model)
        equal(model.get_weights(), trained.get_weights())
    assert len(client.datasets.list(page_size=200)["items"]) > len(before)


def test_several_inputs_are_trained_with_the_branches_that_take_them(client):
    left, right = Sequential([Dense(3, input_dim=5)]), Sequential([Dense(3, input_dim=5)])
    with closing(make(Merge([left, right], mode="sum"), Dense(3, activation="softmax"))) as model:
        before = left.get_weights()
        model.train_on_batch([X, X[::-1]], Y)
        after = left.get_weights()
        assert (after[0] != before[0]).any()
        equal(after, model.get_weights()[:2])
        model.train_on_batch([X, X[::-1]], Y)
        assert (left.get_weights()[0] != after[0]).any()


def test_a_branch_whose_weights_are_set_between_two_batches_brings_them(client):
    left, right = Sequential([Dense(3, input_dim=5)]), Sequential([Dense(3, input_dim=5)])
    with closing(
        make(Merge([left, right], mode="sum"), Dense(3, activation="softmax"), optimizer=SGD(lr=0.0))
    ) as model:
        model.train_on_batch([X, X], Y)
        left.set_weights([np.full((5, 3), 2), np.zeros(3)])
        model.train_on_batch([X, X], Y)
        assert (model.get_weights()[0] == 2).all()


def test_a_model_and_one_that_holds_it_are_trained_in_turn_and_leave_no_session_behind(client):
    before = jobs(client)
    critic = make(Dense(3, input_dim=5, activation="softmax"), optimizer="sgd")
    both = make(Dense(5, input_dim=5), critic, optimizer="sgd")
    for batch in BATCHES[:2]:
        critic.train_on_batch(*batch)
        equal(both.get_weights()[2:], critic.get_weights())
        both.train_on_batch(*batch)
        equal(both.get_weights()[2:], critic.get_weights())
    for model in (critic, both):
        model.close()
    ended = [client.jobs.get(each) for each in set(jobs(client)) - set(before)]
    assert {each["state"] for each in ended if "session" in each["definition"]} == {"succeeded"}


def test_two_models_in_turn_are_trained_beside_each_other(client):
    alone = make()
    alone.fit(X, Y, 16, 1, 0, shuffle=False)
    with closing(make()) as one, closing(make()) as other:
        for batch in BATCHES:
            one.train_on_batch(*batch)
            other.train_on_batch(*batch)
        equal(one.get_weights(), alone.get_weights())
        equal(other.get_weights(), alone.get_weights())


# -- judging and asking -------------------------------------------------------------------------


def test_s125_scores_and_predictions_in_a_session_are_those_of_its_job_afterwards(client, trained):
    def asked():
        predicted = [trained.predict(X), trained.predict_classes(X), trained.predict_proba(X)]
        return trained.evaluate(X, Y, 16), predicted

    scores, predictions = asked()
    singly = trained.test_on_batch(X, Y), trained.predict_on_batch(X)
    trained.close()
    later_scores, later_predictions = asked()

    assert scores == later_scores
    assert singly[0] == pytest.approx(scores)
    equal(predictions, later_predictions)
    equal([singly[1]], predictions[:1])
    assert [each.dtype.kind for each in predictions] == ["f", "i", "f"]


def test_many_predictions_are_asked_for_in_pieces(client, trained, monkeypatch):
    whole = trained.predict(X, 7)
    monkeypatch.setattr("trainyard.steps._ANSWER_VALUES", 50)
    before = len(client.jobs.steps(trained.kept.job)["steps"])
    equal([trained.predict(X, 7)], [whole])
    assert len(client.jobs.steps(trained.kept.job)["steps"]) == before + 5  # of fourteen rows, and eight


def test_very_many_predictions_are_a_job_after_which_training_goes_on(client, trained, monkeypatch):
    monkeypatch.setattr("trainyard.running._EXPRESS_VALUES", 10)
    expected = trained.predict_on_batch(X)
    equal([trained.predict(X, 64)], [expected])
    train(trained, BATCHES[:1])
    assert (trained.predict_on_batch(X) != expected).any()


def test_an_uncompiled_model_predicts_and_is_compiled_and_trained_later(client):
    with closing(Sequential([Dense(3, input_dim=5, activation="softmax")])) as model:
        before = model.predict_on_batch(X)
        with pytest.raises(RuntimeError, match="compiled"):
            model.train_on_batch(X, Y)
        model.compile("sgd", "categorical_crossentropy")
        model.train_on_batch(X, Y)
        assert (model.predict_on_batch(X) != before).any()


# -- what is wrong ------------------------------------------------------------------------------


def test_data_that_does_not_fit_is_refused_before_a_session_is_opened(client):
    before = jobs(client)
    with pytest.raises(ShapeMismatch, match=r"\(None, 5\)") as refusal:
        make().train_on_batch(X[:, :4], Y)
    assert refusal.value.__notes__ == ["at /train/x"]
    with pytest.raises(ShapeMismatch):
        make().predict_on_batch(X[:, :4])
    assert jobs(client) == before


def test_a_batch_that_cannot_be_used_changes_nothing(client):
    def sparse():
        model = make()
        model.compile("adam", "sparse_categorical_crossentropy")
        return closing(model)

    labels = Y.argmax(1)
    with sparse() as model, sparse() as undisturbed:
        model.train_on_batch(X, labels)
        with pytest.raises(StepFailed, match="user_data at /train: Label"):
            model.train_on_batch(X, labels + 7)
        model.train_on_batch(X, labels)
        for _ in range(2):
            undisturbed.train_on_batch(X, labels)
        equal(model.get_weights(), undisturbed.get_weights())


def test_ctrl_c_leaves_a_model_that_goes_on(client, trained, monkeypatch):
    arrived = client._tried

    def interrupted(request):
        arrived(request)
        monkeypatch.undo()
        raise KeyboardInterrupt

    with closing(make()) as model:
        model.predict_on_batch(X)
        monkeypatch.setattr(client, "_tried", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(model, BATCHES[:1])
        model.fit(X[16:], Y[16:], 16, 1, 0, shuffle=False)
        equal(model.get_weights(), trained.get_weights())


def test_a_model_whose_session_is_cancelled_is_as_it_was_before_it(client, trained):
    def cancelled(model):
        before = model.get_weights()
        train(model, BATCHES[:1])
        client.jobs.cancel(model.kept.job)
        with pytest.raises(JobCancelled):
            train(model, BATCHES * 20)
        equal(model.get_weights(), before)

    with closing(make()) as fresh:
        cancelled(fresh)
        assert train(fresh) == train(make())
        equal(fresh.get_weights(), trained.get_weights())
    trained.close()
    cancelled(trained)
    train(trained, BATCHES[:1])


# -- what ends a session ------------------------------------------------------------------------


def test_a_fit_goes_on_from_the_batches_before_it_optimizer_and_all(client, trained):
    whole = make()
    for _ in range(2):
        whole.fit(X, Y, 16, 1, 0, shuffle=False)
    trained.fit(X, Y, 16, 1, 0, shuffle=False)
    equal(trained.get_weights(), whole.get_weights())
    train(trained)
    whole.fit(X, Y, 16, 1, 0, shuffle=False)
    equal(trained.get_weights(), whole.get_weights())


def test_compiling_anew_begins_with_a_new_optimizer_and_keeps_the_weights(client, trained):
    with closing(make()) as fresh:
        fresh.set_weights(trained.get_weights())
        for model in (trained, fresh):
            model.compile("adam", "categorical_crossentropy", ["accuracy"])
        assert train(trained) == train(fresh)
        equal(trained.get_weights(), fresh.get_weights())


def test_weights_that_are_set_are_trained_on_from_there(client, trained):
    trained.set_weights([np.zeros_like(each) for each in trained.get_weights()])
    assert (trained.predict_on_batch(X) == np.float32(1 / 3)).all()
    train(trained)
    assert trained.get_weights()[-1].any()


def test_weights_that_are_set_between_two_batches_leave_what_the_optimizer_has_gathered(client, trained):
    with closing(make()) as model:
        train(model, BATCHES[:2])
        model.set_weights(model.get_weights())
        train(model, BATCHES[2:])
        equal(model.get_weights(), trained.get_weights())


@pytest.mark.parametrize("name", ["weights.h5", "weights.safetensors"])
def test_weights_are_saved_while_the_session_goes_on(client, trained, tmp_path, name):
    before = jobs(client)
    trained.save_weights(tmp_path / name)
    saved = trained.get_weights()
    train(trained)
    assert jobs(client) == before
    other = Sequential([each.as_layer() for each in trained.layers])
    other.load_weights(tmp_path / name)
    equal(other.get_weights(), saved)


def test_a_whole_model_is_saved_with_the_weights_as_they_are(client, trained, tmp_path):
    trained.save(tmp_path / "model.h5")
    other = make(seed=8)
    other.load_weights(tmp_path / "model.h5")
    equal(other.get_weights(), trained.get_weights())


def test_a_module_has_the_weights_as_they_are_and_the_session_goes_on(client, trained):
    module = trained.to_torch()
    equal([each.numpy() for each in module.state_dict().values()], trained.get_weights())
    assert not trained.steps.stepping.ended


def test_a_layer_that_is_added_is_trained_with_those_that_were_there(client, trained):
    before = trained.get_weights()
    trained.add(Dense(3, activation="softmax"))
    trained.compile(SGD(lr=0.0), "categorical_crossentropy")
    train(trained, BATCHES[:1])
    equal(trained.get_weights()[: len(before)], before)


def test_a_session_that_is_come_back_to_is_closed_and_gone_on_from(client, trained):
    back = Sequential.attach(trained.kept.job, verbose=0)
    with pytest.raises(Refused, match="409"):  # here nobody knew that it was closed elsewhere
        train(trained)
    equal(back.get_weights(), trained.get_weights())
    with closing(back):
        assert train(back) == train(trained)


@pytest.mark.slow
def test_every_process_of_the_yard_may_be_killed_between_two_batches(client, trained, make_yard):
    up = make_yard()
    with Client(up.url) as own:
        model = make()
        model._client = own
        train(model, BATCHES[:2])
        children = [pid for pid in family_of(up.process.pid) if pid != up.process.pid]
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        train(model, BATCHES[2:])
        equal(model.get_weights(), trained.get_weights())
        model.close()
