"""Models trained, judged and asked from Python on a running service."""

import json

import h5py
import numpy as np
import pytest

from engine.errors import ShapeMismatch
from tests.trainyard.small import RNG, X, Y, equal, make
from trainyard import backend as K
from trainyard.errors import BadFile, JobFailed, TrainyardError
from trainyard.layers import LSTM, Dense, Dropout, Merge, TimeDistributed
from trainyard.models import Sequential, model_from_config
from trainyard.optimizers import SGD


def datasets(client):
    return [each["id"] for each in client.datasets.list(page_size=200)["items"]]


def jobs(client):
    return [each["id"] for each in client.jobs.list(page_size=200)["items"]]


# -- fit ----------------------------------------------------------------------------------------


def test_the_history_is_that_of_the_same_job_in_json(client):
    model = make(Dense(8, input_dim=5), Dropout(0.5), Dense(3, activation="softmax"))
    history = model.fit(X, Y, 16, 3, 0, validation_data=(X[:10], Y[:10]), class_weight={0: 1, 1: np.float32(2), 2: 1})
    job = client.jobs.get(history.job)

    sent = client.jobs.create({key: job["definition"][key] for key in ("model", "compile", "fit")} | {"seed": 7})
    list(client.watch(sent["id"]))

    metrics = client.jobs.metrics(sent["id"])
    assert (history.epoch, history.history) == (metrics["epoch"], metrics["series"])
    assert list(history.history) == ["loss", "acc", "val_loss", "val_acc"]
    assert job["seed"] == 7
    assert model.history is history


def test_what_the_project_has_already_is_not_sent_again(client):
    mine = X + 1
    make().fit(mine, Y, nb_epoch=1, verbose=0)
    before = datasets(client)
    make().fit(mine.astype(np.float64), Y, nb_epoch=1, verbose=0)
    assert datasets(client) == before


def test_a_job_has_the_name_the_labels_and_the_limits_that_it_was_given(client):
    history = make().fit(X, Y, nb_epoch=1, verbose=0, name="mine", labels={"team": "a"}, limits={"seconds": 60})
    (job,) = client.jobs.list(label="team:a")["items"]
    assert (job["id"], job["name"], job["definition"]["limits"]) == (history.job, "mine", {"seconds": 60})
    with pytest.raises(TypeError, match="epochs"):
        make().fit(X, Y, epochs=1)


def test_numpy_s_numbers_do_as_arguments(client):
    model = make()
    history = model.fit(X, Y, np.int64(16), np.int32(1), 0, validation_split=np.float64(0.25))
    assert history.epoch == [0]
    assert model.predict(X[:4], np.int64(2)).shape == (4, 3)


def test_data_that_does_not_fit_is_refused_before_anything_is_sent(client):
    before = datasets(client)
    with pytest.raises(ShapeMismatch, match=r"\(None, 5\)") as refusal:
        make().fit(X[:, :4], Y, verbose=0)
    assert refusal.value.__notes__ == ["at /fit/x"]
    with pytest.raises(TrainyardError, match="array of numbers"):
        make().fit(np.array(["a"]), Y)
    assert datasets(client) == before


def test_a_second_fit_goes_on_from_the_first_optimizer_and_all(client):
    twice, once = make(), make()
    parts = [twice.fit(X, Y, 16, 2, 0, shuffle=False), twice.fit(X, Y, 16, 4, 0, shuffle=False, initial_epoch=2)]
    whole = once.fit(X, Y, 16, 4, 0, shuffle=False)

    assert whole.history["loss"] == [*parts[0].history["loss"], *parts[1].history["loss"]]
    equal(twice.get_weights(), once.get_weights())


def test_compiling_anew_begins_with_a_new_optimizer_and_keeps_the_weights(client):
    again, fresh = make(), make()
    again.fit(X, Y, 16, 1, 0, shuffle=False)
    fresh.set_weights(again.get_weights())
    again.compile("adam", "categorical_crossentropy", ["accuracy"])
    ends = [each.fit(X, Y, 16, 1, 0, shuffle=False).history for each in (again, fresh)]
    assert ends[0] == ends[1]


def test_later_fits_draw_other_noise(client):
    model = make(Dense(64, input_dim=5), Dropout(0.5), Dense(3, activation="softmax"), optimizer=SGD(lr=0.0))
    losses = [model.fit(X, Y, 64, 1, 0).history["loss"][0] for _ in range(2)]
    assert losses[0] != losses[1]


def test_several_inputs_go_as_a_list_or_by_their_names(client):
    def subtracting():
        left, right = Sequential([Dense(3, input_dim=5, name="l")]), Sequential([Dense(3, input_dim=5, name="r")])
        return make(Merge([left, right], mode=lambda x: x[0] - x[1]), Dense(3, activation="softmax"))

    models = subtracting(), subtracting()
    data = [X, X[::-1]], {"r_input": X[::-1], "l_input": X}
    one, other = (model.fit(x, Y, 16, 2, 0, shuffle=False) for model, x in zip(models, data, strict=True))
    assert one.history == other.history


def test_functions_are_sent_as_their_text(client):
    share = 0.25

    def mean_pred(y_true, y_pred):
        return K.mean(y_pred)

    def rates(y_true, y_pred):
        return {"low": K.mean(y_pred < share), "high": K.mean(y_pred >= share)}

    model = make(metrics=["accuracy", mean_pred, rates])
    model.compile("sgd", lambda t, p: K.sum(K.square(t - p), axis=-1), model.compiled.metrics)
    history = model.fit(X, Y, nb_epoch=1, verbose=0).history
    assert list(history) == ["loss", "acc", "mean_pred", "low", "high"]
    assert history["low"][0] + history["high"][0] == pytest.approx(1.0)
    assert history["mean_pred"][0] == pytest.approx(1 / 3, rel=1e-5)


def test_a_job_that_fails_says_why(client):
    wild = Sequential([Dense(3, input_dim=5)])
    wild.compile(SGD(lr=1e30), "mse")
    with pytest.raises(JobFailed, match="numeric_divergence") as failure:
        wild.fit(X, Y, nb_epoch=5, verbose=0)
    assert failure.value.job["error"]["who"] == "user"


# -- evaluate, predict --------------------------------------------------------------------------


def test_scores_and_predictions_are_the_same_at_once_and_by_a_job(client, monkeypatch):
    model = make()
    model.fit(X, Y, nb_epoch=1, verbose=0)
    at_once = [model.evaluate(X, Y), model.predict(X), model.predict_classes(X), model.predict_proba(X)]
    before = jobs(client)
    monkeypatch.setattr("trainyard.running._EXPRESS_VALUES", 0)
    by_jobs = [model.evaluate(X, Y, verbose=0), model.predict(X), model.predict_classes(X, verbose=0)]

    assert len(set(jobs(client)) - set(before)) == 3
    assert at_once[0] == by_jobs[0]
    equal(at_once[1:3], by_jobs[1:])
    equal([at_once[2], at_once[3]], [at_once[1].argmax(-1), at_once[1]])
    assert [each.dtype.kind for each in at_once[1:]] == ["f", "i", "f"]


def test_what_was_judged_once_is_judged_at_once_from_then_on(client):
    model = make()
    scores = [model.evaluate(X, Y, verbose=0)]
    before = jobs(client)
    scores += [model.evaluate(X, Y, verbose=0) for _ in range(2)]
    model.predict(X)
    assert jobs(client) == before
    assert scores[0] == scores[1] == scores[2]


def test_a_model_without_metrics_has_one_score(client):
    model = make(metrics=())
    assert isinstance(model.evaluate(X, Y, verbose=0), float)
    assert isinstance(model.test_on_batch(X[:8], Y[:8]), float)


def test_an_uncompiled_model_predicts_with_the_weights_that_it_says_it_has(client):
    model = Sequential([Dense(2, input_dim=5)])
    expected = X @ model.get_weights()[0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="compiled"):
        model.fit(X, Y)


def test_large_inputs_are_sent_as_datasets(client, monkeypatch):
    model = make()
    model.fit(X, Y, nb_epoch=1, verbose=0)
    whole = model.predict(X)
    monkeypatch.setattr("trainyard.running._INLINE_VALUES", 0)
    equal([whole], [model.predict(X)])


# -- weights ------------------------------------------------------------------------------------


def test_weights_that_are_set_are_those_that_are_used(client):
    model = make()
    model.set_weights([np.zeros_like(each) for each in model.get_weights()])
    assert (model.predict(X[:3]) == np.float32(1 / 3)).all()
    model.fit(X, Y, nb_epoch=1, verbose=0)
    assert model.get_weights()[3].any()


@pytest.mark.parametrize("name", ["weights.h5", "weights.safetensors"])
def test_weights_go_into_files_and_come_back(client, tmp_path, name):
    model, other = make(), make(seed=8)
    model.set_weights([each + 1 for each in model.get_weights()])
    model.save_weights(tmp_path / name)
    if name.endswith("h5"):
        other.load_weights(tmp_path / name)
    else:
        other = model_from_config(json.loads(model.to_json()))
        other.load_weights(tmp_path / name)

    equal(model.get_weights(), other.get_weights())
    with pytest.raises(FileExistsError):
        model.save_weights(tmp_path / name, overwrite=False)


def test_a_whole_model_is_saved_as_what_its_name_says(client, tmp_path):
    model = make()
    model.fit(X, Y, nb_epoch=1, verbose=0)
    model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    with h5py.File(tmp_path / "model.h5") as file:
        assert json.loads(file.attrs["model_config"])["class_name"] == "Sequential"
        assert "optimizer_weights" in file
    again = make(seed=8)
    for name in ("model.h5", "model.keras"):
        again.load_weights(tmp_path / name)
        np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-6)
    with pytest.raises(BadFile, match=r"\.h5"):
        model.save(tmp_path / "model.pt")


def test_large_weights_go_past_the_gateway(client, monkeypatch):
    monkeypatch.setattr("trainyard.http.ANNOUNCED_BYTES", 100)
    model = make()
    model.set_weights([np.zeros_like(each) for each in model.get_weights()])
    assert (model.predict(X[:3]) == np.float32(1 / 3)).all()
    job = client.jobs.get(model.kept.job)
    assert client.weights.get(job["definition"]["weights"]["id"])["state"] == "ready"


def test_by_name_only_the_layers_that_the_file_has_are_loaded(client, tmp_path):
    one = Sequential([Dense(4, input_dim=5, name="same"), Dense(2, name="only_there")])
    two = Sequential([Dense(4, input_dim=5, name="same"), Dense(3, name="only_here")])
    two.set_weights([np.full_like(each, 9) for each in two.get_weights()])
    one.save_weights(tmp_path / "weights.h5")
    two.load_weights(tmp_path / "weights.h5", by_name=True)
    equal(two.get_weights()[:2], one.get_weights()[:2])
    assert (two.get_weights()[2] == 9).all()


def test_a_file_of_another_model_is_refused(client, tmp_path):
    make().save_weights(tmp_path / "weights.h5")
    with pytest.raises(JobFailed, match="layers"):
        Sequential([Dense(3, input_dim=5)]).load_weights(tmp_path / "weights.h5")


def test_a_branch_brings_its_weights_and_takes_the_trained_ones_home(client):
    left, right = Sequential([Dense(3, input_dim=5)]), Sequential([Dense(3, input_dim=5)])
    left.set_weights([np.ones((5, 3)), np.zeros(3)])
    model = make(Merge([left, right], mode="sum"), Dense(3, activation="softmax"), optimizer=SGD(lr=0.0))
    model.fit([X, X], Y, nb_epoch=1, verbose=0)
    assert (model.get_weights()[0] == 1).all()
    model.compile("sgd", "mse")
    model.fit([X, X], Y, nb_epoch=1, verbose=0)
    assert (model.get_weights()[0] != 1).any()
    equal(left.get_weights(), model.get_weights()[:2])
    np.testing.assert_allclose(left.predict(X), X @ left.get_weights()[0] + left.get_weights()[1], rtol=1e-5, atol=1e-6)


def test_a_model_within_a_model_is_trained_with_it(client):
    encoder = Sequential([Dense(4, input_dim=5, activation="tanh"), Dense(2)])
    model = Sequential([encoder, Dense(3, activation="softmax")])
    model.compile("adam", "categorical_crossentropy")
    before = encoder.get_weights()
    encoder.set_weights(before)
    model.fit(X, Y, nb_epoch=2, verbose=0)
    assert all((a != b).any() for a, b in zip(before, encoder.get_weights(), strict=True))
    equal(model.get_weights()[:4], encoder.get_weights())
    twin = Sequential([encoder, Dense(1)])
    equal(twin.get_weights()[:4], encoder.get_weights())
    assert encoder.predict(X[:2]).shape == (2, 2)


def test_a_model_at_every_step_of_a_sequence_is_trained_with_it(client):
    steps = Sequential([Dense(4, input_dim=5)])
    model = Sequential([TimeDistributed(steps, input_shape=(3, 5)), LSTM(2)])
    model.compile("sgd", "mse")
    model.fit(RNG.random((8, 3, 5)), RNG.random((8, 2)), nb_epoch=1, verbose=0)
    equal(model.get_weights()[:2], steps.get_weights())
