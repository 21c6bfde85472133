"""Every query about uploads that have been announced and have not arrived."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database import db_now
from core.datasets import AWAITING, READY, Datasets
from core.errors import StateConflict, UploadExpired
from core.tables import Dataset, Upload


@dataclass(frozen=True)
class Litter:
    """What an upload that is given up leaves in the storage: perhaps a blob, perhaps parts of one."""

    blob: str
    multipart: str | None


class Uploads:
    """The announced uploads of one project."""

    def __init__(self, session: Session, project_id: str) -> None:
        self.session = session
        self.datasets = Datasets(session, project_id)

    def announce(self, dataset: Dataset, upload: Upload, seconds: float) -> Upload:
        """Store a dataset whose file is to come, and for how long it is waited for."""
        dataset.state, dataset.arrays = AWAITING, {}
        self.datasets.add(dataset)
        upload.dataset_id, upload.expires_at = dataset.id, db_now(seconds)
        self.session.add(upload)
        self.session.flush()
        return upload

    def find(self, dataset_id: str) -> Upload | None:
        """Look for the upload of a dataset; one that is ready has none."""
        return self.session.get(Upload, dataset_id)

    def awaited(self, dataset_id: str) -> tuple[Dataset, Upload]:
        """Read a dataset whose file may still come.

        Raises:
            NotFound: The project has no such dataset.
            StateConflict: Its file has arrived.
            UploadExpired: It took too long.
        """
        return self._awaited(self.datasets.get(dataset_id))

    def settle(self, dataset_id: str, blob: str, sha256: str, arrays: dict[str, Any]) -> Dataset:
        """Make a dataset ready, once for all: who comes second finds it so.

        Raises:
            NotFound: It has been deleted meanwhile.
            StateConflict: Somebody else has made it ready.
            UploadExpired: It took too long.
        """
        lock = select(Dataset).where(Dataset.id == dataset_id).with_for_update()
        self.session.scalar(lock.execution_options(populate_existing=True))
        dataset, upload = self.awaited(dataset_id)
        dataset.state, dataset.blob, dataset.sha256, dataset.arrays = READY, blob, sha256, arrays
        self.session.delete(upload)
        self.session.flush()
        return dataset

    def give_up(self, dataset_id: str) -> None:
        """Wait for an upload no longer; the sweep removes what there is of it."""
        if (upload := self.find(dataset_id)) is not None:
            upload.expires_at = db_now()

    def _awaited(self, dataset: Dataset) -> tuple[Dataset, Upload]:
        upload = self.find(dataset.id)
        if dataset.state != AWAITING or upload is None:
            raise StateConflict(f"Dataset {dataset.id} is {dataset.state}: its file has arrived.", state=dataset.state)
        if upload.expires_at <= self.session.scalars(select(db_now())).one():
            raise UploadExpired(
                f"The upload of {dataset.id} is over since {upload.expires_at.isoformat(timespec='seconds')}; "
                "begin another with POST /v1/datasets."
            )
        return dataset, upload


def expire(session: Session, limit: int = 100) -> list[Litter]:
    """Delete the datasets whose files never came; return what is to be removed after the commit."""
    query = (
        select(Dataset.id, Dataset.blob, Upload.multipart)
        .join(Upload, Upload.dataset_id == Dataset.id)
        .where(Upload.expires_at < db_now())
        .order_by(Upload.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    late = session.execute(query).all()
    session.execute(delete(Dataset).where(Dataset.id.in_([row.id for row in late])))
    return [Litter(row.blob, row.multipart) for row in late]


def awaited_parts(session: Session, upload_ids: list[str]) -> set[str]:
    """Tell which of the storage's uploads in parts are still waited for."""
    found = session.scalars(select(Upload.multipart).where(Upload.multipart.in_(upload_ids)))
    return {upload_id for upload_id in found if upload_id}
