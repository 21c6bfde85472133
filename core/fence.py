"""The fence of an attempt's writes: job, attempt and worker.

Whoever no longer holds all three hears `LostLease` and must stop: another attempt, or a final state, has the job now.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from core.errors import LostLease
from core.tables import Job


def write(session: Session, job_id: str, attempt: int, worker: str, **values: Any) -> str | None:
    """Write one row by one statement, which needs no lock taken beforehand; return what the caller wishes.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    query = (
        update(Job)
        .where(fence(job_id, attempt, worker))
        .values(**values)
        .returning(Job.id, Job.wish)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise stolen(job_id, attempt, worker)
    wish: str | None = row.wish
    return wish


def mine(session: Session, job_id: str, attempt: int, worker: str) -> Job:
    """Lock the row for the rest of the transaction, so that the fence holds until it commits.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    query = (
        select(Job).where(fence(job_id, attempt, worker)).with_for_update().execution_options(populate_existing=True)
    )
    job = session.scalar(query)
    if job is None:
        raise stolen(job_id, attempt, worker)
    return job


def fence(job_id: str, attempt: int, worker: str) -> ColumnElement[bool]:
    """Say by what an attempt's job is found, as long as it is its."""
    return and_(Job.id == job_id, Job.attempt == attempt, Job.lease_owner == worker)


def stolen(job_id: str, attempt: int, worker: str) -> LostLease:
    """Say that it is its no longer."""
    return LostLease(f"attempt {attempt} of {job_id} is no longer {worker}'s: stop, and write nothing more")
