"""How an attempt gets a job, holds it, and lets it go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from core.attempts import checkpoints, place
from core.database import db_now
from core.events import move
from core.fence import mine, write
from core.tables import HELD, SESSION_IDLE, SESSION_WOKEN, TERMINAL, Attempt, Checkpoint, Job, JobState

TRAINING, EXPRESS = "training", "express"

#: How an attempt's row says that nobody ended it; such attempts count against the limit.
LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job that is now one worker's, until its lease is over."""

    job_id: str
    project_id: str
    kind: str
    #: The fencing token of every write.
    attempt: int
    #: What the engine reads, with `weights`, `checkpoint` and `limits` beside it.
    definition: dict[str, Any]
    seed: int
    wish: str | None
    #: The newest one; `checkpoints` lists those to fall back to.
    checkpoint: Checkpoint | None


def claim(session: Session, worker: str, lease_seconds: float, kinds: Sequence[str]) -> Claim | None:
    """Take the oldest job that waits, if there is one; no two workers ever get the same."""
    next_id = (
        select(Job.id)
        .where(_waits(), Job.kind.in_(kinds))
        .order_by(Job.queued_at, Job.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    job = session.scalar(select(Job).where(Job.id == next_id.scalar_subquery()).with_for_update())
    if job is None or job.state != JobState.QUEUED:
        return None
    job.attempt += 1
    job.lease_owner, job.not_before = worker, None
    job.lease_expires_at = db_now(lease_seconds)
    if job.started_at is None:
        job.started_at = db_now()
    newest = next(iter(checkpoints(session, job.id)), None)
    session.add(Attempt(job_id=job.id, number=job.attempt, worker=worker, resumed_from=place(newest)))
    move(session, job, JobState.RUNNING)
    session.flush()
    return Claim(
        job_id=job.id,
        project_id=job.project_id,
        kind=job.kind,
        attempt=job.attempt,
        definition=job.definition,
        seed=job.seed,
        wish=job.wish,
        checkpoint=newest,
    )


def renew(session: Session, job_id: str, attempt: int, worker: str, lease_seconds: float) -> str | None:
    """Hold the job for longer; return what the caller wishes, if anything.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    return write(session, job_id, attempt, worker, lease_expires_at=db_now(lease_seconds))


def finish(
    session: Session,
    job_id: str,
    attempt: int,
    worker: str,
    state: str,
    *,
    reason: str | None = None,
    error: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    exit: str | None = None,
) -> str:
    """End the attempt; return the state its job is in now, and ring for it when that is "queued".

    `state` is terminal, "paused", or "queued" for a job given back. A wish that changed meanwhile wins
    over the last two: who gives back a job that was to be cancelled has cancelled it.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    job = mine(session, job_id, attempt, worker)
    if evaluation is not None:
        job.evaluation = evaluation
    _end_attempt(session, job, exit or state, reason)
    if state not in TERMINAL:
        state, reason = _as_wished(job, state, reason)
    _let_go(session, job, state, reason, error)
    return state


def lose(
    session: Session,
    job_id: str,
    attempt: int,
    worker: str,
    *,
    reason: str,
    max_attempts: int,
    backoff_seconds: float,
    error: dict[str, Any] | None = None,
) -> str:
    """End an attempt that may fare better another time; return the state its job is in now.

    `error` is what its job fails with once it has had `max_attempts` of such ends.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    return _lost(session, mine(session, job_id, attempt, worker), reason, max_attempts, backoff_seconds, error)


def expire(session: Session, max_attempts: int, backoff_seconds: float, limit: int = 100) -> dict[str, str]:
    """Take jobs from workers that no longer renew; return each one's id and the state it is in now."""
    query = (
        select(Job)
        # The states lead to an index; there is none on leases, for every heartbeat would have to write it.
        .where(Job.state.in_(sorted(HELD)), Job.lease_expires_at < db_now())
        .order_by(Job.lease_expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return {
        job.id: _lost(session, job, "worker_lost", max_attempts, backoff_seconds)
        for job in session.scalars(query).all()
    }


def waiting(session: Session, seconds: float = 5.0, limit: int = 100) -> list[str]:
    """List jobs that wait although their bell rang a while ago: it was lost, or nobody was free."""
    quiet = select(Job.id).where(_waits(), Job.updated_at < db_now(-seconds))
    # One query for each kind: so an index has them in order, and a long queue is not sorted to ring for its head.
    each = [quiet.where(Job.kind == kind).order_by(Job.queued_at, Job.id).limit(limit) for kind in (EXPRESS, TRAINING)]
    return [job_id for query in each for job_id in session.scalars(query)][:limit]


def is_wanted(session: Session, kind: str, seconds: float) -> bool:
    """Tell whether a job of a kind has waited for so long, since no place was free."""
    query = select(Job.id).where(_waits(), Job.kind == kind, Job.updated_at < db_now(-seconds)).limit(1)
    return session.scalar(query) is not None


def _waits() -> ColumnElement[bool]:
    due = or_(Job.not_before.is_(None), Job.not_before <= db_now())
    return and_(Job.state == JobState.QUEUED, due)


def _end_attempt(session: Session, job: Job, exit: str, reason: str | None) -> None:
    row = session.get_one(Attempt, (job.id, job.attempt))
    row.ended_at = db_now()
    row.exit, row.reason = exit, reason


def _as_wished(job: Job, state: str, reason: str | None) -> tuple[str, str | None]:
    if job.wish == "cancel":
        return JobState.CANCELLED, "cancelled_by_user"
    if job.wish == "pause":
        return JobState.PAUSED, "paused_by_user"
    if reason == SESSION_IDLE:
        # Not if a step has come in the meantime: the next one that comes would wake it up, and this one would wait.
        return (JobState.QUEUED, SESSION_WOKEN) if job.steps_sent > job.steps_done else (state, reason)
    # The wish was taken back while the runner was already stopping.
    return (JobState.QUEUED, None) if state == JobState.PAUSED else (state, reason)


def _let_go(session: Session, job: Job, state: str, reason: str | None, error: dict[str, Any] | None) -> None:
    job.lease_owner = job.lease_expires_at = None
    if state != JobState.QUEUED or job.wish != "stop":  # the next attempt is to hear of that
        job.wish = None
    job.error = error
    move(session, job, state, reason)
    session.flush()


def _lost(
    session: Session,
    job: Job,
    reason: str,
    max_attempts: int,
    backoff_seconds: float,
    told: dict[str, Any] | None = None,
) -> str:
    _end_attempt(session, job, LOST, reason)
    session.flush()
    count = select(func.count()).select_from(Attempt)
    losses = session.scalar(count.where(Attempt.job_id == job.id, Attempt.exit == LOST)) or 0
    state, why = _as_wished(job, JobState.QUEUED, reason)
    error = None
    if state == JobState.QUEUED and losses >= max_attempts:
        state, error = JobState.FAILED, _used_up(reason, losses, told)
    if state == JobState.QUEUED:
        job.not_before = db_now(backoff_seconds * 2 ** (losses - 1))
    _let_go(session, job, state, why, error)
    return state


def _used_up(reason: str, losses: int, told: dict[str, Any] | None) -> dict[str, Any]:
    if told is not None:
        return told | {"detail": f"{told['detail']} The job was tried {losses} times and is not tried again."}
    detail = f"{losses} attempts ended without a word from their runner; the job is not tried again"
    return {"class": reason, "detail": detail, "retryable": True, "who": "system"}
