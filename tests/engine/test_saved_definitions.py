"""What a saved model says of itself: read from files of real Keras 1, 2 and 3, and from files that lie."""

import json
import shutil
import zipfile

import h5py
import pytest

from engine.errors import BadFile, DefinitionError
from engine.limits import Limits
from engine.training import saved
from tests.engine.yard import GOLDEN
from tests.interop.cases import HERE

KERAS_1 = sorted(GOLDEN.glob("*/model.h5"))
KERAS_2 = sorted(HERE.glob("keras2/*/model.h5"))
KERAS_3 = sorted(HERE.glob("keras3/*/model.keras"))


def named(path):
    return f"{path.parent.parent.name}-{path.parent.name}"


@pytest.mark.parametrize("path", KERAS_1 + KERAS_2 + KERAS_3, ids=named)
def test_a_file_of_every_keras_tells_its_model_and_whether_it_was_trained(path):
    found = saved.read(path, Limits())
    trained = path in KERAS_1 or path.parent.name.startswith("trained")
    assert found.model.all_weights
    assert (found.compile is not None, found.optimizer) == (trained, trained)
    assert found.warnings == []
    assert json.loads(json.dumps(found.to_json()))["definition"]["class_name"] == "Sequential"


def test_how_it_was_compiled_is_told_in_the_words_of_keras_1():
    first = saved.read(GOLDEN / "opt_adagrad_clipvalue/model.h5", Limits())
    assert first.compile["optimizer"]["class_name"] == "Adagrad"
    assert first.compile["optimizer"]["config"]["clipvalue"] == 0.005
    assert (first.compile["loss"], first.compile["metrics"]) == ("categorical_crossentropy", ["accuracy"])

    third = saved.read(HERE / "keras3/trained_gru/model.keras", Limits())
    assert third.compile["loss"] == "mean_absolute_error"
    assert third.compile["optimizer"]["config"]["epsilon_inside"] is True
    assert {note["pointer"] for note in third.translated} >= {"/compile/loss", "/compile/optimizer"}


def changed(tmp_path, **attributes):
    """Copy a saved model and change what it says of itself."""
    path = tmp_path / "model.h5"
    shutil.copyfile(GOLDEN / "opt_adam_default/model.h5", path)
    with h5py.File(path, "a") as file:
        for name, value in attributes.items():
            del file.attrs[name]
            if value is not None:
                file.attrs[name] = value
    return path


def test_a_compilation_that_has_no_words_here_is_warned_of_and_the_model_is_there(tmp_path):
    path = changed(tmp_path, training_config=json.dumps({"optimizer": "adam", "loss": "huber"}))
    found = saved.read(path, Limits())
    assert found.compile is None
    assert [each["pointer"] for each in found.warnings] == ["/compile/loss"]


def test_metrics_that_are_listed_by_output_are_those_of_the_only_one(tmp_path):
    told = {"optimizer": "adam", "loss": "mse", "metrics": [["accuracy"]]}
    assert saved.read(changed(tmp_path, training_config=json.dumps(told)), Limits()).compile["metrics"] == ["accuracy"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "weights alone"),
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[" + "0," * 2**22 + "0]", "8,388,608"),
    ],
)
def test_a_file_without_a_model_is_refused(tmp_path, config, says):
    with pytest.raises(BadFile, match=says):
        saved.read(changed(tmp_path, model_config=config), Limits())


def test_a_model_that_cannot_be_made_here_is_pointed_at(tmp_path):
    told = {"class_name": "Sequential", "config": [{"class_name": "Odd", "config": {}}]}
    with pytest.raises(DefinitionError, match="Odd") as refusal:
        saved.read(changed(tmp_path, model_config=json.dumps(told)), Limits())
    assert refusal.value.where == "/model/config/0/class_name"
    with pytest.raises(DefinitionError):
        saved.read(changed(tmp_path, model_config="7"), Limits())


def test_an_archive_whose_config_is_none_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(HERE / "keras3/trained_mlp/model.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"[]" if name == "config.json" else old.read(name))
    with pytest.raises(BadFile, match="no model"):
        saved.read(path, Limits())
    (tmp_path / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    with pytest.raises(BadFile, match="Safetensors"):
        saved.read(tmp_path / "weights.safetensors", Limits())
