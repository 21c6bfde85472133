"""What an attempt writes while it runs; every write is fenced."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from core import stepping
from core.database import db_now
from core.events import record, touch
from core.fence import mine, write
from core.tables import Artifact, Attempt, Checkpoint, Epoch, Job


def checkpoints(session: Session, job_id: str) -> Sequence[Checkpoint]:
    """List what a job can be resumed from, newest first."""
    query = (
        select(Checkpoint)
        .where(Checkpoint.job_id == job_id)
        .order_by(Checkpoint.attempt.desc(), Checkpoint.step.desc())
    )
    return session.scalars(query).all()


def report(
    session: Session,
    job_id: str,
    attempt: int,
    worker: str,
    progress: dict[str, Any],
    metrics: dict[str, Any] | None = None,
    fidelity: str | None = None,
) -> str | None:
    """Say how far the attempt is and how exactly it can be resumed; return what the caller wishes, if anything.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    values: dict[str, Any] = {"progress": progress, "progress_at": db_now(), "updated_at": db_now()}
    if metrics is not None:
        values["metrics"] = metrics
    if fidelity is not None:
        values["resume_fidelity"] = fidelity
    return write(session, job_id, attempt, worker, version=Job.version + 1, **values)


def epochs(
    session: Session, job_id: str, attempt: int, worker: str, logs: Sequence[tuple[int, dict[str, Any]]]
) -> None:
    """Keep the logs of some epochs; one trained again after a crash replaces what was lost.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    job = mine(session, job_id, attempt, worker)
    session.execute(delete(Epoch).where(Epoch.job_id == job_id, Epoch.epoch.in_([number for number, _ in logs])))
    rows = [{"job_id": job_id, "epoch": number, "attempt": attempt, "logs": each} for number, each in logs]
    session.execute(insert(Epoch), rows)
    for number, each in logs:
        record(session, job, "epoch", {"epoch": number, "logs": each})
    job.metrics = logs[-1][1]
    touch(job)
    session.flush()


def event(session: Session, job_id: str, attempt: int, worker: str, type: str, data: dict[str, Any]) -> None:
    """Add to the job's story.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    record(session, mine(session, job_id, attempt, worker), type, data)
    session.flush()


def checkpointed(
    session: Session,
    job_id: str,
    attempt: int,
    worker: str,
    *,
    step: int,
    epoch: int,
    blob: str,
    bytes: int,
    sha256: str,
    keep: int,
) -> list[str]:
    """Make a checkpoint that is already in storage the one to resume from; return blobs to delete.

    Raises:
        LostLease: The job is no longer this attempt's; the blob just written is litter.
    """
    job = mine(session, job_id, attempt, worker)
    before = {row.blob for row in checkpoints(session, job_id)}
    row = Checkpoint(job_id=job_id, attempt=attempt, step=step, epoch=epoch)
    row.blob, row.bytes, row.sha256, row.created_at = blob, bytes, sha256, db_now()
    session.merge(row)
    record(session, job, "checkpoint", {"step": step, "epoch": epoch, "bytes": bytes})
    session.flush()
    kept = checkpoints(session, job_id)[: max(keep, 1)]
    for old in checkpoints(session, job_id)[max(keep, 1) :]:
        session.delete(old)
    session.flush()
    if job.steps_sent and len(kept) == max(keep, 1):
        stepping.covered(session, job, min(row.step for row in kept))
    return sorted(before - {row.blob for row in kept})


def resumed(session: Session, job_id: str, attempt: int, worker: str, checkpoint: Checkpoint | None) -> None:
    """Correct what the attempt started from, where the newest checkpoint was damaged.

    Raises:
        LostLease: The job is no longer this attempt's.
    """
    mine(session, job_id, attempt, worker)
    row = session.get_one(Attempt, (job_id, attempt))
    row.resumed_from = place(checkpoint)
    session.flush()


def artifact(
    session: Session,
    job_id: str,
    attempt: int,
    worker: str,
    *,
    name: str,
    bytes: int,
    sha256: str,
    format: str,
    blob: str,
    max_difference: float | None = None,
) -> str | None:
    """Publish a file that is already in storage; return the blob it replaces, which may be deleted.

    Raises:
        LostLease: The job is no longer this attempt's; the blob just written is litter.
    """
    job = mine(session, job_id, attempt, worker)
    old = session.get(Artifact, (job_id, name))
    old_blob = old.blob if old else None
    new = Artifact(job_id=job_id, name=name, attempt=attempt, bytes=bytes, sha256=sha256)
    new.format, new.blob, new.max_difference = format, blob, max_difference
    session.merge(new)
    touch(job)
    session.flush()
    return old_blob if old_blob != blob else None


def place(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    """Say where a checkpoint goes on, for the row of an attempt that begins there."""
    if checkpoint is None:
        return None
    return {"attempt": checkpoint.attempt, "step": checkpoint.step, "epoch": checkpoint.epoch}
