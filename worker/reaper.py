"""Takes jobs from workers that are gone, and rings again for jobs that nobody heard."""

import logging
import threading
import time

from sqlalchemy.orm import Session, sessionmaker

from core import leases, workers
from core.blobs import Blobs
from core.settings import Settings
from core.tables import JobState
from core.unit import Bell, unit_of_work
from worker import metrics
from worker.sweeper import Sweeper

log = logging.getLogger(__name__)

#: How often at most it rings again and sweeps: workers look for themselves, and litter can wait.
_SWEEP_SECONDS = 5.0


class Reaper(threading.Thread):
    """Looks every few seconds; any number of them may look at the same time.

    Args:
        settings: How often, and how many losses a job may have.
        sessions: Where the jobs are.
        bell: What to ring.
        blobs: Where what is swept up lies.
    """

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], bell: Bell, blobs: Blobs) -> None:
        super().__init__(name="reaper", daemon=True)
        self._settings, self._sessions, self._bell = settings, sessions, bell
        self._sweeper = Sweeper(settings, sessions, bell, blobs)
        self._over = threading.Event()
        self._sweep_at = 0.0

    def run(self) -> None:
        """Look until stopped."""
        self._sweeper.start()
        while not self._over.wait(self._settings.reaper_seconds):
            try:
                self.look()
            except Exception:
                log.exception("the reaper will look again")

    def look(self) -> None:
        """Look once."""
        settings = self._settings
        with unit_of_work(self._sessions, self._bell) as unit:
            expired = leases.expire(unit.session, settings.max_attempts, settings.retry_backoff_seconds)
            for job_id, state in expired.items():
                if state == JobState.QUEUED:
                    unit.ring_later(job_id)
        for job_id, state in expired.items():
            metrics.EXPIRIES.inc()
            log.warning("taken from a worker that is gone: %s", state, extra={"job_id": job_id})
        if time.monotonic() >= self._sweep_at:
            self._sweep()
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS

    def _sweep(self) -> None:
        with unit_of_work(self._sessions, self._bell) as unit:
            for job_id in leases.waiting(unit.session):
                unit.ring_later(job_id)
            workers.forget(unit.session)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._sweeper.stop()
        self.join()
