"""What an optimizer has gathered: it stays until the model is compiled anew, as in Keras 1."""

import numpy as np

from tests.trainyard.small import X, Y, equal, make
from trainyard.layers import Dense
from trainyard.models import Sequential


def fitted():
    model = make()
    model.fit(X, Y, 16, 1, 0, shuffle=False)
    return model


def losses(model, epoch=1):
    return model.fit(X, Y, 16, epoch + 1, 0, shuffle=False, initial_epoch=epoch).history["loss"]


def test_weights_that_are_set_leave_the_optimizer_as_it_is(client):
    straight, back_and_forth = fitted(), fitted()
    weights = back_and_forth.get_weights()
    back_and_forth.set_weights([each * 0 for each in weights])
    back_and_forth.evaluate(X, Y, verbose=0)
    back_and_forth.set_weights(weights)

    assert losses(straight) == losses(back_and_forth)
    equal(straight.get_weights(), back_and_forth.get_weights())
    assert losses(straight, 2) == losses(back_and_forth, 2)


def test_weights_of_a_file_leave_the_optimizer_as_it_is(client, tmp_path):
    straight, loaded = fitted(), fitted()
    loaded.save_weights(tmp_path / "weights.h5")
    loaded.load_weights(tmp_path / "weights.h5")
    loaded.predict(X)
    assert losses(straight) == losses(loaded)


def test_judging_in_between_leaves_the_optimizer_as_it_is(client):
    straight, judged = fitted(), fitted()
    judged.learning_rate = judged.learning_rate
    judged.evaluate(X, Y, verbose=0)
    assert losses(straight) == losses(judged)


def test_a_model_keeps_its_own_optimizer_while_another_that_holds_it_is_trained(client):
    inner = Sequential([Dense(3, input_dim=5, activation="softmax")])
    inner.compile("adam", "categorical_crossentropy")
    inner.fit(X, Y, nb_epoch=1, verbose=0)
    whose = inner.kept.optimizer
    outer = make(inner, Dense(3, activation="softmax"))
    outer.fit(X, Y, nb_epoch=1, verbose=0)

    history = inner.fit(X, Y, nb_epoch=1, verbose=0)

    assert client.jobs.get(history.job)["definition"]["weights"]["optimizer_of"] == whose
    assert outer.kept.optimizer != whose
    assert losses(outer)


def test_a_new_compilation_begins_with_a_new_optimizer_also_when_weights_are_set(client):
    again, fresh = fitted(), make()
    fresh.set_weights(again.get_weights())
    again.compile("adam", "categorical_crossentropy", ["accuracy"])
    again.set_weights(again.get_weights())
    assert losses(again) == losses(fresh)
    assert np.isfinite(losses(again)).all()
