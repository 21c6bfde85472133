"""Reads that are shared by all who ask at the same time."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.watching.looks import Looks


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


class Slow:
    """A read that waits until it is let go, and then tells how things are by that time."""

    def __init__(self):
        self.value, self.reads = 1, []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, keys):
        value = self.value
        self.reads.append(set(keys))
        self.began.set()
        assert self.go.wait(10)
        return dict.fromkeys(keys, value)


def test_who_asks_during_a_read_is_answered_by_the_next_one(pool):
    slow, askers = Slow(), []

    async def ask():
        looks = Looks(slow, pool, askers.append)
        first = asyncio.create_task(looks.one("a"))
        await asyncio.to_thread(slow.began.wait, 10)
        slow.value = 2
        later = [asyncio.create_task(looks.one(key)) for key in "ab" * 25]
        await asyncio.sleep(0)
        slow.go.set()
        return await first, await asyncio.gather(*later)

    first, later = asyncio.run(ask())
    assert first == 1
    assert set(later) == {2}, "an answer is never older than its question"
    assert slow.reads == [{"a"}, {"a", "b"}]
    assert askers == [1, 50]


def test_a_read_that_fails_fails_those_who_asked_and_nobody_after_them(pool):
    faults = [OSError("away"), None]

    def read(keys):
        if fault := faults.pop(0):
            raise fault
        return dict.fromkeys(keys, "here")

    async def ask():
        looks = Looks(read, pool)
        failed = await asyncio.gather(looks.one(1), looks.one(2), return_exceptions=True)
        return failed, await looks.one(1)

    failed, after = asyncio.run(ask())
    assert [type(each) for each in failed] == [OSError, OSError]
    assert after == "here"


def test_who_gives_up_does_not_disturb_the_others(pool):
    slow = Slow()

    async def ask():
        looks = Looks(slow, pool)
        first, second = asyncio.create_task(looks.one("a")), asyncio.create_task(looks.one("b"))
        await asyncio.to_thread(slow.began.wait, 10)
        first.cancel()
        slow.go.set()
        return await second

    assert asyncio.run(ask()) == 1


def test_what_is_not_there_is_none(pool):
    assert asyncio.run(Looks(lambda keys: {}, pool).one("a")) is None
