"""One worker: the doorbell in the main thread, the supervisor and the reaper beside it."""

import logging
import os
import shutil
import socket
import threading
from pathlib import Path

from celery.signals import worker_shutting_down
from sqlalchemy.orm import Session, sessionmaker

from core.blobs import Blobs
from core.database import open_sessions
from core.ids import new_id
from core.queue import Queue
from core.settings import Settings, get_settings
from worker.logs import set_up_logging
from worker.reaper import Reaper
from worker.supervisor import Supervisor
from worker.tasks import hang_bell, wait_for_bells

log = logging.getLogger(__name__)


def main() -> None:
    """Work until SIGTERM; then give every job back."""
    settings = get_settings()
    set_up_logging(settings)
    sweep_runs(settings.data_dir / "runs")
    sessions = open_sessions(settings.database_url)
    work(settings, sessions, Queue(settings))


def work(settings: Settings, sessions: sessionmaker[Session], queue: Queue) -> None:
    """Run the threads around the doorbell."""
    supervisor = Supervisor(settings, sessions, worker_name())
    reaper = Reaper(settings, sessions, queue, Blobs(settings.storage_url))

    stopped = threading.Event()

    def stop_claiming(**_: object) -> None:
        stopped.set()
        supervisor.stop()

    # Celery may take a moment to let go of its broker; the runners need not wait for that.
    worker_shutting_down.connect(stop_claiming)
    hang_bell(queue.celery, supervisor.hear)
    supervisor.start()
    reaper.start()
    log.info("%s is up with %d slots", supervisor.worker, settings.worker_slots)
    try:
        wait_for_bells(queue.celery, stopped, supervisor.hear)
    finally:
        reaper.stop()
        supervisor.stop()
        supervisor.join()


def worker_name() -> str:
    """A name no other worker has or had: host, process and a ULID."""
    return f"{socket.gethostname()}-{os.getpid()}-{new_id('w')[-8:].lower()}"


def sweep_runs(folder: Path) -> None:
    """Remove what workers that died on this machine left behind."""
    host = socket.gethostname()
    for left in folder.glob(f"{host}-*-*"):
        pid = left.name.removeprefix(f"{host}-").split("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(left, ignore_errors=True)


if __name__ == "__main__":
    main()
