"""Real supervisors and real runners, killed, frozen and stopped in the middle of an epoch."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from core import leases
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
def settings(settings, monkeypatch):
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
def yard(settings, sessions):
    """A supervisor with one training lane, and a reaper, in this process."""
    supervisor = Supervisor(settings, sessions, "me", lanes={"training": 1})
    reaper = Reaper(settings, sessions, Bell(supervisor.hear), Blobs(settings.storage_url))
    supervisor.start()
    reaper.start()
    yield supervisor
    reaper.stop()
    supervisor.stop()
    supervisor.join()


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(**arrays(n=256))


class Nobody:
    def batch(self):
        pass

    def epoch(self, epoch, logs):
        pass


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The weights when nothing happens, no checkpoint, no report and no other process."""
    data = arrays(n=256)
    plan = Plan.read(training("ds_1", EPOCHS), lambda _, name: ArraySpec(data[name].shape, "float32"), Limits())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    calm = Training(plan, lambda _, name: data[name], seed=7)
    calm.fit(Nobody())
    torch.set_num_threads(threads)
    path = tmp_path_factory.mktemp("calm") / "weights.h5"
    calm.save_weights(path, "hdf5")
    return path.read_bytes()


def runner_of(supervisor, job_id):
    return until(lambda: [each for each in supervisor._runners if each.busy and each.assignment.job_id == job_id])[0]


def in_the_middle(sessions, read, job_id, attempt=1, epoch=2):
    """Wait until an attempt has a checkpoint and is past it, inside an epoch."""

    def there():
        with sessions.begin() as session:
            newest = next(iter(leases.checkpoints(session, job_id)), None)
        return newest is not None and newest.attempt == attempt and newest.epoch >= epoch

    until(there)
    assert not read(job_id).is_terminal, "it ended before it could be caught; make it longer"


def wish(sessions, job_id, verb):
    with sessions.begin() as session:
        return getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id).state


def test_killed_twice_in_mid_epoch_a_job_ends_with_the_same_bits(
    undisturbed, yard, sessions, make_job, dataset, read, blob_of
):
    job_id = make_job(training(dataset, EPOCHS, checkpoint=OFTEN))
    for attempt in (1, 2):
        in_the_middle(sessions, read, job_id, attempt)
        os.kill(runner_of(yard, job_id).process.pid, signal.SIGKILL)
        until(lambda n=attempt: read(job_id, "attempts")[n - 1].exit == "lost")
    until(lambda: read(job_id).is_terminal)

    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == undisturbed
    assert [row.reason for row in read(job_id, "attempts")] == ["runner_killed", "runner_killed", None]
    assert read(job_id, "attempts")[2].resumed_from["step"] > 0
    assert [row.epoch for row in read(job_id, "epochs")] == list(range(EPOCHS))
    assert [event.seq for event in read(job_id, "events", 0, 10**6)] == list(range(1, read(job_id).last_event + 1))


@pytest.mark.slow
def test_a_job_whose_runner_dies_every_time_fails_in_the_end(yard, sessions, make_job, dataset, read):
    job_id = make_job(training(dataset, ENDLESS))
    for attempt in (1, 2, 3):
        until(lambda n=attempt: read(job_id).attempt == n and read(job_id).progress)
        os.kill(runner_of(yard, job_id).process.pid, signal.SIGKILL)
        until(lambda n=attempt: read(job_id, "attempts")[n - 1].ended_at)
    until(lambda: read(job_id).is_terminal)

    assert (read(job_id).state, read(job_id).attempt) == ("failed", 3)
    assert read(job_id).error["who"] == "system"


def test_a_running_job_is_cancelled_within_seconds_and_the_lane_is_free(yard, sessions, make_job, dataset, read):
    job_id, following = make_job(training(dataset, ENDLESS)), make_job(training(dataset, 1))
    until(lambda: read(job_id).progress)
    assert wish(sessions, job_id, "cancel") == "cancelling"

    until(lambda: read(job_id).state == "cancelled", seconds=5)
    until(lambda: read(following).state == "succeeded")


def test_a_runner_that_does_not_hear_is_killed_and_its_job_cancelled(
    yard, sessions, make_job, dataset, read, monkeypatch
):
    monkeypatch.setattr("worker.keeper.CANCEL_GRACE_SECONDS", 0.5)
    job_id = make_job(training(dataset, ENDLESS))
    until(lambda: read(job_id).progress)
    os.kill(runner_of(yard, job_id).process.pid, signal.SIGSTOP)
    wish(sessions, job_id, "cancel")

    until(lambda: read(job_id).state == "cancelled", seconds=10)
    assert read(job_id, "attempts")[0].exit == "killed"


@pytest.mark.slow
def test_a_zombie_is_refused_and_the_job_ends_with_the_same_bits(
    undisturbed, settings, sessions, make_job, dataset, read, blob_of, monkeypatch
):
    """A whole worker is frozen for longer than its lease, another takes over, and the first wakes up."""
    monkeypatch.setenv("TRAINYARD_LEASE_SECONDS", "1")
    job_id = make_job(training(dataset, EPOCHS, checkpoint=OFTEN))
    frozen = Supervisor(Settings(_env_file=None), sessions, "frozen", lanes={"training": 1})
    monkeypatch.setattr(frozen._keeper, "_renew", lambda assignment: None)
    frozen.start()
    in_the_middle(sessions, read, job_id)
    pid = runner_of(frozen, job_id).process.pid
    os.kill(pid, signal.SIGSTOP)

    reaper = Reaper(settings, sessions, Bell(lambda: None), Blobs(settings.storage_url))
    until(lambda: reaper.look() or read(job_id).state == "queued")
    rescue = Supervisor(settings, sessions, "rescue", lanes={"training": 1})
    frozen._over.set()
    rescue.start()
    until(lambda: read(job_id).attempt == 2 and read(job_id).state == "running")
    os.kill(pid, signal.SIGCONT)
    until(lambda: read(job_id).is_terminal)
    frozen.join()
    rescue.stop()
    rescue.join()

    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == undisturbed
    attempts = [event.attempt for event in read(job_id, "events", 0, 10**6)]
    assert attempts == sorted(attempts)
    assert all(row.attempt == 2 for row in read(job_id, "artifacts"))


def test_time_that_is_up_ends_even_a_runner_that_hangs(yard, make_job, dataset, read, monkeypatch):
    monkeypatch.setattr("worker.keeper.GRACE_SECONDS", 0.1)
    job_id = make_job(training(dataset, ENDLESS, limits={"seconds": 1}))
    os.kill(runner_of(yard, job_id).process.pid, signal.SIGSTOP)
    until(lambda: read(job_id).is_terminal)

    assert (read(job_id).state, read(job_id).reason) == ("failed", "time_limit")


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


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_gives_its_job_back_at_a_checkpoint(
    undisturbed, settings, sessions, make_job, dataset, read, blob_of
):
    job_id = make_job(training(dataset, EPOCHS, checkpoint=OFTEN))
    first = start_worker()
    in_the_middle(sessions, read, job_id)
    runners = runners_of(first)
    first.terminate()
    assert first.wait(30) == 0

    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")
    assert not any(map(alive, runners))
    second = start_worker()
    until(lambda: read(job_id).is_terminal)
    second.terminate()
    second.wait(30)
    assert read(job_id, "attempts")[1].resumed_from["step"] > 0
    assert blob_of(job_id, "weights.h5") == undisturbed


@pytest.mark.slow
def test_runners_do_not_outlive_a_worker_that_is_killed(settings, sessions, make_job, dataset, read):
    job_id = make_job(training(dataset, ENDLESS))
    worker = start_worker()
    until(lambda: read(job_id).progress)
    runners = runners_of(worker)
    worker.kill()
    worker.wait()

    until(lambda: not any(map(alive, runners)))
    assert read(job_id).state == "queued"
    assert read(job_id, "attempts")[0].reason == "worker_stopped"
