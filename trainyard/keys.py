"""API keys, written straight into the database: who can reach it may let others in."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from trainyard.errors import TrainyardError
from trainyard.service import core


def database_url(folder: Path) -> str:
    """`TRAINYARD_DATABASE_URL`, or else the database of the yard in `folder`."""
    return os.environ.get("TRAINYARD_DATABASE_URL") or f"sqlite:///{folder.absolute() / 'trainyard.db'}"


def create(folder: Path, name: str, project: str) -> str:
    """Make a key, and the project it opens if there is none; return the secret, which is kept nowhere."""
    database = core("database")
    url = database_url(folder)
    database.migrate(url)
    with database.open_sessions(url).begin() as session:
        _, secret = core("keys").Keys(session).create(name, project)
    return str(secret)


def every(folder: Path) -> list[list[str]]:
    """Describe each key: id, name, beginning, when it was made and revoked."""
    with _keys(folder) as keys:
        return [
            [key.id, key.name, f"{key.prefix}…", _moment(key.created_at), _moment(key.revoked_at)] for key in keys.all()
        ]


def revoke(folder: Path, key_id: str) -> None:
    """Let a key in no more.

    Raises:
        TrainyardError: There is no such key.
    """
    with _keys(folder) as keys:
        try:
            keys.revoke(key_id)
        except core("errors").NotFound as error:
            raise TrainyardError(f"{error.detail} `trainyard keys list` shows those there are.") from error


@contextmanager
def _keys(folder: Path) -> Iterator[Any]:
    with core("database").open_sessions(database_url(folder)).begin() as session:
        yield core("keys").Keys(session)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
