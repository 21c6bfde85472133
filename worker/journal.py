"""What an attempt writes down, every write fenced."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from core import attempts, leases, stepping
from core.blobs import Blobs, attempt_key
from core.jobs import Jobs
from core.stepping import Did
from core.tables import Attempt, Checkpoint
from worker.patience import Patience
from worker.protocol import Assignment

log = logging.getLogger(__name__)

T = TypeVar("T")


class Journal:
    """One attempt's writes.

    Args:
        database: Where to.
        blobs: Where files go, under keys of this attempt alone.
        assignment: Whose they are.
    """

    def __init__(self, database: Patience, blobs: Blobs, assignment: Assignment) -> None:
        self._database, self._blobs, self._assignment = database, blobs, assignment
        self._fence = (assignment.job_id, assignment.attempt, assignment.worker)
        self._epochs: list[tuple[int, dict[str, Any]]] = []
        self._artifacts: list[dict[str, Any]] = []
        self._steps: list[Did] = []
        #: The step of the newest checkpoint, if this attempt has one.
        self.kept: int | None = None

    @property
    def stored(self) -> dict[str, str]:
        """The sha256 of each file that is stored and not yet visible."""
        return {row["name"]: row["sha256"] for row in self._artifacts}

    def report(
        self, progress: dict[str, Any], metrics: dict[str, Any] | None, fidelity: str | None = None
    ) -> str | None:
        """Write how far it is, and how exactly it can be resumed; return what the caller wishes."""
        return self._write(lambda session: attempts.report(session, *self._fence, progress, metrics, fidelity))

    def epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Keep an epoch's logs for the next write, so that fast epochs share a transaction."""
        self._epochs.append((epoch, logs))

    def following(self, after: int, limit: int) -> tuple[str | None, list[tuple[int, str, bytes | None]]]:
        """Read the caller's wish, and number, state and content of the next steps of a session."""
        return self._database.read(lambda session: stepping.following(session, *self._fence, after, limit))

    def is_wanted(self, seconds: float) -> bool:
        """Tell whether another training has waited for the place for so long."""
        return self._database.read(lambda session: leases.is_wanted(session, leases.TRAINING, seconds))

    def did(self, step: Did) -> None:
        """Keep what came of a step for the next write, so that fast steps share a transaction."""
        self._steps.append(step)

    def record(self) -> None:
        """Write what came of steps, if any has been done."""
        if self._steps:
            self._write(lambda session: None)

    def datasets(self) -> Sequence[str]:
        """Name the datasets that the job has read, in its steps too."""
        return self._database.read(lambda session: stepping.datasets(session, self._assignment.job_id))

    def event(self, type: str, data: dict[str, Any]) -> None:
        """Add to the job's story."""
        self._write(lambda session: attempts.event(session, *self._fence, type, data))

    def attempts(self) -> Sequence[Attempt]:
        """List the tries so far, this one last."""
        job_id, project_id = self._assignment.job_id, self._assignment.project_id
        return self._database.read(lambda session: Jobs(session, project_id).attempts(job_id))

    def last_epoch(self) -> int:
        """Tell the last epoch that the caller has been told of, by whichever attempt; -1 if there is none."""
        job_id, project_id = self._assignment.job_id, self._assignment.project_id
        return self._database.read(lambda session: Jobs(session, project_id).last_epoch(job_id))

    def checkpoints(self) -> list[Checkpoint]:
        """What there is to go on from, newest first."""
        return self._write(lambda session: list(attempts.checkpoints(session, self._assignment.job_id)))

    def resumed(self, checkpoint: Checkpoint | None) -> None:
        """Correct what the attempt went on from."""
        self._write(lambda session: attempts.resumed(session, *self._fence, checkpoint))

    def checkpoint(self, path: Path, step: int, epoch: int, keep: int) -> None:
        """Store a checkpoint, make it the one to go on from, and drop those it replaces."""
        key = self._key(f"checkpoint-{step}")
        size, sha256 = self._blobs.put_file(key, path)

        row: dict[str, Any] = {"step": step, "epoch": epoch, "blob": key, "bytes": size, "sha256": sha256}
        self._drop(self._write(lambda session: attempts.checkpointed(session, *self._fence, **row, keep=keep)))
        self.kept = step

    def artifact(self, name: str, path: Path, format: str, max_difference: float | None = None) -> None:
        """Store a file and keep its row for the end, when all of them appear at once."""
        size, sha256 = self._blobs.put_file(self._key(name), path)
        row = {"name": name, "bytes": size, "sha256": sha256, "format": format, "blob": self._key(name)}
        self._artifacts.append(row | {"max_difference": max_difference})

    def publish(self) -> None:
        """Make the files stored so far visible."""
        self._drop(self._write(self._publish))
        self._artifacts.clear()

    def finish(self, state: str, **end: Any) -> None:
        """End the attempt, with all that was kept back, in one transaction."""

        def write(session: Session) -> list[str]:
            replaced = self._publish(session)
            leases.finish(session, *self._fence, state, **end)
            return replaced

        self._drop(self._write(write))

    def lose(self, error: dict[str, Any], max_attempts: int, backoff_seconds: float) -> None:
        """End the attempt so that another one is made, or fail with `error` if too many were."""
        self._write(
            lambda session: leases.lose(
                session,
                *self._fence,
                reason=error["class"],
                max_attempts=max_attempts,
                backoff_seconds=backoff_seconds,
                error=error,
            )
        )

    def _write(self, write: Callable[[Session], T]) -> T:
        def with_what_waits(session: Session) -> T:
            if self._epochs:
                attempts.epochs(session, *self._fence, self._epochs)
            if self._steps:
                stepping.did(session, *self._fence, self._steps)
            return write(session)

        result = self._database.write(with_what_waits)
        self._epochs.clear()
        self._steps.clear()
        return result

    def _publish(self, session: Session) -> list[str]:
        replaced = [attempts.artifact(session, *self._fence, **row) for row in self._artifacts]
        return [blob for blob in replaced if blob]

    def _drop(self, blobs: list[str]) -> None:
        for blob in blobs:
            try:
                self._blobs.delete(blob)
            except OSError as error:
                # The rows are already right; what is left is litter.
                log.warning("%s could not be deleted: %s", blob, error)

    def _key(self, name: str) -> str:
        return attempt_key(self._assignment.project_id, self._assignment.job_id, self._assignment.attempt, name)
