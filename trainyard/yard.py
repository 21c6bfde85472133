"""A whole yard on this machine: one folder, one gateway, its workers, no servers."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from trainyard.children import Child, Family
from trainyard.errors import YardError
from trainyard.service import check_packages, core

READY_SECONDS = 60.0
GRACE_SECONDS = 20.0
_LOOK_SECONDS = 0.05


class Yard:
    """Everything `trainyard up` runs.

    Args:
        folder: Holds all that the yard keeps.
        host: Address the gateway listens on.
        port: Its port; 0 takes a free one.
        workers: How many worker processes to run.
    """

    def __init__(self, folder: Path, host: str, port: int, workers: int) -> None:
        self.folder = folder.absolute()
        self.host = host
        self.port = port or free_port(host)
        self.logs = self.folder / "logs"
        self.environment = environment_of(self.folder, host, self.port)
        names = ["gateway", *(f"worker-{number}" for number in range(1, workers + 1))]
        modules = ["api.main", *["worker.main"] * workers]
        self.children = [
            Child(name, module, self.environment, self.logs / f"{name}.log")
            for name, module in zip(names, modules, strict=True)
        ]

    @property
    def url(self) -> str:
        """Where the gateway is reached from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, wait until it answers, and end all at the end.

        Raises:
            YardError: The folder or the port is taken, or the service does not come up.
            Missing: The service's packages are not installed.
        """
        check_packages()
        with locked(self.folder, self.url):
            refuse_a_busy_port(self.host, self.port)
            self._prepare()
            family = Family(self.children)
            try:
                family.start()
                self._await_ready()
                yield
            finally:
                family.end(GRACE_SECONDS)

    def _prepare(self) -> None:
        for part in (self.logs, self.folder / "blobs", self.folder / "broker"):
            part.mkdir(parents=True, exist_ok=True)
        core("database").migrate(self.environment["TRAINYARD_DATABASE_URL"])

    def _await_ready(self) -> None:
        gateway = self.children[0]
        deadline = time.monotonic() + READY_SECONDS
        while not answers(f"{self.url}/readyz"):
            if gateway.restarts or time.monotonic() > deadline:
                raise YardError(f"The gateway does not come up. The end of {gateway.log}:\n{gateway.last_words()}")
            time.sleep(_LOOK_SECONDS)


def environment_of(folder: Path, host: str, port: int) -> dict[str, str]:
    """What tells the service to keep everything below `folder`."""
    root = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH")
    return os.environ | {
        "TRAINYARD_DATA_DIR": str(folder),
        "TRAINYARD_DATABASE_URL": f"sqlite:///{folder / 'trainyard.db'}",
        "TRAINYARD_BROKER_URL": f"filesystem://{folder / 'broker'}",
        "TRAINYARD_STORAGE_URL": f"file://{folder / 'blobs'}",
        "TRAINYARD_HOST": host,
        "TRAINYARD_PORT": str(port),
        # With this and -P, a folder named `core` where the user stands is not taken for ours.
        "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root,
    }


@contextmanager
def locked(folder: Path, url: str) -> Iterator[None]:
    """Keep a second yard out of the same folder; the lock dies with its process.

    Raises:
        YardError: Another yard runs there, or the folder cannot be written.
    """
    path = folder / "yard.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file: IO[str] = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise YardError(f"Cannot keep a yard in {folder}: {error.strerror}.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise YardError(
                f"A yard is already running in {folder}, at {file.read().strip() or 'an unknown address'}. "
                "Use it, stop it, or give this one a folder of its own with --data."
            ) from None
        file.truncate(0)
        file.write(url)
        file.flush()
        yield


def refuse_a_busy_port(host: str, port: int) -> None:
    """Say so before anything starts, rather than in a child's log.

    Raises:
        YardError: Somebody listens there, or the address is not ours.
    """
    try:
        with _socket(host) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise YardError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port, "
            "or --port 0 for any free one."
        ) from error


def free_port(host: str) -> int:
    """A port nobody listens on just now."""
    with _socket(host) as trial:
        trial.bind((host, 0))
        port: int = trial.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _socket(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
