"""Large files on their way: announced, sent to the storage without our key, and fetched from it."""

import hashlib
import io

import httpx
import pytest
from rich.console import Console

from tests.trainyard.test_http import listed, make_client
from trainyard import follow
from trainyard.errors import BadFile, Refused, TrainyardError, Unreachable

HERE = "http://127.0.0.1:8000"
STORE = "http://store:9000/bucket/key?X-Amz-Signature=abc"


@pytest.fixture(autouse=True)
def small_scale(monkeypatch):
    """What is large here is ten bytes."""
    monkeypatch.setattr("trainyard.http.ANNOUNCED_BYTES", 9)
    monkeypatch.setattr("trainyard.transfers._CHUNK", 4)
    monkeypatch.setattr("trainyard.transfers._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("trainyard.asking._PAUSE_SECONDS", 0.0)
    monkeypatch.delenv("TRAINYARD_URL", raising=False)
    monkeypatch.setenv("TRAINYARD_API_KEY", "ty_secret")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"0123456789")
    return path


class Service:
    """A gateway and a storage: answers by method and path, and keeps the requests."""

    def __init__(self, upload):
        self.upload = upload
        self.answers = {}
        self.requests = []

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        told = self.answers.get((request.method, request.url.path))
        if told:
            answer = told.pop(0) if isinstance(told, list) else told
            if isinstance(answer, Exception):
                raise answer
            return answer
        if request.url.path in ("/v1/datasets", "/v1/weights"):
            return httpx.Response(201, json={"id": "ds_1", "upload": self.upload})
        if request.method == "PUT":
            return httpx.Response(200, headers={"ETag": f'"of-{request.content.decode()}"'})
        return httpx.Response(200, json={"id": "ds_1", "state": "ready", "arrays": {}})

    def sent(self, method):
        return [request for request in self.requests if request.method == method]


ONE = {"method": "PUT", "url": STORE, "headers": {"Content-Length": "10"}}
PARTS = {
    "part_bytes": 4,
    "parts": [
        {"number": number, "method": "PUT", "url": f"{STORE}&n={number}", "headers": {"Content-Length": str(size)}}
        for number, size in ((1, 4), (2, 4), (3, 2))
    ],
}


def test_a_large_file_is_announced_sent_to_the_storage_and_completed(path):
    service, told = Service(ONE), []
    with make_client(service) as client:
        assert client.upload(path, moved=told.append)["state"] == "ready"

    announced, put, completed = service.requests
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    assert announced.read() == httpx.Request(
        "POST", HERE, json={"name": "numbers", "format": "npz", "bytes": 10, "sha256": sha256}
    ).read()  # fmt: skip
    assert (str(put.url), put.content, put.headers["content-length"]) == (STORE, b"0123456789", "10")
    assert "transfer-encoding" not in put.headers, "a signed length allows no chunks"
    assert completed.url.path == "/v1/datasets/ds_1/complete"
    assert told == [4, 8, 10]


def test_the_storage_never_sees_the_key(path, tmp_path):
    service = Service(ONE)
    service.answers["GET", "/v1/jobs/job_1/artifacts/w.h5"] = httpx.Response(303, headers={"Location": STORE})
    service.answers["GET", "/bucket/key"] = httpx.Response(200, content=b"weights")
    with make_client(service) as client:
        client.upload(path)
        client.download("job_1", listed("w.h5", b"weights"), tmp_path)

    for request in service.requests:
        assert ("authorization" in request.headers) == (request.url.host == "127.0.0.1")
    assert (tmp_path / "w.h5").read_bytes() == b"weights"


def test_a_file_in_parts_sends_each_stretch_and_proves_them(path):
    service, told = Service(PARTS), []
    with make_client(service) as client:
        client.upload(path, moved=told.append)

    assert [put.content for put in service.sent("PUT")] == [b"0123", b"4567", b"89"]
    assert b'{"number":2,"etag":"\\"of-4567\\""}' in service.requests[-1].content
    assert told == [4, 8, 10]


@pytest.mark.parametrize("trouble", [httpx.ReadError("gone"), httpx.Response(503), httpx.Response(500)])
def test_a_part_that_breaks_off_is_sent_again_whole(trouble, path):
    service = Service(PARTS)
    service.answers["PUT", "/bucket/key"] = [trouble]
    with make_client(service) as client:
        assert client.upload(path)["state"] == "ready"
    assert [put.content for put in service.sent("PUT")] == [b"0123", b"0123", b"4567", b"89"]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(403, text="<Code>AccessDenied</Code>"), Refused, "AccessDenied"),
        (httpx.ConnectError("refused"), Unreachable, "cannot be sent to store"),
        (httpx.Response(200), TrainyardError, "did not say its ETag"),
    ],
)
def test_an_upload_that_cannot_be_ends_as_an_error_and_is_taken_back(answer, error, words, path):
    service = Service(PARTS)
    service.answers["PUT", "/bucket/key"] = [answer] * 4
    with make_client(service) as client, pytest.raises(error, match=words):
        client.upload(path)
    assert service.requests[-1].method == "DELETE"
    assert service.requests[-1].url.path == "/v1/datasets/ds_1"


def test_weights_that_cannot_be_sent_are_taken_back_too(path):
    service = Service(ONE)
    service.answers["PUT", "/bucket/key"] = [httpx.Response(403, text="<Code>AccessDenied</Code>")]
    with make_client(service) as client, pytest.raises(Refused, match="AccessDenied"):
        client.upload_weights(path.rename(path.with_suffix(".h5")))
    assert (service.requests[-1].method, service.requests[-1].url.path) == ("DELETE", "/v1/weights/ds_1")


@pytest.mark.parametrize("base", [HERE, "https://behind-a-proxy.example"])
def test_a_gateway_that_takes_the_file_itself_gets_it_where_we_know_it_with_the_key(base, path):
    service = Service({"method": "PUT", "url": f"{base}/v1/datasets/ds_1/content", "headers": {}})
    with make_client(service) as client:
        client.upload(path)
    (put,) = service.sent("PUT")
    assert str(put.url) == f"{HERE}/v1/datasets/ds_1/content"
    assert (put.headers["authorization"], put.headers["content-length"]) == ("Bearer ty_secret", "10")


def test_a_small_file_goes_directly(path):
    path.write_bytes(b"012345678")
    service = Service(ONE)
    with make_client(service) as client:
        client.upload(path)
    (request,) = service.requests
    assert request.headers["content-type"].startswith("multipart/form-data")


def test_a_file_that_cannot_be_read_is_named(path, monkeypatch):
    monkeypatch.setattr(type(path), "open", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with make_client(Service(ONE)) as client, pytest.raises(BadFile, match=r"numbers\.npz: Permission denied"):
        client.upload(path)


def test_a_storage_that_refuses_a_download_leaves_no_file(tmp_path):
    service = Service(ONE)
    service.answers["GET", "/v1/jobs/job_1/artifacts/w.h5"] = httpx.Response(303, headers={"Location": STORE})
    service.answers["GET", "/bucket/key"] = httpx.Response(403, text="<Code>ExpiredToken</Code>")
    with make_client(service) as client, pytest.raises(Refused, match="ExpiredToken"):
        client.download("job_1", listed("w.h5", b""), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_shows_a_bar_for_parts_too(path):
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with make_client(Service(PARTS)) as client:
        follow.upload(client, console, path)
    assert "Uploading numbers.npz" in console.file.getvalue()
