"""A gateway as a process, on SQLite or on a real PostgreSQL, with nothing else beside it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sqlalchemy.orm import Session, sessionmaker

from core.database import migrate, open_sessions
from core.settings import Settings
from core.unit import unit_of_work
from tests.servers import postgres
from tests.servers.process import free_ports

DATABASES = ("sqlite", "postgres")


class Silence:
    """A bell that nobody hears."""

    def ring(self, job_id: str) -> None: ...


@dataclass
class Stack:
    """What is measured."""

    name: str
    url: str
    settings: Settings
    sessions: sessionmaker[Session]
    process: subprocess.Popen[bytes]

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Write to the database past the gateway, as a worker does."""
        with unit_of_work(self.sessions, Silence()) as unit:
            yield unit.session

    def cpu_seconds(self) -> float:
        """What the gateway has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        """One number of /metrics."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


@contextmanager
def stack(name: str) -> Iterator[Stack]:
    """Start a gateway on an empty database."""
    with tempfile.TemporaryDirectory() as folder, database(name, folder) as url:
        migrate(url)
        (port,) = free_ports(1)
        values = {"data_dir": folder, "database_url": url, "port": port, "max_watchers": 10_000}
        settings = Settings(_env_file=None, **values)
        environment = os.environ | {f"TRAINYARD_{key.upper()}": str(value) for key, value in values.items()}
        process = subprocess.Popen([sys.executable, "-m", "api.main"], env=environment)
        sessions = open_sessions(url)
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz")
            yield Stack(name, f"http://127.0.0.1:{port}", settings, sessions, process)
        finally:
            sessions.kw["bind"].dispose()
            process.terminate()
            process.wait()


@contextmanager
def database(name: str, folder: str) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder}/yard.db"
        return
    with postgres.server() as socket:
        yield postgres.address(socket, "postgres")


def wait_for(url: str, seconds: float = 60.0) -> None:
    """Wait until an address answers with 200."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(url)
        time.sleep(0.1)
