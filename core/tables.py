"""The rows. Every one belongs to a project; every time is the database's."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.base import Base as Base
from core.database import db_now


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    PAUSING = "pausing"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: What is uploaded: whether its file is there, or is still to come.
READY, AWAITING = "ready", "awaiting_upload"
#: Final: no state follows them.
TERMINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
#: All others, in a list that is the same in every process: by it a query finds them in an index.
LIVE = tuple(state for state in JobState if state not in TERMINAL)
#: The reasons of a session that rests until its next step, and of one that was woken up by it.
SESSION_IDLE, SESSION_WOKEN = "session_idle", "session_woken"
#: An attempt holds the job, and its lease counts.
HELD = frozenset({JobState.RUNNING, JobState.CANCELLING, JobState.PAUSING})


def project_key() -> Mapped[str]:
    """Make the column that says whose row it is."""
    return mapped_column(ForeignKey("projects.id"))


def job_key() -> Mapped[str]:
    """Make the first half of the key of a row that lives and dies with its job."""
    return mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


class Project(Base):
    """Who owns things."""

    __tablename__ = "projects"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class ApiKey(Base):
    """A way in: only the hash of the secret is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_key()
    name: Mapped[str]
    prefix: Mapped[str]
    hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())
    revoked_at: Mapped[datetime | None]


class Dataset(Base):
    """Uploaded, named arrays."""

    __tablename__ = "datasets"
    __table_args__ = (
        Index("ix_datasets_page", "project_id", "created_at", "id"),
        # A client that is about to upload asks whether the bytes are there already.
        Index("ix_datasets_sha256", "project_id", "sha256", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_key()
    name: Mapped[str]
    format: Mapped[str]
    bytes: Mapped[int]
    #: Empty as long as nobody has said it and the bytes have not come.
    sha256: Mapped[str]
    #: "ready", or "awaiting_upload" with an `uploads` row beside it.
    state: Mapped[str]
    #: name -> {"shape": [...], "dtype": "float32"}
    arrays: Mapped[dict[str, Any]]
    blob: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())


class Arrival:
    """A file on its way past the gateway; gone when it has arrived or has taken too long."""

    #: The storage's id of an upload in parts, and how large each of them is.
    multipart: Mapped[str | None]
    part_bytes: Mapped[int | None]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Upload(Arrival, Base):
    """A dataset's file on its way."""

    __tablename__ = "uploads"

    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)


class StoredModel(Base):
    """A definition kept for later jobs; its sha256 is of the normalised form."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_page", "project_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_key()
    sha256: Mapped[str]
    definition: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())


class WeightsFile(Base):
    """Uploaded weights, unread until a runner needs them."""

    __tablename__ = "weights"

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_key()
    name: Mapped[str | None]
    bytes: Mapped[int]
    #: Empty as long as nobody has said it and the bytes have not come.
    sha256: Mapped[str]
    #: "ready", or "awaiting_upload" with a `weights_uploads` row beside it.
    state: Mapped[str] = mapped_column(default=READY)
    #: "hdf5" or "safetensors"
    format: Mapped[str]
    #: "tensorflow" or "theano"
    kernels: Mapped[str]
    blob: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())


class WeightsUpload(Arrival, Base):
    """A weights file on its way."""

    __tablename__ = "weights_uploads"

    weights_id: Mapped[str] = mapped_column(ForeignKey("weights.id", ondelete="CASCADE"), primary_key=True)


class Job(Base):
    """One request to compile, fit, evaluate, predict."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_page", "project_id", "kind", "created_at", "id"),
        Index("ix_jobs_state_page", "project_id", "kind", "state", "created_at", "id"),
        # Claims, and all that looks at live jobs only. None is on `lease_expires_at`: a heartbeat would then
        # write every index anew.
        Index("ix_jobs_queue", "state", "kind", "queued_at", "id"),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled'))",
            name="finished_when_terminal",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = project_key()
    #: "training", or "express" for a short run that the gateway waits for and no list shows.
    kind: Mapped[str]
    name: Mapped[str | None]
    labels: Mapped[dict[str, Any]]
    state: Mapped[str]
    reason: Mapped[str | None]
    #: What the caller wants the running attempt to do: "cancel", "pause", or "stop" after the epoch.
    wish: Mapped[str | None]
    #: The number of the newest attempt, and its fencing token.
    attempt: Mapped[int] = mapped_column(default=0)
    #: What the engine reads (model, compile, fit, …), and beside it weights, checkpoint, limits.
    definition: Mapped[dict[str, Any]]
    seed: Mapped[int]
    progress: Mapped[dict[str, Any] | None]
    progress_at: Mapped[datetime | None]
    metrics: Mapped[dict[str, Any] | None]
    evaluation: Mapped[dict[str, Any] | None]
    #: Whether a resumed attempt ends in the same bits: "exact" or "approximate", once an attempt has begun.
    resume_fidelity: Mapped[str | None]
    #: {"class", "detail", "retryable", "who"} of a failed job.
    error: Mapped[dict[str, Any] | None]
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    #: Grows with every change a client can see; the ETag is made of it.
    version: Mapped[int] = mapped_column(default=1)
    #: Of a session: the numbers of the last step that was sent, and of the last one that is done.
    steps_sent: Mapped[int] = mapped_column(default=0, server_default="0")
    steps_done: Mapped[int] = mapped_column(default=0, server_default="0")
    last_event: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())
    #: Its place in the queue, which it keeps when a worker gives it back or dies, and not when it has rested.
    queued_at: Mapped[datetime] = mapped_column(insert_default=db_now(), server_default="1970-01-01 00:00:00+00:00")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = mapped_column(insert_default=db_now())

    @property
    def is_terminal(self) -> bool:
        """Say whether nothing will happen to the job any more."""
        return self.state in TERMINAL


class JobLabel(Base):
    """A label, once more beside the job that has it, so that jobs are found by it in the order of pages."""

    __tablename__ = "job_labels"
    __table_args__ = (Index("ix_job_labels_page", "project_id", "key", "value", "created_at", "job_id"),)

    job_id: Mapped[str] = job_key()
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    project_id: Mapped[str] = project_key()
    created_at: Mapped[datetime]


class JobDataset(Base):
    """Which job reads which dataset."""

    __tablename__ = "job_datasets"

    job_id: Mapped[str] = job_key()
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True, index=True)


class JobWeights(Base):
    """Which job starts from which uploaded weights."""

    __tablename__ = "job_weights"

    job_id: Mapped[str] = job_key()
    weights_id: Mapped[str] = mapped_column(ForeignKey("weights.id", ondelete="CASCADE"), primary_key=True, index=True)


class Event(Base):
    """Something that happened to a job; `seq` counts from 1 without a gap."""

    __tablename__ = "events"

    job_id: Mapped[str] = job_key()
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(insert_default=db_now())


class Epoch(Base):
    """The logs of one epoch; an epoch trained again after a crash replaces its row."""

    __tablename__ = "epochs"

    job_id: Mapped[str] = job_key()
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    logs: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(insert_default=db_now())


class Attempt(Base):
    """One try at a job by one worker."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = job_key()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(insert_default=db_now())
    ended_at: Mapped[datetime | None] = mapped_column(index=True)
    #: How it ended: the state it left the job in, or "lost".
    exit: Mapped[str | None]
    reason: Mapped[str | None]
    #: {"attempt", "step", "epoch"} of the checkpoint it started from.
    resumed_from: Mapped[dict[str, Any] | None]


class Step(Base):
    """What a session was asked to do, and what came of it; `number` counts from 1 without a gap."""

    __tablename__ = "steps"

    job_id: Mapped[str] = job_key()
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    #: "waiting", "done" or "failed".
    state: Mapped[str]
    #: Of the content, by which a step that is sent again is known.
    sha256: Mapped[str]
    content_bytes: Mapped[int]
    #: JSON, as it was sent; gone once the checkpoints cover it, and when the job has ended.
    content: Mapped[bytes | None]
    result: Mapped[dict[str, Any] | None]
    #: {"class", "detail", "pointer"} of a failed step.
    error: Mapped[dict[str, Any] | None]


class Checkpoint(Base):
    """A full state that a later attempt can go on from."""

    __tablename__ = "checkpoints"

    job_id: Mapped[str] = job_key()
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int]
    blob: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now())


class Artifact(Base):
    """A file a job leaves behind."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = job_key()
    name: Mapped[str] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    bytes: Mapped[int]
    sha256: Mapped[str]
    format: Mapped[str]
    blob: Mapped[str]
    #: How far its predictions were from ours, at most, when it was made for another program.
    max_difference: Mapped[float | None]


class Worker(Base):
    """A worker that runs, or ran within the last day, and what it was last seen to do."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    slots: Mapped[int]
    gpus: Mapped[list[Any]]
    started_at: Mapped[datetime] = mapped_column(insert_default=db_now())
    #: When it last looked for work, or had no room for more.
    looked_at: Mapped[datetime]
    claimed_at: Mapped[datetime | None]


class Idempotency(Base):
    """The answer to a request that carried an Idempotency-Key, or the promise of one."""

    __tablename__ = "idempotency"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    #: sha256 of what was asked: the same key with another body is a mistake.
    fingerprint: Mapped[str]
    #: Whose reservation it is: a request that took too long finds another's token here, and rolls back.
    token: Mapped[str]
    reserved_until: Mapped[datetime | None]
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(insert_default=db_now(), index=True)


class Sweep(Base):
    """How far a round through the storage has come; reapers take turns on it."""

    __tablename__ = "sweeps"

    name: Mapped[str] = mapped_column(primary_key=True)
    #: The last key that was looked at.
    after: Mapped[str]
    due_at: Mapped[datetime]
