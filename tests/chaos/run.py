"""One run: jobs are sent, faults happen, and in the end everything is counted."""

import io
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from core.database import open_sessions
from core.orphans import TURN_SECONDS
from core.settings import Settings
from core.tables import TERMINAL, Job
from core.unit import reading
from tests.chaos import invariants
from tests.chaos.callers import Callers, Ledger, draw_kind
from tests.chaos.faults import FAULTS, LEASE_SECONDS, Fault, schedule
from tests.chaos.jobs import arrays
from tests.chaos.reference import weights
from tests.servers.topology import Topology

#: Hasty, so that a fault is over in seconds; and with more attempts than faults will ever cost a job.
SETTINGS = {
    "TRAINYARD_LEASE_SECONDS": str(LEASE_SECONDS),
    "TRAINYARD_HEARTBEAT_SECONDS": "0.5",
    "TRAINYARD_POLL_SECONDS": "0.5",
    "TRAINYARD_REAPER_SECONDS": "0.5",
    "TRAINYARD_MAX_ATTEMPTS": "100",
    "TRAINYARD_RETRY_BACKOFF_SECONDS": "0.01",
    "TRAINYARD_CHECKPOINT_EVERY_SECONDS": "0.4",
    "TRAINYARD_IDEMPOTENCY_RESERVE_SECONDS": "5",
    "TRAINYARD_SWEEP_SECONDS": "1",
    "TRAINYARD_ORPHAN_GRACE_SECONDS": "15",
}
#: A topology of this kind is what a run needs.
TOPOLOGY: dict[str, Any] = {"proxied": True, "settings": SETTINGS, "gateway": "tests.chaos.gateway"}
#: With no job ended for so long, the run is over and those left are lost.
STUCK_SECONDS = 180.0
#: By then what no row points at is older than the grace set above, and the sweep has come round, even if whoever had
#: the turn was killed in it.
SWEEP_SECONDS = TURN_SECONDS + 60.0
#: Whether there is a sweep of the storage.
SWEPT = "orphan_grace_seconds" in Settings.model_fields
#: Shares of jobs that their caller cancels, or pauses and resumes.
CANCELLED, RESTED = 0.05, 0.05


@dataclass
class Outcome:
    """What a run has found."""

    seed: int
    jobs: int = 0
    seconds: float = 0.0
    #: Every fault there was, as it was drawn, and what it hit.
    faults: list[tuple[Fault, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    #: What should not be, by what it is called in the table.
    violations: dict[str, list[str]] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not any(self.violations.values())


class Run:
    """Sends jobs to a yard that faults are happening to.

    Args:
        yard: Where; up, and made as `TOPOLOGY` says.
        jobs: How many, and more as long as there was not every kind of fault.
        seed: Of what is sent, and of what goes wrong.
        jobs_between: How many jobs end between two faults, on average.
        kinds: Which faults; all there are by default.
        rounds: How often each kind may happen; as often as there is time for by default.
        told: Called now and then with how many jobs have ended, and how many faults there were.
    """

    def __init__(
        self,
        yard: Topology,
        jobs: int,
        seed: int,
        jobs_between: float,
        kinds: Collection[str] = (),
        rounds: int | None = None,
        told: Callable[[int, int], None] = lambda done, faults: None,
    ) -> None:
        self.yard, self.jobs, self.told = yard, jobs, told
        self.outcome, self.ledger = Outcome(seed), Ledger()
        self.callers = Callers(yard.urls, yard.api_key, self.ledger)
        self._every_kind = len(kinds or FAULTS)
        self._schedule = islice(schedule(seed, jobs_between, kinds), rounds and rounds * self._every_kind)
        self._sessions = open_sessions(yard.database_url)
        self._over = threading.Event()
        self._room = threading.Semaphore(len(yard.workers) + 2)
        self._pool = ThreadPoolExecutor(8)
        self._done = 0
        self._failures: list[str] = []

    def to_the_end(self) -> Outcome:
        """Run it, and count."""
        began = time.monotonic()
        file = io.BytesIO()
        np.savez(file, **arrays())
        self.callers.upload(file.getvalue())
        threads = [threading.Thread(target=self._guarded, args=(act,)) for act in (self._send_all, self._trouble)]
        for thread in threads:
            thread.start()
        try:
            self._await_ends(threads[0])
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
            self._pool.shutdown()
        self._await_quiet()
        self._count(weights(set(self.ledger.kinds.values())))
        self.outcome.seconds = time.monotonic() - began
        self.callers.close()
        self._sessions.kw["bind"].dispose()
        return self.outcome

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._failures.append(f"{act.__name__}: {error!r}")

    # What happens meanwhile.

    def _send_all(self) -> None:
        draw = random.Random(f"jobs/{self.outcome.seed}")
        count = 0
        while count < self.jobs or len(self.outcome.faults) < self._every_kind:
            count += 1
            kind, fate, seconds = draw_kind(draw), draw.random(), draw.uniform(0, 6)
            while not self._room.acquire(timeout=0.5):
                if self._over.is_set():
                    return
            job_id = self.callers.submit(kind, first=draw.randrange(len(self.callers.urls)))
            if fate < CANCELLED:
                self._pool.submit(self._guarded, lambda id=job_id, after=seconds: self.callers.cancel(id, after))
            elif fate < CANCELLED + RESTED:
                self._pool.submit(self._guarded, lambda id=job_id, after=seconds: self.callers.rest(id, after))

    def _trouble(self) -> None:
        for fault in self._schedule:
            while self._done < fault.jobs_before:
                if self._over.wait(0.05):
                    return
            if self._over.wait(fault.calm_seconds):
                return
            hit = FAULTS[fault.kind](self.yard, self.callers, fault.draw())
            self.outcome.faults.append((fault, hit))

    def _await_ends(self, sender: threading.Thread) -> None:
        since = time.monotonic()
        while sender.is_alive() or self._done < len(self.ledger.jobs):
            now = self._ended()
            if now > self._done:
                self._room.release(now - self._done)
                self._done, since = now, time.monotonic()
            self.told(self._done, len(self.outcome.faults))
            if self._failures or time.monotonic() - since > STUCK_SECONDS:
                return
            time.sleep(0.2)

    def _ended(self) -> int:
        try:
            with reading(self._sessions) as session:
                ended = (
                    select(func.count())
                    .select_from(Job)
                    .where(Job.state.in_(TERMINAL), Job.labels["key"].as_string() != "")
                )
                return session.scalar(ended) or 0
        except DBAPIError:
            return 0

    def _await_quiet(self) -> None:
        """Let the last faults' own jobs end too."""
        deadline = time.monotonic() + STUCK_SECONDS
        while self._ended() < len(self.ledger.jobs) and time.monotonic() < deadline and not self._failures:
            time.sleep(0.2)

    # What is found afterwards.

    def _count(self, expected: dict[str, str]) -> None:
        outcome, store = self.outcome, self.yard.store()
        with reading(self._sessions) as session:
            stories = invariants.read(session)
            outcome.violations = {
                "lost": list(invariants.lost(self.ledger, stories)),
                "doubled": list(invariants.doubled(self.ledger, stories)),
                "bits differing": list(invariants.differing(stories, self.ledger.kinds, expected, store)),
                "broken stories": list(invariants.broken(stories)),
                "blobs missing": invariants.missing(session, store),
                "told otherwise": list(invariants.told_otherwise(self.callers, list(stories.values()))),
                "steps told otherwise": self.ledger.unsteady,
                "failures of the run": self._failures,
            }
        outcome.counts["orphans before the sweep"] = len(self._orphans())
        outcome.violations["orphans after the sweep"] = self._orphans_after_the_sweep()
        attempts = [row for story in stories.values() for row in story.attempts]
        outcome.jobs = len(stories)
        outcome.counts["attempts"] = len(attempts)
        outcome.counts["attempts lost"] = sum(row.exit == "lost" for row in attempts)
        outcome.counts["resumes from a checkpoint"] = sum(row.resumed_from is not None for row in attempts)
        outcome.counts["zombie writes refused"] = len(set(REFUSED.findall(self.yard.logs())))
        outcome.counts.update(f"jobs {story.job.state}" for story in stories.values())
        outcome.answers = self.ledger.answers

    def _orphans(self) -> list[str]:
        with reading(self._sessions) as session:
            return invariants.orphans(session, self.yard.store())

    def _orphans_after_the_sweep(self) -> list[str]:
        deadline = time.monotonic() + SWEEP_SECONDS
        while (left := self._orphans()) and SWEPT and time.monotonic() < deadline:
            time.sleep(1.0)
        return left if SWEPT else []


#: How a log tells of a write that came too late.
REFUSED = re.compile(r"attempt (\d+) of (job_\w+) is no longer")
