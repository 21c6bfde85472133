"""The doorbell: a Celery message that says "there is work", and nothing a job depends on."""

import logging
import time
from pathlib import Path
from typing import Any

from celery import Celery

from core.settings import Settings
from core.tracing import ringing

log = logging.getLogger(__name__)

RING, QUEUE = "trainyard.ring", "trainyard"
FILESYSTEM = "filesystem://"
#: A broker that just failed is let alone, so that no later request waits for it as well.
QUIET_SECONDS = 5.0


def _folder_options(folder: Path) -> dict[str, Any]:
    messages, control = folder / "messages", folder / "control"
    for path in (messages, control):
        path.mkdir(parents=True, exist_ok=True)
    return {
        "data_folder_in": str(messages),
        "data_folder_out": str(messages),
        "control_folder": str(control),
        "polling_interval": 0.02,
    }


def make_celery(settings: Settings) -> Celery:
    """Make the app that gateway and worker share: JSON only, early acks, no results, nobody to obey."""
    url, options = settings.broker_url, {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}
    if url.startswith(FILESYSTEM):
        options = _folder_options(Path(url.removeprefix(FILESYSTEM)))
        url = FILESYSTEM
    elif not url.startswith(("redis", "rediss")):
        options = {}
    app = Celery("trainyard", broker=url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_transport_options=options,
        broker_connection_timeout=2.0,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=10,
    )
    return app


class Queue:
    """The gateway's side of the bell."""

    def __init__(self, settings: Settings) -> None:
        self.celery = make_celery(settings)
        self._quiet_until = 0.0

    def ring(self, job_id: str) -> None:
        """Tell the workers about a job; a bell that fails is logged, for workers look for themselves too."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            with ringing(RING, QUEUE, job_id) as headers:
                self.celery.send_task(RING, args=[job_id], headers=headers, ignore_result=True, retry=False)
        except Exception as error:
            # A broker can fail in as many ways as it has drivers, and none of them concerns the caller.
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            log.warning("the bell for %s did not ring: %s", job_id, type(error).__name__)

    def check(self) -> None:
        """Reach the broker once.

        Raises:
            OperationalError: Nobody answers there.
        """
        with self.celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2.0)

    def close(self) -> None:
        """Let go of the connections."""
        self.celery.close()
