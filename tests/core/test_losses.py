"""What becomes of the jobs of workers that die."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.tables import Attempt, Job


def test_a_job_given_back_does_not_use_up_its_attempts(make_job, take, write, run_out, reap, read):
    job_id = make_job()
    for attempt in (1, 2, 3, 4):
        take()
        write("finish", job_id, "queued", reason="worker_stopped", attempt=attempt)
    take()
    run_out(job_id)

    assert reap(max_attempts=3) == [job_id]
    assert read(job_id).state == "queued"


def test_a_lost_worker_s_job_waits_again_and_longer_each_time(make_job, take, run_out, reap, read, look):
    job_id = make_job()
    take()
    run_out(job_id)

    assert reap(backoff_seconds=60.0) == [job_id]

    job = read(job_id)
    assert (job.state, job.reason) == ("queued", "worker_lost")
    assert 50 < (job.not_before - job.updated_at).total_seconds() <= 60
    assert look(select(Attempt.exit)) == ["lost"]
    assert take() is None


def test_a_job_that_loses_every_worker_fails(make_job, take, run_out, reap, read):
    job_id = make_job()
    for _ in range(2):
        take()
        run_out(job_id)
        reap(max_attempts=2)

    job = read(job_id)
    assert (job.state, job.reason) == ("failed", "worker_lost")
    assert job.error == {
        "class": "worker_lost",
        "detail": "2 attempts ended without a word from their runner; the job is not tried again",
        "retryable": True,
        "who": "system",
    }


@pytest.mark.parametrize(("wish", "becomes"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_outlives_the_worker_that_should_have_heard_it(
    wish, becomes, make_job, take, run_out, reap, read, sessions
):
    job_id = make_job()
    take()
    with sessions.begin() as session:
        getattr(Jobs(session, DEFAULT_PROJECT), wish)(job_id)
    run_out(job_id)

    assert reap() == []
    assert read(job_id).state == becomes


def test_a_runner_that_died_is_tried_again_until_its_attempts_are_used_up(make_job, take, write):
    job_id = make_job()
    named = {"reason": "runner_killed", "max_attempts": 2, "backoff_seconds": 0.0}
    take()
    assert write("lose", job_id, **named) == "queued"
    take()
    assert write("lose", job_id, attempt=2, **named) == "failed"


def test_reapers_that_run_at_once_do_not_count_a_loss_twice(make_job, take, run_out, reap, look):
    jobs = [make_job() for _ in range(5)]
    for _ in jobs:
        take()
    for job_id in jobs:
        run_out(job_id)

    with ThreadPoolExecutor(4) as pool:
        rung = [job_id for each in pool.map(lambda _: reap(), range(4)) for job_id in each]

    assert sorted(rung) == sorted(jobs)
    assert look(select(Job.last_event)) == [3] * 5
