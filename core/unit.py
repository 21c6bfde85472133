"""One transaction, and what may happen only after it has committed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy.orm import Session, sessionmaker

from core.database import READING

log = logging.getLogger(__name__)


class Bell(Protocol):
    """What can tell the workers that a job waits."""

    def ring(self, job_id: str) -> None:
        """Tell them; never fail."""


class Unit:
    """A session, and what is owed once it has committed, or once it has not."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.rings: list[str] = []
        self.afterwards: list[Callable[[], object]] = []
        self.undoing: list[Callable[[], object]] = []

    def ring_later(self, job_id: str) -> None:
        """Ring for a job if, and only if, the transaction commits."""
        self.rings.append(job_id)

    def after_commit(self, act: Callable[[], object]) -> None:
        """Do something that cannot be undone, such as deleting a blob, once the rows are gone."""
        self.afterwards.append(act)

    def on_rollback(self, act: Callable[[], object]) -> None:
        """Take something back, such as a blob already written, if the rows never came."""
        self.undoing.append(act)


@contextmanager
def unit_of_work(sessions: sessionmaker[Session], queue: Bell) -> Iterator[Unit]:
    """Commit, then ring; on failure roll back and ring nothing."""
    with sessions() as session:
        unit = Unit(session)
        try:
            with session.begin():
                yield unit
        except BaseException:
            _run(unit.undoing)
            raise
    _run(unit.afterwards)
    for job_id in unit.rings:
        queue.ring(job_id)


@contextmanager
def reading(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Look without writing: on SQLite such a session never waits for a writer."""
    with sessions() as session:
        session.connection(execution_options={READING: True})
        yield session


def _run(acts: list[Callable[[], object]]) -> None:
    for act in acts:
        try:
            act()
        except Exception:
            # The rows are already right; what is left is litter, and nobody's request.
            log.exception("something owed after a transaction failed")
