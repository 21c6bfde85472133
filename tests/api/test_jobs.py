"""Submitting, watching and steering jobs."""

import json

import pytest
from sqlalchemy import select

from core import attempts, leases
from core.ids import DEFAULT_PROJECT, new_id
from core.models import Weights
from core.tables import Event, Job, JobDataset, WeightsFile
from core.unit import unit_of_work
from tests.api.conftest import COMPILE, softmax_model


@pytest.fixture
def bells(wiring, monkeypatch):
    rung = []
    monkeypatch.setattr(wiring.queue, "ring", rung.append)
    return rung


def test_a_job_is_stored_and_then_rung_for(client, job_body, bells, dataset, look):
    answer = client.post("/v1/jobs", json=job_body(name="mlp", labels={"team": "a"}))

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/jobs/{body['id']}" == body["links"]["self"]
    assert (body["state"], body["name"], body["labels"], body["seed"], body["attempt"]) == (
        "queued", "mlp", {"team": "a"}, 7, 0,
    )  # fmt: skip
    assert body["definition"]["fit"]["nb_epoch"] == 2
    assert body["definition"]["model"]["config"][0]["config"]["init"] == "glorot_uniform", "defaults are filled in"
    assert bells == [body["id"]]
    assert look(select(JobDataset.dataset_id)) == [dataset]
    assert client.get(f"/v1/jobs/{body['id']}").json() == body


def test_a_job_without_a_seed_gets_one_and_keeps_it(client, job_body):
    seeds = {client.post("/v1/jobs", json=job_body(seed=None)).json()["seed"] for _ in range(3)}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_what_is_the_service_s_own_is_kept_beside_the_engine_s(client, job_body, trained):
    own = {
        "weights": {"job": trained, "by_name": True},
        "checkpoint": {"every_seconds": 5, "every_epochs": 2, "keep": 3},
        "limits": {"seconds": 60},
    }
    definition = client.post("/v1/jobs", json=job_body(**own)).json()["definition"]
    assert definition["weights"] == {"job": trained, "by_name": True, "optimizer": False, "states": False}
    assert definition["checkpoint"] == {"every_seconds": 5.0, "every_epochs": 2, "keep": 3}
    assert definition["limits"] == {"seconds": 60.0}


def test_a_job_that_has_succeeded_links_to_its_receipt_and_others_have_none(client, job_body, trained):
    queued = client.post("/v1/jobs", json=job_body()).json()
    assert (queued["resume_fidelity"], "receipt" in queued["links"]) == (None, False)

    done = client.get(f"/v1/jobs/{trained}").json()
    assert done["links"]["receipt"] == f"/v1/jobs/{trained}/artifacts/receipt.json"


def test_a_job_says_how_exactly_it_can_be_resumed(client, job_body, wiring):
    job_id = client.post("/v1/jobs", json=job_body()).json()["id"]
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        leases.claim(unit.session, "worker", 30.0, ["training"])
        attempts.report(unit.session, job_id, 1, "worker", {"epoch": 0}, None, "exact")

    assert client.get(f"/v1/jobs/{job_id}").json()["resume_fidelity"] == "exact"


def test_a_stored_model_may_be_named(client, job_body):
    model = client.post("/v1/models", json=softmax_model()).json()
    body = client.post("/v1/jobs", json=job_body(model={"id": model["id"]})).json()
    assert body["definition"]["model"] == model["definition"]


def test_a_definition_reads_back_to_itself(client, job_body):
    first = client.post("/v1/jobs", json=job_body()).json()["definition"]
    again = client.post("/v1/jobs", json=first).json()["definition"]
    assert again == first


def test_a_validation_says_what_a_job_would_be_told_and_stores_nothing(client, job_body, dataset, look):
    body = client.post("/v1/validations", json=job_body()).json()
    assert body["parameters"] == {"trainable": 15, "frozen": 0, "total": 15}
    assert body["layers"][0]["output_shape"] == [None, 3]
    assert body["estimate"]["total_steps"] == 2
    assert body["datasets"] == [dataset]
    assert body["translated"] == body["warnings"] == []
    assert look(select(Job)) == []


def test_what_was_translated_is_said(client, job_body, dataset):
    fit = {"x": f"{dataset}/x", "y": f"{dataset}/y", "epochs": 3}
    body = client.post("/v1/validations", json=job_body(fit=fit)).json()
    assert [note["pointer"] for note in body["translated"]] == ["/fit/epochs"]
    assert body["definition"]["fit"]["nb_epoch"] == 3


def test_an_etag_changes_when_the_job_does_and_only_then(client, submit, worker):
    job_id = submit()
    first = client.get(f"/v1/jobs/{job_id}")
    tag = first.headers["etag"]
    assert first.headers["retry-after"] == "1"

    same = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    for header in (f'W/{tag}, "x"', "*"):
        assert client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": header}).status_code == 304

    claim = worker.claim()
    changed = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json()["state"]) == (200, "running")

    tag = changed.headers["etag"]
    worker.write("renew", claim, 30.0)
    assert client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": tag}).status_code == 304
    worker.write("report", claim, {"epoch": 1, "nb_epoch": 2}, {"loss": 0.5})
    body = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": tag}).json()
    assert (body["progress"]["epoch"], body["metrics"]) == (1, {"loss": 0.5})
    assert body["progress"]["updated_at"]


def test_an_ended_job_says_how_and_asks_nobody_to_come_back(client, submit, worker):
    job_id = submit()
    error = {"class": "user_data", "detail": "label 7 of 3", "retryable": False, "who": "user"}
    worker.write("finish", worker.claim(), "failed", reason="user_data", error=error)

    answer = client.get(f"/v1/jobs/{job_id}")

    body = answer.json()
    assert (body["state"], body["reason"], body["error"]) == ("failed", "user_data", error)
    assert body["finished_at"] >= body["started_at"] >= body["created_at"]
    assert "retry-after" not in answer.headers


def test_a_job_is_paused_resumed_and_cancelled(client, submit, bells, worker, problem):
    job_id = submit()
    for act, state in (("pause", "paused"), ("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled")):
        answer = client.post(f"/v1/jobs/{job_id}/{act}")
        assert (answer.status_code, answer.json()["state"]) == (202, state)
    assert bells == [job_id, job_id], "once when it was made, once when it was resumed"
    for act in ("pause", "resume", "cancel"):
        assert problem(client.post(f"/v1/jobs/{job_id}/{act}"), 409)["state"] == "cancelled"


def test_a_running_job_hears_what_is_wished(client, submit, worker):
    job_id = submit()
    claim = worker.claim()
    assert client.post(f"/v1/jobs/{job_id}/pause").json()["state"] == "pausing"
    assert worker.write("renew", claim, 30.0) == "pause"
    assert client.post(f"/v1/jobs/{job_id}/cancel").json()["state"] == "cancelling"
    assert worker.write("renew", claim, 30.0) == "cancel"
    assert worker.write("finish", claim, "cancelled") == "cancelled"


def test_history_has_keras_s_form(client, submit, worker):
    job_id = submit()
    claim = worker.claim()
    worker.write("epochs", claim, [(0, {"loss": 2.0, "acc": 0.5})])
    worker.write("epochs", claim, [(1, {"loss": float("nan"), "acc": 0.75, "val_loss": 3.0})])
    assert client.get(f"/v1/jobs/{job_id}/metrics").json() == {
        "epoch": [0, 1],
        "series": {"loss": [2.0, "NaN"], "acc": [0.5, 0.75], "val_loss": [None, 3.0]},
    }


def test_a_history_is_read_on_from_an_epoch(client, submit, worker):
    job_id = submit()
    claim = worker.claim()
    worker.write("epochs", claim, [(number, {"loss": float(number)}) for number in range(4)])
    assert client.get(f"/v1/jobs/{job_id}/metrics?after=1").json() == {"epoch": [2, 3], "series": {"loss": [2.0, 3.0]}}
    assert client.get(f"/v1/jobs/{job_id}/metrics?after=3").json() == {"epoch": [], "series": {}}


def test_events_are_read_on_without_a_gap(client, submit, worker):
    job_id = submit()
    claim = worker.claim()
    for number in range(5):
        worker.write("event", claim, "warning", {"number": number})

    seen, after = [], 0
    while items := (page := client.get(f"/v1/jobs/{job_id}/events", params={"after": after, "page_size": 3}).json())[
        "items"
    ]:
        seen += [item["seq"] for item in items]
        after = page["next_after"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]

    page = client.get(f"/v1/jobs/{job_id}/events", params={"page_size": 4}).json()
    rest = client.get(f"/v1/jobs/{job_id}/events", params={"page_token": page["next_page_token"]}).json()
    assert [item["seq"] for item in rest["items"]] == [5, 6, 7]
    assert rest["next_page_token"] is None


def test_attempts_are_listed(client, submit, worker):
    job_id = submit()
    worker.write("finish", worker.claim(), "queued", reason="worker_stopped")
    worker.claim()
    first, second = client.get(f"/v1/jobs/{job_id}/attempts").json()["items"]
    assert (first["number"], first["exit"], first["reason"]) == (1, "queued", "worker_stopped")
    assert (second["number"], second["ended_at"], second["worker"]) == (2, None, "worker-1")


def test_artifacts_are_listed_and_downloaded(client, submit, worker, problem):
    job_id = submit()
    claim = worker.claim()
    content = bytes(range(256)) * 9_000
    worker.leave(claim, "weights.h5", content, "hdf5")
    worker.leave(claim, 'odd "name"; x=y', b"{}", "json")

    items = client.get(f"/v1/jobs/{job_id}/artifacts").json()["items"]
    found = next(item for item in items if item["name"] == "weights.h5")
    answer = client.get(f"/v1/jobs/{job_id}/artifacts/weights.h5")

    assert found["bytes"] == len(content)
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-disposition"] == 'attachment; filename="weights.h5"'
    assert answer.headers["etag"] == f'"{found["sha256"]}"'
    again = client.get(f"/v1/jobs/{job_id}/artifacts/weights.h5", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    odd = client.get(f"/v1/jobs/{job_id}/artifacts/odd%20%22name%22%3B%20x=y")
    assert odd.headers["content-disposition"] == 'attachment; filename="odd__name___x_y"'
    for name in ("nope", "..%2F..%2Fsecret", "%2e%2e"):
        problem(client.get(f"/v1/jobs/{job_id}/artifacts/{name}"), 404)


def test_bytes_that_storage_has_lost_are_our_trouble(client, submit, worker, wiring, problem):
    job_id = submit()
    claim = worker.claim()
    worker.leave(claim, "model.json", b"{}", "json")
    wiring.blobs.delete(f"projects/prj_default/jobs/{job_id}/a1/model.json")
    problem(client.get(f"/v1/jobs/{job_id}/artifacts/model.json"), 503)


def test_lists_are_narrowed_before_they_are_cut(client, submit, worker):
    red = [submit(labels={"team": "red", "kind": "x"}) for _ in range(3)]
    blue = submit(labels={"team": "blue"})
    worker.claim()

    def ids(**params):
        return [item["id"] for item in client.get("/v1/jobs", params=params).json()["items"]]

    assert ids() == [blue, *red[::-1]]
    assert ids(label="team:red", page_size=2) == [red[2], red[1]]
    assert ids(label=["team:red", "kind:x"], state="queued") == [red[2], red[1]]
    assert ids(state=["queued", "running"], label="team:blue") == [blue]
    assert ids(state="queued,running", label="team:blue") == [blue]
    assert ids(created_after="2999-01-01T00:00:00Z") == []
    assert len(ids(created_after="2001-01-01T00:00:00+02:00")) == 4


@pytest.mark.parametrize(
    ("parameter", "value", "status"),
    [
        ("state", "runing", 400),
        ("label", "team", 400),
        ("label", 'a"b:c', 400),
        ("label", "':x", 400),
        ("created_after", "2026-01-01T00:00:00", 400),
        ("created_after", "yesterday", 422),
        ("stat", "queued", 422),
    ],
)
def test_a_filter_that_says_nothing_is_refused(parameter, value, status, client, problem):
    problem(client.get("/v1/jobs", params={parameter: value}), status, parameter)


@pytest.mark.parametrize("path", ["", "/metrics", "/events", "/attempts", "/artifacts", "/artifacts/x"])
def test_a_job_that_does_not_exist_is_not_found(path, client, problem):
    problem(client.get(f"/v1/jobs/job_nope{path}"), 404)


@pytest.mark.parametrize("act", ["cancel", "pause", "resume"])
def test_a_job_that_does_not_exist_cannot_be_steered(act, client, problem):
    problem(client.post(f"/v1/jobs/job_nope/{act}"), 404)


def test_the_same_key_gives_the_same_job(client, job_body, bells, look):
    body, headers = job_body(seed=None), {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    first = client.post("/v1/jobs", json=body, headers=headers)
    again = client.post(
        "/v1/jobs", content=json.dumps(body, indent=3), headers={**headers, "content-type": "application/json"}
    )

    assert first.json() == again.json()
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert bells == [first.json()["id"]]
    assert len(look(select(Event))) == 1


def test_a_key_with_another_body_is_refused(client, job_body, problem):
    headers = {"Idempotency-Key": "k"}
    client.post("/v1/jobs", json=job_body(), headers=headers)
    problem(client.post("/v1/jobs", json=job_body(seed=8), headers=headers), 422)
    assert client.post("/v1/models", json=softmax_model(), headers=headers).status_code == 201, "another route"


def test_a_refused_request_gives_its_key_back(client, job_body, problem):
    headers = {"Idempotency-Key": "k"}
    problem(client.post("/v1/jobs", json=job_body(compile={**COMPILE, "loss": "mean"}), headers=headers), 422)
    assert client.post("/v1/jobs", json=job_body(), headers=headers).status_code == 201


def test_a_key_in_flight_makes_the_second_request_wait(client, job_body, problem, monkeypatch):
    from api.jobs import service

    inner = service.read_job

    def slow(*arguments):
        problem(client.post("/v1/jobs", json=job_body(), headers={"Idempotency-Key": "k"}), 409)
        return inner(*arguments)

    monkeypatch.setattr(service, "read_job", slow)
    assert client.post("/v1/jobs", json=job_body(), headers={"Idempotency-Key": "k"}).status_code == 201


def test_steering_with_one_key_is_done_once(client, submit):
    job_id, other = submit(), submit()
    headers = {"Idempotency-Key": "k"}
    paused = client.post(f"/v1/jobs/{job_id}/pause", headers=headers)
    client.post(f"/v1/jobs/{job_id}/resume")
    again = client.post(f"/v1/jobs/{job_id}/pause", headers=headers)
    assert again.json() == paused.json()
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "queued"
    assert client.post(f"/v1/jobs/{other}/pause", headers=headers).status_code == 422


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "é".encode(), "a\tb"])
def test_a_key_is_visible_ascii(key, client, job_body, problem):
    problem(client.post("/v1/jobs", json=job_body(), headers={"Idempotency-Key": key}), 400)


def test_an_artifact_tells_how_far_it_is_from_ours(client, submit, worker):
    job_id = submit(exports=["keras1", "onnx"])
    claim = worker.claim()
    worker.leave(claim, "model.onnx", b"x", "onnx", max_difference=1.5e-7)
    worker.leave(claim, "weights.h5", b"x", "hdf5")

    items = client.get(f"/v1/jobs/{job_id}/artifacts").json()["items"]

    assert {item["name"]: item["max_difference"] for item in items} == {"model.onnx": 1.5e-7, "weights.h5": None}
    assert client.get(f"/v1/jobs/{job_id}").json()["definition"]["exports"] == ["keras1", "onnx"]


def test_an_export_that_cannot_say_the_model_is_refused_at_once(client, job_body, problem):
    model = softmax_model()
    model["config"].append({"class_name": "SReLU", "config": {}})
    asked = job_body(exports=["keras1", "keras3"], model=model)
    for path in ("/v1/validations", "/v1/jobs"):
        body = problem(client.post(path, json=asked), 422, "/exports/1")
        assert "(SReLU) cannot be written for Keras 3: it has no such layer" in body["detail"]


@pytest.mark.parametrize(("format", "right"), [("hdf5", True), ("keras", True), ("safetensors", False)])
def test_only_a_file_that_may_hold_an_optimizers_state_is_asked_for_it(
    format, right, client, wiring, job_body, problem
):
    row = WeightsFile(id=new_id("wts"), project_id=DEFAULT_PROJECT, kernels="tensorflow", format=format)
    row.bytes, row.sha256, row.blob = 1, "0", "b"
    with wiring.sessions.begin() as session:
        weights_id = Weights(session, DEFAULT_PROJECT).add(row).id
    answer = client.post("/v1/jobs", json=job_body(weights={"id": weights_id, "optimizer": True}))
    if right:
        assert answer.status_code == 201
    else:
        problem(answer, 422, "/weights/optimizer")
