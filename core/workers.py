"""Every query about workers: they tell that they live by looking for work, not by being up."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.database import db_now
from core.tables import Worker

#: For so long a worker that is gone is still listed.
KEEP_SECONDS = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a worker is, for as long as it runs."""

    id: str
    host: str
    pid: int
    version: str
    slots: int
    gpus: tuple[str, ...]


def looked(session: Session, who: Identity, claimed_seconds_ago: float | None) -> None:
    """Note that a worker has just looked for work and, if it has got some since the last time, when."""
    row = session.get(Worker, who.id)
    if row is None:
        row = Worker(id=who.id, host=who.host, pid=who.pid, version=who.version, slots=who.slots, gpus=list(who.gpus))
        session.add(row)
    row.looked_at = db_now()
    if claimed_seconds_ago is not None:
        row.claimed_at = db_now(-claimed_seconds_ago)
    session.flush()


def alive(session: Session, host: str, seconds: float) -> list[str]:
    """List a host's workers that have looked for work within so many seconds."""
    query = select(Worker.id).where(Worker.host == host, Worker.looked_at > db_now(-seconds))
    return list(session.scalars(query.order_by(Worker.id)))


def last_look(session: Session, host: str) -> datetime | None:
    """Tell when any worker of a host last looked for work."""
    return session.scalar(select(func.max(Worker.looked_at)).where(Worker.host == host))


def forget(session: Session, seconds: float = KEEP_SECONDS) -> None:
    """Drop the rows of workers that have been gone for long."""
    session.execute(delete(Worker).where(Worker.looked_at < db_now(-seconds)))
