"""A thousand watchers of one job: how long until the last of them has heard of an event."""

import asyncio
import time
from collections.abc import Callable
from statistics import median

import uvloop

from benchmarks.service.load import get
from benchmarks.service.stack import Stack
from core import attempts, leases

WATCHERS, EVENTS = 1_000, 10
WORKER = "bench"
HEAD = "| database | watchers | median until the first heard, ms | median until the last heard, ms | slowest, ms |\n"
RULE = "|---|---|---|---|---|"


class Watcher(asyncio.Protocol):
    """One stream; notes when each event came."""

    def __init__(self, heard: dict[int, list[float]], request: bytes) -> None:
        self.heard, self.request, self.rest = heard, request, b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"id: "):
                self.heard.setdefault(int(line[4:]), []).append(now)


async def fan_out(stack: Stack, job_id: str) -> list[tuple[float, float]]:
    """Open the streams, then write events one by one; return seconds until the first and the last heard of each."""
    heard: dict[int, list[float]] = {}
    loop = asyncio.get_running_loop()
    request = get(f"/v1/jobs/{job_id}/events", Accept="text/event-stream").encode()
    made = [
        (await loop.create_connection(lambda: Watcher(heard, request), "127.0.0.1", stack.settings.port))[0]
        for _ in range(WATCHERS)
    ]
    await until(lambda: len(heard.get(2, ())) == WATCHERS)
    seconds = []
    for number in range(EVENTS):
        began = time.monotonic()
        await asyncio.to_thread(write, stack, job_id, number)
        await until(lambda seq=3 + number: len(heard.get(seq, ())) == WATCHERS)
        seconds.append((min(heard[3 + number]) - began, max(heard[3 + number]) - began))
    for transport in made:
        transport.close()
    return seconds


def write(stack: Stack, job_id: str, number: int) -> None:
    with stack.writing() as session:
        attempts.event(session, job_id, 1, WORKER, "warning", {"number": number})


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError
        await asyncio.sleep(0.01)


def take(stack: Stack, job_id: str) -> None:
    """Claim the job, the only one there is, as a worker that may write."""
    with stack.writing() as session:
        claim = leases.claim(session, WORKER, 3_600.0, ["training"])
    if claim is None or claim.job_id != job_id:
        raise RuntimeError(f"{job_id} cannot be claimed")


def row(stack: Stack, job_id: str) -> str:
    seconds = uvloop.run(fan_out(stack, job_id))
    first, last = ([each[at] * 1000 for each in seconds] for at in (0, 1))
    return f"| {stack.name} | {WATCHERS:,} | {median(first):,.0f} | {median(last):,.0f} | {max(last):,.0f} |"
