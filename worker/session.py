"""The steps of a session: fetched, done in order, and recorded; what is recorded is never recorded again."""

import json
import time
from collections.abc import Sequence
from typing import Any, Protocol

from core.columns import finite
from core.errors import LostLease
from core.stepping import FAILED, WAITING, Did
from core.tables import SESSION_IDLE
from engine.errors import RunError
from engine.limits import Limits
from engine.plan import Plan
from engine.sources import Describe
from engine.steps import CLOSE, Asked, read_step
from engine.training.loop import Training
from engine.training.session import Stepping
from engine.training.watching import Watcher
from worker import failures
from worker.journal import Journal

#: So many steps are fetched at a time: a session may have as many requests in memory.
PAGE = 16
#: What is done is recorded at the end of a page, or when the first of it has waited for so long.
RECORD_SECONDS = 0.02
#: It looks for the next step after a share of the time that it has had none for, but not sooner or later than this.
SHARE, FIRST_SECONDS, LONGEST_SECONDS = 0.02, 0.002, 0.05
#: One that has had no step for so long gives its place to a training that has waited for so long.
YIELD_SECONDS = 0.1

#: Number, state and content.
Row = tuple[int, str, bytes | None]


class SessionLost(RunError):
    """What the steps so far have made cannot be had again."""

    class_ = "session_lost"


class Host(Watcher, Protocol):
    """The attempt that a session is part of."""

    def between(self, wish: str | None) -> None:
        """Report, checkpoint or leave, when it is time to."""
        ...

    def rest(self, reason: str) -> None:
        """Let the job rest."""
        ...


class Sitting:
    """Does the steps of a session until the one that closes it.

    Args:
        training: Of a plan with a session; where it stands is the last step that is done.
        journal: Where steps come from, and where it is recorded what came of them.
        host: Reports, keeps checkpoints, and leaves when it is time to.
        describe: Tells what the arrays of datasets are.
        limits: How large steps may be.
    """

    def __init__(self, training: Training, journal: Journal, host: Host, describe: Describe, limits: Limits) -> None:
        self._training, self._journal, self._host = training, journal, host
        self._describe, self._limits = describe, limits
        self._stepping = Stepping(training, host, limits)
        self._idle_since = time.monotonic()
        self._next_look = 0.0

    def run(self) -> Did:
        """Do what comes; return what is to be recorded of the step that closes the session, once the job has ended.

        Raises:
            SessionLost: Steps must be done again, and what was asked is no longer kept.
        """
        closed = None
        while closed is None:
            wish, rows = self._journal.following(self._training.number, PAGE)
            self._host.between(wish)
            closed = self._do_all(rows)
        return closed

    def _do_all(self, rows: Sequence[Row]) -> Did | None:
        if not rows:
            self._pause()
            return None
        began = time.monotonic()
        for number, state, content in rows:
            step = self._content(number, content)
            if CLOSE in step and state == WAITING:
                self._journal.record()
                self._stepping.skip()
                return Did(number, {})
            if state == WAITING:
                self._journal.did(self._first(number, step))
            else:
                self._again(state, step)
            if time.monotonic() - began > RECORD_SECONDS:
                self._journal.record()
                self._host.batch()
                began = time.monotonic()
        self._journal.record()
        self._idle_since = time.monotonic()
        return None

    def _pause(self) -> None:
        idle, session = self._idle_seconds(), self._plan.session
        if session and (idle > session.idle_seconds or self._is_in_the_way(idle)):
            self._host.rest(SESSION_IDLE)
        time.sleep(min(max(SHARE * idle, FIRST_SECONDS), LONGEST_SECONDS))

    def _is_in_the_way(self, idle: float) -> bool:
        now = time.monotonic()
        if idle < YIELD_SECONDS or now < self._next_look:
            return False
        self._next_look = now + YIELD_SECONDS
        return self._journal.is_wanted(YIELD_SECONDS)

    def _idle_seconds(self) -> float:
        return time.monotonic() - self._idle_since

    def _content(self, number: int, content: bytes | None) -> dict[str, Any]:
        if content is None or number != self._training.number + 1:
            raise SessionLost(
                f"Step {number} would have to be done again, and what it was is no longer kept: no checkpoint after it "
                "could be read. Begin another session."
            )
        step: dict[str, Any] = json.loads(content)
        return step

    def _first(self, number: int, step: dict[str, Any]) -> Did:
        try:
            return Did(number, finite(self._stepping.do(self._read(step))))
        except LostLease:
            raise
        except Exception as error:
            told = failures.failure_of(error)
            if told["who"] != "user" and not isinstance(error, failures.BrokenInput):
                raise
            self._training.number = number
            return Did(number, None, {key: told[key] for key in ("class", "detail", "pointer") if key in told})

    def _again(self, state: str, step: dict[str, Any]) -> None:
        """Do a step again whose result is recorded; one that failed had changed nothing."""
        if state == FAILED:
            self._stepping.skip()
        else:
            self._stepping.redo(self._read(step))

    def _read(self, step: dict[str, Any]) -> Asked:
        return read_step(step, self._plan.model, self._plan.compile, self._describe, self._limits)

    @property
    def _plan(self) -> Plan:
        return self._training.plan
