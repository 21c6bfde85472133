"""Uploads that do not pass through the gateway: announced, sent to the storage, completed."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select, update

from api.datasets import service
from core.blobs import StorageFailed, upload_key
from core.database import db_now
from core.ids import DEFAULT_PROJECT
from core.keys import Keys
from core.tables import Dataset, Upload
from tests.api.conftest import COMPILE, npz, softmax_model
from tests.servers.seaweed import ON_S3, s3_url, seaweed, storage_url  # noqa: F401

CONTENT = npz(x=np.arange(48, dtype="float32").reshape(12, 4), y=np.eye(3, dtype="float32")[np.arange(12) % 3])
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def client(make_client, storage_url):  # noqa: F811
    """A gateway on either storage."""
    return make_client(storage_url=storage_url)


@pytest.fixture
def blobs(wiring):
    return wiring.blobs


@pytest.fixture
def announce(client):
    def announce(content=CONTENT, **values):
        body = {"name": "d", "format": "npz", "bytes": len(content)} | values
        answer = client.post("/v1/datasets", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return announce


@pytest.fixture
def complete(client):
    def complete(dataset, **body):
        return client.post(f"/v1/datasets/{dataset['id']}/complete", **({"json": body} if body else {}))

    return complete


@pytest.fixture
def stored(blobs):
    """List what is in the storage, and in the spool."""
    return lambda: [found.key for found in blobs.page("projects", "", 100)]


@pytest.fixture
def run_out(wiring):
    def run_out(dataset):
        with wiring.sessions.begin() as session:
            session.execute(update(Upload).where(Upload.dataset_id == dataset["id"]).values(expires_at=db_now(-1)))

    return run_out


def test_an_announced_file_is_sent_and_becomes_a_dataset_like_any_other(
    client, announce, send, complete, stored, look, spooled
):
    announced = announce(sha256=SHA256)
    assert (announced["state"], announced["arrays"], announced["sha256"]) == ("awaiting_upload", {}, SHA256)
    assert announced["upload"]["expires_at"] > announced["created_at"]
    assert client.get(f"/v1/datasets/{announced['id']}").json()["state"] == "awaiting_upload"

    assert send(announced["upload"], CONTENT).is_success
    answer = complete(announced)

    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["state"], body["bytes"], body["sha256"]) == ("ready", len(CONTENT), SHA256)
    direct = client.post("/v1/datasets", files={"file": ("d.npz", CONTENT)}).json()
    assert {key: body[key] for key in body if key not in ("id", "created_at")} == {
        key: direct[key] for key in direct if key not in ("id", "created_at")
    }
    assert client.get(f"/v1/datasets/{announced['id']}").json() == body
    assert look(select(Upload)) == []
    assert sorted(stored()) == sorted(look(select(Dataset.blob))), "what it was sent to is gone"
    assert spooled() == []


def test_what_is_not_told_is_not_known_until_the_bytes_are_there(announce, send, complete):
    announced = announce()
    assert announced["sha256"] is None
    send(announced["upload"], CONTENT)
    assert complete(announced).json()["sha256"] == SHA256


def test_a_job_can_be_submitted_once_the_file_is_there_and_not_before(client, announce, send, complete, problem):
    announced = announce()
    x, y = f"{announced['id']}/x", f"{announced['id']}/y"
    job = {"model": softmax_model(), "compile": COMPILE, "fit": {"x": x, "y": y, "nb_epoch": 1}}

    told = problem(client.post("/v1/jobs", json=job), 422)
    assert told["errors"][0]["pointer"] == "/fit/x"
    assert "awaiting_upload" in told["detail"]

    send(announced["upload"], CONTENT)
    complete(announced)
    assert client.post("/v1/jobs", json=job).status_code == 201


def test_a_file_that_was_not_sent_is_not_complete(announce, complete, problem, send):
    announced = announce()
    assert problem(complete(announced), 409)["type"].endswith("upload-incomplete")
    send(announced["upload"], CONTENT)
    assert complete(announced).status_code == 200


def test_a_completed_upload_may_be_completed_again(announce, send, complete, stored):
    announced = announce()
    send(announced["upload"], CONTENT)
    first = complete(announced)
    assert complete(announced).json() == first.json()
    assert len(stored()) == 1


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_of_two_who_complete_at_once_both_hear_the_same_and_one_blob_is_kept(
    announce, send, complete, stored, look, monkeypatch
):
    announced = announce()
    send(announced["upload"], CONTENT)
    both, inspect = threading.Barrier(2), service.inspect
    monkeypatch.setattr(service, "inspect", lambda *file: both.wait(20) >= 0 and inspect(*file))

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: complete(announced), range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert stored() == look(select(Dataset.blob))


def test_the_storage_takes_only_so_many_bytes_as_were_announced(announce, send, complete, problem, stored):
    announced = announce()
    longer = CONTENT + b"x"
    answer = send(announced["upload"] | {"headers": {"Content-Length": str(len(longer))}}, longer)
    assert answer.is_client_error
    problem(complete(announced), 409)
    assert stored() == []


def test_bytes_that_are_not_the_announced_ones_are_refused_with_both_hashes(
    announce, send, complete, problem, stored, blobs
):
    announced = announce(sha256=SHA256)
    other = bytes(reversed(CONTENT))
    # Put past every check, as into a storage that does not look.
    blobs.put(upload_key(DEFAULT_PROJECT, announced["id"]), other)

    detail = problem(complete(announced), 422)["detail"]

    assert SHA256 in detail
    assert hashlib.sha256(other).hexdigest() in detail
    assert len(stored()) == 1, "no copy is left"
    send(announced["upload"], CONTENT)
    assert complete(announced).status_code == 200, "better bytes may still come"


def test_a_wrong_size_is_refused_with_both_sizes(announce, complete, problem, blobs):
    announced = announce()
    blobs.put(upload_key(DEFAULT_PROJECT, announced["id"]), b"123")
    detail = problem(complete(announced), 422)["detail"]
    assert "has 3 bytes" in detail
    assert f"{len(CONTENT):,} were announced" in detail


def test_a_bad_file_is_refused_as_it_is_when_sent_directly(client, announce, send, complete, problem, stored):
    content = CONTENT[:-40]
    announced = announce(content)
    send(announced["upload"], content)
    direct = problem(client.post("/v1/datasets", files={"file": ("d.npz", content)}), 422)
    assert problem(complete(announced), 422)["detail"] == direct["detail"]
    assert client.get(f"/v1/datasets/{announced['id']}").json()["state"] == "awaiting_upload"


def test_what_is_kept_is_what_was_looked_at(announce, send, complete, blobs, look):
    """The URL is good for longer than the upload takes: nothing that comes by it later changes the dataset."""
    announced = announce()
    send(announced["upload"], CONTENT)
    complete(announced)

    send(announced["upload"], bytes(reversed(CONTENT)))

    (blob,) = look(select(Dataset.blob))
    assert blobs.read(blob) == CONTENT


def test_an_upload_that_took_too_long_is_over(announce, send, complete, problem, run_out):
    announced = announce()
    send(announced["upload"], CONTENT)
    run_out(announced)
    assert announced["id"] in problem(complete(announced), 410)["detail"]


def test_an_upload_may_be_deleted_before_and_after_it_is_sent(client, announce, send, complete, problem, stored):
    for is_sent in (False, True):
        announced = announce()
        if is_sent:
            send(announced["upload"], CONTENT)
        assert client.delete(f"/v1/datasets/{announced['id']}").status_code == 204
        problem(complete(announced), 404)
        assert stored() == []


def test_an_announcement_sent_again_with_its_key_is_one(client, look):
    body = {"name": "d", "format": "npz", "bytes": 9}
    sent = [client.post("/v1/datasets", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert sent[0].json() == sent[1].json()
    assert look(select(func.count()).select_from(Dataset)) == [1]


def test_the_answer_to_a_completion_is_kept_by_its_key(client, announce, send):
    announced = announce()
    send(announced["upload"], CONTENT)
    sent = [client.post(f"/v1/datasets/{announced['id']}/complete", headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert sent[0].json() == sent[1].json()
    assert sent[1].headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize(
    ("values", "status", "pointer"),
    [
        ({"bytes": 0}, 422, "/bytes"),
        ({"bytes": -1}, 422, "/bytes"),
        ({"bytes": "9"}, 422, "/bytes"),
        ({"bytes": 10**13}, 413, "/bytes"),
        ({"name": ""}, 422, "/name"),
        ({"name": "a\x07"}, 422, "/name"),
        ({"name": "n" * 201}, 422, "/name"),
        ({"format": "exe"}, 415, None),
        ({"sha256": "0"}, 422, "/sha256"),
        ({"sha256": "G" * 64}, 422, "/sha256"),
        ({"size": 9}, 422, "/size"),
    ],
)
@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_bad_announcement_is_refused_and_nothing_is_kept(values, status, pointer, client, problem, look):
    body = {"name": "d", "format": "npz", "bytes": 9} | values
    problem(client.post("/v1/datasets", json=body), status, pointer)
    assert look(select(Dataset)) == []


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_another_project_sees_nothing_of_an_upload(client, announce, send, complete, problem, wiring):
    announced = announce()
    with wiring.sessions.begin() as session:
        _, secret = Keys(session).create("other", "another-team")
    client.headers["Authorization"] = f"Bearer {secret}"
    problem(complete(announced), 404)
    problem(send(announced["upload"], CONTENT), 404)


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_file_sent_to_the_gateway_is_counted_and_hashed_on_its_way(announce, send, problem, stored, spooled):
    announced = announce(sha256=SHA256)
    chunked = announced["upload"] | {"headers": {}}

    assert "were announced" in problem(send(chunked, CONTENT[:-1]), 422)["detail"]
    assert "more come" in problem(send(chunked, iter([CONTENT, b"x"])), 413)["detail"]
    assert "has 5 bytes" in problem(send(chunked, iter([b"short"])), 422)["detail"]
    assert SHA256 in problem(send(chunked, bytes(reversed(CONTENT))), 422)["detail"]
    assert stored() == []
    assert spooled() == []

    answer = send(chunked, CONTENT)
    assert (answer.status_code, answer.headers["etag"]) == (204, f'"{SHA256}"')


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_file_nobody_waits_for_is_not_taken(client, announce, send, complete, problem, run_out):
    announced = announce()
    send(announced["upload"], CONTENT)
    complete(announced)
    problem(send(announced["upload"], CONTENT), 409)
    late = announce()
    run_out(late)
    problem(send(late["upload"], CONTENT), 410)
    problem(client.put("/v1/datasets/ds_none/content", content=b"1"), 404)


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_parts_are_for_those_who_were_given_some(announce, send, complete, problem):
    announced = announce()
    send(announced["upload"], CONTENT)
    problem(complete(announced, parts=[{"number": 1, "etag": "e"}]), 422, "/parts")


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_storage_that_fails_while_an_upload_is_looked_at_leaves_it_as_it_was(
    announce, send, complete, problem, blobs, stored, monkeypatch
):
    announced = announce()
    send(announced["upload"], CONTENT)
    with monkeypatch.context() as broken:
        broken.setattr(blobs, "get_file", lambda *_: (_ for _ in ()).throw(StorageFailed("down")))
        problem(complete(announced), 503)
    assert len(stored()) == 1
    assert complete(announced).status_code == 200


def test_a_store_that_is_down_is_worth_another_try(make_client, monkeypatch, problem):
    for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "ENDPOINT_URL": "http://127.0.0.1:1",
                        "ALLOW_HTTP": "true", "REGION": "us-east-1"}.items():  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    client = make_client(storage_url="s3://bucket", upload_multipart_bytes=100)

    problem(client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": 101}), 503)
    assert client.get("/v1/datasets").json()["items"] == []

    one = client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": 100}).json()
    answer = client.post(f"/v1/datasets/{one['id']}/complete")
    problem(answer, 503)
    assert "127.0.0.1:1" not in answer.text


@ON_S3
def test_where_the_store_is_not_for_clients_all_goes_through_the_gateway(make_client, s3_url):  # noqa: F811
    client = make_client(storage_url=s3_url, storage_presign=False)
    announced = client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": len(CONTENT)}).json()
    assert announced["upload"]["url"] == f"{client.base_url}/v1/datasets/{announced['id']}/content"
    assert client.put(announced["upload"]["url"], content=CONTENT).status_code == 204
    assert client.post(f"/v1/datasets/{announced['id']}/complete").json()["state"] == "ready"


@ON_S3
def test_clients_get_the_address_that_is_theirs(make_client, s3_url, seaweed):  # noqa: F811
    client = make_client(storage_url=s3_url, storage_public_url=f"http://localhost:{seaweed.port}")
    announced = client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": len(CONTENT)}).json()
    upload = announced["upload"]
    assert upload["url"].startswith(f"http://localhost:{seaweed.port}/trainyard/")
    assert httpx.put(upload["url"], content=CONTENT, headers=upload["headers"]).is_success
    assert client.post(f"/v1/datasets/{announced['id']}/complete").json()["state"] == "ready"


@ON_S3
@pytest.mark.parametrize("change", [("X-Amz-Expires=", "X-Amz-Expires=9"), ("uploads/ds_", "uploads/xx_")])
def test_a_signed_url_is_good_for_what_was_signed_alone(make_client, s3_url, change):  # noqa: F811
    client = make_client(storage_url=s3_url, upload_expire_seconds=timedelta(hours=1).total_seconds())
    upload = client.post("/v1/datasets", json={"name": "d", "format": "npz", "bytes": 3}).json()["upload"]
    answer = httpx.put(upload["url"].replace(*change), content=b"123", headers=upload["headers"])
    assert answer.status_code == 403
