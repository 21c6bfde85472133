"""Kills the runners that may not go on, by what is known of them here: no database is asked, so none can delay it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from core.settings import Settings
from worker import machine
from worker.closing import CANCELLED, LOST, NO_MEMORY, TIME_LIMIT
from worker.process import RunnerProcess
from worker.protocol import Assignment

log = logging.getLogger(__name__)

#: How often it looks: memory can grow by a gigabyte in the meantime.
LOOK_SECONDS = 0.25
#: How long a runner may take to hear of its time limit by itself, between two batches, and to checkpoint.
GRACE_SECONDS = 5.0
#: The same for a cancel, after which nothing has to be saved; one that is in a long batch does not hear it at all.
CANCEL_GRACE_SECONDS = 2.0


class Warden(threading.Thread):
    """Watches memory and deadlines.

    Args:
        settings: What a runner may hold, and how long a lease lasts.
        runners: Says which runners there are now.
    """

    def __init__(self, settings: Settings, runners: Callable[[], Sequence[RunnerProcess]]) -> None:
        super().__init__(name="warden", daemon=True)
        self._runners, self._lease_seconds = runners, settings.lease_seconds
        self._most_bytes = machine.runner_bytes(settings.runner_memory_bytes, settings.worker_slots)
        self._over = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._over.wait(LOOK_SECONDS):
            for runner in self._runners():
                assignment = runner.assignment
                if assignment is not None and runner.busy and runner.exit_code is None:
                    self.judge(runner, assignment)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def judge(self, runner: RunnerProcess, assignment: Assignment) -> None:
        """Kill a runner that holds too much memory, or has had its time."""
        verdict = self._weigh(runner) or self._time(runner, assignment, time.monotonic())
        if verdict is not None and runner.verdict is None:
            log.warning("runner %d is killed: %s", runner.pid, verdict, extra=assignment.about)
            runner.kill(verdict)

    def _weigh(self, runner: RunnerProcess) -> str | None:
        runner.held_bytes = machine.held_bytes(runner.pid)
        return NO_MEMORY if self._most_bytes is not None and runner.held_bytes > self._most_bytes else None

    def _time(self, runner: RunnerProcess, assignment: Assignment, now: float) -> str | None:
        if runner.cancelled_at is not None and now - runner.cancelled_at > CANCEL_GRACE_SECONDS:
            return CANCELLED
        limit = assignment.limit_seconds
        if limit is not None and now - runner.assigned_at > limit + GRACE_SECONDS:
            return TIME_LIMIT
        if now - runner.held_at > self._lease_seconds:
            return LOST
        return None
