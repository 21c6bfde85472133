"""What a supervisor writes for a runner that can write no more."""

import logging
import shutil
import signal

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.errors import LostLease
from core.settings import Settings
from core.tables import JobState
from worker import failures, machine
from worker.process import RunnerProcess, count
from worker.protocol import REFUSED, Assignment

log = logging.getLogger(__name__)

#: Verdicts: why a supervisor kills a runner.
LOST, CANCELLED, TIME_LIMIT, STOPPED, NO_MEMORY = "lost", "cancelled", "time_limit", "stopped", failures.NO_MEMORY

#: What becomes of an attempt when its runner dies by another hand.
KILLED, CRASHED = "runner_killed", "runner_crashed"


def close(runner: RunnerProcess, settings: Settings, sessions: sessionmaker[Session]) -> None:
    """End the attempt of a runner that died before it had written its end."""
    assignment = runner.assignment
    if assignment is None:
        return
    shutil.rmtree(assignment.folder, ignore_errors=True)
    cause = runner.verdict or _cause(runner)
    said = "runner %d exited with %s (%s)"
    log.warning(said, runner.pid, runner.exit_code, cause, extra=assignment.about)
    try:
        with sessions.begin() as session:
            _end(session, assignment, cause, runner, settings)
    except LostLease as error:
        log.warning("%s", error, extra=assignment.about)
        cause = REFUSED
    count(cause)


def _cause(runner: RunnerProcess) -> str:
    """Say why a runner died that nobody here has killed."""
    if runner.exit_code != -signal.SIGKILL:
        return CRASHED
    return NO_MEMORY if machine.oom_kills() > runner.oom_kills else KILLED


def _end(session: Session, assignment: Assignment, cause: str, runner: RunnerProcess, settings: Settings) -> None:
    fence = (assignment.job_id, assignment.attempt, assignment.worker)
    if cause == CANCELLED:
        leases.finish(session, *fence, JobState.CANCELLED, reason="cancelled_by_user", exit="killed")
    elif cause == TIME_LIMIT:
        error = failures.time_limit(assignment.limit_seconds or 0)
        leases.finish(session, *fence, JobState.FAILED, reason=TIME_LIMIT, error=error, exit="killed")
    elif cause == NO_MEMORY:
        error = failures.no_memory(f"its runner held {runner.held_bytes / 2**20:,.0f} MiB when it was ended")
        leases.finish(session, *fence, JobState.FAILED, reason=NO_MEMORY, error=error, exit="killed")
    elif cause == STOPPED:
        leases.finish(session, *fence, JobState.QUEUED, reason="worker_stopped", exit="killed")
    elif cause != LOST:
        leases.lose(
            session,
            *fence,
            reason=cause,
            max_attempts=settings.max_attempts,
            backoff_seconds=settings.retry_backoff_seconds,
            error=failures.crashed(cause, runner.exit_code),
        )
