"""How things stand, for the operator: of live jobs and of what has just ended, never of all that ever was."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.database import db_now
from core.leases import EXPRESS, TRAINING
from core.tables import HELD, LIVE, Attempt, Job, JobState

#: How far back attempts are counted.
RECENT_SECONDS = 300.0


@dataclass(frozen=True)
class Queue:
    """What waits for a worker."""

    depth: int
    oldest_seconds: float


@dataclass(frozen=True)
class Counts:
    """The jobs and attempts of all projects."""

    #: Training jobs that have not ended, by state.
    states: dict[str, int]
    #: By kind.
    queues: dict[str, Queue]
    #: Held jobs whose lease is over and whom the reaper has not found yet.
    overdue: int
    #: Attempts that ended lately, by exit and reason; a lease that expired is ("lost", "worker_lost").
    attempts: dict[tuple[str, str], int]


def count(session: Session) -> Counts:
    """Count what an operator watches."""
    return Counts(_states(session), _queues(session), _overdue(session), _attempts(session))


def _states(session: Session) -> dict[str, int]:
    query = select(Job.state, func.count()).where(Job.state.in_(LIVE), Job.kind == TRAINING)
    found = {row[0]: row[1] for row in session.execute(query.group_by(Job.state))}
    return {str(state): found.get(state, 0) for state in LIVE}


def _queues(session: Session) -> dict[str, Queue]:
    query = select(Job.kind, func.count(), func.min(Job.queued_at), db_now())
    query = query.where(Job.state == JobState.QUEUED, Job.kind.in_((TRAINING, EXPRESS))).group_by(Job.kind)
    found = {kind: Queue(depth, (now - oldest).total_seconds()) for kind, depth, oldest, now in session.execute(query)}
    return {kind: found.get(kind, Queue(0, 0.0)) for kind in (TRAINING, EXPRESS)}


def _overdue(session: Session) -> int:
    query = select(func.count()).where(Job.state.in_(HELD), Job.lease_expires_at < db_now())
    return session.scalar(query) or 0


def _attempts(session: Session) -> dict[tuple[str, str], int]:
    query = select(Attempt.exit, Attempt.reason, func.count()).where(Attempt.ended_at > db_now(-RECENT_SECONDS))
    rows = session.execute(query.group_by(Attempt.exit, Attempt.reason))
    return {(exit or "", reason or ""): number for exit, reason, number in rows}
