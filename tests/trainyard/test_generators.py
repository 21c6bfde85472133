"""Training, judging and predicting on what a generator yields here."""

from contextlib import closing
from itertools import count, pairwise

import numpy as np
import pytest

from tests.engine.yard import Golden
from tests.trainyard.small import X, Y, equal, make
from trainyard.callbacks import Callback, LambdaCallback, LearningRateScheduler
from trainyard.errors import TrainyardError
from trainyard.models import model_from_config
from trainyard.optimizers import SGD

GOLDEN = Golden("api_generators")


def cycle(size, x=GOLDEN.data["x"], y=GOLDEN.data["y"]):
    while True:
        for at in range(0, len(x), size):
            yield x[at : at + size], y[at : at + size]


def test_s125_generators_train_and_judge_as_keras_1_recorded(client):
    data, facts = GOLDEN.data, GOLDEN.facts
    model = model_from_config(GOLDEN.model)
    model.set_weights([data[f"w_init_{index}"] for index in range(len(model.get_weights()))])
    model.compile(SGD(lr=0.1, momentum=0.9), "categorical_crossentropy", ["accuracy"])
    first = model.fit_generator(cycle(16), 50, 3, 0, validation_data=(data["x"][:20], data["y"][:20]))
    for name, values in facts["history"].items():
        np.testing.assert_allclose(first.history[name], values, rtol=1e-6)
    with closing(model):
        judged = model.evaluate_generator(cycle(16), 50)
        np.testing.assert_allclose(judged, facts["evaluate_generator"], rtol=1e-6)
        np.testing.assert_allclose(model.predict_generator(cycle(16), 50), data["predict_generator"], atol=1e-6)

    with pytest.warns(UserWarning, match="make it 50"):
        second = model.fit_generator(cycle(20), 40, 2, 0, validation_data=cycle(10), nb_val_samples=30)
    assert second.epoch == [0, 1]
    for name, values in facts["history2"].items():
        np.testing.assert_allclose(second.history[name], values, rtol=1e-6)
    for index, array in enumerate(model.get_weights()):
        np.testing.assert_allclose(array, data[f"w_final_{index}"], rtol=1e-4, atol=1e-6)


def test_batches_of_a_generator_end_where_one_fit_over_them_ends_in_a_job_that_has_ended(client):
    whole, model = make(), make()
    expected = whole.fit(X, Y, 16, 3, 0, shuffle=False).history
    history = model.fit_generator(cycle(16, X, Y), 64, 3, 0)
    equal(model.get_weights(), whole.get_weights())
    np.testing.assert_allclose(history.history["loss"], expected["loss"], rtol=1e-6)
    assert client.jobs.get(history.job)["state"] == "succeeded"
    assert history.epoch == [0, 1, 2]


def test_no_more_batches_are_drawn_than_may_be_on_their_way(client):
    drawn, most = [0], []
    model = make()

    def watched():
        for batch in cycle(16, X, Y):
            ended = [each["state"] for each in client.jobs.steps(model.kept.job)["steps"]] if model.kept.job else []
            most.append(drawn[0] - ended.count("done"))
            drawn[0] += 1
            yield batch

    model.fit_generator(watched(), 320, 1, 0, max_q_size=4)
    assert len(most) == 20
    assert max(most) <= 4


class Batches(Callback):
    def __init__(self):
        self.heard = []

    def on_epoch_begin(self, epoch, logs=None):
        self.heard.append(("epoch", epoch))

    def on_batch_begin(self, batch, logs=None):
        self.heard.append(("begin", batch, logs))

    def on_batch_end(self, batch, logs=None):
        self.heard.append(("end", batch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.heard.append(("over", epoch))


def test_callbacks_hear_of_every_batch_in_the_order_of_keras_1(client):
    callback = Batches()
    with closing(make()) as twin:
        losses = [twin.train_on_batch(*each) for _, each in zip(range(4), cycle(24, X, Y), strict=False)]
    make().fit_generator(cycle(24, X, Y), 64, 1, 0, callbacks=[callback])

    sizes = [24, 24, 16]
    expected = [("epoch", 0)]
    for index, (size, (loss, acc)) in enumerate(zip(sizes, losses, strict=False)):
        expected.append(("begin", index, {"batch": index, "size": size}))
        expected.append(("end", index, {"batch": index, "size": size, "loss": loss, "acc": acc}))
    assert callback.heard == [*expected, ("over", 0)]


def test_who_hears_of_a_batch_may_set_the_rate_of_the_next_one(client):
    rates = [0.1, 0.0, 0.0, 0.2]
    model = make(optimizer=SGD(lr=0.1))
    weights = []

    def next_rate(batch, logs):
        weights.append(model.get_weights()[0])
        model.learning_rate = rates[min(batch + 1, 3)]

    model.fit_generator(cycle(16, X, Y), 64, 1, 0, callbacks=[LambdaCallback(on_batch_end=next_rate)])
    moved = [bool((one != other).any()) for one, other in pairwise(weights)]
    assert moved == [False, False, True]


def test_a_schedule_sets_the_rate_of_every_epoch(client):
    whole, model = make(), make()
    for each, train in (
        (whole, lambda rates: whole.fit(X, Y, 16, 3, 0, shuffle=False, callbacks=[rates])),
        (model, lambda rates: model.fit_generator(cycle(16, X, Y), 64, 3, 0, callbacks=[rates])),
    ):
        train(LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)))
        assert each.fits == 1
    equal(model.get_weights(), whole.get_weights())


def test_large_validation_data_is_sent_once_and_judged_by_after_every_epoch(client, monkeypatch):
    monkeypatch.setattr("trainyard.steps._STEP_BYTES", 2_000)
    held_out = X + 3, Y
    model = make()
    before = client.datasets.list(page_size=200)["items"]
    history = model.fit_generator(cycle(16, X, Y), 64, 3, 0, validation_data=(*held_out, np.ones(64)))
    sent = client.datasets.list(page_size=200)["items"]
    assert len(sent) - len(before) <= 3
    assert history.history["val_loss"][-1] == pytest.approx(model.evaluate(*held_out, verbose=0)[0], rel=1e-6)
    assert len(set(history.history["val_loss"])) == 3


def test_weights_of_classes_and_samples_count(client):
    def weighted():
        while True:
            yield X, Y, np.linspace(0.1, 1, 64)

    whole, model = make(), make()
    classes = {0: 1.0, 1: 2.0, 2: 0.5}
    whole.fit(X, Y, 64, 2, 0, shuffle=False, class_weight=classes, sample_weight=np.linspace(0.1, 1, 64))
    model.fit_generator(weighted(), 64, 2, 0, class_weight=classes)
    equal(model.get_weights(), whole.get_weights())


def test_who_asks_for_samples_that_batches_do_not_add_up_to_is_warned(client):
    with pytest.warns(UserWarning, match="make it 64"):
        make().fit_generator(cycle(32, X, Y), 50, 1, 0)


def test_ctrl_c_in_an_epoch_leaves_a_model_that_goes_on(client):
    whole = make()
    whole.fit(X, Y, 16, 1, 0, shuffle=False)

    def interrupt(batch, logs):
        if batch == 1:
            raise KeyboardInterrupt

    with closing(make()) as model:
        with pytest.raises(KeyboardInterrupt):
            model.fit_generator(cycle(16, X, Y), 64, 1, 0, callbacks=[LambdaCallback(on_batch_end=interrupt)])
        for at in (32, 48):
            model.train_on_batch(X[at : at + 16], Y[at : at + 16])
        equal(model.get_weights(), whole.get_weights())


def test_a_generator_that_ends_or_yields_something_else_is_refused(client):
    with closing(make()) as model:
        with pytest.raises(TrainyardError, match="after 32 of 64"):
            model.fit_generator(iter([(X[:32], Y[:32])]), 64, 1, 0)
        with pytest.raises(TrainyardError, match="must yield"):
            model.fit_generator(iter([X]), 64, 1, 0)
        with pytest.raises(ValueError, match="nb_val_samples"):
            model.fit_generator(cycle(16), 64, 1, 0, validation_data=cycle(16))


def test_predictions_are_made_of_inputs_alone_too(client):
    with closing(make()) as model:
        whole = model.predict(X)
        inputs = (X[at : at + 20] for at in count(0, 20))
        equal([model.predict_generator(inputs, 64)], [whole])
