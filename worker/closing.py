"""What a supervisor writes for a runner that can write no more."""

import logging
import shutil

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.errors import LostLease
from core.settings import Settings
from core.tables import JobState
from worker import failures
from worker.process import RunnerProcess
from worker.protocol import Assignment

log = logging.getLogger(__name__)

#: Verdicts: why a supervisor kills a runner.
LOST, CANCELLED, TIME_LIMIT, STOPPED = "lost", "cancelled", "time_limit", "stopped"


def close(runner: RunnerProcess, settings: Settings, sessions: sessionmaker[Session]) -> None:
    """End the attempt of a runner that died before it had written its end."""
    assignment = runner.assignment
    if assignment is None:
        return
    shutil.rmtree(assignment.folder, ignore_errors=True)
    log.warning(
        "runner %d of %s, attempt %d, exited with %s (%s)",
        runner.process.pid,
        assignment.job_id,
        assignment.attempt,
        runner.exit_code,
        runner.verdict or "not our doing",
    )
    try:
        with sessions.begin() as session:
            _end(session, assignment, runner.verdict, settings)
    except LostLease as error:
        log.warning("%s", error)


def _end(session: Session, assignment: Assignment, verdict: str | None, settings: Settings) -> None:
    fence = (assignment.job_id, assignment.attempt, assignment.worker)
    if verdict == CANCELLED:
        leases.finish(session, *fence, JobState.CANCELLED, reason="cancelled_by_user", exit="killed")
    elif verdict == TIME_LIMIT:
        error = failures.time_limit(assignment.limit_seconds or 0)
        leases.finish(session, *fence, JobState.FAILED, reason=TIME_LIMIT, error=error, exit="killed")
    elif verdict == STOPPED:
        leases.finish(session, *fence, JobState.QUEUED, reason="worker_stopped", exit="killed")
    elif verdict != LOST:
        leases.lose(
            session,
            *fence,
            reason="runner_killed",
            max_attempts=settings.max_attempts,
            backoff_seconds=settings.retry_backoff_seconds,
        )
