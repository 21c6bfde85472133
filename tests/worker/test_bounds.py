"""Real runners that take too much, crash, hang or are lost: how soon their jobs have an end or another runner."""

import os
import signal
import socket
import time

import pytest

from core.blobs import Blobs
from core.settings import Settings
from tests.worker.fakes import FakeRunner
from tests.worker.processes import ENDLESS, Bell, runner_of, wish
from tests.worker.small import COMPILE, arrays, training, until
from worker.reaper import Reaper
from worker.supervisor import Supervisor


@pytest.fixture
def start(live, sessions, monkeypatch):
    """Start a supervisor with one training lane, set as told; its runners hear of it by their environment."""
    started = []

    def start(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"TRAINYARD_{name.upper()}", str(value))
        started.append(Supervisor(Settings(_env_file=None), sessions, f"w{len(started)}", places={"training": 1}))
        started[-1].start()
        return started[-1]

    yield start
    for supervisor in started:
        supervisor.stop(at_once=True)
        supervisor.join()


def test_a_runner_that_takes_too_much_memory_is_ended_and_the_next_job_runs(start, make_job, large, read):
    wide = {"class_name": "Dense", "config": {"output_dim": 6_000, "input_dim": 6_000}}
    narrow = [
        {"class_name": "Dense", "config": {"output_dim": 6_000, "input_dim": 4}},
        wide,
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ]
    model = {"class_name": "Sequential", "config": narrow}
    greedy, modest = make_job(training(large, ENDLESS, model=model)), make_job(training(large, 1))
    start(runner_memory_bytes=512 * 2**20)

    until(lambda: read(greedy).is_terminal, 120)
    error = read(greedy).error
    assert (read(greedy).state, error["class"], error["who"]) == ("failed", "out_of_memory", "user")
    assert (error["retryable"], read(greedy).attempt) == (False, 1)
    until(lambda: read(modest).state == "succeeded", 120)


@pytest.mark.slow
def test_a_job_that_crashes_every_runner_fails_and_leaves_the_worker_standing(start, make_job, large, read):
    poison, sound = make_job(training(large, ENDLESS)), make_job(training(large, 1))
    supervisor = start(max_attempts=2)
    for attempt in (1, 2):
        until(lambda n=attempt: read(poison).attempt == n and read(poison).progress, 120)
        os.kill(runner_of(supervisor, poison).pid, signal.SIGSEGV)
        until(lambda n=attempt: read(poison, "attempts")[n - 1].ended_at, 120)

    assert (read(poison).state, read(poison).reason) == ("failed", "runner_crashed")
    assert "SIGSEGV" in read(poison).error["detail"]
    until(lambda: read(sound).state == "succeeded", 120)


@pytest.fixture
def silent():
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def hanging_storage(silent, monkeypatch):
    for name, value in (
        ("ENDPOINT_URL", f"http://127.0.0.1:{silent}"),
        ("REGION", "us-east-1"),
        ("ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return {"storage_url": "s3://trainyard"}


def long_batch(silent, monkeypatch):
    return {}


@pytest.mark.parametrize(
    "hang", [hanging_storage, pytest.param(long_batch, marks=pytest.mark.slow)], ids=["in the storage", "in a batch"]
)
def test_a_cancel_frees_a_runner_that_hangs_within_five_seconds(
    start, make_job, make_dataset, sessions, read, silent, monkeypatch, hang
):
    wide = [
        {"class_name": "Dense", "config": {"output_dim": 8_000, "input_dim": 4, "activation": "relu"}},
        *[{"class_name": "Dense", "config": {"output_dim": 8_000, "activation": "relu"}}] * 2,
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ]
    data = make_dataset(**arrays(n=8192))
    definition = training(data, model={"class_name": "Sequential", "config": wide}, compile=COMPILE)
    definition["fit"]["batch_size"] = 8192
    job_id = make_job(definition)
    supervisor = start(heartbeat_seconds=2.0, poll_seconds=1.0, **hang(silent, monkeypatch))
    runner = until(lambda: runner_of(supervisor, job_id), 120)
    asked = time.monotonic()
    wish(sessions, job_id, "cancel")
    until(lambda: read(job_id).state == "cancelled", 30)

    assert time.monotonic() - asked < 5.0
    assert runner.exit_code == -signal.SIGKILL
    assert read(job_id, "attempts")[0].exit == "killed"


def test_a_job_of_a_dead_worker_runs_again_within_its_lease_and_five_seconds(settings, sessions, make_job, claim, read):
    """All is as by default save for the lease: when the reaper and workers look, how a lost job backs off."""
    usual = Settings(_env_file=None, data_dir=settings.data_dir)
    assert usual.lease_seconds == 30.0
    runners = []

    def start_runner(lane, changed):
        runners.append(FakeRunner(lane, changed))
        runners[-1].ready = True
        return runners[-1]

    job_id = make_job()
    claim("dead", lease_seconds=1.0)
    begun = time.monotonic()
    supervisor = Supervisor(usual, sessions, "alive", start_runner, {"training": 1})
    reaper = Reaper(usual, sessions, Bell(lambda: None), Blobs(usual.storage_url))
    supervisor.start()
    reaper.start()
    try:
        until(lambda: read(job_id).attempt == 2, 30)
        assert time.monotonic() - begun < 1.0 + 5.0
    finally:
        reaper.stop()
        supervisor.stop(at_once=True)
        supervisor.join()
    assert read(job_id, "attempts")[0].reason == "worker_lost"
