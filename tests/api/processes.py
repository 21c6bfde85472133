"""Gateways as processes of their own."""

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.servers.process import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
DEADLINE_SECONDS = 30.0


def until(true, process):
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def running(environment):
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "api.main"],
        cwd=ROOT, env={**environment, "TRAINYARD_PORT": str(port)},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

        def is_up():
            try:
                return client.get("/healthz").status_code == 200
            except httpx.TransportError:
                return False

        try:
            until(is_up, process)
            yield process, client, port
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
