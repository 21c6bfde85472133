"""Every query about jobs that is not an attempt's own; those are in `core.leases`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, select
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.base import ExecutableOption

from core.datasets import Datasets
from core.errors import JobFinished, NotFound, StateConflict
from core.events import move, record
from core.leases import TRAINING
from core.pages import Cursor, Page, cut, merged
from core.tables import (
    SESSION_IDLE,
    Artifact,
    Attempt,
    Checkpoint,
    Epoch,
    Event,
    Job,
    JobDataset,
    JobLabel,
    JobState,
)

WAITING = frozenset({JobState.QUEUED, JobState.PAUSED})


@dataclass(frozen=True)
class Filters:
    """What a list of jobs is narrowed to."""

    states: Sequence[str] = ()
    labels: dict[str, str] = field(default_factory=dict)
    created_after: datetime | None = None


class Jobs:
    """The jobs of one project; those of another do not exist."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, job: Job, dataset_ids: Iterable[str] = ()) -> Job:
        """Store a new job with its first event, and hold on to what it reads.

        Raises:
            NotFound: One of the datasets is gone.
        """
        wanted = sorted(set(dataset_ids))
        Datasets(self.session, self.project_id).hold(wanted)
        job.state, job.attempt, job.last_event = JobState.QUEUED, 0, 0
        self.session.add(job)
        self.session.flush()
        self.session.add_all(
            JobLabel(job_id=job.id, key=key, value=value, project_id=job.project_id, created_at=job.created_at)
            for key, value in job.labels.items()
        )
        self.session.add_all(JobDataset(job_id=job.id, dataset_id=dataset_id) for dataset_id in wanted)
        record(self.session, job, "state", {"from": None, "to": job.state, "reason": None})
        self.session.flush()
        return job

    def get(self, job_id: str) -> Job:
        """Read a job.

        Raises:
            NotFound: The project has no such job.
        """
        return self._get(job_id, lock=False)

    def page(self, filters: Filters, size: int, after: Cursor | None, *options: ExecutableOption) -> Page[Job]:
        """List jobs, newest first; whatever they are narrowed to, an index has them in that order.

        Args:
            filters: What to narrow them to.
            size: Jobs on a page.
            after: Where the page before ended.
            options: Which columns to read, if not all.
        """
        query = select(Job).options(*options).where(Job.project_id == self.project_id, Job.kind == TRAINING)
        place: Any = Job
        for number, (key, value) in enumerate(filters.labels.items()):
            label = aliased(JobLabel)
            has = (label.job_id == Job.id, label.project_id == self.project_id, label.key == key, label.value == value)
            query = query.join(label, and_(*has))
            place = label if number == 0 else place
        if filters.created_after:
            query = query.where(place.created_at > filters.created_after)
        # An index has the jobs of one state in order, and of several states in as many orders.
        each = [query.where(Job.state == state) for state in dict.fromkeys(filters.states)] or [query]
        return merged([cut(self.session, one, place, size, after) for one in each], size)

    def cancel(self, job_id: str) -> Job:
        """Stop a job: at once if nobody runs it, otherwise by a wish that its runner will hear.

        Raises:
            NotFound: The project has no such job.
            JobFinished: It has already ended.
        """
        job = self._live(job_id, "cancelled")
        if job.state in WAITING:
            move(self.session, job, JobState.CANCELLED, "cancelled_by_user")
        elif job.state != JobState.CANCELLING:
            job.wish = "cancel"
            move(self.session, job, JobState.CANCELLING, "cancelled_by_user")
        return self._saved(job)

    def pause(self, job_id: str) -> Job:
        """Let a job rest, with a checkpoint, until it is resumed.

        Raises:
            NotFound: The project has no such job.
            JobFinished: It has already ended.
            StateConflict: It is being cancelled.
        """
        job = self._live(job_id, "paused")
        self._refuse_cancelling(job, "paused")
        if job.state == JobState.QUEUED or (job.state == JobState.PAUSED and job.reason == SESSION_IDLE):
            move(self.session, job, JobState.PAUSED, "paused_by_user")
        elif job.state == JobState.RUNNING:
            job.wish = "pause"
            move(self.session, job, JobState.PAUSING, "paused_by_user")
        return self._saved(job)

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; a job that is still pausing goes on.

        Raises:
            NotFound: The project has no such job.
            JobFinished: It has already ended.
            StateConflict: It is being cancelled.
        """
        job = self._live(job_id, "resumed")
        self._refuse_cancelling(job, "resumed")
        if job.state == JobState.PAUSED:
            move(self.session, job, JobState.QUEUED, "resumed_by_user")
        elif job.state == JobState.PAUSING:
            job.wish = None
            move(self.session, job, JobState.RUNNING, "resumed_by_user")
        return self._saved(job)

    def events(self, job_id: str, after: int, limit: int) -> Sequence[Event]:
        """List what happened to a job since event number `after`."""
        query = select(Event).where(Event.job_id == job_id, Event.seq > after)
        return self.session.scalars(query.order_by(Event.seq).limit(limit)).all()

    def epochs(self, job_id: str, after: int = -1) -> Sequence[Epoch]:
        """List a job's epochs in order, those after one of them."""
        query = select(Epoch).where(Epoch.job_id == job_id, Epoch.epoch > after).order_by(Epoch.epoch)
        return self.session.scalars(query).all()

    def attempts(self, job_id: str) -> Sequence[Attempt]:
        """List the tries at a job, first to last."""
        query = select(Attempt).where(Attempt.job_id == job_id).order_by(Attempt.number)
        return self.session.scalars(query).all()

    def artifacts(self, job_id: str) -> Sequence[Artifact]:
        """List the files a job has left so far."""
        query = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.name)
        return self.session.scalars(query).all()

    def artifact(self, job_id: str, name: str) -> Artifact:
        """Read what is known of one file.

        Raises:
            NotFound: The job has left no such file.
        """
        found = self.session.get(Artifact, (job_id, name))
        if found is None:
            names = ", ".join(row.name for row in self.artifacts(job_id)) or "nothing yet"
            raise NotFound(f"Job {job_id} has left no artifact {name!r}; it has left {names}.")
        return found

    def forget(self, job_id: str) -> list[str]:
        """Delete an ended job and all that hangs on it; return its blobs, to be deleted after the commit."""
        blobs = [
            *self.session.scalars(select(Artifact.blob).where(Artifact.job_id == job_id)),
            *self.session.scalars(select(Checkpoint.blob).where(Checkpoint.job_id == job_id)),
        ]
        self.session.execute(delete(Job).where(Job.id == job_id, Job.project_id == self.project_id))
        return blobs

    def _get(self, job_id: str, lock: bool) -> Job:
        query = select(Job).where(Job.id == job_id, Job.project_id == self.project_id)
        if lock:
            query = query.with_for_update().execution_options(populate_existing=True)
        job = self.session.scalar(query)
        if job is None:
            raise unknown(job_id)
        return job

    def _saved(self, job: Job) -> Job:
        """Write a job, and read back what the database's clock has put into it."""
        self.session.flush()
        self.session.refresh(job)
        return job

    def _live(self, job_id: str, verb: str) -> Job:
        job = self._get(job_id, lock=True)
        if job.is_terminal:
            raise JobFinished(
                f"Job {job_id} is {job.state}, which is final; only a job that has not ended can be {verb}.",
                job_id=job_id,
                state=job.state,
            )
        return job

    def _refuse_cancelling(self, job: Job, verb: str) -> None:
        if job.state == JobState.CANCELLING:
            raise StateConflict(
                f"Job {job.id} is being cancelled and can no longer be {verb}.",
                job_id=job.id,
                state=job.state,
            )


def unknown(job_id: str) -> NotFound:
    """Say that a project has no such job."""
    return NotFound(f"There is no job {job_id!r}; GET /v1/jobs lists those there are.")
