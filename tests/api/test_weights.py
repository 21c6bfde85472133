"""Weights that do not pass through the gateway: announced, sent to the storage, completed."""

import hashlib
import json
import struct

import numpy as np
import pytest
from sqlalchemy import select, update

from core.database import db_now
from core.keys import Keys
from core.tables import JobWeights, WeightsFile, WeightsUpload
from core.uploads import expire
from tests.servers.seaweed import ON_S3, s3_url, seaweed, storage_url  # noqa: F401

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEAD = json.dumps({"W": ENTRY}).encode()
CONTENT = struct.pack("<Q", len(HEAD)) + HEAD + bytes(8)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(len(CONTENT) - 8)


@pytest.fixture
def client(make_client, storage_url):  # noqa: F811
    """A gateway on either storage."""
    return make_client(storage_url=storage_url)


@pytest.fixture
def announce(client):
    def announce(content=CONTENT, **values):
        body = {"format": "safetensors", "bytes": len(content)} | values
        answer = client.post("/v1/weights", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    return announce


@pytest.fixture
def complete(client):
    def complete(weights, **body):
        return client.post(f"/v1/weights/{weights['id']}/complete", **({"json": body} if body else {}))

    return complete


@pytest.fixture
def stored(wiring):
    return lambda: [found.key for found in wiring.blobs.page("projects", "", 100)]


def test_announced_weights_are_sent_and_become_weights_like_any_other(
    client, announce, send, complete, stored, look, spooled, wiring
):
    announced = announce(sha256=SHA256, name="start", kernels="theano")
    assert (announced["state"], announced["sha256"]) == ("awaiting_upload", SHA256)
    assert announced["upload"]["expires_at"] > announced["created_at"]
    assert client.get(f"/v1/weights/{announced['id']}").json()["state"] == "awaiting_upload"

    assert send(announced["upload"], CONTENT).is_success
    answer = complete(announced)

    body = answer.json()
    assert answer.status_code == 200, answer.text
    assert (body["state"], body["bytes"], body["sha256"]) == ("ready", len(CONTENT), SHA256)
    fields = {"name": "start", "kernels": "theano"}
    direct = client.post("/v1/weights", files={"file": ("w", CONTENT)}, data=fields).json()
    assert {key: body[key] for key in body if key not in ("id", "created_at")} == {
        key: direct[key] for key in direct if key not in ("id", "created_at")
    }
    assert client.get(f"/v1/weights/{announced['id']}").json() == complete(announced).json() == body
    assert look(select(WeightsUpload)) == []
    assert sorted(stored()) == sorted(look(select(WeightsFile.blob))), "what it was sent to is gone"
    assert {wiring.blobs.read(key) for key in stored()} == {CONTENT}
    assert spooled() == []


def test_a_job_waits_for_no_weights_but_is_refused_until_they_have_arrived(
    client, announce, send, complete, job_body, problem
):
    announced = announce()
    body = job_body(weights={"id": announced["id"]})
    answer = problem(client.post("/v1/jobs", json=body), 422, "/weights/id")
    assert f"/v1/weights/{announced['id']}/complete" in answer["detail"]
    problem(client.post("/v1/validations", json=body), 422, "/weights/id")

    send(announced["upload"], CONTENT)
    complete(announced)

    assert client.post("/v1/jobs", json=body).status_code == 201


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (None, 409, "has not been uploaded"),
        (HDF5, 422, "is hdf5; safetensors was announced"),
        (b"PK\x03\x04" + bytes(len(CONTENT) - 4), 422, "never read as weights"),
        (b"\x80\x04" + bytes(len(CONTENT) - 2), 422, "neither HDF5"),
    ],
)
def test_weights_that_are_something_else_are_refused_and_may_be_sent_again(
    sent, status, words, announce, send, complete, problem, look, stored
):
    announced = announce()
    if sent:
        assert send(announced["upload"], sent).is_success
    assert words in problem(complete(announced), status)["detail"]
    assert look(select(WeightsFile.state)) == ["awaiting_upload"]

    assert send(announced["upload"], CONTENT).is_success
    assert complete(announced).json()["state"] == "ready"
    assert stored() == look(select(WeightsFile.blob))


def test_other_bytes_than_those_announced_are_refused(announce, send, complete, problem, wiring):
    announced = announce(sha256=hashlib.sha256(b"other").hexdigest())
    sent = send(announced["upload"], CONTENT)
    # A gateway that takes the file itself has hashed it on its way.
    answer = complete(announced) if wiring.bucket else sent
    assert SHA256 in problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("values", "status", "pointer"),
    [
        ({"format": "npz"}, 422, "/format"),
        ({"kernels": "caffe"}, 422, "/kernels"),
        ({"bytes": 0}, 422, "/bytes"),
        ({"bytes": 2**60}, 413, "/bytes"),
        ({"name": ""}, 422, "/name"),
        ({"name": "a\nb"}, 422, "/name"),
        ({"sha256": "x"}, 422, "/sha256"),
        ({"colour": "red"}, 422, "/colour"),
    ],
)
@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_bad_announcement_is_refused_and_nothing_is_kept(values, status, pointer, client, problem, look):
    body = {"format": "safetensors", "bytes": 100} | values
    problem(client.post("/v1/weights", json=body), status, pointer)
    assert look(select(WeightsFile)) == look(select(WeightsUpload)) == []


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_another_project_sees_nothing_of_an_upload(client, announce, problem, wiring):
    announced = announce()
    with wiring.sessions.begin() as session:
        _, secret = Keys(session).create("k", "other")
    headers = {"Authorization": f"Bearer {secret}"}
    path = f"/v1/weights/{announced['id']}"
    problem(client.get(path, headers=headers), 404)
    problem(client.delete(path, headers=headers), 404)
    problem(client.put(f"{path}/content", content=CONTENT, headers=headers), 404)
    problem(client.post(f"{path}/complete", headers=headers), 404)


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_weights_that_never_came_are_given_up(announce, send, complete, problem, wiring, look):
    late, early = announce(), announce()
    send(late["upload"], CONTENT)
    with wiring.sessions.begin() as session:
        over = update(WeightsUpload).where(WeightsUpload.weights_id == late["id"])
        session.execute(over.values(expires_at=db_now(-1)))
    assert "POST /v1/weights" in problem(complete(late), 410)["detail"]

    with wiring.sessions.begin() as session:
        (litter,) = expire(session)

    assert wiring.blobs.read(litter.blob) == CONTENT
    assert look(select(WeightsFile.id)) == look(select(WeightsUpload.weights_id)) == [early["id"]]


def test_weights_are_deleted_with_their_bytes_before_and_after_these_have_come(
    client, announce, send, complete, problem, stored
):
    for steps in ([], [send], [send, complete]):
        announced = announce()
        for step in steps:
            step(announced["upload"], CONTENT) if step is send else step(announced)
        path = f"/v1/weights/{announced['id']}"
        assert client.delete(path).status_code == 204
        problem(client.get(path), 404)
        problem(client.delete(path), 404)
        problem(complete(announced), 404)
        assert stored() == []


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_weights_that_a_live_job_starts_from_stay_until_it_has_ended(client, job_body, problem):
    weights_id = client.post("/v1/weights", files={"file": ("w", CONTENT)}).json()["id"]
    job_id = client.post("/v1/jobs", json=job_body(weights={"id": weights_id})).json()["id"]

    refusal = problem(client.delete(f"/v1/weights/{weights_id}"), 409)
    assert (refusal["type"], refusal["job_id"]) == ("/problems/weights-in-use", job_id)

    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/weights/{weights_id}").status_code == 204
    problem(client.post("/v1/jobs", json=job_body(weights={"id": weights_id})), 422, "/weights/id")


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_a_job_that_takes_up_another_ones_weights_holds_no_file(trained, client, job_body, look):
    assert client.post("/v1/jobs", json=job_body(weights={"job": trained})).status_code == 201
    assert look(select(JobWeights)) == []


PART = 5 * 2**20


@pytest.mark.parametrize("storage_url", [pytest.param("s3", marks=ON_S3)], indirect=True)
def test_large_weights_come_in_parts(make_client, storage_url, send, look):  # noqa: F811
    client = make_client(storage_url=storage_url, upload_multipart_bytes=PART, upload_part_bytes=PART)
    head = json.dumps({"W": {"dtype": "F32", "shape": [PART // 2], "data_offsets": [0, PART * 2]}}).encode()
    content = struct.pack("<Q", len(head)) + head + np.arange(PART // 2, dtype="float32").tobytes()
    announced = client.post("/v1/weights", json={"format": "safetensors", "bytes": len(content)}).json()
    upload, proofs = announced["upload"], []
    assert "upload_id" not in upload
    for part in upload["parts"]:
        start = (part["number"] - 1) * PART
        answer = send({"method": "PUT"} | part, content[start : start + PART])
        proofs.append({"number": part["number"], "etag": answer.headers["etag"]})

    done = client.post(f"/v1/weights/{announced['id']}/complete", json={"parts": proofs})

    assert (done.status_code, done.json()["state"], len(proofs)) == (200, "ready", 3)
    assert done.json()["sha256"] == hashlib.sha256(content).hexdigest()
    assert client.app.state.wiring.bucket.begun("projects") == []


@pytest.mark.parametrize("storage_url", ["folder"], indirect=True)
def test_the_openapi_document_shows_both_ways(client):
    paths = client.get("/openapi.json").json()["paths"]
    bodies = paths["/v1/weights"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/json", "multipart/form-data"}
    (parameter,) = paths["/v1/weights/{weights_id}/content"]["put"]["parameters"]
    assert (parameter["in"], parameter["name"]) == ("path", "weights_id")
