"""Claims jobs, hands them to runners, holds their leases, and closes what a dead runner left open."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from core import leases
from core.leases import EXPRESS, TRAINING
from core.settings import Settings
from worker.closing import STOPPED, close
from worker.keeper import Keeper
from worker.process import RunnerProcess
from worker.protocol import Assignment

log = logging.getLogger(__name__)

#: A new spare is not started while the attempt that took the last one is about to make its first step.
_QUIET_SECONDS = 2.0
#: Runners that cannot start are not started in a tight loop.
_FAILED_START_SECONDS = 5.0
#: How long runners may take to checkpoint and give back.
_STOP_SECONDS = 12.0


class Supervisor(threading.Thread):
    """One worker's lanes: some for training, one for express jobs.

    Args:
        settings: How many lanes, how long a lease.
        sessions: Where jobs are claimed.
        name: Who we are in leases and attempts.
        start_runner: Starts a runner for a lane; told whom to call when something has changed.
        lanes: How many jobs of each kind run at once; by default as many trainings as there are slots.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: sessionmaker[Session],
        name: str,
        start_runner: Callable[[str, Callable[[], None]], RunnerProcess] = RunnerProcess,
        lanes: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(name="supervisor", daemon=True)
        self.worker = name
        self._settings, self._sessions, self._start_runner = settings, sessions, start_runner
        self._lanes = lanes or {TRAINING: settings.worker_slots, EXPRESS: 1}
        self._runners: list[RunnerProcess] = []
        self._no_start_before = 0.0
        self._bell = threading.Event()
        self._over = threading.Event()
        self._keeper = Keeper(settings, sessions, lambda: list(self._runners))

    def hear(self) -> None:
        """Look for work now."""
        self._bell.set()

    def run(self) -> None:
        """Fill the lanes until stopped; then give everything back."""
        self._keeper.start()
        while not self._over.is_set():
            try:
                self._look()
            except Exception:
                log.exception("the supervisor will look again")
            self._bell.wait(self._settings.poll_seconds)
            self._bell.clear()
        self._give_back()
        self._keeper.stop()

    def stop(self) -> None:
        """Claim nothing more, and have every runner give its job back."""
        self._over.set()
        self._bell.set()

    def _look(self) -> None:
        self._settle()
        for lane in self._lanes:
            self._fill(lane)
        for lane in self._lanes:
            self._top_up(lane)

    def _settle(self) -> None:
        """Close what has ended, and forget who is gone."""
        for runner in list(self._runners):
            if runner.done and runner.lane == EXPRESS:
                runner.release()
            if runner.exit_code is None:
                continue
            self._runners.remove(runner)
            runner.dismiss()
            if not runner.ready and not self._over.is_set():
                log.error("a runner exited with %s before it was ready", runner.exit_code)
                self._no_start_before = time.monotonic() + _FAILED_START_SECONDS
            if runner.busy:
                close(runner, self._settings, self._sessions)

    def _fill(self, lane: str) -> None:
        for runner in self._idle(lane):
            if self._over.is_set() or self._busy(lane) >= self._lanes[lane]:
                return
            if not self._claim_for(runner):
                return

    def _claim_for(self, runner: RunnerProcess) -> bool:
        with self._sessions.begin() as session:
            claim = leases.claim(session, self.worker, self._settings.lease_seconds, [runner.lane])
        if claim is None:
            return False
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

    def _top_up(self, lane: str) -> None:
        """Have as many stand by as there are free places, and one to follow the next that ends."""
        mine = [runner for runner in self._runners if runner.lane == lane]
        if time.monotonic() < self._no_start_before or any(map(_about_to_step, mine)):
            return
        spare = 0 if lane == EXPRESS else 1
        wanted = max(self._lanes[lane] - self._busy(lane), spare)
        standing_by = sum(runner.assignment is None and runner.exit_code is None for runner in mine)
        for _ in range(wanted - standing_by):
            self._runners.append(self._start_runner(lane, self.hear))

    def _busy(self, lane: str) -> int:
        return sum(runner.busy for runner in self._runners if runner.lane == lane)

    def _idle(self, lane: str) -> Iterator[RunnerProcess]:
        return (runner for runner in list(self._runners) if runner.lane == lane and runner.idle)

    def _give_back(self) -> None:
        for runner in self._runners:
            runner.ask_to_stop()
        self._await_exits(_STOP_SECONDS)
        for runner in self._runners:
            runner.kill(STOPPED)
        self._await_exits(_STOP_SECONDS)

    def _await_exits(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._runners and time.monotonic() < deadline:
            self._settle()
            self._bell.wait(0.05)
            self._bell.clear()


def _about_to_step(runner: RunnerProcess) -> bool:
    fresh = time.monotonic() - runner.assigned_at < _QUIET_SECONDS
    return runner.busy and not runner.stepping and fresh
