"""Models of Keras 2 and 3 posted as they are: to models, jobs and validations."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from core.tables import Job, StoredModel
from engine.definition import read_model
from tests.interop.attacks import ATTACKS, dense
from tests.interop.cases import FOLDERS, Recorded, named
from tests.interop.spelling import Speller

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "sequential"
ROWS = ["mlp_softmax", "mlp_similar", "mlp_binary", "vgg", "lstm_classification", "stacked_lstm", "stateful_lstm"]
BRANCHES = ["image_captioning", "two_encoders"]


def as_keras_1(example, version):
    """Return an example's model with every argument written out, its LSTMs and GRUs as later Keras can say them.

    Their gates lie side by side there, and Keras 3 has no hard_sigmoid that is Keras 1's.
    """
    job = json.loads((EXAMPLES / f"{example}.json").read_text())
    for layer in layers_of(job["model"]):
        if layer["class_name"] in ("LSTM", "GRU"):
            layer["config"]["consume_less"] = "gpu"
            if version == 3:
                layer["config"]["inner_activation"] = "sigmoid"
    return read_model(job["model"], dim_ordering=job.get("dim_ordering", "tf"))[0].definition()


def layers_of(model):
    for layer in model["config"]:
        yield layer
        for branch in layer["config"].get("layers", []):
            branch.pop("name", None)  # a functional model has no names for its branches
            yield from layers_of(branch)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("example", [*ROWS, *BRANCHES])
def test_s128_an_example_is_the_same_model_in_the_words_of_keras_1_2_and_3(example, version, client):
    model = as_keras_1(example, version)
    speller = Speller(version)
    later = speller.branches(model) if example in BRANCHES else speller.sequential(model)

    first = client.post("/v1/models", json=model).json()
    answer = client.post("/v1/models", json=later)

    assert answer.status_code == 201, answer.json()
    assert answer.json()["definition"] == first["definition"]
    assert answer.json()["sha256"] == first["sha256"]
    assert f"Keras {version}" in answer.json()["translated"][0]["detail"]


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_s126_what_to_json_prints_is_stored_in_the_keras_1_form(folder, client):
    recorded = Recorded(folder)
    answer = client.post("/v1/models", json=recorded.model)
    body = answer.json()

    assert answer.status_code == 201, body
    assert body["parameters"]["total"] == recorded.facts["parameters"]
    assert body["definition"]["class_name"] == "Sequential"
    assert body["definition"]["keras_version"] == "1.2.2"
    assert client.post("/v1/models", json=body["definition"]).json()["sha256"] == body["sha256"]
    assert client.get(f"/v1/models/{body['id']}").json()["translated"] == body["translated"]


def job(**more):
    model = Recorded(next(each for each in FOLDERS if named(each) == "keras3-trained_mlp")).model
    x = {"x": {"random": [8, 6], "seed": 1}}
    y = {"y": {"to_categorical": {"random": [8, 1], "seed": 2, "high": 3}, "nb_classes": 3}}
    return {"model": model, "compile": model["compile_config"], "fit": {**x, **y, "epochs": 1}, **more}


def test_a_job_takes_a_model_of_keras_3_and_what_it_was_compiled_with(client, look):
    answer = client.post("/v1/jobs", json=job())
    stored = look(select(Job.definition))[0]

    assert answer.status_code == 201, answer.json()
    assert stored["model"]["config"][0]["config"]["output_dim"] == 7
    assert stored["compile"]["optimizer"]["class_name"] == "Adam"
    assert stored["compile"]["optimizer"]["config"]["epsilon"] == 1e-7
    assert stored["fit"]["nb_epoch"] == 1


def test_a_validation_lists_what_was_translated_in_model_compile_and_fit(client):
    body = client.post("/v1/validations", json=job()).json()
    places = {note["pointer"] for note in body["translated"]}

    assert {"/model", "/model/config/layers/1", "/compile/optimizer", "/fit/epochs"} <= places
    said = next(note["detail"] for note in body["translated"] if note["pointer"] == "/model/config/layers/1")
    assert "`units` is `output_dim`" in said


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (
            {"learning_rate": {"class_name": "ExponentialDecay", "config": {}}},
            "/compile/optimizer/config/learning_rate",
        ),
        ({"learning_rate": -1.0}, "/compile/optimizer/config/learning_rate"),
        ({"clipnorm": 1.0}, "/compile/optimizer/config/clipnorm"),
        ({"weight_decay": 0.004}, "/compile/optimizer/config/weight_decay"),
        ({"use_ema": True}, "/compile/optimizer/config/use_ema"),
        ({"amsgrad": True}, "/compile/optimizer/config/amsgrad"),
        ({"surprise": 1}, "/compile/optimizer/config/surprise"),
    ],
)
def test_an_optimizer_that_computes_something_else_is_refused(change, pointer, client, problem, look):
    body = job()
    body["compile"]["optimizer"]["config"] |= change
    problem(client.post("/v1/jobs", json=body), 422, pointer)
    assert look(select(Job)) == []


@pytest.mark.parametrize(
    ("loss", "pointer"),
    [
        (
            {"class_name": "CategoricalCrossentropy", "config": {"from_logits": True}},
            "/compile/loss/config/from_logits",
        ),
        (
            {"class_name": "CategoricalCrossentropy", "config": {"label_smoothing": 0.1}},
            "/compile/loss/config/label_smoothing",
        ),
        ({"class_name": "MeanSquaredError", "config": {"reduction": "sum"}}, "/compile/loss/config/reduction"),
        ({"class_name": "Huber", "config": {}}, "/compile/loss/class_name"),
        ({"module": "os", "class_name": "system", "config": {}}, "/compile/loss/module"),
        ("cosine_similarity", "/compile/loss"),
    ],
)
def test_a_loss_that_computes_something_else_is_refused(loss, pointer, client, problem):
    body = job()
    body["compile"]["loss"] = loss
    problem(client.post("/v1/validations", json=body), 422, pointer)


def test_losses_and_metrics_may_be_objects(client):
    body = job()
    body["compile"]["loss"] = {"module": "keras.losses", "class_name": "CategoricalCrossentropy", "config": {}}
    body["compile"]["metrics"] = ["accuracy", {"class_name": "CategoricalAccuracy", "config": {"name": "right"}}]
    told = client.post("/v1/validations", json=body).json()["definition"]["compile"]

    assert told["loss"] == "categorical_crossentropy"
    assert told["metrics"] == ["accuracy", "categorical_accuracy"]


def test_a_refused_model_is_not_stored(client, problem, look):
    model = Recorded(FOLDERS[0]).model
    model["config"]["layers"][-1]["config"]["units"] = 0
    problem(
        client.post("/v1/models", json=model), 422, f"/config/layers/{len(model['config']['layers']) - 1}/config/units"
    )
    assert look(select(StoredModel)) == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_with_its_place_and_nothing_is_stored(attack, client, problem, look):
    definition, where = ATTACKS[attack]
    body = problem(client.post("/v1/models", json=definition), 422, where)
    predict = {"x": {"random": [2, 4], "seed": 1}}
    problem(client.post("/v1/jobs", json={"model": definition, "predict": predict}), 422, f"/model{where}")

    assert "Traceback" not in json.dumps(body)
    assert look(select(StoredModel)) == look(select(Job)) == []


KERAS_3 = json.dumps(dense())


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("class_name: Sequential\nconfig: !!python/object/apply:os.system [id]\n", "application/x-yaml", 415),
        ("class_name: Sequential\nconfig: !!python/object/apply:os.system [id]\n", "application/json", 400),
        (KERAS_3.replace('"units": 3', '"units": 3, "units": 4'), "application/json", 400),
        (KERAS_3.replace('"units": 3', '"units": NaN'), "application/json", 400),
        (KERAS_3.replace('"units": 3', '"units": 1e400'), "application/json", 400),
        (KERAS_3.replace('"units": 3', '"units": 1' + "0" * 5000), "application/json", 400),
        ('{"class_name": "Sequential", "config": {"layers": [' * 5_000, "application/json", 400),
        (
            '{"class_name": "Sequential", "config": {"layers": [' * 5_000 + "1" + "]}}" * 5_000,
            "application/json",
            400,
        ),
    ],
)
def test_a_body_that_is_no_plain_json_is_refused(content, kind, status, client, look):
    answer = client.post("/v1/models", content=content, headers={"Content-Type": kind})

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert look(select(StoredModel)) == []
