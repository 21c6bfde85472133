"""Real supervisors, runners and workers for tests, and how to find and interrupt them."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
import torch

from core import attempts
from core.blobs import Blobs
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.settings import Settings
from engine.limits import Limits
from engine.plan import ArraySpec, Plan
from engine.training.loop import Training
from tests.worker.small import arrays, training, until
from worker.reaper import Reaper
from worker.supervisor import Supervisor

#: Long enough to be caught in the middle wherever one looks, and short enough to be run twice.
EPOCHS = 100
#: One that nobody waits for.
ENDLESS = 100_000
OFTEN = {"every_seconds": 0.1, "keep": 2}


class Bell:
    def __init__(self, hear):
        self._hear = hear

    def ring(self, job_id):
        self._hear()


@pytest.fixture
def live(settings, monkeypatch):
    """Settings that a runner reads from its environment."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    values = {
        "data_dir": settings.data_dir,
        "lease_seconds": 30,
        "heartbeat_seconds": 0.2,
        "poll_seconds": 0.1,
        "reaper_seconds": 0.1,
        "retry_backoff_seconds": 0.0,
    }
    for name, value in values.items():
        monkeypatch.setenv(f"TRAINYARD_{name.upper()}", str(value))
    return Settings(_env_file=None)


@pytest.fixture
def yard(live, sessions):
    """A supervisor with one training lane, and a reaper, in this process."""
    supervisor = Supervisor(live, sessions, "me", places={"training": 1})
    reaper = Reaper(live, sessions, Bell(supervisor.hear), Blobs(live.storage_url))
    supervisor.start()
    reaper.start()
    yield supervisor
    reaper.stop()
    supervisor.stop()
    supervisor.join()


@pytest.fixture
def large(make_dataset):
    return make_dataset(**arrays(n=256))


class Nobody:
    def batch(self):
        pass

    def epoch(self, epoch, logs):
        pass


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The weights when nothing happens, no checkpoint, no report and no other process."""
    data = arrays(n=256)
    plan = Plan.read(training("ds_1", EPOCHS), lambda _, name: ArraySpec(data[name].shape, "float32"), Limits())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = Training(plan, lambda _, name: data[name], seed=7)
    run.fit(Nobody())
    torch.set_num_threads(threads)
    path = tmp_path_factory.mktemp("calm") / "weights.h5"
    run.save_weights(path, "hdf5")
    return path.read_bytes()


def runner_of(supervisor, job_id):
    return until(lambda: [each for each in supervisor._runners if each.busy and each.assignment.job_id == job_id])[0]


def in_the_middle(sessions, read, job_id, attempt=1, epoch=2):
    """Wait until an attempt has a checkpoint and is past it, inside an epoch."""

    def there():
        with sessions.begin() as session:
            newest = next(iter(attempts.checkpoints(session, job_id)), None)
        return newest is not None and newest.attempt == attempt and newest.epoch >= epoch

    until(there)
    assert not read(job_id).is_terminal, "it ended before it could be caught; make it longer"


def wish(sessions, job_id, verb):
    with sessions.begin() as session:
        return getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id).state


def start_worker():
    return subprocess.Popen([sys.executable, "-m", "worker.main"])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def runners_of(worker):
    """Whom any of the worker's threads has started."""
    found = []
    for task in os.listdir(f"/proc/{worker.pid}/task"):
        with open(f"/proc/{worker.pid}/task/{task}/children") as children:
            found += map(int, children.read().split())
    return found


def freeze(pids, settings):
    """Stop processes at a moment when none of them is writing: on SQLite nobody else could."""

    def frozen():
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with contextlib.closing(sqlite3.connect(settings.data_dir / "trainyard.db", timeout=0.1)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
                return False
        return True

    until(frozen)
