"""Removes what nobody needs any more from the database and the storage."""

import logging
import threading
from functools import partial

from sqlalchemy.orm import Session, sessionmaker

from core import housekeeping, uploads
from core.blobs import Blobs
from core.buckets import open_bucket
from core.orphans import Orphans
from core.settings import Settings
from core.unit import Bell, Unit, unit_of_work

log = logging.getLogger(__name__)

#: How long a stop waits for a sweep that the storage keeps waiting.
STOP_SECONDS = 5.0


class Sweeper(threading.Thread):
    """Beside the reaper, not within it: a storage that stalls must keep no lease waiting.

    Args:
        settings: How often, and how long things are kept.
        sessions: Where the rows are.
        bell: For the transactions.
        blobs: Where what is swept up lies.
    """

    def __init__(self, settings: Settings, sessions: sessionmaker[Session], bell: Bell, blobs: Blobs) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._settings, self._sessions, self._bell, self._blobs = settings, sessions, bell, blobs
        self._bucket = open_bucket(settings.storage_url)
        self._orphans = Orphans(settings, sessions, bell, blobs, self._bucket)
        self._over = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._over.wait(self._settings.sweep_seconds):
            try:
                self.look()
            except Exception:
                log.exception("the sweeper will look again")

    def look(self) -> None:
        """Look once."""
        with unit_of_work(self._sessions, self._bell) as unit:
            for blob in housekeeping.sweep(unit.session, self._settings.idempotency_keep_seconds):
                unit.after_commit(partial(self._blobs.delete, blob))
            for litter in uploads.expire(unit.session):
                self._drop(unit, litter)
        self._orphans.look()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self.is_alive():
            self.join(STOP_SECONDS)

    def _drop(self, unit: Unit, litter: uploads.Litter) -> None:
        unit.after_commit(partial(self._blobs.delete, litter.blob))
        if self._bucket and litter.multipart:
            unit.after_commit(partial(self._bucket.abort, litter.blob, litter.multipart))
