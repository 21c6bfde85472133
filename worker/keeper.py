"""Holds the leases of a worker's runners, and hears what becomes of their jobs."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.errors import LostLease
from core.settings import Settings
from worker import metrics
from worker.closing import LOST
from worker.process import RunnerProcess
from worker.protocol import Assignment

log = logging.getLogger(__name__)

#: A cancel is heard within this, however seldom leases are renewed.
_HEAR_SECONDS = 2.0


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
        self._every_seconds = min(settings.heartbeat_seconds, settings.lease_seconds / 3, _HEAR_SECONDS)
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
        except Exception as error:
            # The warden ends it when that lasts for longer than the lease.
            log.warning("its lease cannot be renewed: %s", error, extra=assignment.about)
        else:
            runner.held_at = now
            if wish == "cancel":
                runner.cancelled_at = runner.cancelled_at or now

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
            log.warning("%s", error, extra=assignment.about)
            metrics.REFUSED.inc()
            runner.kill(LOST)
