"""Waiting for steps of sessions: one look for all who wait, soon after each other while something happens.

A step of a small model takes a millisecond, so an interval as long as that for jobs would be most of what its client
waits for. Looks follow each other quickly once somebody has come or something was done, and then ever more slowly.
"""

import asyncio
import logging

from api.watching.looks import Looks
from api.watching.watch import Watch
from core.looks import Mark
from core.steps import Page, Place, pages

log = logging.getLogger(__name__)

#: How long the pauses between looks are, at first and at most, and by how much each is longer than the one before.
FIRST_SECONDS, LONGEST_SECONDS, LONGER = 0.002, 0.05, 1.2


class Turns:
    """Tells those who wait when steps of sessions are done.

    Args:
        watch: Shares the looks with all others who look at jobs.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._pages: Looks[Place, Page] = watch.shared(pages)
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}
        self._has_come = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    async def until_done(self, job_id: str, number: int, seconds: float) -> None:
        """Wait until a step is done, or its job has ended or is gone, for some seconds at most."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting[waiter] = (job_id, number)
        self._has_come.set()
        if self._looking is None:
            self._looking = loop.create_task(self._look())
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            del self._waiting[waiter]

    async def page(self, place: Place) -> Page | None:
        """Read some steps as they now are; `None` where there is no such job."""
        return await self._pages.one(place)

    async def _look(self) -> None:
        pause = FIRST_SECONDS
        try:
            while self._waiting and not self._watch.closing:
                await asyncio.sleep(pause)
                pause = FIRST_SECONDS if self._has_come.is_set() else min(pause * LONGER, LONGEST_SECONDS)
                self._has_come.clear()
                await self._tell()
        finally:
            self._looking = None
            for waiter in self._waiting:
                _free(waiter)

    async def _tell(self) -> None:
        waiting = dict(self._waiting)  # who comes while this look runs is answered by the next one
        try:
            found = await self._watch.marks({job_id for job_id, _ in waiting.values()})
        except Exception:
            # Whatever the database has: those who wait go on waiting, and the next look may succeed.
            log.exception("a look for %d who wait for steps failed", len(waiting))
            return
        for waiter, (job_id, number) in waiting.items():
            if _is_over(found.get(job_id), number):
                _free(waiter)


def _is_over(mark: Mark | None, number: int) -> bool:
    return mark is None or mark.is_terminal or mark.steps_done >= number


def _free(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
