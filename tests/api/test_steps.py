"""Steps of sessions over HTTP: checked whole before any is stored, done once however often they are sent."""

import base64
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import select

from core.keys import Keys
from core.tables import Job, Step
from tests.api.conftest import softmax_model
from tests.api.sessions import NOW, TRAIN, X, Y

# -- the job ------------------------------------------------------------------------------------


def test_a_session_is_a_job_that_links_to_its_steps(client, begin_session):
    job = client.get(f"/v1/jobs/{begin_session()}").json()
    assert job["definition"]["session"] == {"idle_seconds": 600}
    assert job["links"]["steps"] == f"/v1/jobs/{job['id']}/steps"
    checked = client.post("/v1/validations", json={"model": softmax_model(), "session": {"idle_seconds": 5}})
    assert checked.json()["definition"]["session"] == {"idle_seconds": 5}
    told = client.get("/v1/capabilities").json()
    assert told["session"]["arguments"][0]["default"] == 600
    assert {"train", "close"} < told["steps"].keys()
    limits = {"max_steps": 64, "max_steps_bytes": 2**23, "max_waiting_steps": 256, "max_waiting_steps_bytes": 2**26}
    assert limits.items() <= told["limits"].items()


@pytest.mark.parametrize(
    ("values", "pointer"),
    [
        ({"session": {"idle_seconds": 0}}, "/session/idle_seconds"),
        ({"session": {"idle": 5}}, "/session/idle"),
        ({"session": {}}, "/fit"),
        ({"session": {}, "fit": None, "predict": {"x": [[0.0] * 4]}}, "/predict"),
        ({"session": [], "fit": None}, "/session"),
    ],
)
def test_a_session_that_is_wrong_or_more_than_a_session_is_refused(client, job_body, problem, values, pointer):
    for path in ("/v1/jobs", "/v1/validations"):
        problem(client.post(path, json=job_body(**values)), 422, pointer)


# -- what is sent -------------------------------------------------------------------------------


def test_steps_are_stored_in_order_and_answered_when_they_are_done(begin_session, send_steps, worker, do_steps):
    job_id = begin_session()
    answer = send_steps(job_id, 1, TRAIN, {"close": {}})
    assert answer.status_code == 202
    assert answer.json() == {
        "job": job_id,
        "state": "queued",
        "next": 3,
        "steps": [
            {"number": number, "kind": kind, "state": "waiting", "result": None, "error": None}
            for number, kind in ((1, "train"), (2, "close"))
        ],
    }
    claim = worker.claim()
    do_steps(claim, 1)
    assert send_steps(job_id, 1, TRAIN).json()["steps"][0] == {
        "number": 1, "kind": "train", "state": "done", "result": {"loss": 0.5}, "error": None,
    }  # fmt: skip
    again = send_steps(job_id, 1, TRAIN, {"close": {}})
    assert (again.status_code, again.json()["state"]) == (202, "running")
    do_steps(claim, 2, error={"class": "user_data", "detail": "odd", "pointer": "/train/y"})
    again = send_steps(job_id, 1, TRAIN, {"close": {}})
    assert (again.status_code, again.json()["steps"][1]["state"]) == (200, "failed")
    assert again.json()["steps"][1]["error"] == {"class": "user_data", "detail": "odd", "pointer": "/train/y"}


def test_numbers_that_are_no_numbers_in_a_result_are_written_as_everywhere(begin_session, send_steps, worker, do_steps):
    job_id = begin_session()
    send_steps(job_id, 1, TRAIN)
    do_steps(worker.claim(), 1, result={"loss": float("nan"), "acc": float("inf")})
    assert send_steps(job_id, 1, TRAIN).json()["steps"][0]["result"] == {"loss": "NaN", "acc": "Infinity"}


def test_a_request_that_is_repeated_or_overlaps_has_no_second_effect(begin_session, send_steps, look):
    job_id = begin_session()
    other = {"predict": {"x": X}}
    send_steps(job_id, 1, TRAIN, other)
    assert send_steps(job_id, 1, TRAIN, other).json()["next"] == 3
    assert send_steps(job_id, 2, other, TRAIN).json()["next"] == 4
    assert send_steps(job_id, 3, {"train": {"y": Y, "x": X}}).status_code == 202, "the order of keys does not count"
    assert look(select(Step.number).order_by(Step.number)) == [1, 2, 3]


@pytest.mark.parametrize("first", [1, 3, 2**52])
def test_another_step_of_a_known_number_and_a_gap_are_told_the_next_number(begin_session, send_steps, problem, first):
    job_id = begin_session()
    send_steps(job_id, 1, {"predict": {"x": X}})
    body = problem(send_steps(job_id, first, TRAIN), 409)
    assert (body["type"], body["next"]) == ("/problems/step-conflict", 2)


def test_of_ten_clients_that_send_the_same_number_one_has_an_effect(begin_session, send_steps, look):
    job_id = begin_session()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: send_steps(job_id, 1, TRAIN), range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["next"] for answer in answers} == {2}
    assert look(select(Step.number)) == [1]


BAD = [
    ({"first": 0, "steps": [TRAIN]}, "/first"),
    ({"first": 2**53, "steps": [TRAIN]}, "/first"),
    ({"first": "1", "steps": [TRAIN]}, "/first"),
    ({"steps": [TRAIN]}, "/first"),
    ({"first": 1}, "/steps"),
    ({"first": 1, "steps": []}, "/steps"),
    ({"first": 1, "steps": [TRAIN] * 65}, "/steps"),
    ({"first": 1, "steps": [TRAIN, 5]}, "/steps/1"),
    ({"first": 1, "steps": [TRAIN], "more": 1}, "/more"),
    ({"first": 1, "steps": [TRAIN, {}]}, "/steps/1"),
    ({"first": 1, "steps": [TRAIN, {"trian": {}}]}, "/steps/1/trian"),
    ({"first": 1, "steps": [{"close": {}}, TRAIN]}, "/steps/0"),
    ({"first": 1, "steps": [{"train": {"x": X, "y": [[1.0]] * 2}}]}, "/steps/0/train/y"),
    ({"first": 1, "steps": [{"train": {"x": "ds_none/x", "y": Y}}]}, "/steps/0/train/x"),
    ({"first": 1, "steps": [{"train": {"x": {"base64": "AA==", "dtype": "uint8", "shape": [2]}, "y": Y}}]},
     "/steps/0/train/x/base64"),
    ({"first": 1, "steps": [{"evaluate": {"x": X, "y": Y, "batch_size": 0}}]}, "/steps/0/evaluate/batch_size"),
    ({"first": 1, "steps": [{"predict": {"x": [[0.0] * 5]}}]}, "/steps/0/predict/x"),
    ({"first": 1, "steps": [{"reset_states": {"layer": "dense_1"}}]}, "/steps/0/reset_states/layer"),
    ({"first": 1, "steps": [{"set": {"lr": "fast"}}]}, "/steps/0/set/lr"),
    ({"first": 1, "steps": [{"save": {"name": "a/b.h5"}}]}, "/steps/0/save/name"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "pointer"), BAD, ids=[f"{index}:{each[1]}" for index, each in enumerate(BAD)])
def test_a_request_that_is_wrong_anywhere_is_pointed_at_and_stores_nothing(
    client, begin_session, problem, look, body, pointer
):
    job_id = begin_session()
    problem(client.post(f"/v1/jobs/{job_id}/steps", json=body, headers=NOW), 422, pointer)
    assert look(select(Step)) == []
    assert look(select(Job.steps_sent)) == [0]


def test_what_judges_needs_a_compiled_session(begin_session, send_steps, problem):
    job_id = begin_session(compile=None)
    problem(send_steps(job_id, 1, TRAIN), 422, "/steps/0/train")
    assert send_steps(job_id, 1, {"predict": {"x": X}}).status_code == 202


def test_arrays_come_as_bytes_from_datasets_and_as_labels(begin_session, send_steps, dataset, client):
    x = np.zeros((2, 4), np.float32)
    packed = {"base64": base64.b64encode(x.tobytes()).decode(), "dtype": "float32", "shape": [2, 4]}
    job_id = begin_session()
    labels = {"to_categorical": f"{dataset}/labels", "nb_classes": 3}
    sent = send_steps(job_id, 1, {"train": {"x": packed, "y": Y}}, {"evaluate": {"x": f"{dataset}/x", "y": labels}})
    assert sent.status_code == 202
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 409


def test_a_body_that_is_too_large_is_refused_by_its_length(client, begin_session, problem):
    job_id = begin_session()
    text = "A" * (8 * 2**20)
    problem(client.post(f"/v1/jobs/{job_id}/steps", json={"first": 1, "steps": [{"save": {"name": text}}]}), 413)
    assert client.post("/v1/models", json={"name": text}).status_code == 422, "elsewhere more is taken"


def test_more_than_may_wait_is_put_off(begin_session, send_steps, problem, monkeypatch):
    monkeypatch.setattr("core.steps.MOST_WAITING", 2)
    job_id = begin_session()
    send_steps(job_id, 1, TRAIN)
    answer = send_steps(job_id, 2, TRAIN, TRAIN)
    assert problem(answer, 429)["next"] == 2
    assert answer.headers["retry-after"] == "1"
    assert send_steps(job_id, 2, TRAIN).status_code == 202


# -- whose, and in which state ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_job_that_is_no_session_or_is_not_there_has_no_steps(client, submit, problem, method):
    asked = {"json": {"first": 1, "steps": [TRAIN]}} if method == "POST" else {}
    assert "no session" in problem(client.request(method, f"/v1/jobs/{submit()}/steps", **asked), 409)["detail"]
    problem(client.request(method, "/v1/jobs/job_none/steps", **asked), 404)


def test_another_project_has_no_steps_of_this_one(client, begin_session, send_steps, wiring, problem):
    job_id = begin_session()
    send_steps(job_id, 1, TRAIN)
    with wiring.sessions.begin() as database:
        _, secret = Keys(database).create("other", "theirs")
    theirs = {"Authorization": f"Bearer {secret}"} | NOW
    problem(send_steps(job_id, 2, TRAIN, **theirs), 404)
    problem(client.get(f"/v1/jobs/{job_id}/steps", headers=theirs), 404)


@pytest.mark.parametrize("verb", ["pause", "cancel"])
@pytest.mark.parametrize("running", [False, True])
def test_a_session_that_is_paused_or_ends_takes_no_steps(
    client, begin_session, send_steps, problem, worker, verb, running
):
    job_id = begin_session()
    send_steps(job_id, 1, TRAIN)
    if running:
        worker.claim()
    state = client.post(f"/v1/jobs/{job_id}/{verb}").json()["state"]
    body = problem(send_steps(job_id, 2, TRAIN), 409)
    assert (body["state"], body["next"]) == (state, 2)
    assert send_steps(job_id, 1, TRAIN).json()["state"] == state, "what is known is answered all the same"


def test_nothing_follows_a_close(begin_session, send_steps, problem):
    job_id = begin_session()
    send_steps(job_id, 1, {"close": {}})
    assert "nothing follows" in problem(send_steps(job_id, 2, TRAIN), 409)["detail"]


def test_a_step_wakes_a_session_that_rests_and_rings_for_it(begin_session, send_steps, worker, wiring, monkeypatch):
    job_id = begin_session()
    worker.write("finish", worker.claim(), "paused", reason="session_idle")
    rung = []
    monkeypatch.setattr(wiring.queue, "ring", rung.append)
    assert send_steps(job_id, 1, TRAIN).json()["state"] == "queued"
    assert rung == [job_id]
    assert worker.claim().job_id == job_id


# -- what is no longer kept ---------------------------------------------------------------------


def test_results_that_are_no_longer_kept_are_gone_and_the_oldest_is_named(
    begin_session, client, send_steps, worker, do_steps, problem, monkeypatch
):
    monkeypatch.setattr("core.stepping.READABLE", 1)
    job_id = begin_session()
    send_steps(job_id, 1, TRAIN, TRAIN, TRAIN)
    claim = worker.claim()
    do_steps(claim, 1, 2, 3)
    worker.write("checkpointed", claim, step=3, epoch=0, blob="b", bytes=1, sha256="0", keep=1)
    for answer in (client.get(f"/v1/jobs/{job_id}/steps"), send_steps(job_id, 1, TRAIN, TRAIN)):
        assert problem(answer, 410)["oldest"] == 3
    assert [each["number"] for each in client.get(f"/v1/jobs/{job_id}/steps?after=2").json()["steps"]] == [3]
    assert send_steps(job_id, 3, TRAIN).status_code == 200


# -- states to go on from -----------------------------------------------------------------------

STATEFUL = {
    "class_name": "Sequential",
    "config": [{"class_name": "GRU", "config": {"output_dim": 3, "stateful": True, "batch_input_shape": [2, 1, 4]}}],
}


def test_states_are_taken_along_from_a_job_that_has_left_some(
    client, begin_session, trained, worker, problem, job_body
):
    body = job_body(model=STATEFUL, fit=None, session={}, weights={"job": trained, "states": True})
    fault = problem(client.post("/v1/jobs", json=body), 422, "/weights/states")
    assert "left no states" in fault["detail"]

    job_id = begin_session()
    claim = worker.claim()
    for name in ("weights.h5", "states.safetensors"):
        worker.leave(claim, name, b"0" * 100)
    worker.write("finish", claim, "succeeded")
    answer = client.post("/v1/jobs", json=body | {"weights": {"job": job_id, "states": True}})
    assert answer.status_code == 201, answer.text
    assert answer.json()["definition"]["weights"]["states"] is True


def test_uploaded_weights_and_parts_of_models_have_no_states(client, job_body, problem, trained):
    hdf5 = b"\x89HDF\r\n\x1a\n" + b"0" * 100
    weights_id = client.post("/v1/weights", files={"file": ("w.h5", hdf5)}).json()["id"]
    problem(client.post("/v1/jobs", json=job_body(weights={"id": weights_id, "states": True})), 422, "/weights/states")
    odd = {"job": trained, "states": True, "into": "dense_1"}
    problem(client.post("/v1/jobs", json=job_body(weights=odd)), 422, "/weights")


def test_a_fit_takes_bytes_too(client, job_body):
    x = np.arange(48, dtype="float32").reshape(12, 4)
    packed = {"base64": base64.b64encode(x.tobytes()).decode(), "dtype": "float32", "shape": [12, 4]}
    body = job_body()
    answer = client.post("/v1/jobs", json=body | {"fit": body["fit"] | {"x": packed}})
    assert answer.status_code == 201, answer.text
    assert answer.json()["definition"]["fit"]["x"] == packed
