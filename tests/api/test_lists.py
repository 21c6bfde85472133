"""Asking for a list of jobs again and again: nothing is sent, and nobody is woken, while it stays the same."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import event

from tests.trainyard.yards import wait_until

DEADLINE_SECONDS = 30.0
MANY, SECONDS = 8, 3
until = partial(wait_until, seconds=DEADLINE_SECONDS)


@pytest.fixture
def wait(client, wiring):
    """Ask in a thread, with the ETag of the list as it is, and return once the gateway holds the answer back."""
    with ThreadPoolExecutor(8) as pool:

        def wait(path="/v1/jobs", seconds=30):
            before = wiring.watch.taken["wait"]
            headers = {"If-None-Match": client.get(path).headers["etag"], "Prefer": f"wait={seconds}"}
            answer = pool.submit(client.get, path, headers=headers)
            until(lambda: wiring.watch.taken["wait"] > before)
            return answer

        yield wait


def again(client, path="/v1/jobs"):
    """Ask twice, the second time with the first answer's ETag."""
    tag = client.get(path).headers["etag"]
    return lambda: client.get(path, headers={"If-None-Match": tag})


def test_a_list_that_is_the_same_is_not_sent_again(client, submit):
    submit()
    same = again(client)
    assert (same().status_code, same().content) == (304, b"")


def test_a_list_is_another_once_a_job_changes_and_once_there_is_a_new_one(client, submit, worker):
    submit()
    before = again(client)
    worker.claim()
    assert [job["state"] for job in before().json()["items"]] == ["running"]

    before = again(client)
    submit()
    assert [job["state"] for job in before().json()["items"]] == ["queued", "running"]


def test_a_list_is_the_same_while_only_jobs_change_that_are_not_on_it(client, submit, worker):
    submit()
    failed = again(client, "/v1/jobs?state=failed")
    worker.claim()
    assert failed().status_code == 304


def test_who_waits_for_a_list_hears_of_a_new_job(client, submit, wait, wiring):
    waiting = wait()

    job_id = submit()

    answer = waiting.result(DEADLINE_SECONDS)
    assert [job["id"] for job in answer.json()["items"]] == [job_id]
    assert answer.headers["preference-applied"] == "wait=30"
    assert answer.headers["etag"] == client.get("/v1/jobs").headers["etag"]
    assert wiring.watch.taken["wait"] == 0


def test_a_wait_for_a_list_ends_when_nothing_has_changed(wait):
    answer = wait(seconds=1).result(DEADLINE_SECONDS)
    assert (answer.status_code, answer.headers["preference-applied"]) == (304, "wait=1")


def test_a_gateway_that_ends_sends_home_who_waits_for_a_list(wait, wiring):
    waiting = wait()
    wiring.watch.close()
    assert waiting.result(DEADLINE_SECONDS).status_code == 304


def test_many_who_wait_for_the_same_list_share_their_looks(wait, wiring):
    looks = []
    event.listen(wiring.sessions.kw["bind"], "before_cursor_execute", lambda *a: looks.append(a[2]))
    waiting = [wait(seconds=SECONDS) for _ in range(MANY)]
    looks.clear()

    assert {each.result(DEADLINE_SECONDS).status_code for each in waiting} == {304}

    # Each has looked once a second, and once more at its end.
    assert len([each for each in looks if "FROM jobs" in each]) < MANY * SECONDS / 2


def test_a_list_may_come_without_definitions_and_reads_none_then(client, submit, wiring):
    submit()
    assert "model" in client.get("/v1/jobs").json()["items"][0]["definition"]
    statements = []
    event.listen(wiring.sessions.kw["bind"], "before_cursor_execute", lambda *a: statements.append(a[2]))

    (job,) = client.get("/v1/jobs?definition=false").json()["items"]

    assert "definition" not in job
    assert job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert [each for each in statements if "definition" in each] == []
