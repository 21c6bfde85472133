"""Who may not go on, judged without asking anybody."""

import pytest

from tests.worker.fakes import FakeRunner
from worker import machine
from worker.warden import CANCEL_GRACE_SECONDS, GRACE_SECONDS, Warden


@pytest.fixture
def runner(make_job, assign):
    make_job({"model": {}, "limits": {"seconds": 10}})
    runner = FakeRunner("training", lambda: None)
    runner.assign(assign())
    return runner


@pytest.fixture
def judge(settings, runner):
    def judge(**changes):
        Warden(settings.model_copy(update=changes), lambda: [runner]).judge(runner, runner.assignment)
        return runner.verdict

    return judge


def test_a_runner_that_keeps_to_its_bounds_goes_on(judge, runner):
    assert judge(runner_memory_bytes=0) is None


def test_a_runner_that_holds_too_much_memory_is_killed(judge, runner, monkeypatch):
    monkeypatch.setattr(machine, "held_bytes", lambda pid: 1001)
    assert judge(runner_memory_bytes=1001) is None
    assert judge(runner_memory_bytes=1000) == "out_of_memory"
    assert runner.held_bytes == 1001


def test_without_a_bound_a_runner_may_not_hold_more_than_its_share(judge, monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 1000)
    monkeypatch.setattr(machine, "held_bytes", lambda pid: 901)
    assert judge(runner_memory_bytes=0) is None
    assert judge() == "out_of_memory"


@pytest.mark.parametrize(
    ("since", "seconds", "verdict"),
    [
        ("cancelled_at", CANCEL_GRACE_SECONDS, "cancelled"),
        ("assigned_at", 10 + GRACE_SECONDS, "time_limit"),
        ("held_at", 30, "lost"),
    ],
)
def test_a_runner_has_its_time_and_no_more(judge, runner, monkeypatch, since, seconds, verdict):
    begun = runner.assigned_at
    monkeypatch.setattr("worker.warden.time.monotonic", lambda: begun + seconds)
    runner.assigned_at = runner.held_at = begun + seconds
    setattr(runner, since, begun)
    assert judge() is None
    monkeypatch.setattr("worker.warden.time.monotonic", lambda: begun + seconds + 0.1)
    assert judge() == verdict


def test_a_verdict_is_not_changed(judge, runner, monkeypatch):
    runner.verdict = "stopped"
    monkeypatch.setattr(machine, "held_bytes", lambda pid: 2**60)
    assert judge() == "stopped"
