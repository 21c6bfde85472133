"""Short runs: the gateway makes an express job, waits for it, and leaves nothing behind."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import select

from api.app import EXPRESS_LOOK_SECONDS
from core.tables import Job
from tests.api.conftest import npz, softmax_model
from tests.trainyard.yards import wait_until

DEADLINE_SECONDS = 10.0


@pytest.fixture
def fails(serve, worker):
    def fails(state="failed", **error):
        return serve(lambda claim: worker.write("finish", claim, state, error=error or None))

    return fails


def test_a_prediction_is_made_with_the_job_s_weights(client, trained, answers, look, tmp_path):
    claims = answers(np.array([[0.1, 0.2, 0.7]], dtype="float32"))

    answer = client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]], "batch_size": 8})

    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["y"], [[0.1, 0.2, 0.7]], rtol=1e-6)
    (claim,) = claims
    assert claim.definition["weights"] == {"job": trained}
    assert claim.definition["predict"]["batch_size"] == 8
    assert claim.definition["model"]["config"][0]["config"]["output_dim"] == 3
    assert "fit" not in claim.definition
    assert look(select(Job.id)) == [trained], "the express job is gone"
    assert list((tmp_path / "blobs").rglob("predictions.npz")) == []


def test_numbers_that_json_has_no_word_for_are_words(client, trained, answers):
    answers(np.array([[np.nan, np.inf, 0.5]]))
    answer = client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]]})
    assert answer.json() == {"y": [["NaN", "Infinity", 0.5]]}


def test_an_evaluation_uses_the_job_s_own_loss(client, trained, serve, worker, dataset, look):
    claims = serve(lambda claim: worker.write("finish", claim, "succeeded", evaluation={"loss": 0.5, "acc": 1.0}))

    answer = client.post("/v1/evaluations", json={"job": trained, "x": f"{dataset}/x", "y": f"{dataset}/y"})

    assert (answer.status_code, answer.json()) == (200, {"loss": 0.5, "acc": 1.0})
    assert claims[0].definition["compile"]["loss"] == "categorical_crossentropy"
    assert look(select(Job.id)) == [trained]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"x": [[1, 2]]}, "/x"),
        ({"x": "ds_nope/x"}, "/x"),
        ({"x": [[1, "a", 3, 4]]}, "/x"),
        ({"x": [[1, 2, 3, 4]], "batch_size": 0}, "/batch_size"),
        ({"x": [[1, 2, 3, 4]], "y": []}, "/y"),
        ({}, "/x"),
    ],
)
def test_inputs_that_do_not_fit_are_pointed_at(body, pointer, client, trained, problem, look):
    answer = problem(client.post("/v1/predictions", json={"job": trained, **body}), 422)
    assert answer["errors"][0]["pointer"].startswith(pointer)
    assert look(select(Job.id)) == [trained]


def test_targets_that_do_not_fit_are_pointed_at(client, trained, dataset, problem):
    body = {"job": trained, "x": f"{dataset}/x", "y": f"{dataset}/labels"}
    assert problem(client.post("/v1/evaluations", json=body), 422)["errors"][0]["pointer"].startswith("/y")


def test_a_run_that_fails_on_the_data_is_the_caller_s_to_mend(client, trained, fails, problem, look):
    fails(**{"class": "user_data", "detail": "x holds NaN", "retryable": False, "who": "user"})
    answer = client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]]})
    assert problem(answer, 422)["detail"] == "x holds NaN"
    assert look(select(Job.id)) == [trained]


def test_a_run_that_fails_for_another_reason_is_ours(client, trained, fails, problem):
    fails(**{"class": "internal", "detail": "The runner stopped.", "retryable": False, "who": "system"})
    answer = client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]]})
    problem(answer, 503)
    assert answer.headers["retry-after"]


def test_nobody_waits_for_ever_and_an_unwanted_run_is_cancelled(make_client, problem, trained_elsewhere):
    client = make_client(express_wait_seconds=0.2)
    job_id = trained_elsewhere(client)
    answer = client.post("/v1/predictions", json={"job": job_id, "x": [[1]]})
    problem(answer, 503)
    assert answer.headers["retry-after"]
    with client.app.state.wiring.sessions.begin() as session:
        assert session.scalars(select(Job.id)).all() == [job_id]


@pytest.fixture
def trained_elsewhere():
    """Make an ended job with weights in a gateway of the test's own."""
    from core import attempts, leases

    def trained_elsewhere(client):
        body = {"model": softmax_model(input_dim=1), "predict": {"x": [[1]]}}
        job_id = client.post("/v1/jobs", json=body).json()["id"]
        with client.app.state.wiring.sessions.begin() as session:
            leases.claim(session, "w", 30.0, ["training"])
            named = {"bytes": 1, "sha256": "0", "format": "hdf5", "blob": "b"}
            attempts.artifact(session, job_id, 1, "w", name="weights.h5", **named)
            leases.finish(session, job_id, 1, "w", "succeeded")
        return job_id

    return trained_elsewhere


def test_a_run_that_has_begun_is_asked_to_stop(make_client, trained_elsewhere, problem):
    from core import leases

    client = make_client(express_wait_seconds=0.5)
    job_id = trained_elsewhere(client)
    sessions = client.app.state.wiring.sessions

    def begin():
        deadline = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < deadline:
            with sessions.begin() as session:
                if leases.claim(session, "w", 30.0, ["express"]):
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=begin)
    thread.start()
    problem(client.post("/v1/predictions", json={"job": job_id, "x": [[1]]}), 503)
    thread.join()
    with sessions.begin() as session:
        express = session.scalars(select(Job).where(Job.kind == "express")).one()
        assert (express.state, express.wish) == ("cancelling", "cancel")


def test_an_evaluation_needs_a_job_that_was_compiled(make_client, trained_elsewhere, problem):
    client = make_client()
    job_id = trained_elsewhere(client)
    problem(client.post("/v1/evaluations", json={"job": job_id, "x": [[1]], "y": [[0, 0, 1]]}), 422, "/job")


def test_only_an_ended_job_with_weights_predicts(client, submit, problem):
    job_id = submit()
    body = {"job": job_id, "x": [[1, 2, 3, 4]]}
    assert problem(client.post("/v1/predictions", json=body), 409)["state"] == "queued"
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert "no weights" in problem(client.post("/v1/predictions", json=body), 409)["detail"]
    problem(client.post("/v1/predictions", json={"job": "job_nope", "x": [[1]]}), 404, "/job")


def test_express_jobs_show_in_no_list(client, trained, serve, worker):
    seen = []

    def act(claim):
        seen.extend(item["id"] for item in client.get("/v1/jobs").json()["items"])
        worker.write("finish", claim, "failed", error={"who": "user", "detail": "x"})

    serve(act)
    client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]]})
    assert seen == [trained]


def test_a_prediction_sent_again_with_its_key_is_made_once(client, trained, answers):
    answers(np.array([[0.25, 0.25, 0.5]]))
    body, headers = {"job": trained, "x": [[1, 2, 3, 4]]}, {"Idempotency-Key": "k"}
    first = client.post("/v1/predictions", json=body, headers=headers)
    again = client.post("/v1/predictions", json=body, headers=headers)
    assert first.json() == again.json() == {"y": [[0.25, 0.25, 0.5]]}
    assert again.headers["idempotency-replayed"] == "true"


def test_callers_beyond_the_lanes_are_sent_away_at_once(client, trained, wiring, problem):
    taken = 0
    while wiring.lanes.acquire(blocking=False):
        taken += 1
    try:
        problem(client.post("/v1/predictions", json={"job": trained, "x": [[1, 2, 3, 4]]}), 503)
    finally:
        for _ in range(taken):
            wiring.lanes.release()


def test_ten_who_wait_for_predictions_cost_one_look_an_interval(client, trained, serve, worker, wiring, queries):
    go, body = threading.Event(), {"job": trained, "x": [[1, 2, 3, 4]]}

    def act(claim):
        assert go.wait(DEADLINE_SECONDS)
        worker.leave(claim, "predictions.npz", npz(y=np.zeros((1, 3))))
        worker.write("finish", claim, "succeeded")

    with ThreadPoolExecutor(10) as pool:
        callers = [pool.submit(client.post, "/v1/predictions", json=body) for _ in range(10)]
        *_, claims = (serve(act) for _ in range(10))
        wait_until(lambda: len(claims) == len(wiring.express._topics) == 10, DEADLINE_SECONDS)
        queries.clear()
        began = time.monotonic()
        wait_until(lambda: len(queries) >= 20, DEADLINE_SECONDS)
        asked = [query for query in list(queries) if not query.startswith("BEGIN")]
        intervals = (time.monotonic() - began) / EXPRESS_LOOK_SECONDS + 1
        go.set()
        answers = [each.result(DEADLINE_SECONDS) for each in callers]

    assert {answer.status_code for answer in answers} == {200}
    assert all("json_each" in query for query in asked), asked
    assert len(asked) <= intervals
    assert wiring.express._topics == {}
