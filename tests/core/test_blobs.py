"""Every verb of the storage, on a folder and on S3, and what happens where the storage does not do what it should."""

import hashlib
import http.server
import os
import socket
import threading
import time
from datetime import timedelta

import pytest

from core import blobs as module
from core.blobs import Blobs, StorageFailed, attempt_key, digest
from tests.servers.seaweed import ON_S3, s3_url, seaweed, storage_url  # noqa: F401


@pytest.fixture
def blobs(storage_url):  # noqa: F811
    return Blobs(storage_url)


def listed(blobs, size, folder="projects"):
    """Go through a listing page by page."""
    keys, page = [], None
    while page is None or len(page) == size:
        page = blobs.page(folder, keys[-1] if keys else "", size)
        keys += [found.key for found in page]
    return keys


def test_a_file_comes_back_as_it_was(blobs, tmp_path):
    content = bytes(range(256)) * 20_000
    (tmp_path / "a").write_bytes(content)

    stored = blobs.put_file("x/y", tmp_path / "a")
    blobs.get_file("x/y", tmp_path / "deep" / "b")

    assert stored == (len(content), hashlib.sha256(content).hexdigest()) == digest(tmp_path / "deep" / "b")
    assert b"".join(blobs.stream("x/y")) == blobs.read("x/y") == content
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b"]


def test_a_large_file_goes_in_parts_and_comes_back_whole(blobs, tmp_path):
    content = os.urandom(2 * module.PART_BYTES + 12_345)
    (tmp_path / "a").write_bytes(content)

    stored = blobs.put_file("large", tmp_path / "a")
    blobs.get_file("large", tmp_path / "b")

    assert stored == digest(tmp_path / "b") == (len(content), hashlib.sha256(content).hexdigest())


def test_an_empty_file_is_a_file(blobs, tmp_path):
    (tmp_path / "a").touch()
    assert blobs.put_file("empty", tmp_path / "a")[0] == blobs.size("empty") == 0
    assert blobs.read("empty") == b""


@pytest.mark.parametrize(("start", "end"), [(0, 3), (3, 7), (7, None), (9, 100), (0, None)])
def test_a_stretch_of_a_blob_is_streamed(blobs, start, end):
    blobs.put("x", b"0123456789")
    assert b"".join(blobs.stream("x", start, end)) == b"0123456789"[start:end]


def test_a_blob_can_be_deleted_twice(blobs):
    blobs.put("x", b"1")
    assert (blobs.exists("x"), blobs.size("x")) == (True, 1)
    blobs.delete("x")
    blobs.delete("x")
    assert (blobs.exists("x"), blobs.size("x")) == (False, None)


def test_a_copy_outlives_the_original_and_does_not_change_with_it(blobs):
    blobs.put("x", b"1")
    blobs.copy("x", "y/z")
    blobs.put("x", b"22")
    assert blobs.read("y/z") == b"1"
    blobs.delete("x")
    assert blobs.read("y/z") == b"1"
    with pytest.raises(FileNotFoundError):
        blobs.copy("x", "y/z")


def test_a_missing_blob_is_noticed_before_the_first_piece(blobs, tmp_path):
    for act in (lambda: blobs.read("no"), lambda: blobs.stream("no"), lambda: blobs.get_file("no", tmp_path / "b")):
        with pytest.raises(FileNotFoundError):
            act()
    assert not (tmp_path / "b").exists()


def test_blobs_are_listed_in_pages_that_miss_and_repeat_nothing(blobs):
    keys = {attempt_key("p", f"job_{number}", attempt, name) for number in (1, 10, 2) for attempt in (1, 10, 2)
            for name in ("checkpoint-10", "checkpoint-9", "a.h5", "a+b=c-d_e.h5", "å")}  # fmt: skip
    for key in keys | {"elsewhere/x"}:
        blobs.put(key, b"1")

    for size in (1, 7, 1_000):
        found = listed(blobs, size)
        assert (len(found), set(found)) == (len(keys), keys)
    assert listed(blobs, 5, "projects/p/jobs/job_1/a1") == sorted(key for key in keys if "/job_1/a1/" in key)
    assert blobs.page("nowhere", "", 10) == []


def test_a_listing_tells_size_and_age_by_the_storage_s_own_clock(blobs):
    before = blobs.now()
    blobs.put("projects/x", b"123")

    (found,) = blobs.page("projects", "", 10)

    assert (found.key, found.bytes) == ("projects/x", 3)
    assert before <= found.modified <= blobs.now()


def test_a_copy_is_as_young_as_itself(tmp_path):
    blobs = Blobs(f"file://{tmp_path}")
    blobs.put("x", b"1")
    os.utime(tmp_path / "x", (0, 0))
    before = blobs.now()
    blobs.copy("x", "projects/y")
    assert blobs.page("projects", "", 1)[0].modified >= before


def test_what_a_dead_writer_left_half_written_is_listed_and_can_be_deleted(tmp_path):
    blobs = Blobs(f"file://{tmp_path}")
    blobs.put("projects/p/datasets/ds_1", b"1")
    (tmp_path / "projects/p/datasets/ds_2#1").write_bytes(b"half")

    left = listed(blobs, 10)[-1]
    blobs.delete(left)
    blobs.delete(left)

    assert left == "projects/p/datasets/ds_2#1"
    assert listed(blobs, 10) == ["projects/p/datasets/ds_1"]


def test_a_folder_is_listed_without_holding_all_its_names(tmp_path, monkeypatch):
    monkeypatch.setattr("core.folders.NAMES", 3)
    blobs = Blobs(f"file://{tmp_path}")
    keys = [f"projects/{number:02}" for number in range(10)]
    for key in keys:
        blobs.put(key, b"")
    assert listed(blobs, 4) == keys


def test_empty_folders_do_not_pile_up(tmp_path):
    blobs = Blobs(f"file://{tmp_path}/blobs")
    blobs.put("projects/p/jobs/j/a1/x", b"1")
    blobs.delete("projects/p/jobs/j/a1/x")
    assert list((tmp_path / "blobs").iterdir()) == []


def every_verb(blobs, tmp_path):
    (tmp_path / "file").write_bytes(b"1")
    yield from (
        lambda: blobs.put("k", b"1"),
        lambda: blobs.put_file("k", tmp_path / "file"),
        lambda: blobs.read("k"),
        lambda: list(blobs.stream("k")),
        lambda: blobs.get_file("k", tmp_path / "to"),
        lambda: blobs.delete("k"),
        lambda: blobs.size("k"),
        lambda: blobs.page("projects", "", 10),
        lambda: blobs.copy("k", "l"),
        lambda: blobs.now(),
        lambda: blobs.check(),
    )


@ON_S3
def test_wrong_credentials_are_a_storage_that_fails(s3_url, tmp_path, monkeypatch):  # noqa: F811
    Blobs(s3_url).put("k", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    for act in every_verb(Blobs(s3_url), tmp_path):
        with pytest.raises(StorageFailed):
            act()


@ON_S3
def test_a_bucket_that_is_not_there_is_not_ready(s3_url):  # noqa: F811
    Blobs(s3_url).check()
    with pytest.raises(StorageFailed):
        Blobs("s3://no-such-bucket").check()


def test_a_folder_that_is_gone_is_not_ready(tmp_path):
    blobs = Blobs(f"file://{tmp_path}/blobs")
    blobs.check()
    (tmp_path / "blobs").rmdir()
    with pytest.raises(StorageFailed):
        blobs.check()


@pytest.fixture
def point_at(monkeypatch):
    """Say where S3 is."""

    def point_at(port):
        for name, value in {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1",
                            "ENDPOINT_URL": f"http://127.0.0.1:{port}", "ALLOW_HTTP": "true"}.items():  # fmt: skip
            monkeypatch.setenv(f"AWS_{name}", value)
        return Blobs("s3://bucket/prefix")

    return point_at


def test_a_store_that_is_down_fails_every_verb_in_seconds(point_at, tmp_path):
    blobs = point_at(1)
    started = time.monotonic()
    for act in every_verb(blobs, tmp_path):
        with pytest.raises(StorageFailed):
            act()
    assert time.monotonic() - started < 30


def test_a_failure_tells_the_log_where_it_was_and_the_caller_nothing(point_at):
    with pytest.raises(StorageFailed, match="storage failed on ready") as failure:
        point_at(1).check()
    assert isinstance(failure.value, OSError)
    assert "127.0.0.1:1" in str(failure.value.__cause__)
    assert "127.0.0.1" not in str(failure.value)


def test_a_store_that_hears_and_never_answers_is_given_up_on(point_at, monkeypatch):
    assert module._CLIENT["read_timeout"] <= timedelta(seconds=30)
    monkeypatch.setitem(module._CLIENT, "read_timeout", timedelta(seconds=0.2))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        blobs = point_at(deaf.getsockname()[1])
        for act in (lambda: blobs.read("k"), lambda: blobs.put("k", b"1")):
            with pytest.raises(StorageFailed):
                act()


class Liar(http.server.BaseHTTPRequestHandler):
    """An S3 store that takes everything and keeps too little of it."""

    kept, status = None, 200

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.send_response(404 if self.kept is None else 200)
        self.send_header("Last-Modified", "Tue, 24 Nov 2026 00:00:00 GMT")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(self.kept or 0))
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def liar(point_at, monkeypatch):
    """A storage that answers every write with a status, and has so many bytes afterwards."""

    def liar(kept, status=200):
        monkeypatch.setattr(Liar, "kept", kept)
        monkeypatch.setattr(Liar, "status", status)
        return point_at(server.server_port)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield liar
        server.shutdown()


@pytest.mark.parametrize(("kept", "has"), [(None, "none"), (4, "4"), (11, "11")])
def test_a_store_that_lies_about_a_write_is_found_out(kept, has, liar, tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    blobs = liar(kept)
    for act in (lambda: blobs.put("k", b"0123456789"), lambda: blobs.put_file("k", tmp_path / "a")):
        with pytest.raises(StorageFailed, match=f"took 10 bytes as k and has {has}"):
            act()
    assert liar(10).put("k", b"0123456789")[0] == 10


def test_a_bucket_that_is_gone_is_no_missing_blob_to_a_writer(liar):
    blobs = liar(None, status=404)
    for act in (lambda: blobs.put("k", b"1"), blobs.now):
        with pytest.raises(StorageFailed, match="has no place for"):
            act()
