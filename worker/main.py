"""One worker: the supervisor, the reaper and the doorbell, each in a thread of its own."""

import itertools
import logging
import os
import shutil
import signal
import socket
from pathlib import Path
from types import FrameType

from sqlalchemy.orm import Session, sessionmaker

from core.blobs import Blobs
from core.database import open_sessions
from core.ids import new_id
from core.queue import Queue
from core.settings import Settings, get_settings
from worker import metrics
from worker.logs import set_up_logging
from worker.reaper import Reaper
from worker.supervisor import Supervisor
from worker.tasks import Doorbell

log = logging.getLogger(__name__)


def main() -> None:
    """Work until SIGTERM or SIGINT; then give every job back. A second one ends it sooner."""
    settings = get_settings()
    set_up_logging(settings)
    sweep_runs(settings.data_dir / "runs")
    metrics.serve(settings)
    work(settings, open_sessions(settings.database_url), Queue(settings))
    logging.shutdown()
    # A broker that does not answer may hold on to Celery's threads, and all that lasts is written.
    os._exit(0)


def work(settings: Settings, sessions: sessionmaker[Session], queue: Queue) -> None:
    """Run supervisor, reaper and doorbell, each in a thread; this one hears signals."""
    supervisor = Supervisor(settings, sessions, worker_name())
    reaper = Reaper(settings, sessions, queue, Blobs(settings.storage_url))
    doorbell = Doorbell(queue.celery, supervisor.hear)
    told = itertools.count()

    def stop(number: int, frame: FrameType | None) -> None:
        doorbell.stop()
        supervisor.stop(at_once=next(told) > 0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for thread in (supervisor, reaper, doorbell):
        thread.start()
    log.info("%s is up with %d slots", supervisor.worker, settings.worker_slots)
    supervisor.join()
    reaper.stop()


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
