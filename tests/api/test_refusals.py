"""Bad jobs: a clear 4xx with a pointer, and nothing half stored."""

import json
import re

import pytest
from sqlalchemy import select

from core.tables import Job, StoredModel
from tests.api.conftest import COMPILE, softmax_model

JSON = {"content-type": "application/json"}


@pytest.fixture
def refused(client, job_body, problem, look):
    """Submit a job with one thing wrong, as a job and as a validation."""

    def refused(pointer, status=422, **values):
        for path in ("/v1/jobs", "/v1/validations"):
            body = problem(client.post(path, json=job_body(**values)), status, pointer)
        assert look(select(Job)) == []
        return body["errors"][0]["detail"]

    return refused


def dense(**config):
    return {"model": softmax_model(**config)}


def layers(*classes):
    return {
        "model": {
            "class_name": "Sequential",
            "config": [{"class_name": name, "config": config} for name, config in classes],
        }
    }


FIRST = ("Dense", {"output_dim": 3, "input_dim": 4})
SGD = {"class_name": "SGD", "config": {"rate": 1}}
CONFIG = "/model/config/0/config"

DEFINITIONS = {
    "unknown layer": (layers(("Dens", {})), "/model/config/0/class_name"),
    "unknown argument": (dense(units_dim=3), f"{CONFIG}/units_dim"),
    "wrong type": (dense(output_dim="3"), f"{CONFIG}/output_dim"),
    "boolean for a number": (dense(output_dim=True), f"{CONFIG}/output_dim"),
    "unknown activation": (dense(activation="sofmax"), f"{CONFIG}/activation"),
    "missing argument": (layers(("Dense", {"input_dim": 4})), f"{CONFIG}/output_dim"),
    "huge layer": (dense(output_dim=10**12), None),
    "too many layers": (layers(FIRST, *[("Dropout", {"p": 0.5})] * 10_000), None),
    "no input shape": (layers(("Dense", {"output_dim": 3})), None),
    "unknown optimizer": ({"compile": {**COMPILE, "optimizer": "sdg"}}, "/compile/optimizer"),
    "unknown optimizer argument": ({"compile": {**COMPILE, "optimizer": SGD}}, "/compile/optimizer/config/rate"),
    "unknown loss": ({"compile": {**COMPILE, "loss": "mean"}}, "/compile/loss"),
    "unknown metric": ({"compile": {**COMPILE, "metrics": ["acuracy"]}}, "/compile/metrics/0"),
    "unknown compile argument": ({"compile": {**COMPILE, "optimiser": "sgd"}}, "/compile/optimiser"),
    "no compile": ({"compile": None}, "/compile"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_wrong_definition_is_pointed_at(name, client, job_body, problem, look):
    values, pointer = DEFINITIONS[name]
    body = problem(client.post("/v1/jobs", json=job_body(**values)), 422)
    assert body["errors"][0]["detail"] == body["detail"]
    found = body["errors"][0]["pointer"]
    if pointer is None:
        assert found.startswith(("/model", "/fit"))
    else:
        assert found.startswith(pointer)
    assert look(select(Job)) == []


@pytest.fixture
def fits(client, dataset, job_body, problem):
    def fits(**fit):
        given = {"x": f"{dataset}/x", "y": f"{dataset}/y"} | fit
        # An id may hold the letters as well.
        given = {key: re.sub("^DS/", f"{dataset}/", v) if isinstance(v, str) else v for key, v in given.items()}
        return problem(client.post("/v1/jobs", json=job_body(fit=given)), 422)

    return fits


@pytest.mark.parametrize(
    ("fit", "pointer", "words"),
    [
        ({"y": "DS/short"}, "/fit", "12"),
        ({"x": "DS/y"}, "/fit/x", "4"),
        ({"y": "DS/labels"}, "/fit/y", "one"),
        ({"x": "DS/nope"}, "/fit/x", "no array 'nope'; it has x, y, labels, short"),
        ({"x": "ds_nope/x"}, "/fit/x", "no dataset 'ds_nope'"),
        ({"x": "nonsense"}, "/fit/x", ""),
        ({"x": [["a", 2, 3, 4]]}, "/fit/x", ""),
        ({"x": [[1, 2, 3], [4]]}, "/fit/x", ""),
        ({"nb_epoch": -1}, "/fit/nb_epoch", ""),
        ({"nb_epoch": 10**9}, "/fit/nb_epoch", "100,000"),
        ({"batch_size": 0}, "/fit/batch_size", ""),
        ({"batch_size": 10**9}, "/fit/batch_size", ""),
        ({"nb_epochs": 3}, "/fit/nb_epochs", ""),
        ({"validation_split": 2.0}, "/fit/validation_split", ""),
    ],
)
def test_data_that_does_not_fit_is_pointed_at(fit, pointer, words, fits):
    body = fits(**fit)
    assert body["errors"][0]["pointer"].startswith(pointer)
    assert words in body["detail"]


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"seed": "7"}, "/seed"),
        ({"seed": -1}, "/seed"),
        ({"seed": 2**32}, "/seed"),
        ({"seed": 1.5}, "/seed"),
        ({"seed": True}, "/seed"),
        ({"name": 7}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"labels": {"team": 1}}, "/labels/team"),
        ({"labels": {'a"b': "x"}}, '/labels/a"b'),
        ({"labels": {str(n): "x" for n in range(21)}}, "/labels"),
        ({"model": "Sequential"}, "/model"),
        ({"model": {"id": "mdl_nope"}}, "/model/id"),
        ({"model": {"id": "mdl_nope", "config": []}}, "/model"),
        ({"model": {"id": 7}}, "/model"),
        ({"fitt": {}}, "/fitt"),
        ({"fit": []}, "/fit"),
        ({"weights": {}}, "/weights"),
        ({"weights": {"id": "wts_x", "job": "job_x"}}, "/weights"),
        ({"weights": {"id": "wts_nope"}}, "/weights/id"),
        ({"weights": {"job": "job_nope"}}, "/weights/job"),
        ({"weights": {"id": "wts_x", "optimizer": True, "into": "part"}}, "/weights"),
        ({"weights": {"id": "wts_x", "optimizer_of": "job_x", "into": "part"}}, "/weights"),
        ({"weights": {"id": "wts_x", "optimizer_of": "job_x", "optimizer": True}}, "/weights"),
        ({"exports": ["keras4"]}, "/exports/0"),
        ({"exports": ["keras1", "onnx", "keras1"]}, "/exports/2"),
        ({"exports": "onnx"}, "/exports"),
        ({"exports": [7]}, "/exports/0"),
        ({"exports": ["keras1"] * 11}, "/exports"),
        ({"weights": {"id": "wts_x", "byname": True}}, "/weights/byname"),
        ({"checkpoint": {"keep": 0}}, "/checkpoint/keep"),
        ({"checkpoint": {"every_seconds": 0}}, "/checkpoint/every_seconds"),
        ({"checkpoint": {"every_epochs": 0}}, "/checkpoint/every_epochs"),
        ({"limits": {"seconds": 0}}, "/limits/seconds"),
        ({"limits": {}}, "/limits/seconds"),
        ({"fit": None}, ""),
        ({"dim_ordering": "fh"}, "/dim_ordering"),
    ],
)
def test_a_wrong_field_is_pointed_at(values, pointer, refused):
    assert refused(pointer, **values)


def test_weights_of_a_job_that_has_not_ended_cannot_be_taken(submit, client, job_body, problem):
    job_id = submit()
    body = problem(client.post("/v1/jobs", json=job_body(weights={"job": job_id})), 422, "/weights/job")
    assert "queued" in body["detail"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    problem(client.post("/v1/jobs", json=job_body(weights={"job": job_id})), 422, "/weights/job")


def test_an_optimizer_s_state_must_be_there_to_be_taken_along(trained, client, job_body, problem):
    weights = {"job": trained, "optimizer": True}
    body = problem(client.post("/v1/jobs", json=job_body(weights=weights)), 422, "/weights/job")
    assert "optimizer.safetensors" in body["detail"]


def test_an_optimizer_goes_on_from_a_job_that_has_left_it_into_one_that_compiles(
    trained, submit, client, worker, job_body, problem
):
    weights = {"job": trained, "optimizer_of": trained}
    body = problem(client.post("/v1/jobs", json=job_body(weights=weights)), 422, "/weights/optimizer_of")
    assert "optimizer.safetensors" in body["detail"]
    problem(
        client.post("/v1/jobs", json=job_body(weights=weights | {"optimizer_of": "job_none"})),
        422,
        "/weights/optimizer_of",
    )

    other = submit()
    claim = worker.claim()
    worker.leave(claim, "optimizer.safetensors", b"0")
    weights["optimizer_of"] = other
    problem(client.post("/v1/jobs", json=job_body(weights=weights)), 422, "/weights/optimizer_of")
    worker.write("finish", claim, "succeeded")
    made = client.post("/v1/jobs", json=job_body(weights=weights))
    assert made.json()["definition"]["weights"]["optimizer_of"] == other

    nothing = {"compile": None, "fit": None, "predict": {"x": [[1, 2, 3, 4]]}}
    problem(client.post("/v1/jobs", json=job_body(weights=weights, **nothing)), 422, "/weights/optimizer_of")


def test_all_faults_of_form_are_told_at_once(client, job_body, problem):
    body = problem(client.post("/v1/jobs", json=job_body(seed="7", nmae="x")), 422)
    assert [each["pointer"] for each in body["errors"]] == ["/seed", "/nmae"]


DEEP = '{"model": ' + '{"config": [' * 200 + "1" + "]}" * 200 + "}"


@pytest.mark.parametrize(
    ("content", "pointer", "words"),
    [
        ('{"model": {"p": NaN}}', "/model/p", "finite"),
        ('{"model": {"p": [1, -Infinity]}}', "/model/p/1", "finite"),
        ('{"model": {"p": 1e400}}', "/model/p", "finite"),
        ('{"model": {"p": 1, "p": 2}}', "/model", "'p' is there twice"),
        ('{"seed": 1, "seed": 1}', "", "twice"),
        ('{"model": {"n": 9223372036854775808}}', "/model/n", "64 bits"),
        ('{"name": "a\\u0000b"}', "/name", "U+0000"),
        ('{"labels": {"\\u0000": "b"}}', "/labels", "U+0000"),
        ('{"name": "\\ud800"}', "/name", "surrogate"),
        (DEEP, None, "deep"),
        ("[" * 1_000_000, None, "deep"),
        ('{"model": ' + "[" * 100_000, None, "deep"),
        ("{", None, "not JSON"),
        ("", None, "not JSON"),
        ("{'a': 1}", None, "not JSON"),
        ('{"a": ' + "9" * 5_000 + "}", None, "digits"),
        (b'{"name": "\xff"}', None, "UTF-8"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/v1/validations", "/v1/predictions"])
def test_json_is_read_strictly(path, content, pointer, words, client, problem):
    body = problem(client.post(path, content=content, headers=JSON), 400)
    assert words in body["detail"]
    assert pointer is None or body["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_of_another_type_is_not_read(kind, client, job_body, problem):
    problem(client.post("/v1/jobs", content=json.dumps(job_body()), headers={"content-type": kind}), 415)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_whatever_its_headers_say(chunked, make_client, problem):
    client = make_client(max_body_bytes=1_000)
    content = json.dumps({"name": "x" * 2_000}).encode()
    sent = (content[at : at + 100] for at in range(0, len(content), 100)) if chunked else content
    assert "1,000 bytes" in problem(client.post("/v1/jobs", content=sent, headers=JSON), 413)["detail"]


@pytest.mark.parametrize("content", ["[]", "7", "null", '"x"'])
def test_a_body_must_be_an_object(content, client, problem):
    for path in ("/v1/jobs", "/v1/models"):
        problem(client.post(path, content=content, headers=JSON), 422)


ATTACKS = {
    "marshalled lambda": ("Lambda", {"function": ["4wAAAAAAAAAA", None, None], "function_type": "lambda"}),
    "import": ("Lambda", {"function": "lambda x: __import__('os').system('true')"}),
    "attribute walk": ("Lambda", {"function": "lambda x: ().__class__.__bases__[0].__subclasses__()"}),
    "torch pickle": ("TorchModuleWrapper", {"module": "gASV"}),
    "saved model": ("TFSMLayer", {"filepath": "/etc/passwd"}),
    "file read": ("StringLookup", {"vocabulary": "/etc/passwd"}),
    "homoglyph": ("D\u0435nse", {"output_dim": 3}),
    "registered name": ("Dense", {"output_dim": 3, "input_dim": 4, "registered_name": "os>system"}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_gadget_in_a_model_is_only_a_wrong_definition(name, client, problem, look):
    class_name, config = ATTACKS[name]
    model = layers(FIRST, (class_name, config))["model"]
    body = problem(client.post("/v1/models", json=model), 422)
    assert body["errors"][0]["pointer"].startswith("/config/1")
    assert look(select(StoredModel)) == []


def test_a_module_to_import_is_refused(client, problem):
    model = {
        "class_name": "Sequential",
        "config": [{"module": "os", "class_name": "system", "config": {"command": "true"}}],
    }
    problem(client.post("/v1/models", json=model), 422)


def test_a_job_that_is_refused_rings_no_bell(client, job_body, wiring, monkeypatch):
    rung = []
    monkeypatch.setattr(wiring.queue, "ring", rung.append)
    client.post("/v1/jobs", json=job_body(compile={**COMPILE, "loss": "mean"}))
    assert rung == []
