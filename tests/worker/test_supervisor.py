import threading
import time

import pytest

from core import leases
from tests.worker.small import until
from worker.keeper import Keeper
from worker.supervisor import Supervisor


class FakeRunner:
    """A runner without a process."""

    def __init__(self, lane, changed):
        self.lane, self.changed = lane, changed
        self.ready = self.stepping = self.done = False
        self.assignment = self.exit_code = self.verdict = self.cancelled_at = self.lost_at = None
        self.assigned_at = self.held_at = 0.0
        self.process = self
        self.pid = 0

    @property
    def idle(self):
        return self.ready and self.assignment is None and self.exit_code is None

    @property
    def busy(self):
        return self.assignment is not None and not self.done

    def assign(self, assignment):
        self.assignment, self.done, self.stepping = assignment, False, False
        self.assigned_at = self.held_at = time.monotonic()

    def release(self):
        self.assignment = None

    def dismiss(self):
        pass

    def ask_to_stop(self):
        self.exit(0)

    def kill(self, verdict):
        self.verdict = verdict
        self.exit(-9)

    def warm(self):
        self.ready = True
        self.changed()

    def exit(self, code):
        self.exit_code = code
        self.changed()


@pytest.fixture
def runners():
    return []


@pytest.fixture
def make_supervisor(settings, sessions, runners):
    started = []

    def make(lanes=None, **changes):
        def start(lane, changed):
            runners.append(FakeRunner(lane, changed))
            return runners[-1]

        changed = settings.model_copy(update=changes)
        started.append(Supervisor(changed, sessions, "me", start, lanes))
        started[-1].start()
        return started[-1]

    yield make
    for supervisor in started:
        supervisor.stop()
        supervisor.join()


def of(runners, lane):
    return [runner for runner in runners if runner.lane == lane]


def test_a_worker_keeps_a_runner_warm_for_each_place(make_supervisor, runners):
    make_supervisor(lanes={"training": 2, "express": 1})
    until(lambda: len(runners) == 3)

    assert (len(of(runners, "training")), len(of(runners, "express"))) == (2, 1)


def test_no_job_is_claimed_before_a_runner_is_warm(make_supervisor, runners, make_job, read):
    job_id = make_job()
    make_supervisor(lanes={"training": 1})
    (runner,) = until(lambda: runners[:1])
    assert read(job_id).state == "queued"

    runner.warm()
    until(lambda: runner.assignment)
    assert read(job_id).state == "running"


def test_a_lane_takes_no_more_jobs_than_it_has_places(make_supervisor, runners, make_job, read):
    first, second = make_job(), make_job()
    make_supervisor(lanes={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: read(first).state == "running")
    runners[0].stepping = True
    runners[0].changed()
    until(lambda: len(runners) == 2)
    runners[1].warm()

    assert not threading.Event().wait(0.3)  # some looks later
    assert read(second).state == "queued"
    runners[0].done = True
    runners[0].changed()
    until(lambda: read(second).state == "running")


def test_a_bell_is_heard_without_waiting_for_the_next_look(make_supervisor, runners, make_job, read):
    supervisor = make_supervisor(lanes={"training": 1}, poll_seconds=3600.0)
    until(lambda: runners)[0].warm()
    job_id = make_job()
    supervisor.hear()

    until(lambda: read(job_id).state == "running", seconds=10)


def test_a_job_whose_bell_was_lost_is_found_all_the_same(make_supervisor, runners, make_job, read):
    make_supervisor(lanes={"training": 1}, poll_seconds=0.05)
    until(lambda: runners)[0].warm()
    job_id = make_job()

    until(lambda: read(job_id).state == "running", seconds=10)


def test_an_express_job_does_not_wait_behind_a_training_and_its_runner_is_used_again(
    make_supervisor, runners, make_job, read
):
    make_supervisor(lanes={"training": 1, "express": 1})
    until(lambda: len(runners) == 2)
    for runner in runners:
        runner.warm()
    training, first, second = make_job(), make_job(kind="express"), make_job(kind="express")
    until(lambda: read(training).state == read(first).state == "running")
    (express,) = of(runners, "express")
    express.done = True
    express.changed()

    until(lambda: express.assignment and express.assignment.job_id == second)
    assert of(runners, "express") == [express]


def test_a_runner_that_dies_without_a_word_costs_one_attempt(make_supervisor, runners, make_job, read):
    job_id = make_job()
    make_supervisor(lanes={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)
    runners[0].exit(-11)

    until(lambda: read(job_id, "attempts")[0].ended_at)
    assert (read(job_id).state, read(job_id).reason) == ("queued", "runner_killed")


def test_runners_that_cannot_start_are_not_started_in_a_loop(make_supervisor, runners, caplog):
    make_supervisor(lanes={"training": 1})
    until(lambda: runners)[0].exit(1)
    until(lambda: "before it was ready" in caplog.text)

    assert not threading.Event().wait(0.3)
    assert len(runners) == 1


def test_a_stopped_worker_gives_back_what_a_stuck_runner_held(make_supervisor, runners, make_job, read, monkeypatch):
    monkeypatch.setattr("worker.supervisor._STOP_SECONDS", 0.2)
    job_id = make_job()
    supervisor = make_supervisor(lanes={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)
    runners[0].ask_to_stop = lambda: None
    supervisor.stop()
    supervisor.join()

    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")


@pytest.fixture
def held(sessions, make_job, assign, settings):
    """A runner at work, and the keeper of its lease."""
    make_job()
    runner = FakeRunner("training", lambda: None)
    runner.assign(assign())
    return runner, Keeper(settings, sessions, lambda: [runner])


def test_a_lease_that_is_held_is_renewed(held, read):
    runner, keeper = held
    before = read(runner.assignment.job_id).lease_expires_at
    keeper._hold(runner, runner.assignment)

    assert read(runner.assignment.job_id).lease_expires_at > before
    assert runner.verdict is None


def test_a_runner_whose_lease_is_lost_is_killed(held, sessions):
    runner, keeper = held
    with sessions.begin() as session:
        leases.lose(session, runner.assignment.job_id, 1, "me", reason="worker_lost", max_attempts=3, backoff_seconds=0)
    keeper._hold(runner, runner.assignment)
    assert runner.verdict is None, "it may just be writing its own end"
    keeper._hold(runner, runner.assignment)

    assert runner.verdict == "lost"


def test_a_runner_is_killed_when_its_lease_cannot_be_renewed_in_time(held, monkeypatch):
    runner, keeper = held

    def away(assignment):
        raise OSError("the database is away")

    monkeypatch.setattr(keeper, "_renew", away)
    keeper._hold(runner, runner.assignment)
    assert runner.verdict is None
    runner.held_at -= 3600
    keeper._hold(runner, runner.assignment)

    assert runner.verdict == "lost"
