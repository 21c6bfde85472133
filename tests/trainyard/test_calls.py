"""The client's calls, held against the service's own description of itself."""

import asyncio
import inspect
import re

import httpx
import pytest

from api.main import create_app
from core.settings import Settings
from tests.trainyard.test_http import Service
from trainyard import AsyncClient
from trainyard.calls import Resources
from trainyard.errors import Refused, Unreachable

#: Operations that take several requests, or files, have methods of the clients themselves; Prometheus reads its own.
ELSEWHERE = {"put_dataset_content", "put_weights_content", "get_artifact", "get_prometheus"}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("trainyard.asking._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("trainyard.asking._POLL_SECONDS", (0.0, 0.0))


def every_call(tmp_path):
    """Make each call once, and list what was asked."""
    calls = []
    (tmp_path / "file").write_bytes(b"")
    samples = {"file": tmp_path / "file"}
    for resource in vars(Resources(calls.append)).values():
        for _, method in inspect.getmembers(resource, inspect.ismethod):
            if not method.__name__.startswith("_"):
                needed = [each for each in inspect.signature(method).parameters.values() if each.default is each.empty]
                method(*(samples.get(each.name, "some" if each.name.endswith("_id") else {}) for each in needed))
    return calls


def test_every_operation_of_the_service_is_one_call_of_the_client(tmp_path, empty_database):
    app = create_app(Settings(_env_file=None, data_dir=tmp_path, database_url=f"sqlite:///{empty_database}"))
    paths = app.openapi()["paths"]
    theirs = {
        (method.upper(), re.sub(r"\{\w+\}", "some", path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if operation.get("operationId") not in ELSEWHERE
    }
    ours = {(call.method, call.path) for call in every_call(tmp_path)}
    assert {each for each in theirs if "/artifacts/" not in each[1]} == ours


def make(service):
    return AsyncClient("http://there:1", transport=httpx.MockTransport(service))


def test_the_async_client_makes_the_same_calls_and_tries_again_with_the_same_key():
    service = Service(httpx.ReadError("gone"), httpx.Response(201, json={"id": "job_1"}))

    async def submit():
        async with make(service) as client:
            return await client.jobs.create({"seed": 1})

    assert asyncio.run(submit()) == {"id": "job_1"}
    first, second = service.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert first.content == second.content == b'{"seed":1}'


def test_steps_are_sent_without_a_key_for_their_numbers_say_which_they_are():
    service = Service(httpx.ReadError("gone"), httpx.Response(200, json={"next": 4}), httpx.Response(200, json={}))

    async def step():
        async with make(service) as client:
            sent = await client.jobs.send_steps("job_1", 3, [{"close": {}}], wait_seconds=5)
            return sent, await client.jobs.steps("job_1", after=2, limit=1)

    assert asyncio.run(step()) == ({"next": 4}, {})
    first, second, read = service.requests
    assert first.content == second.content == b'{"first":3,"steps":[{"close":{}}]}'
    assert "Idempotency-Key" not in first.headers
    assert (first.headers["Prefer"], read.url.query) == ("wait=5", b"after=2&limit=1")


def test_the_async_client_watches_a_job_to_its_end():
    service = Service(
        httpx.Response(200, json={"state": "queued"}, headers={"ETag": '"1"'}),
        httpx.ConnectError("away"),
        httpx.Response(304),
        httpx.Response(200, json={"state": "failed"}, headers={"ETag": '"2"'}),
    )

    async def states():
        async with make(service) as client:
            return [job["state"] async for job in client.watch("job_1")]

    assert asyncio.run(states()) == ["queued", "failed"]


def test_the_async_client_refuses_as_the_other_does():
    service = Service(httpx.Response(404, json={"title": "There is no such thing"}), httpx.ConnectError("refused"))

    async def ask():
        async with make(service) as client:
            with pytest.raises(Refused, match="no such thing"):
                await client.datasets.get("ds_1")
        async with make(service) as client:
            with pytest.raises(Unreachable, match="there:1"):
                await client.system.health()

    asyncio.run(ask())


def test_the_async_client_sends_files_whole(tmp_path):
    path = tmp_path / "points.npz"
    path.write_bytes(b"x" * 100_000)
    service = Service(httpx.ReadError("gone"), httpx.Response(201, json={"id": "ds_1"}))

    async def upload():
        async with make(service) as client:
            return await client.datasets.create(path)

    assert asyncio.run(upload()) == {"id": "ds_1"}
    assert all(b"x" * 100_000 in request.content for request in service.requests)


def test_a_service_that_has_answered_before_is_waited_for():
    service = Service(
        httpx.Response(200, json={"status": "ok"}), *[httpx.ConnectError("away")] * 9, httpx.Response(200, json={})
    )

    async def twice():
        async with make(service) as client:
            await client.system.health()
            return await client.jobs.get("job_1")

    assert asyncio.run(twice()) == {}
    assert service.answers == []
