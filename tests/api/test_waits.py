"""Waiting for steps over HTTP: an answer comes when its steps are done, and holds nothing meanwhile."""

import time

from tests.api.sessions import DEADLINE_SECONDS, SESSION, TRAIN, until


def test_an_answer_waits_until_all_of_its_steps_are_done(begin_session, worker, do_steps, asking, wiring):
    job_id = begin_session()
    claim = worker.claim()
    waiting = asking("POST", f"/v1/jobs/{job_id}/steps", json={"first": 1, "steps": [TRAIN, TRAIN]})
    do_steps(claim, 1)
    assert not waiting.done()
    do_steps(claim, 2)
    answer = waiting.result(DEADLINE_SECONDS)
    assert (answer.status_code, [each["result"] for each in answer.json()["steps"]]) == (
        200,
        [{"loss": 0.5}, {"loss": 1.0}],
    )
    assert "preference-applied" not in answer.headers
    assert wiring.watch.taken["wait"] == 0


def test_a_wait_ends_when_it_is_over_with_what_there_is(begin_session, send_steps):
    began = time.monotonic()
    answer = send_steps(begin_session(), 1, TRAIN, Prefer="wait=1")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "wait=1")
    assert 1 <= time.monotonic() - began < 20


def test_a_wait_ends_with_the_job(begin_session, client, worker, asking):
    job_id = begin_session()
    claim = worker.claim()
    waiting = asking("POST", f"/v1/jobs/{job_id}/steps", json={"first": 1, "steps": [TRAIN]})
    worker.write("finish", claim, "failed", error={"class": "internal"})
    answer = waiting.result(DEADLINE_SECONDS)
    assert (answer.status_code, answer.json()["state"]) == (202, "failed")


def test_a_list_waits_for_the_first_step_after_a_number(begin_session, client, send_steps, worker, do_steps, asking):
    job_id = begin_session()
    path = f"/v1/jobs/{job_id}/steps"
    waiting = asking("GET", f"{path}?after=1", headers={"Prefer": "wait=30"})
    send_steps(job_id, 1, TRAIN, TRAIN, TRAIN)
    claim = worker.claim()
    do_steps(claim, 1)
    assert not waiting.done()
    do_steps(claim, 2)
    answer = waiting.result(DEADLINE_SECONDS)
    assert [(each["number"], each["state"]) for each in answer.json()["steps"]] == [(2, "done"), (3, "waiting")]
    assert answer.headers["preference-applied"] == "wait=30"
    assert client.get(path).json()["next"] == 4, "without the header it comes at once"
    assert [each["number"] for each in client.get(f"{path}?after=1&limit=1").json()["steps"]] == [2]


def test_a_gateway_that_is_full_of_watchers_stores_the_steps_and_answers_at_once(make_client, problem):
    client = make_client(max_watchers=1)
    job_id = client.post("/v1/jobs", json=SESSION).json()["id"]
    with client.app.state.wiring.watch.place("wait"):
        answer = client.post(f"/v1/jobs/{job_id}/steps", json={"first": 1, "steps": [TRAIN]})
    assert (answer.status_code, answer.json()["next"]) == (202, 2)


def test_many_who_wait_hold_no_connection(begin_session, worker, do_steps, asking, wiring):
    job_id = begin_session()
    claim = worker.claim()
    waiting = [
        asking("POST", f"/v1/jobs/{job_id}/steps", json={"first": number, "steps": [TRAIN]}) for number in range(1, 13)
    ]
    until(lambda: wiring.sessions.kw["bind"].pool.checkedout() == 0)
    do_steps(claim, *range(1, 13))
    assert {answer.result(DEADLINE_SECONDS).status_code for answer in waiting} == {200}
