"""Claims jobs, hands them to runners, holds their leases, and closes what a dead runner left open."""

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from core import leases, workers
from core.leases import EXPRESS, TRAINING
from core.settings import Settings
from core.version import our_version
from worker import machine, metrics
from worker.closing import STOPPED, close
from worker.keeper import Keeper
from worker.lanes import Lane, lanes_of
from worker.nursery import Nursery
from worker.process import RunnerProcess
from worker.protocol import Assignment
from worker.warden import Warden

log = logging.getLogger(__name__)

#: Runners that cannot start are not started in a tight loop.
_FAILED_START_SECONDS = 5.0
#: How long the end of a runner that was killed may take to be seen and written.
_KILLED_SECONDS = 12.0
#: How often a worker at most says that it looks for work.
_TELL_SECONDS = 5.0


class Supervisor(threading.Thread):
    """One worker's lanes: some for training, one for express jobs.

    Args:
        settings: How many lanes, how long a lease.
        sessions: Where jobs are claimed.
        name: Who we are in leases and attempts.
        start_runner: Starts a runner for a lane; told whom to call when something has changed. By default from a
            nursery of its own.
        places: How many jobs of each kind run at once; by default as many trainings as there are slots.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: sessionmaker[Session],
        name: str,
        start_runner: Callable[[Lane, Callable[[], None]], RunnerProcess] | None = None,
        places: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.worker = name
        self._settings, self._sessions = settings, sessions
        self._lanes = lanes_of(settings, places)
        self._nursery = Nursery(self._lanes[0].shared)
        self._start_runner = start_runner or partial(RunnerProcess, nursery=self._nursery)
        self._runners: list[RunnerProcess] = []
        self._no_start_before = 0.0
        self._bell = threading.Event()
        self._over = threading.Event()
        self._hurry = threading.Event()
        self._keeper = Keeper(settings, sessions, lambda: list(self._runners))
        self._warden = Warden(settings, lambda: list(self._runners))
        self._identity = _identity(name, settings)
        self._looked = False
        self._claimed_at: float | None = None
        self._tell_at = 0.0

    def hear(self) -> None:
        """Look for work now."""
        self._bell.set()

    def run(self) -> None:
        """Fill the lanes until stopped; then give everything back."""
        self._keeper.start()
        self._warden.start()
        while not self._over.is_set():
            try:
                self._look()
            except Exception:
                log.exception("the supervisor will look again")
            self._bell.wait(self._settings.poll_seconds)
            self._bell.clear()
        self._give_back()
        self._warden.stop()
        self._keeper.stop()

    def stop(self, at_once: bool = False) -> None:
        """Claim nothing more, and have every runner give its job back; `at_once` lets none finish its batch."""
        if at_once:
            self._hurry.set()
        self._over.set()
        self._bell.set()

    def _look(self) -> None:
        self._settle()
        if self._has_room():
            for lane in self._lanes:
                self._fill(lane)
        for lane in self._lanes:
            self._top_up(lane)
        self._tell()

    def _settle(self) -> None:
        """Close what has ended, and forget who is gone."""
        for runner in list(self._runners):
            if runner.done and runner.assignment and not runner.assignment.is_last:
                runner.release()
            if runner.exit_code is None:
                continue
            if runner.busy:
                close(runner, self._settings, self._sessions)  # where the database is away, once more at the next look
            self._runners.remove(runner)
            runner.dismiss()
            if not runner.ready and not self._over.is_set():
                log.error("a runner exited with %s before it was ready", runner.exit_code)
                self._no_start_before = time.monotonic() + _FAILED_START_SECONDS

    def _has_room(self) -> bool:
        """Whether the disk can take a job; one that is full would fail every job of the queue, one after the other."""
        folder = self._settings.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < self._settings.min_free_disk_bytes:
            log.warning("%s has only %d bytes left: no job is claimed", folder, free)
        return free >= self._settings.min_free_disk_bytes

    def _fill(self, lane: Lane) -> None:
        for runner in self._idle(lane):
            if self._over.is_set() or self._busy(lane) >= lane.places:
                return
            if not self._claim_for(runner):
                return

    def _tell(self) -> None:
        """Say in the database that this worker looks for work, if it does: being up is not enough."""
        now = time.monotonic()
        full = all(self._busy(lane) >= lane.places for lane in self._lanes if lane.kind == TRAINING)
        if now < self._tell_at or not (self._looked or full):
            return
        with self._sessions.begin() as session:
            workers.looked(session, self._identity, None if self._claimed_at is None else now - self._claimed_at)
        self._looked, self._claimed_at, self._tell_at = False, None, now + _TELL_SECONDS

    def _claim_for(self, runner: RunnerProcess) -> bool:
        with self._sessions.begin() as session:
            claim = leases.claim(session, self.worker, self._settings.lease_seconds, [runner.lane.kind])
        self._looked = True
        if claim is None:
            return False
        self._claimed_at = time.monotonic()
        metrics.CLAIMS.labels(claim.kind).inc()
        folder = self.folder / f"{claim.job_id}-a{claim.attempt}"
        runner.assign(
            Assignment(
                job_id=claim.job_id,
                project_id=claim.project_id,
                kind=claim.kind,
                attempt=claim.attempt,
                worker=self.worker,
                definition=claim.definition,
                seed=claim.seed,
                wish=claim.wish,
                resume=claim.checkpoint is not None,
                folder=str(folder),
            )
        )
        return True

    @property
    def folder(self) -> Path:
        """Where this worker's attempts keep files while they run."""
        return (self._settings.data_dir / "runs" / self.worker).absolute()

    def _top_up(self, lane: Lane) -> None:
        """Have as many stand by as there are free places, and one to follow the next that ends."""
        mine = [runner for runner in self._runners if runner.lane == lane]
        if time.monotonic() < self._no_start_before:
            return
        spare = 0 if lane.kind == EXPRESS else 1
        wanted = max(lane.places - self._busy(lane), spare)
        standing_by = sum(runner.assignment is None and runner.exit_code is None for runner in mine)
        for _ in range(wanted - standing_by):
            self._runners.append(self._start_runner(lane, self.hear))

    def _busy(self, lane: Lane) -> int:
        return sum(runner.busy for runner in self._runners if runner.lane == lane)

    def _idle(self, lane: Lane) -> Iterator[RunnerProcess]:
        return (runner for runner in list(self._runners) if runner.lane == lane and runner.idle)

    def _give_back(self) -> None:
        self._nursery.end()
        for runner in self._runners:
            runner.ask_to_stop()
        self._await_exits(self._settings.stop_grace_seconds, self._hurry)
        for runner in self._runners:
            runner.kill(STOPPED)
        self._await_exits(_KILLED_SECONDS)

    def _await_exits(self, seconds: float, hurry: threading.Event | None = None) -> None:
        deadline = time.monotonic() + seconds
        while self._runners and time.monotonic() < deadline and not (hurry and hurry.is_set()):
            try:
                self._settle()
            except Exception:
                log.exception("the end of a runner could not be written")
            self._bell.wait(0.05)
            self._bell.clear()


def _identity(name: str, settings: Settings) -> workers.Identity:
    return workers.Identity(
        id=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        version=our_version(),
        slots=settings.worker_slots,
        gpus=tuple(machine.gpus(settings.gpus)),
    )
