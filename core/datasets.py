"""Every query about datasets."""

from collections.abc import Iterable

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.errors import DatasetInUse, NotFound
from core.pages import Cursor, Page, cut
from core.tables import LIVE, READY, Dataset, Job, JobDataset


class Datasets:
    """The datasets of one project; those of another do not exist."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.project_id = project_id

    def add(self, dataset: Dataset) -> Dataset:
        """Store a dataset whose blob is already in place."""
        self.session.add(dataset)
        self.session.flush()
        return dataset

    def find(self, dataset_id: str) -> Dataset | None:
        """Look for a dataset."""
        query = select(Dataset).where(Dataset.id == dataset_id, Dataset.project_id == self.project_id)
        return self.session.scalar(query)

    def get(self, dataset_id: str) -> Dataset:
        """Read a dataset.

        Raises:
            NotFound: The project has no such dataset.
        """
        dataset = self.find(dataset_id)
        if dataset is None:
            raise NotFound(f"There is no dataset {dataset_id!r}; GET /v1/datasets lists those there are.")
        return dataset

    def page(self, size: int, after: Cursor | None, sha256: str | None = None) -> Page[Dataset]:
        """List datasets, newest first; only those whose file has this sha256, where it is given."""
        query = select(Dataset).where(Dataset.project_id == self.project_id)
        if sha256 is not None:
            query = query.where(Dataset.sha256 == sha256)
        return cut(self.session, query, Dataset, size, after)

    def hold(self, dataset_ids: Iterable[str]) -> None:
        """Keep datasets from being deleted until this transaction has committed a job that needs them.

        Raises:
            NotFound: One was deleted since it was looked at.
        """
        wanted = sorted(set(dataset_ids))
        query = select(Dataset.id).where(Dataset.id.in_(wanted), Dataset.project_id == self.project_id)
        held = set(self.session.scalars(query.order_by(Dataset.id).with_for_update(read=True)))
        for dataset_id in wanted:
            if dataset_id not in held:
                raise NotFound(f"Dataset {dataset_id!r} has just been deleted.")

    def remove(self, dataset_id: str) -> str:
        """Delete a dataset no live job needs; return its blob, to be deleted after the commit.

        Raises:
            NotFound: The project has no such dataset.
            DatasetInUse: A job that has not ended needs it.
        """
        lock = select(Dataset).where(Dataset.id == dataset_id, Dataset.project_id == self.project_id)
        # A job that is being made holds this lock too: afterwards its row can be seen below.
        if self.session.scalar(lock.with_for_update()) is None:
            self.get(dataset_id)
        dataset = self.get(dataset_id)
        if (job_id := self._live_job(dataset_id)) is not None:
            raise DatasetInUse(
                f"Dataset {dataset_id} is used by {job_id}, which has not ended; cancel it or wait for it.",
                job_id=job_id,
            )
        self.session.delete(dataset)
        self.session.flush()
        return dataset.blob

    def _live_job(self, dataset_id: str) -> str | None:
        # Of the live jobs one that needs it, not of all that ever did: those are without end.
        needs = exists().where(JobDataset.job_id == Job.id, JobDataset.dataset_id == dataset_id)
        return self.session.scalar(select(Job.id).where(Job.state.in_(LIVE), needs).limit(1))


def array_of(dataset: Dataset, array: str) -> tuple[tuple[int, ...], str]:
    """Tell the shape and the type of one array of a dataset.

    Raises:
        LookupError: It has no such array, or its file has not arrived.
    """
    if dataset.state != READY:
        raise LookupError(
            f"Dataset {dataset.id} is {dataset.state}: upload its file, then POST /v1/datasets/{dataset.id}/complete."
        )
    found = dataset.arrays.get(array)
    if found is None:
        names = ", ".join(list(dataset.arrays)[:20])
        raise LookupError(f"Dataset {dataset.id} has no array {array[:80]!r}; it has {names}.")
    return tuple(found["shape"]), found["dtype"]
