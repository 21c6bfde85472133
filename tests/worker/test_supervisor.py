import socket
import threading

import pytest

from core import leases, workers
from core.tables import Worker
from tests.worker.fakes import FakeRunner
from tests.worker.small import until
from worker.keeper import Keeper
from worker.supervisor import Supervisor


@pytest.fixture
def runners():
    return []


@pytest.fixture
def make_supervisor(settings, sessions, runners):
    started = []

    def make(places=None, **changes):
        def start(lane, changed):
            runners.append(FakeRunner(lane, changed))
            return runners[-1]

        changed = settings.model_copy(update=changes)
        started.append(Supervisor(changed, sessions, "me", start, places))
        started[-1].start()
        return started[-1]

    yield make
    for supervisor in started:
        supervisor.stop()
        supervisor.join()


def of(runners, lane):
    return [runner for runner in runners if runner.lane.kind == lane]


def test_a_worker_keeps_a_runner_warm_for_each_place(make_supervisor, runners):
    make_supervisor(places={"training": 2, "express": 1})
    until(lambda: len(runners) == 3)

    assert (len(of(runners, "training")), len(of(runners, "express"))) == (2, 1)


def test_no_job_is_claimed_before_a_runner_is_warm(make_supervisor, runners, make_job, read):
    job_id = make_job()
    make_supervisor(places={"training": 1})
    (runner,) = until(lambda: runners[:1])
    assert read(job_id).state == "queued"

    runner.warm()
    until(lambda: runner.assignment)
    assert read(job_id).state == "running"


def test_a_lane_takes_no_more_jobs_than_it_has_places(make_supervisor, runners, make_job, read):
    first, second = make_job(), make_job()
    make_supervisor(places={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: read(first).state == "running")
    until(lambda: len(runners) == 2)
    runners[1].warm()

    assert not threading.Event().wait(0.3)  # some looks later
    assert read(second).state == "queued"
    runners[0].done = True
    runners[0].changed()
    until(lambda: read(second).state == "running")


def test_a_bell_is_heard_without_waiting_for_the_next_look(make_supervisor, runners, make_job, read):
    supervisor = make_supervisor(places={"training": 1}, poll_seconds=3600.0)
    until(lambda: runners)[0].warm()
    job_id = make_job()
    supervisor.hear()

    until(lambda: read(job_id).state == "running", seconds=10)


def test_a_job_whose_bell_was_lost_is_found_all_the_same(make_supervisor, runners, make_job, read):
    make_supervisor(places={"training": 1}, poll_seconds=0.05)
    until(lambda: runners)[0].warm()
    job_id = make_job()

    until(lambda: read(job_id).state == "running", seconds=10)


def test_an_express_job_does_not_wait_behind_a_training_and_its_runner_is_used_again(
    make_supervisor, runners, make_job, read
):
    make_supervisor(places={"training": 1, "express": 1})
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


def test_a_runner_that_has_opened_a_strangers_file_is_not_used_again(make_supervisor, runners, make_job, read):
    make_supervisor(places={"training": 1, "express": 1})
    until(lambda: len(runners) == 2)
    for runner in runners:
        runner.warm()
    (opener,) = of(runners, "express")
    make_job({"inspect": {"id": "wts_1"}}, kind="express")
    until(lambda: opener.assignment)
    later = make_job(kind="express")
    opener.done = True
    opener.changed()

    until(lambda: len(of(runners, "express")) == 2)
    assert read(later).state == "queued"
    of(runners, "express")[1].warm()
    until(lambda: read(later).state == "running")
    opener.exit(0)
    assert opener.assignment.is_last


def test_a_runner_that_dies_without_a_word_costs_one_attempt(make_supervisor, runners, make_job, read):
    job_id = make_job()
    make_supervisor(places={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)
    runners[0].exit(-11)

    until(lambda: read(job_id, "attempts")[0].ended_at)
    assert (read(job_id).state, read(job_id).reason) == ("queued", "runner_crashed")


def test_runners_that_cannot_start_are_not_started_in_a_loop(make_supervisor, runners, caplog):
    make_supervisor(places={"training": 1})
    until(lambda: runners)[0].exit(1)
    until(lambda: "before it was ready" in caplog.text)

    assert not threading.Event().wait(0.3)
    assert len(runners) == 1


def test_a_stopped_worker_gives_back_what_a_stuck_runner_held(make_supervisor, runners, make_job, read):
    job_id = make_job()
    supervisor = make_supervisor(places={"training": 1}, stop_grace_seconds=0.2)
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


def test_a_keeper_whose_database_is_away_tries_again_and_leaves_the_verdict_to_the_warden(held, monkeypatch, caplog):
    runner, keeper = held

    def away(assignment):
        raise OSError("the database is away")

    monkeypatch.setattr(keeper, "_renew", away)
    before = runner.held_at
    keeper._hold(runner, runner.assignment)

    assert (runner.verdict, runner.held_at) == (None, before)
    assert "the database is away" in caplog.text


def test_a_stopped_worker_that_is_told_again_waits_for_no_batch(make_supervisor, runners, make_job, read):
    job_id = make_job()
    supervisor = make_supervisor(places={"training": 1}, stop_grace_seconds=3600.0)
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)
    asked = threading.Event()
    runners[0].ask_to_stop = asked.set
    supervisor.stop()
    assert asked.wait(10)
    supervisor.stop(at_once=True)
    supervisor.join(10)

    assert not supervisor.is_alive()
    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")
    assert read(job_id, "attempts")[0].exit == "killed"


def test_an_end_that_could_not_be_written_is_written_at_the_next_look(
    make_supervisor, runners, make_job, read, monkeypatch
):
    job_id = make_job()
    make_supervisor(places={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)
    end, fails = leases.lose, [True]

    def sometimes(*arguments, **named):
        if fails:
            raise OSError(fails.pop() and "the database is away")
        return end(*arguments, **named)

    monkeypatch.setattr("core.leases.lose", sometimes)
    runners[0].exit(-9)

    until(lambda: read(job_id, "attempts")[0].ended_at)
    assert (read(job_id).reason, fails) == ("runner_killed", [])


def test_a_worker_whose_disk_is_full_claims_nothing(make_supervisor, runners, make_job, read, monkeypatch, caplog):
    full = [True]
    usage = type("Usage", (), {"free": property(lambda _: 0 if full else 2**40)})
    monkeypatch.setattr("worker.supervisor.shutil.disk_usage", lambda _: usage())
    job_id = make_job()
    make_supervisor(places={"training": 1})
    until(lambda: runners)[0].warm()
    until(lambda: caplog.text.count("no job is claimed") > 2)
    assert read(job_id).state == "queued"

    full.clear()
    until(lambda: read(job_id).state == "running")


def known(sessions):
    with sessions.begin() as session:
        return workers.alive(session, socket.gethostname(), 60.0)


def test_a_worker_says_that_it_lives_by_looking_for_work_and_not_by_being_up(make_supervisor, runners, sessions):
    supervisor = make_supervisor(places={"training": 1}, poll_seconds=0.02)
    until(lambda: runners)
    looks = []
    looked, supervisor._top_up = supervisor._top_up, lambda lane: (looks.append(lane), looked(lane))
    until(lambda: len(looks) > 3)
    assert known(sessions) == [], "nobody is there who could take work"

    runners[0].warm()
    until(lambda: known(sessions) == ["me"])


def test_a_worker_that_has_no_room_for_more_lives_too(make_supervisor, runners, sessions, make_job, monkeypatch):
    monkeypatch.setattr("worker.supervisor._TELL_SECONDS", 0.0)
    make_job()
    make_supervisor(places={"training": 1}, poll_seconds=0.02)
    until(lambda: runners)[0].warm()
    until(lambda: runners[0].assignment)

    def row():
        with sessions.begin() as session:
            return session.get_one(Worker, "me")

    claimed = until(lambda: known(sessions) and row().claimed_at)
    before = row().looked_at
    until(lambda: row().looked_at > before)
    assert row().claimed_at == claimed
