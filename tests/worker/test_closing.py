"""How a runner ended tells what becomes of its job."""

import signal

import pytest

from tests.worker.fakes import FakeRunner
from worker import machine
from worker.closing import close
from worker.metrics import ATTEMPTS, REFUSED


@pytest.fixture
def ended(settings, sessions, make_job, assign, read, claim):
    """Close an attempt whose runner has ended so; return its job."""

    def ended(exit_code, verdict=None, max_attempts=3, again=0):
        job_id = make_job({"model": {}, "limits": {"seconds": 7}})
        for _ in range(again + 1):
            runner = FakeRunner("training", lambda: None)
            runner.assign(assign())
            runner.exit_code, runner.verdict, runner.oom_kills, runner.held_bytes = exit_code, verdict, 2, 3 * 2**20
            close(runner, settings.model_copy(update={"max_attempts": max_attempts}), sessions)
        return read(job_id)

    return ended


@pytest.fixture(autouse=True)
def kills(monkeypatch):
    """Whom the kernel has ended: at first those of before."""
    kills = [2]
    monkeypatch.setattr(machine, "oom_kills", lambda: kills[-1])
    return kills


def told(job):
    return job.state, job.reason, job.error and (job.error["class"], job.error["who"], job.error["retryable"])


MEMORY = ("failed", "out_of_memory", ("out_of_memory", "user", False))


def test_a_runner_ended_for_its_memory_fails_the_job_and_is_not_tried_again(ended):
    job = ended(-9, "out_of_memory")
    assert told(job) == MEMORY
    assert "3 MiB" in job.error["detail"]
    assert "batch_size" in job.error["detail"]


def test_so_does_one_that_the_kernel_has_ended_for_want_of_memory(ended, kills):
    kills.append(3)
    assert told(ended(-9)) == MEMORY


def test_a_runner_killed_by_anybody_else_is_tried_again(ended):
    assert told(ended(-9)) == ("queued", "runner_killed", None)


def test_a_crash_is_no_kill_even_while_the_kernel_ends_others(ended, kills):
    kills.append(3)
    assert told(ended(-signal.SIGSEGV)) == ("queued", "runner_crashed", None)


@pytest.mark.parametrize(("exit_code", "how"), [(-signal.SIGSEGV, "SIGSEGV"), (1, "exit code 1"), (-9, "SIGKILL")])
def test_a_job_whose_runners_always_die_fails_and_says_how(ended, exit_code, how):
    job = ended(exit_code, max_attempts=2, again=1)
    class_ = "runner_killed" if exit_code == -9 else "runner_crashed"
    assert told(job) == ("failed", class_, (class_, "system", True))
    assert how in job.error["detail"]
    assert "2 times" in job.error["detail"]


@pytest.mark.parametrize(
    ("verdict", "state", "reason"),
    [
        ("cancelled", "cancelled", "cancelled_by_user"),
        ("time_limit", "failed", "time_limit"),
        ("stopped", "queued", "worker_stopped"),
        ("lost", "running", None),
    ],
)
def test_a_runner_killed_by_its_supervisor_ends_as_was_meant(ended, verdict, state, reason):
    assert told(ended(-9, verdict))[:2] == (state, reason)


def test_what_becomes_of_attempts_is_counted(ended, sessions, settings, make_job, assign, read):
    def counted(outcome):
        return ATTEMPTS.labels(outcome)._value.get()

    before = counted("runner_killed"), counted("lost_lease"), REFUSED._value.get()
    ended(-9)
    runner = FakeRunner("training", lambda: None)
    runner.assign(assign())
    runner.exit_code, runner.oom_kills = -9, 2
    for _ in range(2):  # the second time the job is no longer this attempt's
        close(runner, settings, sessions)

    assert counted("runner_killed") == before[0] + 2
    assert counted("lost_lease") == before[1] + 1
    assert REFUSED._value.get() == before[2] + 1
