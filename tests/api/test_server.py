"""The gateway as a process, with a client that hangs up."""

import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from core.database import migrate
from tests.api.processes import DEADLINE_SECONDS, ROOT, until


@pytest.fixture
def gateway(start):
    return start()


@contextmanager
def half_an_upload(port):
    """Send the first half of a file, and hang up at the end."""
    head = (
        f"POST /v1/datasets HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100000\r\n"
        "Content-Type: multipart/form-data; boundary=B\r\n\r\n--B\r\n"
        'Content-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\na\n'
    )
    with socket.create_connection(("127.0.0.1", port)) as half:
        half.sendall(head.encode() + b"1\n" * 1_000)
        yield


def test_an_upload_that_breaks_off_leaves_nothing_and_hurts_nobody(gateway, spooled):
    process, client, port = gateway
    with half_an_upload(port):
        until(spooled, process)
    until(lambda: not spooled(), process)

    assert client.get("/v1/datasets").json()["items"] == []
    assert client.post("/v1/datasets", files={"file": ("x.csv", b"a\n1\n")}).status_code == 201

    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_SECONDS) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stderr.read()


def test_what_a_gateway_leaves_that_is_killed_in_mid_upload_the_next_one_removes(start, spooled):
    (killed, _, port), (living, client, other_port) = start(), start()
    with half_an_upload(other_port):
        until(spooled, living)
        (kept,) = spooled()
        with half_an_upload(port):
            until(lambda: len(spooled()) == 2, killed)
            killed.kill()
            killed.wait()
        assert len(spooled()) == 2

        (next_one, *_) = start()

        until(lambda: spooled() == [kept], next_one)
    assert client.post("/v1/datasets", files={"file": ("x.csv", b"a\n1\n")}).status_code == 201


def test_a_gateway_that_ends_takes_its_room_with_it(gateway, tmp_path):
    process, client, _ = gateway
    assert client.post("/v1/datasets", files={"file": ("x.csv", b"a\n1\n")}).status_code == 201
    assert len(list((tmp_path / "spool").iterdir())) == 1
    process.send_signal(signal.SIGTERM)
    process.wait(DEADLINE_SECONDS)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_gateway_does_not_start_where_others_reach_it_without_a_key(environment):
    migrate(environment["TRAINYARD_DATABASE_URL"])
    done = subprocess.run(
        [sys.executable, "-m", "api.main"],
        cwd=ROOT, env={**environment, "TRAINYARD_HOST": "0.0.0.0"},
        capture_output=True, text=True, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    assert done.returncode == 1
    assert "trainyard keys create" in done.stderr
