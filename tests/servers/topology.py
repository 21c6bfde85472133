"""The compose file's services as processes of this machine: its commands, its variables, real servers."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx
from obstore.store import S3Store

from tests.servers import compose
from tests.servers.guard import guarded
from tests.servers.postgres import IMMEDIATELY, Postgres
from tests.servers.process import Server, free_ports
from tests.servers.proxy import Proxy
from tests.servers.seaweed import BUCKET, KEY, SECRET, Seaweed
from tests.servers.valkey import Valkey

#: What an operator would write into `.env`.
SECRETS = {"POSTGRES_PASSWORD": "secret", "S3_ACCESS_KEY": KEY, "S3_SECRET_KEY": SECRET}
#: One thread each, so that a run's bits do not depend on the machine, and no runner starves another.
OURS = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(compose.ROOT), "TRAINYARD_LOG_LEVEL": "info"}


class Topology:
    """Servers, gateways, workers and a reaper.

    Args:
        folder: Holds all they keep; any account must be able to enter it.
        gateways: How many.
        workers: How many.
        proxied: Whether ours reach the servers through a network that can be made to fail.
        settings: More variables for ours.
        gateway: The module that gateways run, if not the one of the compose file.
    """

    def __init__(
        self,
        folder: Path,
        gateways: int = 2,
        workers: int = 2,
        proxied: bool = False,
        settings: dict[str, str] | None = None,
        gateway: str | None = None,
    ) -> None:
        self.folder, self._settings = folder, settings or {}
        self.services: dict[str, Any] = compose.read(SECRETS)["services"]
        (port,) = free_ports(1)
        self.postgres = Postgres(_subfolder(folder, "postgres"), port, lasting=True)
        self.redis = Valkey(_subfolder(folder, "redis"))
        self.s3 = Seaweed(_subfolder(folder, "s3"))
        self.servers: dict[str, Server] = {"postgres": self.postgres, "redis": self.redis, "s3": self.s3}
        ports = {"postgres": port, "redis": self.redis.port, "s3": self.s3.port}
        self.networks = {name: Proxy(port) for name, port in ports.items()} if proxied else {}
        self._ports = ports | {name: proxy.port for name, proxy in self.networks.items()}
        self.gateways = [self._gateway(number, gateway) for number in range(1, gateways + 1)]
        self.workers = [self._part("worker", f"worker-{number}") for number in range(1, workers + 1)]
        self.reaper = self._part("reaper", "reaper")
        self.api_key = ""

    @property
    def parts(self) -> list[Server]:
        """Ours, all of them."""
        return [*self.gateways, *self.workers, self.reaper]

    @property
    def urls(self) -> list[str]:
        """Where the gateways answer."""
        return [f"http://127.0.0.1:{part.options['env']['TRAINYARD_PORT']}" for part in self.gateways]

    @property
    def database_url(self) -> str:
        """The database itself, past any proxy."""
        return f"postgresql://trainyard@127.0.0.1:{self.postgres.port}/trainyard"

    def store(self) -> S3Store:
        """Open the object store itself, past any proxy."""
        keys = {"access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
        return S3Store(BUCKET, endpoint=self.s3.endpoint, client_options={"allow_http": True}, **keys)

    def start(self) -> None:
        """Start the servers, migrate, make a key, start ours: the order that the compose file demands."""
        for server in self.servers.values():
            server.start()
        self.postgres.run("CREATE ROLE trainyard SUPERUSER LOGIN")
        self.postgres.run("CREATE DATABASE trainyard OWNER trainyard")
        self._once(self.services["migrate"]["command"])
        key = self._once(["trainyard", "keys", "create", "--name", "tests"])
        (self.api_key,) = re.findall(r"ty_\S+", key)
        for part in self.parts:
            part.launch()
        for part in self.parts:
            part.await_service()

    def end(self) -> None:
        """End ours as Docker does, then the servers."""
        for part in self.parts:
            part.ask()
        for part in self.parts:
            part.await_end()
        for server, how in ((self.redis, SIGKILL), (self.s3, SIGKILL), (self.postgres, IMMEDIATELY)):
            server.end(how)

    def let_go(self) -> None:
        """Forget what the guard has ended."""
        for each in (*self.parts, *self.servers.values()):
            each.await_end()
        for proxy in self.networks.values():
            proxy.end()

    def logs(self) -> str:
        """All that ours have logged."""
        return "\n".join(part.log.read_text(errors="replace") for part in self.parts if part.log.exists())

    def environment(self, service: str) -> dict[str, str]:
        """A service's variables in the compose file, with the servers where they really are."""
        wanted = self.services[service]["environment"]
        return {**os.environ, **{name: self._placed(str(value)) for name, value in wanted.items()}, **OURS}

    def _placed(self, value: str) -> str:
        inside = {"postgres": 5432, "redis": 6379, "s3": 8333}
        for host, port in inside.items():
            value = re.sub(rf"\b{host}:{port}\b", f"127.0.0.1:{self._ports[host]}", value)
        # Where clients are sent, who are no part of what fails.
        return value.replace("127.0.0.1:8333", f"127.0.0.1:{self.s3.port}")

    def _gateway(self, number: int, module: str | None) -> Server:
        (port,) = free_ports(1)
        command = [sys.executable, "-m", module] if module else None
        here = {"TRAINYARD_HOST": "127.0.0.1", "TRAINYARD_PORT": str(port)}
        return self._part("gateway", f"gateway-{number}", command, here, lambda: _is_well(port))

    def _part(
        self,
        service: str,
        name: str,
        command: Sequence[str] | None = None,
        here: dict[str, str] | None = None,
        answers: Any = lambda: True,
    ) -> Server:
        mine = {"TRAINYARD_DATA_DIR": str(_subfolder(self.folder, name))}
        environment = self.environment(service) | mine | self._settings | (here or {})
        wanted = command or _here(self.services[service]["command"])
        log = self.folder / f"{name}.log"
        return Server(wanted, log, answers, env=environment, cwd=compose.ROOT)

    def _once(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            _here(command),
            env=self.environment("migrate") | {"TRAINYARD_DATA_DIR": str(self.folder)},
            cwd=compose.ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@contextmanager
def running(**arguments: Any) -> Iterator[Topology]:
    """A topology in a folder of its own, of which nothing is left afterwards."""
    with ExitStack() as afterwards:
        folder = Path(tempfile.mkdtemp(prefix="yard-"))
        afterwards.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        topology = Topology(folder, **arguments)
        afterwards.callback(topology.let_go)
        afterwards.enter_context(guarded(folder))
        afterwards.callback(topology.end)
        topology.start()
        yield topology


def _here(command: Sequence[str]) -> list[str]:
    """The same command with this environment's programs."""
    places = {"python": [sys.executable], "trainyard": [sys.executable, "-c", "from trainyard.cli import app; app()"]}
    return [*places[command[0]], *command[1:]]


def _subfolder(folder: Path, name: str) -> Path:
    (folder / name).mkdir(exist_ok=True)
    return folder / name


def _is_well(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False
