"""Asking how a job is: at once, or once it has changed; alone, or fifty at a time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import OperationalError

from core.keys import Keys
from tests.trainyard.yards import wait_until

DEADLINE_SECONDS = 30.0
until = partial(wait_until, seconds=DEADLINE_SECONDS)


@pytest.fixture
def wait(client, wiring):
    """Ask in a thread, with the ETag of the job as it is, and return once the gateway holds the answer back."""
    with ThreadPoolExecutor(64) as pool:

        def wait(job_id, seconds=30, tag=None):
            tag = tag or client.get(f"/v1/jobs/{job_id}").headers["etag"]
            before = wiring.watch.taken["wait"]
            headers = {"If-None-Match": tag, "Prefer": f"wait={seconds}"}
            answer = pool.submit(client.get, f"/v1/jobs/{job_id}", headers=headers)
            until(lambda: wiring.watch.taken["wait"] > before)
            return answer

        yield wait


def test_a_long_poll_is_answered_when_the_job_changes(submit, worker, wait, wiring):
    waiting = wait(submit())

    worker.claim()

    answer = waiting.result(DEADLINE_SECONDS)
    assert (answer.status_code, answer.json()["state"], answer.headers["etag"]) == (200, "running", '"2"')
    assert answer.headers["preference-applied"] == "wait=30"
    assert wiring.watch.taken["wait"] == 0


def test_a_long_poll_ends_when_nothing_has_changed(submit, wait):
    began = time.monotonic()
    answer = wait(submit(), seconds=1).result(DEADLINE_SECONDS)
    assert (answer.status_code, answer.content, answer.headers["preference-applied"]) == (304, b"", "wait=1")
    assert time.monotonic() - began >= 1


def test_what_a_client_cannot_see_in_a_job_does_not_end_its_wait(submit, worker, wait):
    job_id = submit()
    claim = worker.claim()
    waiting = wait(job_id, seconds=1)
    worker.write("event", claim, "warning", {"number": 1})
    assert waiting.result(DEADLINE_SECONDS).status_code == 304


def test_what_this_gateway_does_is_told_at_once(make_client, submit, wait, wiring, client):
    wiring.watch._interval = 3_600.0
    job_id = submit()
    waiting = wait(job_id)
    client.post(f"/v1/jobs/{job_id}/pause")
    assert waiting.result(DEADLINE_SECONDS).json()["state"] == "paused"


def test_nothing_is_waited_for_without_an_etag_or_with_an_old_one_or_after_the_end(client, submit, trained):
    job_id, began = submit(), time.monotonic()
    for path, tag, status in ((job_id, None, 200), (job_id, '"0"', 200), (trained, "*", 304)):
        headers = {"Prefer": "wait=30"} | ({"If-None-Match": tag} if tag else {})
        answer = client.get(f"/v1/jobs/{path}", headers=headers)
        assert answer.status_code == status
        assert "preference-applied" not in answer.headers
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "wait=0", "respond-async", "", "wait=٣", "=,;"])
def test_a_preference_that_cannot_be_read_is_none(prefer, client, submit):
    headers = {"If-None-Match": "*", "Prefer": prefer.encode()}
    answer = client.get(f"/v1/jobs/{submit()}", headers=headers)
    assert answer.status_code == 304
    assert "preference-applied" not in answer.headers


def test_a_wait_is_read_among_other_preferences_and_has_a_limit():
    from api.watching.polls import wait_seconds

    assert wait_seconds('respond-async, Wait="5"; x=y') == 5
    assert wait_seconds("wait=86400") == 60


def test_a_gateway_full_of_watchers_answers_at_once(client, submit, wait, wiring):
    wiring.watch._places = 1
    job_id = submit()
    waiting = wait(job_id)

    answer = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": "*", "Prefer": "wait=30"})

    assert answer.status_code == 304
    assert "preference-applied" not in answer.headers
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert waiting.result(DEADLINE_SECONDS).json()["state"] == "cancelled"


def test_a_gateway_that_ends_sends_everybody_home(submit, wait, client, wiring):
    waiting = wait(submit())
    client.portal.call(wiring.watch.close)
    assert waiting.result(DEADLINE_SECONDS).status_code == 304


def test_fifty_who_wait_for_one_job_cost_one_look_an_interval(submit, wait, wiring, queries, worker):
    job_id = submit()
    waiting = [wait(job_id, tag='"1"') for _ in range(50)]
    queries.clear()
    began = time.monotonic()

    worker.claim()

    assert {each.result(DEADLINE_SECONDS).json()["state"] for each in waiting} == {"running"}
    intervals = (time.monotonic() - began) / wiring.settings.watch_interval_seconds + 1
    looks = [query for query in queries if "json_each" in query]
    whole = [query for query in queries if "jobs.definition" in query and "UPDATE" not in query]
    assert 1 <= len(looks) <= intervals
    assert len(whole) <= 5, "a row is written down once, and the worker reads it itself"


def test_an_answer_is_written_down_once_for_each_version(client, submit, queries, worker):
    job_id = submit()
    bodies = {client.get(f"/v1/jobs/{job_id}").content for _ in range(10)}
    assert len(bodies) == 1
    assert len([query for query in queries if "jobs.definition" in query]) <= 2

    worker.claim()
    assert client.get(f"/v1/jobs/{job_id}").json()["state"] == "running"


def test_answers_that_do_not_fit_are_not_kept(make_client, wiring, submit, client, queries):
    wiring.polls.bodies._max_bytes = 10
    job_id = submit()
    first, again = client.get(f"/v1/jobs/{job_id}"), client.get(f"/v1/jobs/{job_id}")
    assert first.content == again.content
    assert wiring.polls.bodies._bytes == 0


def test_a_key_that_is_revoked_is_let_in_for_a_second_at_most(client, submit, wiring, problem):
    job_id = submit()
    with wiring.sessions.begin() as session:
        key, secret = Keys(session).create("k")
        headers = {"Authorization": f"Bearer {secret}"}
    assert client.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 200
    with wiring.sessions.begin() as session:
        Keys(session).revoke(key.id)

    began = time.monotonic()
    until(lambda: client.get(f"/v1/jobs/{job_id}", headers=headers).status_code == 401)
    assert time.monotonic() - began < 1.5


def test_a_key_is_asked_for_once_a_second_however_many_polls_there_are(client, submit, wiring, queries):
    job_id = submit()
    began = time.monotonic()
    for _ in range(20):
        client.get(f"/v1/jobs/{job_id}")
    assert len([query for query in queries if "FROM api_keys" in query]) <= time.monotonic() - began + 2


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "{job}", {}),
        ("GET", "{job}", {"If-None-Match": '"1"'}),
        ("GET", "{job}", {"If-None-Match": 'W/"1", "x"'}),
        ("GET", "{job}", {"If-None-Match": '"2"'}),
        ("GET", "{job}", {"X-Request-Id": "mine"}),
        ("GET", "{job}", {"Authorization": "Bearer ty_wrong"}),
        ("GET", "{job}", {"Authorization": "Basic dTpw"}),
        ("GET", "{job}", {"Host": "evil.example.org"}),
        ("GET", "{job}", {"Host": "["}),
        ("GET", "{job}", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", "{job}?wait=3", {}),
        ("GET", "{job}/", {}),
        ("HEAD", "{job}", {}),
        ("PUT", "{job}", {}),
        ("OPTIONS", "{job}", {}),
        ("GET", "job_nope", {}),
        ("GET", "job_nope", {"If-None-Match": "*"}),
        ("GET", "%00", {}),
        ("GET", "job_%C3%A9%0A", {}),
        ("GET", "x" * 5_000, {}),
    ],
)
def test_the_short_way_answers_as_the_long_one(method, path, headers, client, submit, monkeypatch):
    path = f"/v1/jobs/{path.format(job=submit())}"
    short = client.request(method, path, headers=headers, follow_redirects=False)
    monkeypatch.setattr("api.watching.shortcut.polled", lambda scope: None)
    long = client.request(method, path, headers=headers, follow_redirects=False)

    assert short.status_code == long.status_code < 500
    assert without_id(short) == without_id(long)
    metrics = client.get("/metrics").text
    if path.count("/") == 3 and method == "GET":
        assert f'route="/v1/jobs/{{job_id}}",status="{short.status_code}"}} 2.0' in metrics


@pytest.mark.parametrize(
    ("fault", "status"), [(OperationalError("SELECT", {}, Exception("away")), 503), (RuntimeError("secret"), 500)]
)
def test_a_poll_that_fails_is_a_problem_as_on_every_other_route(fault, status, make_client, problem, monkeypatch):
    quiet = make_client(quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr("api.watching.watch.reading", Mock(side_effect=fault))
        assert "secret" not in problem(quiet.get("/v1/jobs/job_1"), status)["detail"]
    assert f'route="/v1/jobs/{{job_id}}",status="{status}"}} 1.0' in quiet.get("/metrics").text


def without_id(answer):
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    if answer.headers.get("content-type") == "application/problem+json":
        headers.pop("content-length")
        return headers, answer.content and answer.json() | {"request_id": None}
    return headers, answer.content


def test_polls_of_many_threads_at_once_each_get_their_own_job(client, submit):
    ids = [submit() for _ in range(5)]
    barrier = threading.Barrier(10)

    def ask(number):
        barrier.wait()
        return [client.get(f"/v1/jobs/{ids[(number + turn) % 5]}").json()["id"] for turn in range(5)]

    with ThreadPoolExecutor(10) as pool:
        for number, got in enumerate(pool.map(ask, range(10))):
            assert got == [ids[(number + turn) % 5] for turn in range(5)]
