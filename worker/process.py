"""The supervisor's side of a runner: its process, its pipes, what it has said."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO

from worker import machine, metrics
from worker.lanes import Lane
from worker.protocol import DONE, EPOCHS, READY, REFUSED, STEPPING, Assignment

log = logging.getLogger(__name__)


class RunnerProcess:
    """A process that stands by, runs what it is assigned, and may be killed at any time.

    Args:
        lane: Whose jobs it is for.
        changed: Called, from another thread, whenever it has said something or died.
    """

    def __init__(self, lane: Lane, changed: Callable[[], None]) -> None:
        self.lane = lane
        self.ready = False
        self.stepping = False
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
        safe = ["-P"] if sys.flags.safe_path else []
        self.process = subprocess.Popen(
            [sys.executable, *safe, "-m", "worker.runner", lane.kind],
            env=lane.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, name=f"runner-{self.process.pid}", daemon=True).start()

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
        self.assignment, self.done, self.stepping = assignment, False, False
        self.verdict = self.cancelled_at = self.lost_at = None
        self.assigned_at = self.held_at = time.monotonic()
        self.oom_kills = machine.oom_kills()
        try:
            self._stdin.write(assignment.line())
            self._stdin.flush()
        except BrokenPipeError:
            log.warning("runner %d died before it could be assigned", self.process.pid, extra=assignment.about)

    def release(self) -> None:
        """Let it stand by again."""
        self.assignment = None

    def dismiss(self) -> None:
        """Close its input: one that stands by exits, one at work gives its job back."""
        try:
            self._stdin.close()
        except BrokenPipeError:
            log.debug("runner %d was gone already", self.process.pid)

    def ask_to_stop(self) -> None:
        """Have it checkpoint and give its job back."""
        if self.exit_code is None:
            self.process.terminate()

    def kill(self, verdict: str) -> None:
        """End it and all it has started, at once."""
        self.verdict = self.verdict or verdict
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            log.debug("runner %d was gone already", self.process.pid)

    @property
    def _stdin(self) -> IO[bytes]:
        if self.process.stdin is None:
            raise RuntimeError("a runner is always started with a pipe")
        return self.process.stdin

    def _listen(self) -> None:
        with self.process.stdout or contextlib.nullcontext(()) as words:
            for line in words:
                self._hear(line.decode())
                self._changed()
        self.exit_code = self.process.wait()
        self._changed()

    def _hear(self, line: str) -> None:
        word, *said = line.split()
        if word == READY:
            self.ready = True
        elif word == STEPPING:
            self.stepping = True
        elif word == EPOCHS:
            for seconds in said:
                metrics.EPOCH_SECONDS.observe(float(seconds))
        elif word == DONE:
            count(*said)
            self.done = True
        else:
            log.warning("runner %d said %r, which means nothing", self.process.pid, line)


def count(outcome: str) -> None:
    """Count an attempt that has ended."""
    metrics.ATTEMPTS.labels(outcome).inc()
    if outcome == REFUSED:
        metrics.REFUSED.inc()
