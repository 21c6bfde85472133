import hashlib
import json

import httpx
import pytest

from trainyard.errors import BadFile, Refused, TrainyardError, Unreachable
from trainyard.http import Client


class Service:
    """Answers from a list, one entry a request, and keeps the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("trainyard.asking._PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("trainyard.asking._POLL_SECONDS", (0.0, 0.0))
    monkeypatch.delenv("TRAINYARD_URL", raising=False)
    monkeypatch.delenv("TRAINYARD_API_KEY", raising=False)


def make_client(service, **arguments):
    return Client(transport=httpx.MockTransport(service), **arguments)


def job(state, **more):
    return {"id": "job_1", "state": state} | more


def test_a_job_whose_answer_was_lost_is_asked_for_again_with_the_same_key():
    service = Service(httpx.ReadError("gone"), httpx.Response(201, json=job("queued")))
    with make_client(service) as client:
        assert client.jobs.create({"seed": 1}) == job("queued")

    first, second = service.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert json.loads(second.content) == {"seed": 1}


def test_two_submissions_have_two_keys():
    service = Service(*[httpx.Response(201, json=job("queued"))] * 2)
    with make_client(service) as client:
        client.jobs.create({})
        client.jobs.create({})

    assert len({request.headers["Idempotency-Key"] for request in service.requests}) == 2


def test_a_service_that_is_busy_is_asked_again_but_not_for_ever():
    service = Service(*[httpx.Response(503, json={"title": "Busy"})] * 10)
    with make_client(service) as client, pytest.raises(Refused, match=r"Busy \(503\)"):
        client.jobs.get("job_1")

    assert len(service.requests) == 4


def test_a_refusal_shows_each_pointer_and_detail_once():
    problem = {
        "title": "The model cannot be built",
        "detail": "output_dim is -3; it must be positive.",
        "errors": [{"pointer": "/model/config/0", "detail": "output_dim is -3; it must be positive."}],
    }
    service = Service(httpx.Response(422, json=problem))
    with make_client(service) as client, pytest.raises(Refused) as refusal:
        client.jobs.create({})

    assert str(refusal.value).splitlines() == [
        "The model cannot be built (422)",
        "  /model/config/0: output_dim is -3; it must be positive.",
    ]


def test_an_answer_that_is_no_problem_is_still_a_refusal():
    service = Service(httpx.Response(502, text="<html>bad gateway"))
    with make_client(service) as client, pytest.raises(Refused, match="bad gateway"):
        client.jobs.get("job_1")


def test_nobody_there_says_where_it_looked_and_what_to_do():
    service = Service(httpx.ConnectError("refused"))
    with make_client(service, url="http://there:1") as client, pytest.raises(Unreachable) as error:
        client.jobs.get("job_1")

    assert "http://there:1" in str(error.value)
    assert "trainyard up" in str(error.value)


def test_the_key_and_the_address_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("TRAINYARD_URL", "http://there:1/")
    monkeypatch.setenv("TRAINYARD_API_KEY", "ty_secret")
    service = Service(httpx.Response(200, json=job("queued")))
    with make_client(service) as client:
        client.jobs.get("job_1")

    assert str(service.requests[0].url) == "http://there:1/v1/jobs/job_1"
    assert service.requests[0].headers["Authorization"] == "Bearer ty_secret"


def test_watching_asks_only_for_what_changed_and_stops_at_the_end():
    service = Service(
        httpx.Response(200, json=job("queued"), headers={"ETag": '"1"'}),
        httpx.Response(304),
        httpx.Response(200, json=job("succeeded"), headers={"ETag": '"2"'}),
    )
    with make_client(service) as client:
        seen = [job["state"] for job in client.watch("job_1")]

    assert seen == ["queued", "succeeded"]
    assert [request.headers.get("If-None-Match") for request in service.requests] == [None, '"1"', '"1"']


def test_watching_lets_the_service_hold_its_answer_back_and_does_not_pause_then(monkeypatch):
    monkeypatch.setattr("trainyard.asking._POLL_SECONDS", (0.0, 3_600.0))
    monkeypatch.setattr("trainyard.http.time.sleep", lambda seconds: seconds == 0 or pytest.fail("it pauses"))
    service = Service(
        httpx.Response(200, json=job("queued"), headers={"ETag": '"1"'}),
        *[httpx.Response(304, headers={"Preference-Applied": "wait=25"})] * 3,
        httpx.Response(200, json=job("failed"), headers={"ETag": '"2"', "Preference-Applied": "wait=25"}),
    )
    with make_client(service) as client:
        assert len(list(client.watch("job_1"))) == 2

    assert [request.headers.get("Prefer") for request in service.requests] == [None, *["wait=25"] * 4]


def test_watching_outlives_a_gateway_that_is_away_for_a_moment():
    service = Service(httpx.ConnectError("refused"), httpx.Response(200, json=job("failed")))
    with make_client(service) as client:
        assert [job["state"] for job in client.watch("job_1")] == ["failed"]


def test_watching_gives_up_when_patience_ends():
    service = Service(*[httpx.ConnectError("refused")] * 3)
    with make_client(service) as client, pytest.raises(Unreachable):
        list(client.watch("job_1", patience_seconds=-1))


def test_an_upload_tells_how_far_it_is_and_carries_the_name(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"x" * 200_000)
    service = Service(httpx.Response(201, json={"id": "ds_1"}))
    told = []
    with make_client(service) as client:
        assert client.upload(path, moved=told.append) == {"id": "ds_1"}

    assert told == sorted(told)
    assert told[-1] == 200_000
    body = service.requests[0].content
    assert b'filename="numbers.npz"' in body
    assert b"x" * 200_000 in body


def test_an_upload_that_broke_off_is_sent_again_whole_and_with_the_same_key(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"x" * 200_000)
    service = Service(httpx.ReadError("gone"), httpx.Response(201, json={"id": "ds_1"}))
    with make_client(service) as client:
        assert client.upload(path) == {"id": "ds_1"}

    first, second = service.requests
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
    assert all(b"x" * 200_000 in request.content for request in service.requests)


def test_a_file_may_be_named_by_a_string(tmp_path):
    path = tmp_path / "numbers.npz"
    path.write_bytes(b"content")
    service = Service(httpx.Response(201, json={"id": "ds_1"}), httpx.Response(201, json={"id": "wts_1"}))
    client = make_client(service)

    assert client.upload(str(path)) == {"id": "ds_1"}
    assert client.upload_weights(str(path)) == {"id": "wts_1"}


def test_an_upload_of_nothing_names_the_file(tmp_path):
    with make_client(Service()) as client, pytest.raises(BadFile, match=r"no\.npz"):
        client.upload(tmp_path / "no.npz")


def listed(name, content):
    return {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_a_download_arrives_whole(tmp_path):
    service = Service(httpx.Response(200, content=b"weights"))
    with make_client(service) as client:
        path = client.download("job_1", listed("weights.h5", b"weights"), tmp_path / "new")

    assert path == tmp_path / "new" / "weights.h5"
    assert path.read_bytes() == b"weights"


def test_a_download_with_other_bytes_leaves_no_file(tmp_path):
    service = Service(httpx.Response(200, content=b"weihgts"))
    with make_client(service) as client, pytest.raises(TrainyardError, match="sha256"):
        client.download("job_1", listed("weights.h5", b"weights"), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_an_artifact_cannot_be_written_outside_the_folder(tmp_path):
    with make_client(Service()) as client, pytest.raises(TrainyardError, match="plain file name"):
        client.download("job_1", listed("../weights.h5", b""), tmp_path)


def test_a_missing_artifact_is_a_refusal(tmp_path):
    service = Service(httpx.Response(404, json={"title": "There is no such thing"}))
    with make_client(service) as client, pytest.raises(Refused, match="404"):
        client.download("job_1", listed("weights.h5", b""), tmp_path)

    assert list(tmp_path.iterdir()) == []
