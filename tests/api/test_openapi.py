"""The OpenAPI document: names that stay, words for every operation, and examples that work."""

import json
from pathlib import Path

import numpy as np
import pytest

from api import examples
from api.main import create_app
from core.settings import Settings
from examples.digits.data import arrays
from tests.api.conftest import npz

#: `METHOD path operation_id` of each route. Programs are generated from them: a line that is here stays here.
OPERATIONS = Path(__file__).with_name("operations.txt")
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    return create_app(Settings(_env_file=None, data_dir=folder)).openapi()


@pytest.fixture
def real(client, worker):
    """Put ids of things that are there in the place of an example's."""
    content = npz(**arrays())
    dataset = client.post("/v1/datasets", files={"file": ("digits.npz", content)}).json()["id"]
    hdf5 = b"\x89HDF\r\n\x1a\n" + b"0" * 100
    weights = client.post("/v1/weights", files={"file": ("weights.h5", hdf5)}).json()["id"]

    def real(body):
        text = json.dumps(body).replace(examples.DATASET, dataset).replace(examples.WEIGHTS, weights)
        return json.loads(text.replace(examples.JOB, job))

    job = examples.JOB
    job = client.post("/v1/jobs", json=real(examples.TRAIN)).json()["id"]
    claim = worker.claim()
    worker.leave(claim, "weights.h5", hdf5, "hdf5")
    worker.write("finish", claim, "succeeded")
    return real


@pytest.fixture(scope="module")
def operations(document):
    paths = document["paths"].items()
    return {(method.upper(), path): each for path, its in paths for method, each in its.items()}


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")


def test_no_operation_changes_its_name_or_goes_and_a_new_one_is_written_down(operations):
    named = sorted(f"{method} {path} {each['operationId']}" for (method, path), each in operations.items())
    assert OPERATIONS.read_text().splitlines() == named


def test_every_operation_says_what_it_does_in_a_line_of_its_own(operations):
    summaries = [each["summary"] for each in operations.values()]
    assert all(len(summary.split()) > 1 and summary[0].isupper() and summary[-1] != "." for summary in summaries)
    assert all(each["description"].startswith(each["summary"]) for each in operations.values())
    assert len({(each["tags"][0], each["summary"]) for each in operations.values()}) == len(operations)


def test_every_operation_declares_its_refusals_as_problems(operations):
    for where, each in operations.items():
        refusals = {status: its for status, its in each["responses"].items() if status[0] == "4"}
        assert "422" in refusals, where
        assert all(its["content"] == PROBLEM for its in refusals.values()), where
        assert ("404" in refusals) >= ("{" in where[1]), where
        assert ({"401", "403"} <= refusals.keys()) == where[1].startswith("/v1/"), where


def test_every_operation_under_v1_takes_a_bearer_key_and_the_others_none(document, operations):
    (scheme,) = document["components"]["securitySchemes"].items()
    assert (scheme[1]["type"], scheme[1]["scheme"]) == ("http", "bearer")
    for (_, path), each in operations.items():
        assert each["security"] == ([{scheme[0]: []}, {}] if path.startswith("/v1/") else []), path


def test_every_reference_leads_somewhere_and_no_schema_is_left_over(document):
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    named = {each.partition('"')[0] for each in text.split('"#/components/schemas/')[1:]}
    assert named == schemas.keys()
    assert not any("__" in name for name in schemas), "two schemas of one name"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/jobs?odd=1", None),
        ("GET", "/v1/jobs?page_token=odd", None),
        ("GET", "/v1/jobs/job_none", None),
        ("GET", "/v1/jobs/job_none/steps", None),
        ("POST", "/v1/jobs/job_none/steps", {"first": 1, "steps": [{"close": {}}]}),
        ("POST", "/v1/jobs/job_none/steps", {"first": 0, "steps": []}),
        ("POST", "/v1/jobs", {}),
        ("POST", "/v1/predictions", {"job": "job_none", "x": [[1]]}),
        ("POST", "/v1/datasets/ds_none/complete", None),
        ("PUT", "/v1/weights/wts_none/content", None),
    ],
)
def test_a_refusal_has_the_declared_form(method, path, body, client, document, operations):
    answer = client.request(method, path, json=body)
    shown = path.partition("?")[0].replace("job_none", "{job_id}")
    shown = shown.replace("ds_none", "{dataset_id}").replace("wts_none", "{weights_id}")

    assert str(answer.status_code) in operations[method, shown]["responses"]
    schema = document["components"]["schemas"]["Problem"]
    assert set(schema["required"]) <= answer.json().keys()
    assert answer.json().keys() - {"errors"} <= schema["properties"].keys()


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_what_a_finished_job_refuses_is_declared(action, client, trained, operations):
    answer = client.post(f"/v1/jobs/{trained}/{action}")
    assert answer.status_code == 409
    assert "409" in operations["POST", f"/v1/jobs/{{job_id}}/{action}"]["responses"]


def test_whatever_takes_an_idempotency_key_may_refuse_it(client, operations):
    taking = [
        each
        for each in operations.values()
        if any(parameter["name"].lower() == "idempotency-key" for parameter in each.get("parameters", ()))
    ]
    assert {"create_job", "cancel_job", "predict", "complete_weights"} <= {each["operationId"] for each in taking}
    assert client.post("/v1/models", json={}, headers={"Idempotency-Key": "a b"}).status_code == 400
    assert all({"400", "409"} <= each["responses"].keys() for each in taking)


def test_a_file_is_sent_as_it_is(operations):
    for kind in ("dataset", "weights"):
        path = f"/v1/{kind.removesuffix('s')}s/{{{kind}_id}}/content"
        assert operations["PUT", path]["requestBody"]["content"].keys() == {"application/octet-stream"}


def shown_examples():
    """Every example of the document: where it goes, and what it is."""
    bodies = {
        "/v1/datasets": examples.DATASETS,
        "/v1/evaluations": examples.EVALUATIONS,
        "/v1/jobs": examples.JOBS,
        "/v1/jobs/{job_id}/steps": examples.STEPS,
        "/v1/models": examples.MODELS,
        "/v1/predictions": examples.PREDICTIONS,
        "/v1/validations": examples.JOBS,
        "/v1/weights": examples.WEIGHTS_FILES,
    }
    return [(path, name, each["value"]) for path, its in bodies.items() for name, each in its.items()]


def test_every_json_body_that_must_be_sent_has_examples(operations):
    shown = [
        (path, name, example["value"])
        for (_, path), each in sorted(operations.items())
        for name, example in json_body(each).get("examples", {}).items()
    ]
    assert sorted(shown, key=str) == sorted(shown_examples(), key=str)
    needed = {path for (_, path), each in operations.items() if json_body(each) and each["requestBody"].get("required")}
    assert needed == {path for path, _, _ in shown}


def json_body(operation):
    return operation.get("requestBody", {}).get("content", {}).get("application/json", {})


@pytest.mark.parametrize(
    ("path", "name", "body"), [pytest.param(*each, id="-".join(each[:2])) for each in shown_examples()]
)
def test_an_example_works_as_it_is_shown(path, name, body, client, real, serve, worker):
    def act(claim):
        worker.leave(claim, "predictions.npz", npz(y=np.eye(10)))
        worker.write("finish", claim, "succeeded", evaluation={"loss": 0.5, "acc": 0.9})

    if path in ("/v1/predictions", "/v1/evaluations"):
        serve(act)

    if "{job_id}" in path:
        path = path.format(job_id=client.post("/v1/jobs", json=real(examples.SESSION)).json()["id"])

    answer = client.post(path, json=real(body), headers={"Prefer": "wait=0"})

    assert answer.is_success, answer.text
    assert not answer.json().get("warnings"), "an example is a model to others"
