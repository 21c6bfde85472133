"""Reads shared by all who ask at the same time."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Looks(Generic[K, V]):
    """One read at a time, each for everybody who was waiting when it began.

    Whoever asks while a read runs is answered by the next one: so an answer is never older than its
    question, and fifty questions cost one query.

    Args:
        read: Reads some keys, in a thread; what is not there it leaves out.
        pool: Where it runs.
        note: Told how many askers each read answered.
    """

    def __init__(
        self,
        read: Callable[[Collection[K]], Mapping[K, V]],
        pool: ThreadPoolExecutor,
        note: Callable[[int], object] | None = None,
    ) -> None:
        self._read, self._pool, self._note = read, pool, note
        self._waiting: list[tuple[Collection[K], asyncio.Future[Mapping[K, V]]]] = []
        self._busy = False

    async def one(self, key: K) -> V | None:
        """Read one key."""
        return (await self.many((key,))).get(key)

    async def many(self, keys: Collection[K]) -> Mapping[K, V]:
        """Read some keys; the answer may hold others too."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Mapping[K, V]] = loop.create_future()
        self._waiting.append((keys, answer))
        if not self._busy:
            self._busy = True
            # Not at once: whoever else is about to ask in this turn of the loop may come along.
            loop.call_soon(self._begin, loop)
        return await answer

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting, self._waiting = self._waiting, []
        keys = {key for asked, answer in waiting if not answer.done() for key in asked}
        if self._note:
            self._note(len(waiting))
        read = loop.run_in_executor(self._pool, self._read, keys)
        read.add_done_callback(lambda done: self._end(loop, waiting, done))

    def _end(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: list[tuple[Collection[K], asyncio.Future[Mapping[K, V]]]],
        done: asyncio.Future[Mapping[K, V]],
    ) -> None:
        fault = done.exception()
        for _, answer in waiting:
            if answer.done():
                continue
            if fault:
                answer.set_exception(fault)
            else:
                answer.set_result(done.result())
        if self._waiting:
            self._begin(loop)
        else:
            self._busy = False
