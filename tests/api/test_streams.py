"""A job's events as they happen, over real connections."""

import json
import threading
import time
from functools import partial

import httpx
import pytest

from api.main import Gateway
from core.database import migrate
from core.keys import Keys
from core.settings import Settings
from tests.trainyard.yards import wait_until

STREAM = {"Accept": "text/event-stream"}
DEADLINE_SECONDS = 30.0
until = partial(wait_until, seconds=DEADLINE_SECONDS)


def read(lines):
    """Read a stream's events as (id, event, data); comments and hints are left out."""
    event = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line and name in ("id", "event", "data"):
            event[name] = value
        elif not line and "event" in event:
            yield event.get("id"), event["event"], json.loads(event["data"])
            event = {}


def pages(client, job_id):
    items = client.get(f"/v1/jobs/{job_id}/events", params={"page_size": 1_000}).json()["items"]
    return [(str(item["seq"]), item["type"], item) for item in items]


@pytest.fixture
def ended(submit, worker):
    """A job that has ended, and more events than fit into one look."""
    job_id = submit()
    claim = worker.claim()
    for number in range(0, 250, 50):
        worker.write("epochs", claim, [(number + each, {"loss": 0.1 * each}) for each in range(50)])
    worker.write("finish", claim, "succeeded")
    return job_id


def test_a_stream_tells_the_same_as_the_pages_and_then_that_it_ends(client, ended):
    answer = client.get(f"/v1/jobs/{ended}/events", headers=STREAM)

    *events, end = read(answer.text.split("\n"))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert events == pages(client, ended)
    assert len(events) == 253
    assert end == (None, "end", {})


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?after=251", {}),
        ("", {"Last-Event-ID": "251"}),
        ("?after=3", {"Last-Event-ID": "251"}),
        ("?page_token=251", {}),
    ],
)
def test_a_stream_goes_on_where_one_broke_off(query, headers, client, ended):
    answer = client.get(f"/v1/jobs/{ended}/events{query}", headers=STREAM | headers)
    assert [event[0] for event in read(answer.text.split("\n"))] == ["252", "253", None]


def test_pages_go_on_after_last_event_id_too(client, ended):
    assert client.get(f"/v1/jobs/{ended}/events", headers={"Last-Event-ID": "252"}).json()["items"][0]["seq"] == 253


@pytest.mark.parametrize("given", ["x", "-1", "1.5", str(2**63)])
def test_a_last_event_id_that_was_never_given_is_refused(given, client, ended, problem):
    problem(client.get(f"/v1/jobs/{ended}/events", headers=STREAM | {"Last-Event-ID": given}), 422, "last-event-id")


def test_a_stream_of_a_job_that_does_not_exist_is_not_found(client, problem):
    problem(client.get("/v1/jobs/job_nope/events", headers=STREAM), 404)


def test_a_gateway_full_of_watchers_refuses_a_stream_and_says_when_to_come_back(client, ended, wiring, problem):
    wiring.watch._places = 0
    answer = client.get(f"/v1/jobs/{ended}/events", headers=STREAM)
    assert "watchers" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "5"


@pytest.fixture
def make_gateway(tmp_path):
    """Serve a gateway on a free port of this machine, in a thread."""
    served = []

    def make_gateway(**values):
        settings = Settings(_env_file=None, data_dir=tmp_path, port=0, **values)
        migrate(settings.database_url)
        gateway = Gateway(settings)
        thread = threading.Thread(target=gateway.run)
        thread.start()
        until(lambda: gateway.started or not thread.is_alive())
        served.append((gateway, thread))
        port = gateway.servers[0].sockets[0].getsockname()[1]
        return gateway, f"http://127.0.0.1:{port}"

    yield make_gateway
    for gateway, thread in served:
        gateway.should_exit = True
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


@pytest.fixture
def live(make_gateway):
    """A gateway that pings often, as a client, with what it is made of."""
    gateway, url = make_gateway(stream_ping_seconds=0.2, watch_interval_seconds=0.05)
    with httpx.Client(base_url=url, timeout=DEADLINE_SECONDS) as client:
        client.app = gateway.config.app
        client.gateway = gateway
        yield client


@pytest.fixture
def client(request, make_client):
    return request.getfixturevalue("live") if "live" in request.fixturenames else make_client()


def test_events_come_as_they_happen(live, submit, worker):
    job_id = submit()
    with live.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as answer:
        events = read(answer.iter_lines())
        assert next(events)[2]["data"]["to"] == "queued"
        claim = worker.claim()
        assert next(events)[2]["data"]["to"] == "running"
        worker.write("epochs", claim, [(0, {"loss": 1.0}), (1, {"loss": 0.5})])
        assert [next(events)[2]["data"]["epoch"] for _ in range(2)] == [0, 1]
        worker.write("finish", claim, "succeeded")
        assert next(events)[2]["data"]["to"] == "succeeded"
        assert next(events)[1] == "end"
        assert list(events) == []


def test_a_silent_stream_pings(live, submit):
    with live.stream("GET", f"/v1/jobs/{submit()}/events", headers=STREAM) as answer:
        pings = (line for line in answer.iter_lines() if line == ": ping")
        assert [next(pings), next(pings)] == [": ping", ": ping"]


def test_a_client_that_hangs_up_leaves_nothing_behind(live, submit, wiring):
    job_id = submit()
    tag = live.get(f"/v1/jobs/{job_id}").headers["etag"]
    with live.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert wiring.watch.taken["stream"] == 1
    with pytest.raises(httpx.ReadTimeout):
        live.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": tag, "Prefer": "wait=30"}, timeout=0.5)

    until(lambda: wiring.watch.taken == {"stream": 0, "wait": 0})
    until(lambda: wiring.watch._topics == {} and wiring.watch._looking is None)


def test_a_revoked_key_hears_no_more(live, submit, wiring):
    job_id = submit()
    with wiring.sessions.begin() as session:
        key, secret = Keys(session).create("k")
    headers = STREAM | {"Authorization": f"Bearer {secret}"}
    with live.stream("GET", f"/v1/jobs/{job_id}/events", headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ": ping")
        with wiring.sessions.begin() as session:
            Keys(session).revoke(key.id)
        assert "event: end" not in list(lines), "the stream breaks off, for it has not come to its end"


def test_a_gateway_that_ends_lets_its_streams_go(live, submit, wiring):
    with live.stream("GET", f"/v1/jobs/{submit()}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        next(lines)
        began = time.monotonic()
        live.gateway.should_exit = True
        assert "event: end" not in list(lines)
        assert time.monotonic() - began < 5, "it is not cut off after ten seconds"


def test_many_who_watch_many_jobs_cost_one_query_for_their_events(live, submit, worker, wiring, monkeypatch):
    ids = [submit() for _ in range(10)]
    asked, heard = [], []
    events = wiring.streams.events
    monkeypatch.setattr(events, "_read", lambda keys, read=events._read: asked.append(set(keys)) or read(keys))

    def listen(job_id):
        with live.stream("GET", f"/v1/jobs/{job_id}/events", headers=STREAM | {"Last-Event-ID": "1"}) as answer:
            heard.extend((job_id, event[0]) for event in read(answer.iter_lines()))

    threads = [threading.Thread(target=listen, args=(job_id,)) for job_id in ids * 2]
    for thread in threads:
        thread.start()
    until(lambda: wiring.watch.taken["stream"] == 20 and len(wiring.watch._topics) == 10)
    with wiring.sessions.begin() as session:
        from core.jobs import Jobs

        for job_id in ids:
            Jobs(session, "prj_default").cancel(job_id)
    for thread in threads:
        thread.join(DEADLINE_SECONDS)

    assert sorted(heard, key=str) == sorted([(job_id, seq) for job_id in ids for seq in ("2", None)] * 2, key=str)
    assert sum(map(len, asked)) == 10
    assert len(asked) <= 3
