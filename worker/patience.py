"""Asks a database that may be away for a while, restarting or on a bad line, without giving the attempt up at once."""

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import LostLease
from core.unit import reading

log = logging.getLogger(__name__)

T = TypeVar("T")

_AGAIN_SECONDS = 0.2
#: PostgreSQL's name for a write that a read-only database has refused.
_READ_ONLY = "25006"


class Patience:
    """An attempt's way to the database: what it asks is asked again until there is an answer.

    Args:
        sessions: Where to.
        seconds: For how long; what was held is not held any more when a lease is over.
    """

    def __init__(self, sessions: sessionmaker[Session], seconds: float) -> None:
        self._sessions, self._seconds = sessions, seconds

    def read(self, act: Callable[[Session], T]) -> T:
        """Look at something.

        Raises:
            LostLease: The database was away for too long.
        """
        return self._do(partial(reading, self._sessions), act)

    def write(self, act: Callable[[Session], T]) -> T:
        """Do something in a transaction.

        Raises:
            LostLease: The database was away for too long.
        """
        return self._do(self._sessions.begin, act)

    def _do(self, opened: Callable[[], AbstractContextManager[Session]], act: Callable[[Session], T]) -> T:
        deadline = time.monotonic() + self._seconds
        while True:
            try:
                with opened() as session:
                    return act(session)
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                if time.monotonic() > deadline:
                    raise LostLease(f"the database was away for {self._seconds:g} s: {error.orig}") from error
                log.warning("the database is away: %s", error.orig)
                time.sleep(_AGAIN_SECONDS)


def is_passing(error: DBAPIError) -> bool:
    """Whether the same statement may succeed in a moment: also where the database has become read-only."""
    if getattr(error.orig, "sqlstate", None) == _READ_ONLY:
        return True
    return error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError"}
