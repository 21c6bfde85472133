"""The supervisor's side of a runner: its process, its pipes, what it has said."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from worker import machine, metrics
from worker.lanes import Lane
from worker.nursery import Nursery
from worker.protocol import BORN, DONE, EPOCHS, READY, REFUSED, Assignment

log = logging.getLogger(__name__)

#: The exit code of one that never began.
STILLBORN = 1
#: How long the process between the nursery and a runner may take to end.
_ORPHANED_SECONDS = 5.0


class RunnerProcess:
    """A process that stands by, runs what it is assigned, and may be killed at any time.

    Args:
        lane: Whose jobs it is for.
        changed: Called, from another thread, whenever it has said something or died.
        nursery: Where it comes from.
    """

    def __init__(self, lane: Lane, changed: Callable[[], None], nursery: Nursery) -> None:
        self.lane = lane
        #: Its process and process group; 0 until it has begun.
        self.pid = 0
        self.ready = False
        #: What it works on; None before and, for a runner that is used again, between assignments.
        self.assignment: Assignment | None = None
        self.assigned_at = 0.0
        #: When it was last seen to hold its lease.
        self.held_at = 0.0
        #: When it was first seen that its job is to be cancelled.
        self.cancelled_at: float | None = None
        #: When its lease was first found to be gone.
        self.lost_at: float | None = None
        #: Why the supervisor killed it, if it did.
        self.verdict: str | None = None
        #: What it held of memory when it was last weighed.
        self.held_bytes = 0
        #: How many processes the kernel had ended for want of memory when it was assigned.
        self.oom_kills = 0
        self.done = False
        self.exit_code: int | None = None
        self._changed = changed
        self._down, self._up = nursery.bear(lane.kind, lane.own)
        threading.Thread(target=self._listen, name=f"{lane.kind} runner", daemon=True).start()

    @property
    def idle(self) -> bool:
        """Whether it could start at once."""
        return self.ready and self.assignment is None and self.exit_code is None

    @property
    def busy(self) -> bool:
        """Whether an attempt of its has neither ended nor been closed."""
        return self.assignment is not None and not self.done

    def assign(self, assignment: Assignment) -> None:
        """Hand over an attempt; a runner that has just died is found out by its exit."""
        self.assignment, self.done = assignment, False
        self.verdict = self.cancelled_at = self.lost_at = None
        self.assigned_at = self.held_at = time.monotonic()
        self.oom_kills = machine.oom_kills()
        try:
            self._down.write(assignment.line())
            self._down.flush()
        except BrokenPipeError:
            log.warning("runner %d died before it could be assigned", self.pid, extra=assignment.about)

    def release(self) -> None:
        """Let it stand by again."""
        self.assignment = None

    def dismiss(self) -> None:
        """Close its input: one that stands by exits, one at work gives its job back."""
        try:
            self._down.close()
        except BrokenPipeError:
            log.debug("runner %d was gone already", self.pid)

    def ask_to_stop(self) -> None:
        """Have it checkpoint and give its job back."""
        if self.exit_code is None and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self, verdict: str) -> None:
        """End it and all it has started, at once."""
        self.verdict = self.verdict or verdict
        if not self.pid:
            self.dismiss()
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("runner %d was gone already", self.pid)

    def _listen(self) -> None:
        with self._up as words:
            for line in words:
                self._hear(line.decode())
                self._changed()
        self.exit_code = self._await_end() if self.pid else STILLBORN
        self._changed()

    def _await_end(self) -> int:
        """Wait for it, and take what it has started along, which is ours since it is gone."""
        status = self._reap()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.killpg(self.pid, signal.SIGKILL)
            while True:
                os.waitpid(-self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _reap(self) -> int:
        """Wait for it, and return its status; ended at its birth, it is ours once whoever bore it is gone as well."""
        deadline = time.monotonic() + _ORPHANED_SECONDS
        while True:
            try:
                return os.waitpid(self.pid, 0)[1]
            except ChildProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)

    def _hear(self, line: str) -> None:
        word, *said = line.split()
        if word == BORN:
            self.pid = int(said[0])
        elif word == READY:
            self.ready = True
        elif word == EPOCHS:
            for seconds in said:
                metrics.EPOCH_SECONDS.observe(float(seconds))
        elif word == DONE:
            count(*said)
            self.done = True
        else:
            log.warning("runner %d said %r, which means nothing", self.pid, line)


def count(outcome: str) -> None:
    """Count an attempt that has ended."""
    metrics.ATTEMPTS.labels(outcome).inc()
    if outcome == REFUSED:
        metrics.REFUSED.inc()
