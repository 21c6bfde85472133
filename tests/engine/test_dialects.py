"""What real Keras 2 and 3 printed is read as is, and computes what they computed."""

import numpy as np
import pytest

from engine.definition import read_model
from engine.plan import Plan
from engine.training.loop import Training
from tests.engine.yard import Notebook, describing, training
from tests.interop.cases import FOLDERS, Recorded, named

TRAINED = [folder for folder in FOLDERS if folder.name.startswith("trained")]


@pytest.fixture(params=FOLDERS, ids=named)
def recorded(request):
    return Recorded(request.param)


def test_there_are_twenty_models_of_keras_3_and_ten_of_keras_2():
    assert sum(folder.parent.name == "keras3" for folder in FOLDERS) >= 20
    assert sum(folder.parent.name == "keras2" for folder in FOLDERS) >= 10


def test_the_shapes_and_parameters_are_theirs(recorded):
    model, notes = read_model(recorded.model)
    summary = model.summary()

    assert summary["parameters"]["total"] == recorded.facts["parameters"]
    assert summary["outputs"][0]["shape"][1:] in (
        list(recorded.data["y"].shape[1:]),
        [None, *recorded.data["y"].shape[2:]],
    )
    assert notes[0]["pointer"] == ""
    assert "Keras 1 form" in notes[0]["detail"]


def test_the_keras_1_form_reads_back_to_itself(recorded):
    once, _ = read_model(recorded.model)
    again, notes = read_model(once.definition())

    assert again.definition() == once.definition()
    assert notes == []


def test_predictions_are_theirs_within_1e_5(recorded):
    x = recorded.data["x"]
    run = training({"x": x}, model=recorded.model, predict={"x": "d/x", "batch_size": len(x)})
    run.take(recorded.weights(run.plan.model))

    np.testing.assert_allclose(run.predict(Notebook()), recorded.data["y"], rtol=0, atol=1e-5)


def test_every_note_points_at_something_the_client_wrote(recorded):
    for note in read_model(recorded.model)[1]:
        here = recorded.model
        for part in note["pointer"].split("/")[1:]:
            here = here[int(part)] if isinstance(here, list) else here[part]


@pytest.fixture(params=TRAINED, ids=named)
def trained(request):
    return Recorded(request.param)


#: What tf.keras compiled its cases with, which it prints into the whole model's file alone.
COMPILED = {
    "categorical_crossentropy": {"learning_rate": 0.001, "weight_decay": None, "epsilon": 1e-7},
    "mse": {"learning_rate": 0.01, "weight_decay": None},
}


def compiled(case: Recorded) -> dict:
    if case.model.get("compile_config"):
        return case.model["compile_config"]
    loss = "mse" if case.data["y"].shape[1] == 2 else "categorical_crossentropy"
    name = "Custom>SGD" if loss == "mse" else "Custom>Adam"
    return {"optimizer_config": {"class_name": name, "config": COMPILED[loss]}, "loss": loss, "loss_weights": None}


def trainer(case: Recorded) -> Training:
    data = {"x": case.data["x"], "y": case.data["target"]}
    fit = {"x": "d/x", "y": "d/y", "batch_size": len(data["x"]), "nb_epoch": 6, "shuffle": False}
    body = {"model": case.model, "compile": compiled(case), "fit": fit, "predict": {"x": "d/x"}}
    return Training(Plan.read(body, describing(data)), lambda _, array: data[array], 7)


def test_a_model_learns_as_it_did_there(trained):
    run, notebook = trainer(trained), Notebook()
    run.take(trained.weights(run.plan.model))
    run.fit(notebook)

    theirs = trained.facts["losses"] + trained.facts["later_losses"]
    np.testing.assert_allclose([logs["loss"] for _, logs in notebook.epochs], theirs, rtol=1e-4)
