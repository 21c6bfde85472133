"""Uploaded files: none is deleted as long as a job that has not ended needs it."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session

from core.errors import NotFound, StateConflict
from core.tables import LIVE, Dataset, Job, JobDataset, JobWeights, WeightsFile

#: What may be uploaded.
T = TypeVar("T", bound=Dataset | WeightsFile)


class Files(Generic[T]):
    """The files of one kind of one project; those of another do not exist."""

    row: type[T]
    #: Which job needs which of them.
    need: type[JobDataset] | type[JobWeights]
    #: What that table, and that of uploads, call the row's id.
    key: str
    noun: str
    #: What is said where there is none; `{}` stands for its id.
    missing: str
    in_use: type[StateConflict]

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, row: T) -> T:
        """Store a row whose blob is already in place."""
        self.session.add(row)
        self.session.flush()
        return row

    def find(self, row_id: str) -> T | None:
        """Look for a file."""
        return self.session.scalar(self._one(row_id))

    def get(self, row_id: str) -> T:
        """Read what is known of a file.

        Raises:
            NotFound: The project has no such file.
        """
        return self._there(row_id, self.find(row_id))

    def hold(self, row_ids: Iterable[str]) -> None:
        """Keep files from being deleted until this transaction has committed a job that needs them.

        Raises:
            NotFound: One was deleted since it was looked at.
        """
        wanted = sorted(set(row_ids))
        if not wanted:
            return
        query = select(self.row.id).where(self.row.id.in_(wanted), self.row.project_id == self.project_id)
        held = set(self.session.scalars(query.order_by(self.row.id).with_for_update(read=True)))
        for row_id in wanted:
            if row_id not in held:
                raise NotFound(f"{self.noun} {row_id!r} has just been deleted.")

    def need_for(self, job: Job, row_ids: Iterable[str]) -> None:
        """Write down that a job that has just been added needs files."""
        self.session.add_all(self.need(job_id=job.id, **{self.key: row_id}) for row_id in sorted(set(row_ids)))

    def remove(self, row_id: str) -> str:
        """Delete a file no live job needs; return its blob, to be deleted after the commit.

        Raises:
            NotFound: The project has no such file.
            StateConflict: A job that has not ended needs it.
        """
        # A job that is being made holds this lock too: afterwards its row can be seen below.
        row = self._there(row_id, self.session.scalar(self._one(row_id).with_for_update()))
        if (job_id := self._live_job(row_id)) is not None:
            raise self.in_use(
                f"{self.noun} {row_id} is used by {job_id}, which has not ended; cancel it or wait for it.",
                job_id=job_id,
            )
        self.session.delete(row)
        self.session.flush()
        return row.blob

    def _one(self, row_id: str) -> Select[T]:
        return select(self.row).where(self.row.id == row_id, self.row.project_id == self.project_id)

    def _there(self, row_id: str, row: T | None) -> T:
        if row is None:
            raise NotFound(self.missing.format(repr(row_id)))
        return row

    def _live_job(self, row_id: str) -> str | None:
        # Of the live jobs one that needs it, not of all that ever did: those are without end.
        needs = exists().where(self.need.job_id == Job.id, getattr(self.need, self.key) == row_id)
        return self.session.scalar(select(Job.id).where(Job.state.in_(LIVE), needs).limit(1))
