"""What stands in the log of a gateway, as text and as JSON."""

import io
import json
import logging
import time

import pytest

from core.logs import Json, Text, noting


@pytest.fixture
def written():
    """Log through a formatter and return the text."""

    def written(formatter, act, level=logging.DEBUG):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        log = logging.getLogger("api")
        before = log.level
        log.addHandler(handler)
        log.setLevel(level)
        try:
            act(log)
        finally:
            log.removeHandler(handler)
            log.setLevel(before)
        return stream.getvalue()

    return written


def test_a_line_of_json_holds_what_is_known(written):
    def act(log):
        with noting(request_id="req_1", job_id="job_1"), noting(attempt=2):
            log.warning("lost %s\nand more", "it", extra={"milliseconds": 1.5})

    (text,) = written(Json(), act).splitlines()
    line = json.loads(text)
    assert line["message"] == "lost it\nand more"
    assert (line["level"], line["logger"]) == ("warning", "api")
    assert (line["request_id"], line["job_id"], line["attempt"], line["milliseconds"]) == ("req_1", "job_1", 2, 1.5)
    assert line["at"].endswith("Z")
    assert "status" not in line


def test_a_line_of_json_holds_its_exception(written):
    def act(log):
        try:
            raise ValueError("why")
        except ValueError:
            log.exception("failed")

    assert "ValueError: why" in json.loads(written(Json(), act))["exception"]


def test_a_line_of_text_ends_with_what_is_known(written):
    def act(log):
        with noting(job_id="job_1"):
            log.info("begins")
        log.info("ends")

    first, second = written(Text(), act).splitlines()
    assert first.endswith("INFO api: begins job_id=job_1")
    assert second.endswith("INFO api: ends")


def test_requests_are_told_of_where_they_fail_or_are_slow(make_client, written, monkeypatch):
    from core.models import Models

    client = make_client(quiet=True)
    assert written(Json(), lambda log: client.get("/v1/models"), logging.INFO) == ""

    monkeypatch.setattr(Models, "page", lambda *_: 1 / 0)
    text = written(Json(), lambda log: client.get("/v1/models"), logging.INFO)
    cause, line = map(json.loads, text.splitlines())
    assert "ZeroDivisionError" in cause["exception"]
    assert cause["request_id"] == line["request_id"]
    assert (line["level"], line["method"], line["route"], line["status"]) == ("warning", "GET", "/v1/models", 500)
    assert line["request_id"].startswith("req_")
    monkeypatch.undo()

    slow = make_client(slow_request_seconds=1e-9)
    assert json.loads(written(Json(), lambda log: slow.get("/v1/models"), logging.INFO))["status"] == 200


def test_a_gateway_that_is_slow_at_everything_does_not_tell_of_everything(make_client, written):
    slow = make_client(slow_request_seconds=1e-9)
    began = time.monotonic()
    lines = written(Json(), lambda log: [slow.get("/healthz") for _ in range(100)], logging.INFO).splitlines()
    assert 20 <= len(lines) <= 20 * (time.monotonic() - began + 2)


def test_every_request_is_told_of_when_all_is_wanted(client, submit, written):
    job_id = submit()
    lines = [json.loads(text) for text in written(Json(), lambda log: client.get(f"/v1/jobs/{job_id}")).splitlines()]
    (line,) = [line for line in lines if line.get("route") == "/v1/jobs/{job_id}"]
    assert (line["status"], line["job_id"], line["level"]) == (200, job_id, "debug")
