"""The steps of sessions as an attempt does them; every write is fenced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.orm import Session

from core import fence
from core.tables import Job, JobDataset, Step

WAITING, DONE, FAILED = "waiting", "done", "failed"
#: So many steps stay readable; older ones go when a checkpoint covers them.
READABLE = 1_000


@dataclass(frozen=True)
class Did:
    """What came of a step."""

    number: int
    result: dict[str, Any] | None
    error: dict[str, Any] | None = None

    def row(self, job_id: str) -> dict[str, Any]:
        """Write it for the table."""
        state = DONE if self.error is None else FAILED
        return {"job_id": job_id, "number": self.number, "state": state, "result": self.result, "error": self.error}


def following(
    session: Session, job_id: str, attempt: int, worker: str, after: int, limit: int
) -> tuple[str | None, list[tuple[int, str, bytes | None]]]:
    """Read what is to be done after a step: the caller's wish, and number, state and content of the next ones.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    query = (
        select(Job.wish, Step.number, Step.state, Step.content)
        .outerjoin(Step, and_(Step.job_id == Job.id, Step.number > after))
        .where(fence.fence(job_id, attempt, worker))
        .order_by(Step.number)
        .limit(limit)
    )
    rows = session.execute(query).all()
    if not rows:
        raise fence.stolen(job_id, attempt, worker)
    return rows[0].wish, [(row.number, row.state, row.content) for row in rows if row.number is not None]


def did(session: Session, job_id: str, attempt: int, worker: str, steps: Sequence[Did]) -> str | None:
    """Record what came of the next steps, once and for all; return what the caller wishes, if anything.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    wish = fence.write(session, job_id, attempt, worker, steps_done=steps[-1].number)
    session.execute(update(Step), [each.row(job_id) for each in steps])
    return wish


def covered(session: Session, job: Job, number: int) -> None:
    """Let go of what no attempt will have to do again, for every checkpoint is past it."""
    mine = Step.job_id == job.id
    session.execute(update(Step).where(mine, Step.number <= number, Step.content.is_not(None)).values(content=None))
    session.execute(delete(Step).where(mine, Step.number <= min(number, job.steps_done - READABLE)))


def datasets(session: Session, job_id: str) -> Sequence[str]:
    """Name the datasets that a job has read, in its steps too."""
    query = select(JobDataset.dataset_id).where(JobDataset.job_id == job_id)
    return session.scalars(query.order_by(JobDataset.dataset_id)).all()
