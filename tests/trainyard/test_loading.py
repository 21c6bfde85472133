"""Whole models taken from files of real Keras 1, 2 and 3, and gone on with."""

import json
import warnings

import h5py
import numpy as np
import pytest

from engine.errors import UnknownName
from tests.engine.yard import GOLDEN, Golden
from tests.interop.cases import HERE, Recorded
from tests.trainyard.small import X, Y, equal, make
from trainyard import backend as K
from trainyard.errors import BadFile, Refused
from trainyard.layers import Dense
from trainyard.models import Sequential, load_model

RESUMED = GOLDEN / "opt_resume_from_model_h5"
#: Files that hold an optimizer's state, with the losses to which their Keras went on.
TRAINED = [*HERE.glob("keras2/trained_*/model.h5"), *HERE.glob("keras3/trained_*/model.keras")]


def test_training_goes_on_exactly_where_keras_1_stopped(client):
    with np.load(RESUMED / "data.npz") as file:
        data = {name: file[name] for name in file.files}
    facts = json.loads((RESUMED / "history.json").read_text())["history_second_half"]
    model = load_model(RESUMED / "half.h5", kernels="theano")

    history = model.fit(data["x"], data["y"], 16, 2, 0, shuffle=False).history

    np.testing.assert_allclose(history["loss"], facts["loss"], rtol=1e-5)
    np.testing.assert_allclose(history["acc"], facts["acc"], rtol=1e-5)
    for index, array in enumerate(model.get_weights()):
        np.testing.assert_allclose(array, data[f"w_final_{index}"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("path", TRAINED, ids=lambda path: f"{path.parent.parent.name}-{path.parent.name}")
def test_training_goes_on_where_later_keras_stopped(client, path):
    recorded = Recorded(path.parent)
    model = load_model(path)
    x, y = recorded.data["x"], recorded.data["target"]
    losses = [model.fit(x, y, len(x), 1, 0, shuffle=False).history["loss"][0] for _ in recorded.facts["later_losses"]]
    np.testing.assert_allclose(losses, recorded.facts["later_losses"], rtol=1e-4)


def test_a_file_predicts_what_its_keras_predicted(client):
    golden = Golden("timedistributed_conv2d")
    model = load_model(golden.folder / "model.h5", kernels="theano")
    golden_model = Sequential.from_definition(golden.model)
    golden_model.load_weights(golden.folder / "trained.h5", kernels="theano")
    equal(model.get_weights(), golden_model.get_weights())
    np.testing.assert_allclose(model.predict(golden.data["x"]), golden_model.predict(golden.data["x"]), rtol=1e-6)


def test_a_model_that_was_saved_here_goes_on_as_if_it_had_not_been(client, tmp_path):
    model = make()
    model.fit(X, Y, 16, 2, 0, shuffle=False)
    model.save(tmp_path / "model.h5")
    again = load_model(tmp_path / "model.h5")
    assert again.evaluate(X, Y) == model.evaluate(X, Y)
    ends = [each.fit(X, Y, 16, 2, 0, shuffle=False).history for each in (model, again)]
    for name, values in ends[0].items():
        np.testing.assert_allclose(values, ends[1][name], rtol=1e-6)


def test_a_model_whose_weights_were_set_is_saved_with_its_optimizer(client, tmp_path):
    model = make()
    model.fit(X, Y, 16, 1, 0, shuffle=False)
    model.set_weights([each * 2 for each in model.get_weights()])
    model.save(tmp_path / "model.h5")
    again = load_model(tmp_path / "model.h5")
    equal(again.get_weights(), model.get_weights())
    ends = [each.fit(X, Y, 16, 1, 0, shuffle=False).history["loss"] for each in (model, again)]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)


def test_a_model_that_was_compiled_anew_is_saved_as_it_now_is(client, tmp_path):
    model = make()
    model.fit(X, Y, 16, 1, 0)
    model.compile("rmsprop", "mse")
    model.save(tmp_path / "model.h5")
    assert load_model(tmp_path / "model.h5").compiled.loss == "mean_squared_error"


def test_functions_that_a_file_has_by_name_only_are_given_beside_it(client, tmp_path):
    def mean_pred(y_true, y_pred):
        return K.mean(y_pred)

    model = make(metrics=["accuracy", mean_pred])
    model.fit(X, Y, nb_epoch=1, verbose=0)
    model.save(tmp_path / "model.h5")

    again = load_model(tmp_path / "model.h5", {"mean_pred": mean_pred})
    assert again.metrics_names == ["loss", "acc", "mean_pred"]
    with pytest.raises(UnknownName, match="mean_pred") as refusal:
        load_model(tmp_path / "model.h5")
    assert "custom_objects" in refusal.value.__notes__[0]


def test_a_model_that_was_not_compiled_predicts(client, tmp_path):
    model = Sequential([Dense(3, input_dim=5)])
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    equal(again.get_weights(), model.get_weights())
    assert not again.is_compiled


def test_what_has_no_words_here_is_warned_of(client, tmp_path):
    model = make()
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        told = json.loads(file.attrs["training_config"]) | {"loss": "huber"}
        file.attrs.modify("training_config", json.dumps(told))
    with pytest.warns(UserWarning, match="huber"):
        again = load_model(tmp_path / "model.h5")
    assert not again.is_compiled
    equal(again.get_weights(), model.get_weights())


def test_a_file_that_holds_no_model_says_so(client, tmp_path):
    model = make()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.save_weights(tmp_path / "weights.h5")
    with pytest.raises(Refused, match="weights alone"):
        load_model(tmp_path / "weights.h5")
    model.save_weights(tmp_path / "weights.safetensors")
    with pytest.raises(Refused, match="weights alone"):
        load_model(tmp_path / "weights.safetensors")
    with pytest.raises(BadFile, match="no file"):
        load_model(tmp_path / "model.h5")
