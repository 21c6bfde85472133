"""Bells, lost and found, and the reaper that rings again."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from core import leases
from core.blobs import Blobs
from core.queue import Queue
from tests.worker.small import until
from worker.main import sweep_runs, worker_name
from worker.reaper import Reaper

LISTEN = """
import signal
from core.queue import make_celery
from core.settings import get_settings
from worker.tasks import Doorbell

def hear():
    print("heard", flush=True)

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
bell = Doorbell(make_celery(get_settings()), hear)
bell.start()
signal.sigwait([signal.SIGTERM])
bell.stop()
bell.join()
print("done", flush=True)
"""


@contextmanager
def listening(output):
    """A process that hears bells and says so."""
    with output.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-c", LISTEN], stdout=file, stderr=subprocess.DEVNULL)
    try:
        yield process, lambda: output.read_text().split()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def listener(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("TRAINYARD_DATA_DIR", str(settings.data_dir))
    with listening(tmp_path / "heard.txt") as heard:
        yield heard


def test_a_bell_rung_through_redis_is_heard(settings, monkeypatch, tmp_path, valkey_url):
    monkeypatch.setenv("TRAINYARD_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("TRAINYARD_BROKER_URL", valkey_url)
    queue = Queue(settings.model_copy(update={"broker_url": valkey_url}))
    with listening(tmp_path / "heard.txt") as (process, words):
        queue.ring("job_1")
        until(lambda: "heard" in words())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    queue.close()


def test_a_bell_is_heard_and_a_broken_one_does_not_end_the_listening(listener, settings):
    process, words = listener
    queue = Queue(settings)
    queue.ring("job_1")
    until(lambda: "heard" in words())

    (settings.data_dir / "broker" / "messages" / "1_broken.trainyard.msg").write_bytes(b"{")
    until(lambda: words().count("heard") == 2)
    queue.ring("job_2")
    until(lambda: words().count("heard") == 3)
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert words()[-1] == "done"
    queue.close()


def test_a_message_is_not_taken_before_it_is_written(listener, settings):
    _, words = listener
    queue = Queue(settings)
    queue.ring("job_1")
    until(lambda: "heard" in words())
    unwritten = settings.data_dir / "broker" / "messages" / "1_unwritten.trainyard.msg"
    unwritten.touch()
    queue.ring("job_2")
    until(lambda: words().count("heard") == 2)
    queue.close()

    assert unwritten.exists()


class Bells:
    def __init__(self):
        self.rung = []

    def ring(self, job_id):
        self.rung.append(job_id)


@pytest.fixture
def bells():
    return Bells()


@pytest.fixture
def reaper(settings, sessions, bells):
    return Reaper(settings, sessions, bells, Blobs(settings.storage_url))


def test_a_job_of_a_worker_that_is_gone_waits_again_and_is_rung_for(reaper, bells, make_job, claim, read):
    job_id = make_job()
    claim(lease_seconds=-1)
    reaper.look()

    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_lost")
    assert bells.rung == [job_id]


def test_a_lease_that_is_held_is_left_alone(reaper, bells, make_job, claim, read):
    job_id = make_job()
    claim()
    reaper.look()

    assert read(job_id).state == "running"
    assert bells.rung == []


def test_the_reaper_looks_again_after_a_failure(reaper, bells, make_job, claim, read, monkeypatch, caplog):
    job_id = make_job()
    claim(lease_seconds=-1)
    expire, fails = leases.expire, [True]

    def sometimes(*arguments):
        if fails.pop() if fails else False:
            raise RuntimeError("the database is away")
        return expire(*arguments)

    monkeypatch.setattr("core.leases.expire", sometimes)
    reaper.start()
    until(lambda: read(job_id).state == "queued")
    reaper.stop()

    assert "look again" in caplog.text


def test_workers_have_names_of_their_own():
    assert worker_name() != worker_name()


def test_what_a_dead_worker_left_on_disk_is_removed_and_what_a_live_one_holds_stays(tmp_path):
    import socket

    host = socket.gethostname()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"{host}-{pid}-x" / "job_1-a1").mkdir(parents=True)
    sweep_runs(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == [f"{host}-{os.getpid()}-x"]
