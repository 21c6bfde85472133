"""What goes wrong, and the seeded order in which it does. Each fault mends itself before the next one."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.chaos.callers import Callers
from tests.chaos.gateway import FILE
from tests.servers.postgres import FASTLY, IMMEDIATELY
from tests.servers.process import Server
from tests.servers.proxy import Network
from tests.servers.topology import Topology

#: What the yard's lease is set to; whoever is frozen for longer has lost its jobs.
LEASE_SECONDS = 4.0
#: How long a fault waits for a training that it can hit in the middle.
AT_WORK_SECONDS = 15.0


@dataclass(frozen=True)
class Fault:
    """One entry of the schedule: all that it will do follows from it."""

    number: int
    kind: str
    #: How many jobs end before it, counted from the beginning, and how long it waits then.
    jobs_before: float
    calm_seconds: float
    seed: str

    def draw(self) -> random.Random:
        """Its own source of chance, so that what other faults draw does not matter."""
        return random.Random(self.seed)


Act = Callable[[Topology, Callers, random.Random], str]
FAULTS: dict[str, Act] = {}


def fault(act: Act) -> Act:
    FAULTS[act.__name__] = act
    return act


def schedule(seed: int, jobs_between: float, kinds: Collection[str] = ()) -> Iterator[Fault]:
    """Draw faults without end: every kind once, in some order, then every kind again.

    They keep pace with the jobs, not with the clock, so that a slow machine has no more of them than a fast one.
    """
    draw, number, jobs = random.Random(f"faults/{seed}"), 0, 0.0
    while True:
        deck = sorted(kinds or FAULTS)
        draw.shuffle(deck)
        for kind in deck:
            jobs += draw.expovariate(1 / jobs_between)
            yield Fault(number, kind, jobs, draw.random(), f"{seed}/{number}")
            number += 1


@fault
def runner_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    worker = _one_at_work(yard, draw)
    for pid in runners_of(worker)[:1]:
        _signal(pid, signal.SIGKILL)
    return f"that of {worker.log.stem}"


@fault
def runner_frozen(yard: Topology, callers: Callers, draw: random.Random) -> str:
    worker, seconds = _one_at_work(yard, draw), draw.uniform(0.5, 3)
    _freeze(runners_of(worker)[:1], seconds)
    return f"that of {worker.log.stem}, {seconds:.1f} s"


@fault
def nursery_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    worker = _one_at_work(yard, draw)
    for pid in _children(worker, "nursery"):
        _signal(pid, signal.SIGKILL)
    return f"that of {worker.log.stem}"


@fault
def worker_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _killed(_one_at_work(yard, draw), draw)


@fault
def worker_stopped(yard: Topology, callers: Callers, draw: random.Random) -> str:
    worker = _one_at_work(yard, draw)
    worker.end()
    worker.launch()
    return worker.log.stem


@fault
def worker_frozen_beyond_its_lease(yard: Topology, callers: Callers, draw: random.Random) -> str:
    worker, seconds = _one_at_work(yard, draw), LEASE_SECONDS + draw.uniform(1, 3)
    _freeze([worker.process.pid, *runners_of(worker)], seconds)
    return f"{worker.log.stem}, {seconds:.1f} s"


@fault
def reaper_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _killed(yard.reaper, draw)


@fault
def gateway_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _killed(draw.choice(yard.gateways), draw)


@fault
def gateway_killed_between_commit_and_bell(yard: Topology, callers: Callers, draw: random.Random) -> str:
    number = draw.randrange(len(yard.gateways))
    gateway = yard.gateways[number]
    file = Path(gateway.options["env"]["TRAINYARD_DATA_DIR"]) / FILE
    file.touch()
    callers.submit("quick", first=number)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
        return f"gateway {number + 1} was asked nothing"
    gateway.await_end()
    gateway.start()
    return f"gateway {number + 1}"


@fault
def postgres_restarted(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _restarted(yard.postgres, FASTLY, draw)


@fault
def postgres_crashed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _restarted(yard.postgres, IMMEDIATELY, draw)


@fault
def redis_flushed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    yard.redis.flush()
    return ""


@fault
def redis_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _restarted(yard.redis, signal.SIGKILL, draw)


@fault
def s3_killed(yard: Topology, callers: Callers, draw: random.Random) -> str:
    return _restarted(yard.s3, signal.SIGKILL, draw)


@fault
def client_hangs_up(yard: Topology, callers: Callers, draw: random.Random) -> str:
    share = draw.choice([draw.random(), 1.0])
    callers.hang_up("quick", share)
    return f"after {share:.0%} of its request"


@fault
def fifty_requests_with_one_key(yard: Topology, callers: Callers, draw: random.Random) -> str:
    callers.submit_at_once("quick", 50)
    return ""


def _network(name: str, network: Network, yard: Topology, callers: Callers, draw: random.Random) -> str:
    seconds = draw.uniform(1, 5)
    yard.networks[name].behave(network)
    time.sleep(seconds)
    yard.networks[name].behave(Network.WELL)
    return f"{seconds:.1f} s"


for _name in ("postgres", "redis", "s3"):
    for _how in (Network.REFUSING, Network.SLOW, Network.SILENT):
        FAULTS[f"{_name}_{_how.value}"] = partial(_network, _name, _how)


def _killed(server: Server, draw: random.Random) -> str:
    seconds = draw.uniform(0, 2)
    server.kill()
    time.sleep(seconds)
    server.start()
    return f"{server.log.stem}, back after {seconds:.1f} s"


def _restarted(server: Server, how: int, draw: random.Random) -> str:
    seconds = draw.uniform(0, 3)
    server.end(how)
    time.sleep(seconds)
    server.start()
    return f"away for {seconds:.1f} s"


def _freeze(pids: list[int], seconds: float) -> None:
    for pid in pids:
        _signal(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        _signal(pid, signal.SIGCONT)


#: Whose training is past its first step; a worker's process is a part of its name.
_AT_WORK = """
    SELECT split_part(lease_owner, '-', -2)::int FROM jobs
    WHERE state = 'running' AND (definition->'fit'->>'nb_epoch')::int > 5 AND (progress->>'step')::int > 0
"""


def _one_at_work(yard: Topology, draw: random.Random) -> Server:
    """Wait a moment for a worker to be in the middle of a training, and choose one that is."""
    deadline = time.monotonic() + AT_WORK_SECONDS
    while time.monotonic() < deadline:
        pids = {pid for (pid,) in yard.postgres.run(_AT_WORK, "trainyard")}
        if busy := [worker for worker in yard.workers if worker.process.pid in pids]:
            return draw.choice(busy)
        time.sleep(0.05)
    return draw.choice(yard.workers)


def runners_of(worker: Server) -> list[int]:
    """Find a worker's runners of the training lane, the longest-lived first: it is the one at work."""
    return sorted(_children(worker, "training runner"), key=_born)


def _children(worker: Server, name: str) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{worker.process.pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return [pid for pid in found if _calls_itself(pid) == name]


def _calls_itself(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _born(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
