"""Uploading data, and what is refused of it."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from sqlalchemy import select

from core.blobs import CLOCK, StorageFailed
from core.orphans import Orphans
from core.tables import Dataset
from tests.api.conftest import npz

X = np.arange(12, dtype="float32").reshape(4, 3)


@pytest.fixture
def upload(client):
    def upload(filename, content, **fields):
        return client.post("/v1/datasets", files={"file": (filename, content)}, data=fields)

    return upload


@pytest.fixture
def nothing_kept(look, tmp_path):
    """Check that no row, no blob and no spooled file is left."""

    def nothing_kept():
        assert look(select(Dataset)) == []
        assert [path for name in ("spool", "blobs") for path in (tmp_path / name).rglob("*") if path.is_file()] == []

    return nothing_kept


def test_an_upload_says_what_is_in_it(client, upload, spooled):
    content = npz(x=X, y=np.arange(4))

    answer = upload("digits.npz", content, name="digits")

    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/datasets/{body['id']}"
    assert body["id"].startswith("ds_")
    assert (body["name"], body["format"], body["state"]) == ("digits", "npz", "ready")
    assert (body["bytes"], body["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert body["arrays"] == {
        "x": {"shape": [4, 3], "dtype": "float32"},
        "y": {"shape": [4], "dtype": "int64"},
    }
    assert client.get(answer.headers["location"]).json() == body
    assert spooled() == []


@pytest.mark.parametrize(
    ("filename", "name"), [("a.b.csv", "a"), ("../../etc/x.csv", "x"), ("C:\\data\\y.csv", "y"), (".csv", "dataset")]
)
def test_a_dataset_without_a_name_takes_the_file_s(filename, name, upload):
    assert upload(filename, b"a\n1\n").json()["name"] == name


def test_the_format_may_be_said_beside_the_file(upload, problem):
    assert upload("blob", b"a\n1\n", format="csv").json()["format"] == "csv"
    problem(upload("blob.csv", b"a\n1\n", format="exe"), 415)


@pytest.mark.parametrize("filename", ["x.pkl", "x", "x.pt", "x.h5"])
def test_files_of_other_kinds_are_not_read(filename, upload, problem, nothing_kept):
    assert "npz, npy, csv" in problem(upload(filename, b"abc"), 415)["detail"]
    nothing_kept()


def bomb():
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros(3_000_000))
    return file.getvalue()


def objects():
    file = io.BytesIO()
    np.savez(file, x=np.array([{}, []], dtype=object))
    return file.getvalue()


def nested():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../x.npy", b"")
    return file.getvalue()


@pytest.mark.parametrize(
    ("filename", "content", "words"),
    [
        ("x.npz", npz(x=X)[:-40], "cut short"),
        ("x.npz", objects(), "pickle"),
        ("x.npz", nested(), "only plain arrays"),
        ("x.npz", bomb(), "once unpacked"),
        ("x.npy", b"\x80\x04\x95", "numpy's format"),
        ("x.csv", b"a,b\n1,2\n3,x\n", "row 3, column 'b'"),
        ("x.parquet", b"PAR1", "not Parquet"),
        ("x.json", b'{"x": [[1], 2]}', "one length"),
        ("x.json", b'{"x": [NaN]}', "NaN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",  # the bytes of an archive tell the time
)
def test_a_bad_file_is_refused_and_nothing_is_kept(make_client, filename, content, words, problem, look, tmp_path):
    client = make_client(max_unpacked_bytes=20_000_000)
    body = problem(client.post("/v1/datasets", files={"file": (filename, content)}), 422)
    assert words in body["detail"]
    assert client.get("/v1/datasets").json()["items"] == []
    kept = [path for name in ("spool", "blobs") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert kept == []


def multipart(*parts, end=b"--B--\r\n"):
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + end


FILE = b'Content-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\na\n1\n'
NAME = b'Content-Disposition: form-data; name="name"\r\n\r\nhello'
MULTIPART = {"content-type": "multipart/form-data; boundary=B"}


def test_a_multipart_body_written_by_hand_is_read(client):
    answer = client.post("/v1/datasets", content=multipart(NAME, FILE), headers=MULTIPART)
    assert (answer.status_code, answer.json()["name"]) == (201, "hello")


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (multipart(FILE, end=b""), 400, "breaks off"),
        (multipart(FILE)[:-30], 400, "breaks off"),
        (b"", 400, "breaks off"),
        (b"no boundary at all", 400, "malformed"),
        (multipart(NAME), 422, "no part named `file`"),
        (multipart(FILE, FILE), 422, "twice"),
        (multipart(FILE, NAME.replace(b'"name"', b'"nmae"')), 422, "no field 'nmae'"),
        (multipart(FILE, NAME + b"x" * 2_000), 422, "1,000 bytes"),
        (multipart(FILE, NAME + b"x" * 300), 422, "200 printable"),
        (multipart(FILE, NAME + b"\x07"), 422, "printable"),
        (multipart(b"X-Nothing: y\r\n\r\nz"), 400, "needs a name"),
        (multipart(*[NAME.replace(b'"name"', b'"n%d"' % n) for n in range(20)], FILE), 400, "10 of them"),
        (multipart(b"X-Long: " + b"y" * 10_000 + b"\r\n" + FILE), 400, "malformed"),
    ],
)
def test_a_bad_multipart_body_is_refused(content, status, words, client, problem, nothing_kept):
    assert words in problem(client.post("/v1/datasets", content=content, headers=MULTIPART), status)["detail"]
    nothing_kept()


@pytest.mark.parametrize("headers", [{}, {"content-type": "multipart/form-data"}, {"content-type": "text/plain"}])
def test_an_upload_is_multipart_or_announced_as_json(headers, client, problem):
    problem(client.post("/v1/datasets", content=b"{}", headers=headers), 415)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_over_the_limit_is_refused_whatever_its_headers_say(chunked, make_client, problem, spooled):
    client = make_client(max_upload_bytes=1_000)
    content = multipart(FILE + b"1\n" * 1_000)
    sent = (content[at : at + 100] for at in range(0, len(content), 100)) if chunked else content
    answer = client.post("/v1/datasets", content=sent, headers=MULTIPART)
    assert "1,000 bytes" in problem(answer, 413)["detail"]
    assert spooled() == []


def test_a_storage_that_fails_leaves_no_row(make_client, problem, monkeypatch):
    client = make_client(quiet=True)

    def fail(*_):
        raise OSError("no space left on device /secret/path")

    monkeypatch.setattr(client.app.state.wiring.blobs, "put_file", fail)
    answer = client.post("/v1/datasets", files={"file": ("x.csv", b"a\n1\n")})
    problem(answer, 500)
    assert "secret" not in answer.text
    assert client.get("/v1/datasets").json()["items"] == []


def test_a_storage_that_does_not_answer_is_worth_another_try(client, wiring, problem, monkeypatch):
    def fail(*_):
        raise StorageFailed("storage failed on projects/secret")

    monkeypatch.setattr(wiring.blobs, "put_file", fail)
    answer = client.post("/v1/datasets", files={"file": ("x.csv", b"a\n1\n")})
    problem(answer, 503)
    assert (answer.headers["retry-after"], "secret" in answer.text) == ("5", False)


def test_datasets_are_listed_newest_first_in_pages(client, upload):
    made = [upload("x.csv", b"a\n1\n").json()["id"] for _ in range(5)]

    first = client.get("/v1/datasets", params={"page_size": 3}).json()
    second = client.get("/v1/datasets", params={"page_size": 3, "page_token": first["next_page_token"]}).json()

    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_page_token"] is None


@pytest.mark.parametrize("token", ["x", "AAAA", "W10", "../..", "ÿ", "W251bGwsICJ4Il0", "WyIyMDI2LTAxLTAxIiwgIngiXQ"])
def test_a_page_token_that_was_not_made_here_is_refused(token, client, problem):
    problem(client.get("/v1/datasets", params={"page_token": token}), 400, "page_token")


@pytest.mark.parametrize("size", ["0", "-1", "201", "1000000000", "x", "1.5"])
def test_a_page_has_a_sensible_size(size, client, problem):
    problem(client.get("/v1/datasets", params={"page_size": size}), 422, "page_size")


def test_a_dataset_is_deleted_with_its_bytes(client, upload, problem, nothing_kept):
    dataset_id = upload("x.csv", b"a\n1\n").json()["id"]
    assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    problem(client.get(f"/v1/datasets/{dataset_id}"), 404)
    problem(client.delete(f"/v1/datasets/{dataset_id}"), 404)
    nothing_kept()


def test_a_dataset_a_live_job_uses_stays_until_the_job_has_ended(client, dataset, submit, problem):
    job_id = submit()
    assert problem(client.delete(f"/v1/datasets/{dataset}"), 409)["job_id"] == job_id
    client.post(f"/v1/jobs/{job_id}/cancel")
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 204


def test_a_dataset_whose_bytes_cannot_be_deleted_is_gone_and_they_are_swept_up_later(
    client, upload, wiring, nothing_kept, monkeypatch
):
    dataset_id = upload("x.csv", b"a\n1\n").json()["id"]
    with monkeypatch.context() as broken:
        broken.setattr(wiring.blobs, "delete", lambda _: (_ for _ in ()).throw(StorageFailed("down")))
        assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 204
    assert len(wiring.blobs.page("projects", "", 10)) == 1

    settings = wiring.settings.model_copy(update={"orphan_grace_seconds": 1e-6})
    Orphans(settings, wiring.sessions, wiring.queue, wiring.blobs, None).look()

    wiring.blobs.delete(CLOCK)
    nothing_kept()


def test_an_upload_sent_again_with_its_key_is_stored_once(client, problem):
    def send(content=b"a\n1\n"):
        files = {"file": ("x.csv", content)}
        return client.post("/v1/datasets", files=files, headers={"Idempotency-Key": "k"})

    first, again = send(), send()

    assert json.loads(first.text) == json.loads(again.text)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/datasets").json()["items"]) == 1
    problem(send(b"a\n2\n"), 422)


def test_a_dataset_is_found_by_what_its_file_holds(client, upload):
    contents = [npz(x=X), npz(x=X + 1)]
    first, *_ = [upload("x.npz", each).json()["id"] for each in contents]
    sha256 = hashlib.sha256(contents[0]).hexdigest()

    found = client.get("/v1/datasets", params={"sha256": sha256}).json()

    assert [each["id"] for each in found["items"]] == [first]
    assert client.get("/v1/datasets", params={"sha256": "0" * 64}).json()["items"] == []
    assert client.get("/v1/datasets", params={"sha256": "short"}).status_code == 422
