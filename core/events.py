"""The one way a job's story grows: under its row's lock, without a gap."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.database import db_now
from core.tables import SESSION_WOKEN, TERMINAL, Event, Job, JobState, Step


def record(session: Session, job: Job, type: str, data: dict[str, Any]) -> Event:
    """Add an event to a job whose row this transaction has locked."""
    job.last_event += 1
    event = Event(job_id=job.id, seq=job.last_event, attempt=job.attempt, type=type, data=data)
    session.add(event)
    return event


def touch(job: Job) -> None:
    """Note that a client would now see something else."""
    job.version += 1
    job.updated_at = db_now()


def move(session: Session, job: Job, state: str, reason: str | None = None) -> None:
    """Change a locked job's state and record it; a terminal state also ends what hangs on the job."""
    data = {"from": job.state, "to": state, "reason": reason}
    if state == JobState.QUEUED and (job.state == JobState.PAUSED or reason == SESSION_WOKEN):
        job.queued_at = db_now()
    job.state, job.reason = state, reason
    if state in TERMINAL:
        job.finished_at = db_now()
        job.wish = None
        if job.steps_sent:
            session.execute(update(Step).where(Step.job_id == job.id).values(content=None))
    touch(job)
    record(session, job, "state", data)
