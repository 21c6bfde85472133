"""Takes jobs from workers that are gone, and rings again for jobs that nobody heard."""

import logging
import threading

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.blobs import Blobs
from core.settings import Settings
from core.unit import Bell, unit_of_work
from worker.sweeper import Sweeper

log = logging.getLogger(__name__)


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
            for job_id in [*expired, *leases.waiting(unit.session)]:
                unit.ring_later(job_id)
        if expired:
            log.warning("took %s from workers that are gone", ", ".join(expired))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._sweeper.stop()
        self.join()
