"""One watch for a whole gateway: however many clients wait for however many jobs, one look an interval."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.orm import Session, sessionmaker

from api.watching.looks import Looks
from core import looks
from core.errors import Unavailable
from core.looks import Mark
from core.unit import reading

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

#: Reads at the same time: marks, whole jobs, events, keys.
THREADS = 4


class Topic:
    """One watched job: how it was at the last look, and who waits for another."""

    def __init__(self) -> None:
        self.mark: Mark | None = None
        #: Somebody came since the last look, who may know less or more than it saw.
        self.joined = False
        self.waiters: dict[asyncio.Future[Mark | None], Mark] = {}

    def tell(self, mark: Mark | None) -> None:
        """Answer those who have not seen this."""
        if mark == self.mark and not self.joined:
            return
        self.mark, self.joined = mark, False
        for waiter, seen in self.waiters.items():
            if not waiter.done() and (mark is None or mark.is_newer(seen)):
                waiter.set_result(mark)


class Watch:
    """Knows how jobs are, and tells those who wait when they change.

    Args:
        sessions: Where jobs are.
        interval_seconds: How often watched jobs are looked at; a change made elsewhere is seen that late.
        places: How many may wait at once.
        note: Told how many askers each look answered.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        interval_seconds: float,
        places: int,
        note: Callable[[int], object] | None = None,
    ) -> None:
        self._sessions, self._interval, self._places = sessions, interval_seconds, places
        self._pool = ThreadPoolExecutor(THREADS, "looks")
        self._marks: Looks[str, Mark] = self.shared(looks.marks, note)
        self._topics: dict[str, Topic] = {}
        self._nudged = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking: asyncio.Task[None] | None = None
        #: How many wait just now, by what they wait with.
        self.taken = {"stream": 0, "wait": 0}
        self.closing = False

    def shared(
        self,
        read: Callable[[Session, Collection[K]], Mapping[K, V]],
        note: Callable[[int], object] | None = None,
    ) -> Looks[K, V]:
        """Share a query among those who ask at the same time."""

        def look(keys: Collection[K]) -> Mapping[K, V]:
            with reading(self._sessions) as session:
                return read(session, keys)

        return Looks(look, self._pool, note)

    async def mark(self, job_id: str) -> Mark | None:
        """Say how far a job is, not earlier than now; `None` where there is none."""
        return await self._marks.one(job_id) if is_plausible(job_id) else None

    async def marks(self, job_ids: Collection[str]) -> Mapping[str, Mark]:
        """Say how far some jobs are, not earlier than now."""
        return await self._marks.many(job_ids)

    @property
    def is_full(self) -> bool:
        """Whether nobody more may wait."""
        return sum(self.taken.values()) >= self._places

    @contextmanager
    def place(self, kind: str) -> Iterator[None]:
        """Take a place among those who wait.

        Raises:
            Unavailable: There is none left, or the gateway is about to end.
        """
        if self.is_full or self.closing:
            raise Unavailable(f"This gateway has {self._places} watchers and takes no more just now; try again.")
        self.taken[kind] += 1
        try:
            yield
        finally:
            self.taken[kind] -= 1

    async def change(self, seen: Mark, seconds: float) -> Mark | None:
        """Wait until a job is no longer as it was seen.

        Returns:
            How it is then, `None` once it is gone, and `seen` itself when the time is over.
        """
        if self.closing:
            return seen
        self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Mark | None] = self._loop.create_future()
        topic = self._topics.setdefault(seen.id, Topic())
        topic.waiters[waiter], topic.joined = seen, True
        if self._looking is None:
            self._looking = self._loop.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return seen
        finally:
            del topic.waiters[waiter]
            if not topic.waiters and self._topics.get(seen.id) is topic:
                del self._topics[seen.id]

    def nudge(self) -> None:
        """Look at once, because this gateway itself has just changed something; from any thread."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._nudged.set)

    def close(self) -> None:
        """Send everybody home, because the gateway is about to end."""
        self.closing = True
        for topic in self._topics.values():
            for waiter, seen in topic.waiters.items():
                if not waiter.done():
                    waiter.set_result(seen)

    def end(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False)

    async def _look(self) -> None:
        """Look for as long as anybody waits."""
        try:
            while self._topics:
                try:
                    async with asyncio.timeout(self._interval):
                        await self._nudged.wait()
                except TimeoutError:
                    pass
                self._nudged.clear()
                await self._tell()
        finally:
            self._looking = None

    async def _tell(self) -> None:
        watched = tuple(self._topics)
        try:
            found = await self.marks(watched)
        except Exception:
            # Whatever the database has: those who wait go on waiting, and the next look may succeed.
            log.exception("a look at %d watched jobs failed", len(watched))
            return
        for job_id in watched:
            if topic := self._topics.get(job_id):
                topic.tell(found.get(job_id))


def is_plausible(job_id: str) -> bool:
    """Say whether an id may be asked for: one that no database takes would spoil the look for all."""
    return len(job_id) <= 64 and job_id.isascii() and job_id.isprintable()
