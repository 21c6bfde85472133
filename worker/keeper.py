"""Holds the leases of a worker's runners, and kills the runners that may not go on."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.errors import LostLease
from core.settings import Settings
from worker.closing import CANCELLED, LOST, TIME_LIMIT
from worker.process import RunnerProcess
from worker.protocol import Assignment

log = logging.getLogger(__name__)

#: How long a runner may take to hear of its time limit by itself, between two batches, and to checkpoint.
GRACE_SECONDS = 5.0
#: The same for a cancel, after which nothing has to be saved; one that compiles does not hear it at all.
CANCEL_GRACE_SECONDS = 2.0


class Keeper(threading.Thread):
    """Renews, beside the supervisor, so that no lease waits for a claim.

    Args:
        settings: How often, and for how long.
        sessions: Where the leases are.
        runners: Says which runners there are now.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: sessionmaker[Session],
        runners: Callable[[], Sequence[RunnerProcess]],
    ) -> None:
        super().__init__(name="keeper", daemon=True)
        self._settings, self._sessions, self._runners = settings, sessions, runners
        self._every_seconds = min(settings.heartbeat_seconds, settings.lease_seconds / 3)
        self._over = threading.Event()

    def run(self) -> None:
        """Renew until stopped."""
        while not self._over.wait(self._every_seconds):
            for runner in self._runners():
                assignment = runner.assignment
                if assignment is not None and runner.busy and runner.exit_code is None:
                    self._hold(runner, assignment)

    def stop(self) -> None:
        """Renew no more."""
        self._over.set()
        self.join()

    def _hold(self, runner: RunnerProcess, assignment: Assignment) -> None:
        now = time.monotonic()
        try:
            wish = self._renew(assignment)
        except LostLease as error:
            # A runner that ends just now has let go of its lease itself, and says so in a moment.
            self._lost(runner, assignment, error)
            return
        except Exception as error:
            log.warning("cannot renew %s: %s", assignment.job_id, error)
            if now - runner.held_at > self._settings.lease_seconds:
                runner.kill(LOST)
            return
        runner.held_at = now
        self._judge(runner, assignment, wish, now)

    def _renew(self, assignment: Assignment) -> str | None:
        with self._sessions.begin() as session:
            return leases.renew(
                session,
                assignment.job_id,
                assignment.attempt,
                assignment.worker,
                self._settings.lease_seconds,
            )

    def _lost(self, runner: RunnerProcess, assignment: Assignment, error: LostLease) -> None:
        if runner.lost_at is None:
            runner.lost_at = time.monotonic()
        elif runner.busy and runner.assignment is assignment:
            log.warning("%s", error)
            runner.kill(LOST)

    def _judge(self, runner: RunnerProcess, assignment: Assignment, wish: str | None, now: float) -> None:
        if wish == "cancel":
            runner.cancelled_at = runner.cancelled_at or now
            if now - runner.cancelled_at > CANCEL_GRACE_SECONDS:
                runner.kill(CANCELLED)
        limit = assignment.limit_seconds
        if limit is not None and now - runner.assigned_at > limit + GRACE_SECONDS:
            runner.kill(TIME_LIMIT)
