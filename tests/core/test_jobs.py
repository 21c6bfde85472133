"""What a caller may do to jobs, on both databases."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from core import attempts, leases
from core.errors import JobFinished, NotFound, StateConflict
from core.ids import DEFAULT_PROJECT
from core.jobs import Filters, Jobs
from core.tables import Artifact, Checkpoint, Event, Job, JobLabel


@pytest.fixture
def jobs(sessions):
    """Call a query in a transaction of its own."""

    class Calls:
        def __getattr__(self, name):
            def call(*arguments, project_id=DEFAULT_PROJECT):
                with sessions.begin() as session:
                    return getattr(Jobs(session, project_id), name)(*arguments)

            return call

    return Calls()


@pytest.fixture
def begin(sessions):
    def begin(kinds=("training",)):
        with sessions.begin() as session:
            return leases.claim(session, "worker", 30.0, kinds)

    return begin


@pytest.fixture
def end(sessions):
    def end(job_id, state="succeeded", **named):
        with sessions.begin() as session:
            return leases.finish(session, job_id, 1, "worker", state, **named)

    return end


def test_a_new_job_has_its_first_event(make_job, look):
    make_job()
    (event,) = look(select(Event))
    assert (event.seq, event.type, event.data["to"]) == (1, "state", "queued")


def test_a_queued_job_is_cancelled_at_once(make_job, jobs):
    job = jobs.cancel(make_job())
    assert (job.state, job.reason) == ("cancelled", "cancelled_by_user")
    assert job.finished_at is not None


def test_a_running_job_is_cancelled_by_a_wish(make_job, jobs, begin, end):
    job_id = make_job()
    begin()

    job = jobs.cancel(job_id)

    assert (job.state, job.wish, job.finished_at) == ("cancelling", "cancel", None)
    assert end(job_id, "cancelled") == "cancelled"


def test_cancelling_twice_is_one_change(make_job, jobs, begin):
    job_id = make_job()
    begin()
    assert jobs.cancel(job_id).version == jobs.cancel(job_id).version


def test_a_pausing_job_can_still_be_cancelled(make_job, jobs, begin):
    job_id = make_job()
    begin()
    jobs.pause(job_id)
    job = jobs.cancel(job_id)
    assert (job.state, job.wish) == ("cancelling", "cancel")


def test_a_queued_job_pauses_at_once_and_waits_again_when_resumed(make_job, jobs, begin):
    job_id = make_job()
    assert jobs.pause(job_id).state == "paused"
    assert begin() is None
    assert jobs.resume(job_id).state == "queued"
    assert begin() is not None


def test_a_job_that_is_pausing_goes_on_when_resumed(make_job, jobs, begin, end):
    job_id = make_job()
    begin()
    assert jobs.pause(job_id).state == "pausing"

    job = jobs.resume(job_id)

    assert (job.state, job.wish) == ("running", None)
    assert end(job_id, "paused") == "queued", "the runner had already stopped: the job waits again"


FIT = {"model": {}, "fit": {}}


def test_a_running_job_is_asked_once_to_stop_and_stays_running(make_job, jobs, begin, look):
    job_id = make_job(definition=FIT)
    begin()
    job = jobs.stop(job_id)
    assert (job.state, job.wish) == ("running", "stop")
    version = job.version
    assert jobs.stop(job_id).version == version, "asked again it is the same"
    assert [each.type for each in look(select(Event).order_by(Event.seq))] == ["state", "state", "stop"]


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ((), "has not begun"),
        (("pause",), "resume it"),
        (("claim", "pause"), "resume it"),
        (("claim", "cancel"), "being cancelled"),
    ],
)
def test_a_job_that_does_not_train_just_now_is_not_stopped(before, says, make_job, jobs, begin):
    job_id = make_job(definition=FIT)
    for act in before:
        begin() if act == "claim" else getattr(jobs, act)(job_id)
    with pytest.raises(StateConflict, match=says):
        jobs.stop(job_id)


def test_a_job_without_a_fit_has_nothing_to_stop(make_job, jobs, begin):
    job_id = make_job(definition={"model": {}, "predict": {}})
    begin()
    with pytest.raises(StateConflict, match="trains nothing"):
        jobs.stop(job_id)


def test_the_next_attempt_hears_that_the_job_is_to_stop(make_job, jobs, begin, end, sessions):
    job_id = make_job(definition=FIT)
    begin()
    jobs.stop(job_id)
    assert end(job_id, "queued", reason="worker_stopped") == "queued"
    assert begin().wish == "stop"
    with sessions.begin() as session:
        leases.lose(session, job_id, 2, "worker", reason="worker_lost", max_attempts=3, backoff_seconds=0.0)
    assert jobs.stop(job_id).state == "queued", "it has begun before"
    assert begin().wish == "stop"


@pytest.mark.parametrize(("act", "becomes"), [("pause", "paused"), ("cancel", "cancelled")])
@pytest.mark.parametrize("queued", [False, True])
def test_who_pauses_or_cancels_after_a_stop_is_heard(act, becomes, queued, make_job, jobs, begin, end):
    job_id = make_job(definition=FIT)
    begin()
    jobs.stop(job_id)
    if queued:
        end(job_id, "queued")
    job = getattr(jobs, act)(job_id)
    assert job.wish == (None if queued else act)
    if not queued:
        assert end(job_id, "queued") == becomes
    if act == "pause":
        assert jobs.resume(job_id).wish is None
        assert begin().wish is None


@pytest.mark.parametrize("act", ["pause", "resume"])
def test_a_job_that_is_being_cancelled_does_nothing_else(act, make_job, jobs, begin):
    job_id = make_job()
    begin()
    jobs.cancel(job_id)
    with pytest.raises(StateConflict, match="being cancelled"):
        getattr(jobs, act)(job_id)


@pytest.mark.parametrize("act", ["cancel", "pause", "resume", "stop"])
@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_terminal_state_never_changes(act, state, make_job, jobs, begin, end, look):
    job_id = make_job()
    begin()
    end(job_id, state)
    before = look(select(Job.version))

    with pytest.raises(JobFinished) as refusal:
        getattr(jobs, act)(job_id)

    assert refusal.value.extra == {"job_id": job_id, "state": state}
    assert look(select(Job.version)) == before


def test_a_cancel_and_an_end_that_race_leave_one_terminal_state(make_job, jobs, begin, end, look):
    for _ in range(5):
        job_id = make_job()
        begin()
        start = threading.Barrier(2)

        def cancel(job_id=job_id, start=start):
            start.wait()
            try:
                jobs.cancel(job_id)
            except JobFinished:
                return "late"
            return "in time"

        def finish(job_id=job_id, start=start):
            start.wait()
            return end(job_id)

        with ThreadPoolExecutor(2) as pool:
            cancelled, finished = pool.submit(cancel), pool.submit(finish)
            assert cancelled.result() in ("late", "in time")
            assert finished.result() == "succeeded"
        ends = [event for event in look(select(Event).where(Event.job_id == job_id)) if event.data["to"] == "succeeded"]
        assert len(ends) == 1


@pytest.mark.parametrize("act", ["get", "cancel", "pause", "resume"])
def test_a_job_of_another_project_does_not_exist(act, make_job, jobs, other_project):
    job_id = make_job()
    with pytest.raises(NotFound, match=job_id):
        getattr(jobs, act)(job_id, project_id=other_project)
    assert jobs.get(job_id).state == "queued"


def test_pages_are_cut_after_the_filters(make_job, jobs):
    red = [make_job(labels={"team": "red"}) for _ in range(5)]
    for _ in range(5):
        make_job(labels={"team": "blue"})

    first = jobs.page(Filters(labels={"team": "red"}), 3, None)
    second = jobs.page(Filters(labels={"team": "red"}), 3, first.next)

    assert [job.id for job in [*first.items, *second.items]] == red[::-1]
    assert second.next is None


def test_a_job_made_meanwhile_moves_no_page(make_job, jobs):
    old = [make_job() for _ in range(4)]
    first = jobs.page(Filters(), 2, None)
    make_job()
    second = jobs.page(Filters(), 2, first.next)
    assert [job.id for job in [*first.items, *second.items]] == old[::-1]


def test_lists_narrow_by_state_and_time_and_hide_express_jobs(make_job, jobs, begin, other_project):
    first, second = make_job(), make_job()
    begin()
    make_job(kind="express")
    make_job(project_id=other_project)

    moment = jobs.get(first).created_at

    assert [job.id for job in jobs.page(Filters(), 9, None).items] == [second, first]
    assert [job.id for job in jobs.page(Filters(states=["running"]), 9, None).items] == [first]
    assert jobs.page(Filters(created_after=moment + timedelta(hours=1)), 9, None).items == []
    assert len(jobs.page(Filters(created_after=moment - timedelta(hours=1)), 9, None).items) == 2


def test_labels_with_odd_but_legal_keys_can_be_found(make_job, jobs):
    job_id = make_job(labels={"a.b/c-d": "x:y"})
    assert [job.id for job in jobs.page(Filters(labels={"a.b/c-d": "x:y"}), 9, None).items] == [job_id]


def test_a_forgotten_job_leaves_no_row_and_names_its_blobs(make_job, jobs, begin, end, look, sessions):
    job_id = make_job()
    begin()
    with sessions.begin() as session:
        named = {"bytes": 1, "sha256": "0"}
        attempts.artifact(session, job_id, 1, "worker", name="a", format="json", blob="b1", **named)
        attempts.checkpointed(session, job_id, 1, "worker", step=1, epoch=0, blob="b2", keep=1, **named)
    end(job_id)

    assert sorted(jobs.forget(job_id)) == ["b1", "b2"]
    assert [look(select(table)) for table in (Job, Event, Artifact, Checkpoint)] == [[], [], [], []]


def test_labels_are_forgotten_with_their_job(make_job, jobs, begin, end, look):
    job_id = make_job(labels={"team": "a"})
    begin()
    end(job_id)
    assert [row.created_at for row in look(select(JobLabel))] == [row.created_at for row in look(select(Job))]
    jobs.forget(job_id)
    assert look(select(JobLabel)) == []


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pages_of_several_states_are_cut_like_those_of_one(make_job, jobs, size):
    ids = [make_job() for _ in range(6)]
    for job_id in ids[::2]:
        jobs.pause(job_id)
    jobs.cancel(ids[5])
    filters, seen, after = Filters(states=["queued", "paused", "running"]), [], None
    while True:
        page = jobs.page(filters, size, after)
        seen += [job.id for job in page.items]
        after = page.next
        if after is None:
            break
        assert len(page.items) == size
    assert seen == ids[4::-1]
