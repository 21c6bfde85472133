"""Waiting for steps: one look for all who wait, soon after each other while something happens."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.watching import turns
from api.watching.turns import Turns
from core.looks import Mark

SECONDS = 30.0


def mark(job_id, done=0, state="running"):
    return Mark(job_id, "prj_default", 1, state, 1, datetime.now(UTC), None, 99, done)


class Watch:
    """Knows how jobs are, and writes down what it was asked; each answer waits until it is let go."""

    closing = False

    def __init__(self):
        self.asked = []
        self.marks_of = {}
        self.go = asyncio.Event()
        self.go.set()

    def shared(self, read):
        return None

    async def marks(self, job_ids):
        self.asked.append(set(job_ids))
        await self.go.wait()
        found = {each: self.marks_of.get(each) for each in job_ids}
        if isinstance(next(iter(found.values()), None), Exception):
            raise next(iter(found.values()))
        return {each: its for each, its in found.items() if its}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_SECONDS", 0.004)


async def looks(watch, number):
    """Let so many more looks happen."""
    there = len(watch.asked) + number
    while len(watch.asked) < there:
        await asyncio.sleep(0.001)


def test_those_who_wait_for_many_jobs_share_each_look():
    async def go():
        watch = Watch()
        its = Turns(watch)
        watch.marks_of = {f"job_{index}": mark(f"job_{index}") for index in range(12)}
        waiting = [asyncio.create_task(its.until_done(job_id, 1, SECONDS)) for job_id in watch.marks_of]
        await looks(watch, 3)
        assert watch.asked[-1] == set(watch.marks_of)
        assert not any(task.done() for task in waiting)

        watch.marks_of["job_3"] = mark("job_3", done=1)
        await asyncio.wait_for(waiting[3], SECONDS)
        assert [task.done() for task in waiting].count(True) == 1
        await looks(watch, 2)
        assert watch.asked[-1] == set(watch.marks_of) - {"job_3"}
        watch.marks_of = {job_id: mark(job_id, done=1) for job_id in watch.marks_of}
        await asyncio.wait_for(asyncio.gather(*waiting), SECONDS)

    asyncio.run(go())


def test_who_comes_while_a_look_runs_is_answered_by_the_next_one_and_not_sent_away():
    async def go():
        watch = Watch()
        its = Turns(watch)
        watch.marks_of = {"job_1": mark("job_1"), "job_2": mark("job_2")}
        watch.go.clear()
        first = asyncio.create_task(its.until_done("job_1", 1, SECONDS))
        while not watch.asked:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(its.until_done("job_2", 1, SECONDS))
        await asyncio.sleep(0)
        watch.go.set()
        await looks(watch, 2)
        assert (first.done(), second.done()) == (False, False)
        watch.marks_of = {job_id: mark(job_id, done=1) for job_id in watch.marks_of}
        await asyncio.wait_for(asyncio.gather(first, second), SECONDS)

    asyncio.run(go())


@pytest.mark.parametrize("now", [mark("job_1", done=5), mark("job_1", state="failed"), None])
def test_a_wait_is_over_when_the_step_is_done_or_its_job_has_ended_or_is_gone(now):
    async def go():
        watch = Watch()
        watch.marks_of = {"job_1": mark("job_1", done=4)}
        waiting = asyncio.create_task(Turns(watch).until_done("job_1", 5, SECONDS))
        await looks(watch, 2)
        assert not waiting.done()
        watch.marks_of = {"job_1": now} if now else {}
        await asyncio.wait_for(waiting, SECONDS)

    asyncio.run(go())


def test_a_wait_outlasts_a_database_that_is_away():
    async def go():
        watch = Watch()
        watch.marks_of = {"job_1": RuntimeError("away")}
        waiting = asyncio.create_task(Turns(watch).until_done("job_1", 1, SECONDS))
        await looks(watch, 2)
        assert not waiting.done()
        watch.marks_of = {"job_1": mark("job_1", done=1)}
        await asyncio.wait_for(waiting, SECONDS)

    asyncio.run(go())


def test_nobody_looks_where_nobody_waits_and_everybody_goes_home_when_the_gateway_ends():
    async def go():
        watch = Watch()
        its = Turns(watch)
        watch.marks_of = {"job_1": mark("job_1")}
        await its.until_done("job_1", 1, 0.01)
        while its._looking is not None:
            await asyncio.sleep(0.001)
        waiting = asyncio.create_task(its.until_done("job_1", 1, SECONDS))
        await looks(watch, 1)
        watch.closing = True
        await asyncio.wait_for(waiting, SECONDS)
        assert its._looking is None

    asyncio.run(go())
