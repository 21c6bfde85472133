"""Celery's way in: a bell that says there is work, and carries none of it."""

import logging
import threading
from collections.abc import Callable

from celery import Celery
from celery.platforms import EX_OK
from celery.worker import state

from core.queue import RING
from worker import folders

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.2


def hang_bell(celery: Celery, hear: Callable[[], object]) -> None:
    """Have `hear` called at each message; losing one or hearing it twice is harmless."""

    @celery.task(name=RING, ignore_result=True)
    def ring(job_id: str) -> None:
        hear()


class Doorbell(threading.Thread):
    """Listens until the process ends.

    Celery gives up on a message it cannot read, and on a broker that stays away; with one that answers nothing it
    waits for ever. The bell is hung up again where it can be, and what it may have meant is looked for. Nothing else
    waits for it: the thread is a daemon, and workers look for work themselves.

    Args:
        celery: Whose messages.
        hear: Called at each of them.
    """

    def __init__(self, celery: Celery, hear: Callable[[], object]) -> None:
        super().__init__(name="doorbell", daemon=True)
        self._celery, self._hear_one = celery, hear
        self._over = threading.Event()
        hang_bell(celery, hear)

    def run(self) -> None:
        """Listen."""
        folders.use()
        self._celery.conf.update(worker_hijack_root_logger=False, worker_redirect_stdouts=False)
        while not self._over.is_set():
            try:
                self._listen()
            except Exception:
                log.exception("the bell is broken")
            if not self._over.wait(_AGAIN_SECONDS):
                log.warning("the bell fell silent; it is hung up again")
                self._hear_one()

    def stop(self) -> None:
        """Take no more bells, which are for those who go on working; wait for nothing."""
        self._over.set()
        state.should_stop = EX_OK

    def _listen(self) -> None:
        worker = self._celery.Worker(
            pool="threads",
            concurrency=1,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        worker.start()
