"""Celery's way in: a bell that says there is work, and carries none of it."""

import logging
import threading
from collections.abc import Callable

from celery import Celery

from core.queue import RING
from worker import folders

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.2


def hang_bell(celery: Celery, hear: Callable[[], object]) -> None:
    """Have `hear` called at each message; losing one or hearing it twice is harmless."""

    @celery.task(name=RING, ignore_result=True)
    def ring(job_id: str) -> None:
        hear()


def wait_for_bells(celery: Celery, stopped: threading.Event, hear: Callable[[], object]) -> None:
    """Listen in this, the main thread, until SIGTERM, which sets `stopped`.

    Celery gives up on a message it cannot read, and on a broker that stays away. The bell is hung up again
    then, and what it may have meant is looked for.
    """
    folders.use()
    celery.conf.update(worker_hijack_root_logger=False, worker_redirect_stdouts=False)
    while not stopped.is_set():
        worker = celery.Worker(
            pool="threads",
            concurrency=1,
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
        worker.start()
        if not stopped.wait(_AGAIN_SECONDS):
            log.warning("the bell fell silent; it is hung up again")
            hear()
