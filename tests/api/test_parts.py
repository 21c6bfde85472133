"""Large uploads to S3, in parts that each have a URL of their own."""

import hashlib

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from core.buckets import MAX_PARTS
from core.errors import BadDataset
from core.tables import Dataset, Upload
from core.uploads import DATASETS, Uploads
from tests.api.conftest import npz
from tests.servers.seaweed import ON_S3, s3_url, seaweed  # noqa: F401
from worker.sweeper import Sweeper

pytestmark = ON_S3

PART = 5 * 2**20
X = np.arange(1_400_000, dtype="float32")
CONTENT = npz(x=X)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def client(make_client, s3_url):  # noqa: F811
    return make_client(storage_url=s3_url, upload_multipart_bytes=PART, upload_part_bytes=PART)


@pytest.fixture
def announced(client):
    body = {"name": "d", "format": "npz", "bytes": len(CONTENT), "sha256": SHA256}
    answer = client.post("/v1/datasets", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture
def send():
    """Send the parts of a file; return what proves it."""

    def send(announced, content=CONTENT, numbers=None):
        upload, proofs = announced["upload"], []
        for part in upload["parts"]:
            if numbers is None or part["number"] in numbers:
                start = (part["number"] - 1) * upload["part_bytes"]
                piece = content[start : start + upload["part_bytes"]]
                answer = httpx.request(part["method"], part["url"], content=piece, headers=part["headers"])
                assert answer.is_success, answer.text
                proofs.append({"number": part["number"], "etag": answer.headers["etag"]})
        return proofs

    return send


@pytest.fixture
def complete(client, announced):
    def complete(**body):
        return client.post(f"/v1/datasets/{announced['id']}/complete", **({"json": body} if body else {}))

    return complete


def test_a_large_file_comes_in_parts_and_becomes_a_dataset(client, announced, send, complete, wiring, look):
    upload = announced["upload"]
    assert [part["number"] for part in upload["parts"]] == [1, 2]
    assert upload["part_bytes"] == PART
    assert "url" not in upload

    answer = complete(parts=send(announced))

    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["state"], body["sha256"], body["bytes"]) == ("ready", SHA256, len(CONTENT))
    assert body["arrays"] == {"x": {"shape": [len(X)], "dtype": "float32"}}
    (blob,) = look(select(Dataset.blob))
    assert wiring.blobs.read(blob) == CONTENT
    assert [found.key for found in wiring.blobs.page("projects", "", 10)] == [blob]
    assert complete(parts=[]).json() == body, "once it is ready nothing is asked of it"


def test_a_part_that_is_missing_can_still_be_sent(announced, send, complete, problem):
    first = send(announced, numbers=[1])
    told = problem(complete(parts=[*first, {"number": 2, "etag": "x"}]), 409)
    assert "Part 2 of 2" in told["detail"]
    assert complete(parts=first + send(announced, numbers=[2])).status_code == 200


@pytest.mark.parametrize(
    ("spoil", "pointer", "words"),
    [
        (lambda parts: parts[:1], "/parts", "Part 2 of 2 is not named"),
        (lambda parts: [*parts, parts[0]], "/parts/2/number", "twice"),
        (lambda parts: [*parts, {"number": 3, "etag": "x"}], "/parts/2/number", "none of 1 to 2"),
        (lambda parts: [parts[1] | {"number": 1}, parts[0] | {"number": 2}], "/parts/0/etag", "ETag"),
        (lambda parts: [parts[0] | {"number": 0}], "/parts/0/number", "greater than or equal to 1"),
        (lambda parts: [{"number": 1}], "/parts/0/etag", "required"),
    ],
)
def test_parts_must_be_named_as_they_are(spoil, pointer, words, announced, send, complete, problem):
    parts = send(announced)
    assert words in problem(complete(parts=spoil(parts)), 422, pointer)["detail"]
    assert complete(parts=parts).status_code == 200, "and can then be named rightly"


def test_without_a_word_about_the_parts_nothing_is_joined(announced, send, complete, problem):
    send(announced)
    problem(complete(), 422, "/parts")


def test_other_bytes_end_the_upload_for_good(client, announced, send, complete, problem, wiring, look):
    parts = send(announced, bytes(len(CONTENT)))
    told = problem(complete(parts=parts), 422)
    assert SHA256 in told["detail"]
    problem(complete(parts=parts), 410)


def test_a_completion_whose_answer_was_lost_is_made_up_for(announced, send, complete, monkeypatch):
    parts = send(announced)
    with monkeypatch.context() as broken:
        broken.setattr("api.arrivals.service.Arrivals._inspected", lambda *_: (_ for _ in ()).throw(KeyError("killed")))
        with pytest.raises(KeyError):
            complete(parts=parts)
    assert complete(parts=parts).json()["state"] == "ready"


def test_a_refused_file_is_swept_up(announced, send, complete, wiring, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("api.datasets.service.inspect", lambda *_: (_ for _ in ()).throw(BadDataset("damaged")))
        assert complete(parts=send(announced)).status_code == 422
    sweep(wiring)
    assert wiring.blobs.page("projects", "", 10) == []


def test_an_upload_that_never_ends_is_swept_with_its_parts(client, announced, send, wiring, look, problem):
    send(announced, numbers=[1])
    assert len(wiring.bucket.begun("projects")) == 1
    with wiring.sessions.begin() as session:
        Uploads(session, "prj_default", DATASETS).give_up(announced["id"])

    sweep(wiring)

    assert wiring.bucket.begun("projects") == []
    assert look(select(Upload)) == look(select(Dataset)) == []
    problem(client.get(f"/v1/datasets/{announced['id']}"), 404)


def test_a_deleted_upload_leaves_no_parts(client, announced, send, wiring):
    send(announced, numbers=[1])
    assert client.delete(f"/v1/datasets/{announced['id']}").status_code == 204
    assert wiring.bucket.begun("projects") == []


def test_an_announcement_that_is_rolled_back_leaves_no_parts(client, wiring, monkeypatch):
    def fail(*_):
        raise KeyError("no room")

    monkeypatch.setattr("core.uploads.Uploads.announce", fail)
    with pytest.raises(KeyError):
        client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": 2 * PART})
    assert wiring.bucket.begun("projects") == []


def test_a_huge_file_has_larger_parts_and_not_more_of_them(make_client, s3_url):  # noqa: F811
    client = make_client(storage_url=s3_url, max_upload_bytes=2**50)
    upload = client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": 2**40}).json()["upload"]
    assert len(upload["parts"]) <= MAX_PARTS
    sizes = [int(part["headers"]["Content-Length"]) for part in upload["parts"]]
    assert sum(sizes) == 2**40
    assert set(sizes[:-1]) == {upload["part_bytes"]}


def sweep(wiring):
    """What a worker does every few seconds."""
    Sweeper(wiring.settings, wiring.sessions, wiring.queue, wiring.blobs).look()
