"""Child processes that are started again when they die, and end when their parent does."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 30.0
_HEALTHY_SECONDS = 60.0
_LOOK_SECONDS = 0.2


class Child:
    """One module run as a process, with its log in a file.

    Args:
        name: What the log file and messages call it.
        module: Run as `python -m module`.
        environment: All of it.
        log: Where its output is appended.
    """

    def __init__(self, name: str, module: str, environment: Mapping[str, str], log: Path) -> None:
        self.name, self.module, self.log = name, module, log
        self.restarts = 0
        self._environment = dict(environment)
        self._backoff = _FIRST_BACKOFF_SECONDS
        self._start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin, away from the terminal's Ctrl-C, holding the pipe whose end tells it to go."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "trainyard.child", self.module],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._started = time.monotonic()

    def look(self) -> None:
        """Start it again if it has died, each time a little later."""
        now = time.monotonic()
        if self.process is None:
            if now >= self._start_at:
                self.restarts += 1
                self.start()
        elif (code := self.process.poll()) is not None:
            if now - self._started > _HEALTHY_SECONDS:
                self._backoff = _FIRST_BACKOFF_SECONDS
            logger.warning("%s ended with %d; again in %.1f s (%s)", self.name, code, self._backoff, self.log)
            self._forget()
            self._start_at = now + self._backoff
            self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF_SECONDS)

    def ask_to_end(self) -> None:
        """SIGTERM: finish what is in hand and go."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until `deadline`, then kill it and whatever it started."""
        if not self.process:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._forget()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _forget(self) -> None:
        if self.process and self.process.stdin:
            self.process.stdin.close()
        self.process = None


class Family:
    """Children watched together by one thread."""

    def __init__(self, children: Sequence[Child]) -> None:
        self.children = children
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="family", daemon=True)

    def start(self) -> None:
        """Start each child, and start it again whenever it dies."""
        for child in self.children:
            child.start()
        self._thread.start()

    def end(self, grace_seconds: float) -> None:
        """End every child, politely first."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        for child in self.children:
            child.ask_to_end()
        deadline = time.monotonic() + grace_seconds
        for child in self.children:
            child.end(deadline)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            for child in self.children:
                child.look()
