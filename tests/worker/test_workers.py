"""Whole workers, with brokers that fail and signals that come twice."""

import os
import signal
import socket
import time

import httpx
import pytest

from core.queue import Queue
from core.settings import Settings
from tests.servers.process import free_ports
from tests.servers.valkey import Valkey
from tests.worker.processes import (
    ENDLESS,
    EPOCHS,
    OFTEN,
    Bell,
    alive,
    freeze,
    in_the_middle,
    runners_of,
    start_worker,
)
from tests.worker.small import training, until
from worker.health import complaint
from worker.reaper import Reaper
from worker.supervisor import Supervisor


@pytest.fixture
def worker(live):
    """Start workers as an operator does; whoever still lives at the end is killed."""
    started = []

    def worker():
        started.append(start_worker())
        return started[-1]

    yield worker
    for each in started:
        each.send_signal(signal.SIGCONT)
        each.kill()
        each.wait()


def test_a_worker_whose_broker_never_answers_finds_jobs_all_the_same_and_stops_when_told(
    live, worker, make_job, large, read, monkeypatch
):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and never says a word
        monkeypatch.setenv("TRAINYARD_BROKER_URL", f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        process = worker()
        job_id = make_job(training(large, 1))
        until(lambda: read(job_id).state == "succeeded", 120)
        assert complaint(live) is None

        told = time.monotonic()
        process.terminate()
        assert process.wait(60) == 0
        assert time.monotonic() - told < live.stop_grace_seconds


@pytest.mark.slow
def test_a_broker_may_be_flushed_killed_and_started_again(live, worker, make_job, large, read, monkeypatch, tmp_path):
    broker = Valkey(tmp_path)
    broker.start()
    try:
        monkeypatch.setenv("TRAINYARD_BROKER_URL", broker.url)
        monkeypatch.setenv("TRAINYARD_POLL_SECONDS", "1.0")
        process, queue = worker(), Queue(Settings(_env_file=None))
        for fault in (lambda: None, broker.flush, broker.kill, broker.start):
            fault()
            job_id = make_job(training(large, 1))
            until(lambda each=job_id: read(each).state == "succeeded", 120)
        queue.ring("job_none")  # the bell works again
        process.terminate()
        assert process.wait(60) == 0
        queue.close()
    finally:
        broker.end()


@pytest.mark.slow
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_worker_whose_runner_does_not_come_to_an_end(
    live, worker, make_job, large, read, monkeypatch, second
):
    monkeypatch.setenv("TRAINYARD_STOP_GRACE_SECONDS", "3600")
    job_id = make_job(training(large, ENDLESS))
    process = worker()
    until(lambda: read(job_id).progress, 120)
    runners = runners_of(process)
    for pid in runners:
        os.kill(pid, signal.SIGSTOP)
    process.terminate()
    with pytest.raises(Exception, match="timed out"):
        process.wait(1)
    process.send_signal(second)

    assert process.wait(30) == 0
    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")
    assert not any(map(alive, runners))


@pytest.mark.slow
def test_a_worker_frozen_for_longer_than_its_lease_is_refused_every_write_and_counts_it(
    live, worker, calm, blobs, sessions, make_job, large, read, blob_of, monkeypatch
):
    (port,) = free_ports(1)
    monkeypatch.setenv("TRAINYARD_WORKER_METRICS_PORT", str(port))
    monkeypatch.setenv("TRAINYARD_LEASE_SECONDS", "2")
    job_id = make_job(training(large, EPOCHS, checkpoint=OFTEN))
    frozen = worker()
    in_the_middle(sessions, read, job_id)
    runners = runners_of(frozen)
    freeze([frozen.pid, *runners], live)
    reaper = Reaper(live, sessions, Bell(lambda: None), blobs)
    rescue = Supervisor(live, sessions, "rescue", places={"training": 1})
    rescue.start()
    until(lambda: reaper.look() or read(job_id).attempt == 2, 120)
    for pid in runners:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not all(map(alive, runners)), 60)  # it was refused a write, and has left by itself
    os.kill(frozen.pid, signal.SIGCONT)

    def refused():
        told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        return float(told.partition("\ntrainyard_worker_refused_writes_total ")[2].split()[0])

    until(lambda: refused() >= 1, 60)
    until(lambda: read(job_id).is_terminal, 120)
    rescue.stop()
    rescue.join()
    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == calm
    attempts = [event.attempt for event in read(job_id, "events", 0, 10**6)]
    assert attempts == sorted(attempts)
    assert all(row.attempt == 2 for row in read(job_id, "artifacts"))
