"""Takes jobs from workers that are gone, and rings again for jobs that nobody heard.

Every worker has one; `python -m worker.reaper` runs one by itself.
"""

import logging
import signal
import threading
import time

from sqlalchemy.orm import Session, sessionmaker

from core import leases, workers
from core.blobs import Blobs
from core.database import open_sessions
from core.queue import Queue
from core.settings import Settings, get_settings
from core.tables import JobState
from core.unit import Bell, unit_of_work
from worker import metrics
from worker.logs import set_up_logging
from worker.sweeper import Sweeper

log = logging.getLogger(__name__)

#: A file as old as the last look of a reaper in a process of its own.
LOOKED = "reaper-looked"
#: How often at most it rings again: workers look for themselves.
_RING_SECONDS = 5.0


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
        self._ring_at = 0.0

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
        if time.monotonic() >= self._ring_at:
            self._ring()
            self._ring_at = time.monotonic() + _RING_SECONDS

    def _ring(self) -> None:
        with unit_of_work(self._sessions, self._bell) as unit:
            for job_id in leases.waiting(unit.session):
                unit.ring_later(job_id)
            workers.forget(unit.session)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._sweeper.stop()
        self.join()


class Telling(Reaper):
    """One that touches a file in the data folder whenever it has looked, for health checks."""

    def look(self) -> None:
        """Look once, and say so."""
        super().look()
        (self._settings.data_dir / LOOKED).touch()


def main() -> None:
    """Reap until SIGTERM."""
    settings = get_settings()
    set_up_logging(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # Blocked before there is a second thread, so that only this one hears them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    sessions = open_sessions(settings.database_url)
    reaper = Telling(settings, sessions, Queue(settings), Blobs(settings.storage_url))
    reaper.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    reaper.stop()


if __name__ == "__main__":
    main()
