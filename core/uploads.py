"""Every query about uploads that have been announced and have not arrived."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from core.database import db_now
from core.datasets import Datasets
from core.errors import StateConflict, UploadExpired
from core.files import Files, T
from core.models import Weights
from core.tables import AWAITING, READY, Upload, WeightsUpload


@dataclass(frozen=True)
class Kind(Generic[T]):
    """Something that may be announced, and where that is written down."""

    files: type[Files[T]]
    upload: type[Upload] | type[WeightsUpload]
    path: str

    @property
    def row(self) -> type[T]:
        """Name the table of what is announced."""
        return self.files.row

    @property
    def owner(self) -> ColumnElement[str]:
        """Name the upload's column that holds the row's id."""
        column: ColumnElement[str] = getattr(self.upload, self.files.key)
        return column


DATASETS = Kind(Datasets, Upload, "/v1/datasets")
WEIGHTS = Kind(Weights, WeightsUpload, "/v1/weights")
KINDS: tuple[Kind[Any], ...] = (DATASETS, WEIGHTS)


@dataclass(frozen=True)
class Litter:
    """What an upload that is given up leaves in the storage: perhaps a blob, perhaps parts of one."""

    blob: str
    multipart: str | None


class Uploads(Generic[T]):
    """The announced uploads of one project and of one kind."""

    def __init__(self, session: Session, project_id: str, kind: Kind[T]) -> None:
        self.session = session
        self.project_id = project_id
        self.kind = kind

    def announce(self, row: T, parts: Mapping[str, Any], seconds: float) -> Upload | WeightsUpload:
        """Store something whose file is to come, and for how long it is waited for.

        Args:
            row: What it is; its blob is where the file is to be sent.
            parts: `multipart` and `part_bytes`, where it comes in parts.
            seconds: For how long.
        """
        row.state = AWAITING
        self.session.add(row)
        self.session.flush()
        upload = self.kind.upload(**{self.kind.files.key: row.id}, **parts, expires_at=db_now(seconds))
        self.session.add(upload)
        self.session.flush()
        return upload

    def find(self, row_id: str) -> Upload | WeightsUpload | None:
        """Look for the upload of something; what is ready has none."""
        upload: Upload | WeightsUpload | None = self.session.get(self.kind.upload, row_id)  # type: ignore[assignment]
        return upload

    def get(self, row_id: str) -> T:
        """Read what was announced, whether it has arrived or not.

        Raises:
            NotFound: The project has no such thing.
        """
        return self.kind.files(self.session, self.project_id).get(row_id)

    def awaited(self, row_id: str) -> tuple[T, Upload | WeightsUpload]:
        """Read something whose file may still come.

        Raises:
            NotFound: The project has no such thing.
            StateConflict: Its file has arrived.
            UploadExpired: It took too long.
        """
        return self._awaited(self.get(row_id))

    def settle(self, row_id: str, blob: str, sha256: str, found: Mapping[str, Any]) -> T:
        """Make something ready, once for all: who comes second finds it so.

        Args:
            row_id: What it is.
            blob: Where its file lies.
            sha256: The file's.
            found: What the file says of itself, by column.

        Raises:
            NotFound: It has been deleted meanwhile.
            StateConflict: Somebody else has made it ready.
            UploadExpired: It took too long.
        """
        lock = select(self.kind.row).where(self.kind.row.id == row_id).with_for_update()
        self.session.scalar(lock.execution_options(populate_existing=True))
        row, upload = self.awaited(row_id)
        row.state, row.blob, row.sha256 = READY, blob, sha256
        for name, value in found.items():
            setattr(row, name, value)
        self.session.delete(upload)
        self.session.flush()
        return row

    def give_up(self, row_id: str) -> None:
        """Wait for an upload no longer; the sweep removes what there is of it."""
        if (upload := self.find(row_id)) is not None:
            upload.expires_at = db_now()

    def _awaited(self, row: T) -> tuple[T, Upload | WeightsUpload]:
        upload = self.find(row.id)
        if row.state != AWAITING or upload is None:
            noun = self.kind.files.noun
            raise StateConflict(f"{noun} {row.id} is {row.state}: its file has arrived.", state=row.state)
        if upload.expires_at <= self.session.scalars(select(db_now())).one():
            raise UploadExpired(
                f"The upload of {row.id} is over since {upload.expires_at.isoformat(timespec='seconds')}; "
                f"begin another with POST {self.kind.path}."
            )
        return row, upload


def expire(session: Session, limit: int = 100) -> list[Litter]:
    """Delete what was announced and never came; return what is to be removed after the commit."""
    return [litter for kind in KINDS for litter in _expire(session, kind, limit)]


def _expire(session: Session, kind: Kind[Any], limit: int) -> list[Litter]:
    query = (
        select(kind.row.id, kind.row.blob, kind.upload.multipart)
        .join(kind.upload, kind.owner == kind.row.id)
        .where(kind.upload.expires_at < db_now())
        .order_by(kind.upload.expires_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    late = session.execute(query).all()
    session.execute(delete(kind.row).where(kind.row.id.in_([row.id for row in late])))
    return [Litter(row.blob, row.multipart) for row in late]


def awaited_parts(session: Session, upload_ids: list[str]) -> set[str]:
    """Tell which of the storage's uploads in parts are still waited for."""
    columns = [kind.upload.multipart for kind in KINDS]
    found = [session.scalars(select(column).where(column.in_(upload_ids))) for column in columns]
    return {upload_id for each in found for upload_id in each if upload_id}
