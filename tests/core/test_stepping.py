"""Steps of sessions as attempts do them: each recorded once, kept as long as needed, and none left waiting."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core import leases, stepping
from core.datasets import Datasets
from core.errors import DatasetInUse, LostLease, StateConflict, StepsGone
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.tables import Step
from tests.core.sessions import sent


@pytest.fixture
def following(sessions):
    def following(job_id, after=0, limit=10, attempt=1, worker="worker-1"):
        with sessions.begin() as session:
            return stepping.following(session, job_id, attempt, worker, after, limit)

    return following


def test_an_attempt_reads_what_follows_and_what_is_wished(make_job, send, take, following, change, did):
    job_id = make_job()
    send(job_id, 1, "train", "predict", "close")
    take()
    did(job_id, 1)
    content = [each.content for each in sent("train", "predict", "close")]
    assert following(job_id, limit=2) == (None, [(1, "done", content[0]), (2, "waiting", content[1])])
    assert following(job_id, after=3) == (None, [])
    change("pause", job_id)
    assert following(job_id, after=2) == ("pause", [(3, "waiting", content[2])])
    assert did(job_id, 2) == "pause"


def test_an_attempt_that_has_lost_its_lease_reads_and_records_nothing(
    make_job, send, take, run_out, reap, following, did, page
):
    job_id = make_job()
    send(job_id, 1, "train", "train")
    take()
    run_out(job_id)
    reap()
    take("worker-2")
    for act in (following, lambda job_id: did(job_id, 1)):
        with pytest.raises(LostLease):
            act(job_id)
    assert [row.state for row in page(job_id).steps] == ["waiting", "waiting"]
    did(job_id, 1, attempt=2, worker="worker-2")
    assert [row.state for row in page(job_id).steps] == ["done", "waiting"]


def test_a_failed_step_keeps_why(make_job, send, take, did, page):
    job_id = make_job()
    send(job_id, 1, "train")
    take()
    did(job_id, 1, error={"class": "user_data", "detail": "odd"})
    (row,) = page(job_id).steps
    assert (row.state, row.result, row.error) == ("failed", None, {"class": "user_data", "detail": "odd"})


# -- what is let go of --------------------------------------------------------------------------


def test_what_was_sent_is_kept_until_every_checkpoint_covers_it(make_job, send, take, did, checkpoint, look):
    job_id = make_job()
    send(job_id, 1, "train", "train", "train", "train")
    take()
    did(job_id, 1, 2, 3)

    def kept():
        return look(select(Step.number).where(Step.content.is_not(None)).order_by(Step.number))

    checkpoint(job_id, 1, keep=2)
    assert kept() == [1, 2, 3, 4], "there may be but one, and it may be damaged"
    checkpoint(job_id, 3, keep=2)
    assert kept() == [2, 3, 4]
    checkpoint(job_id, 3, keep=1)
    assert kept() == [4]


def test_old_results_go_when_a_checkpoint_covers_them_and_this_is_told(
    make_job, send, take, did, checkpoint, page, monkeypatch
):
    monkeypatch.setattr(stepping, "READABLE", 2)
    job_id = make_job()
    send(job_id, 1, "train", "train", "train", "train")
    take()
    did(job_id, 1, 2, 3, 4)
    checkpoint(job_id, 1)
    assert page(job_id, after=1).oldest == 1
    assert [row.number for row in page(job_id).steps] == [2, 3, 4]
    checkpoint(job_id, 4)
    found = page(job_id)
    assert ([row.number for row in found.steps], found.oldest, found.next) == ([3, 4], 3, 5)
    with pytest.raises(StepsGone) as refusal:
        send(job_id, 2, "train", "train")
    assert refusal.value.extra["oldest"] == 3
    assert send(job_id, 3, "train", "train", "train").steps_sent == 5


def test_the_steps_of_a_job_go_with_it(make_job, send, sessions, look, change):
    job_id, other = make_job(), make_job()
    send(job_id, 1, "train", "train")
    send(other, 1, "train")
    change("cancel", job_id)
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).forget(job_id)
    assert look(select(Step.job_id)) == [other]


# -- rest and waking ----------------------------------------------------------------------------


def test_a_session_that_rests_is_woken_by_its_next_step(make_job, send, take, rest, read):
    job_id = make_job()
    take()
    assert rest(job_id) == "paused"
    assert (read(job_id).state, read(job_id).reason) == ("paused", "session_idle")
    assert take() is None

    woken = send(job_id, 1, "train")
    assert (woken.state, woken.reason) == ("queued", "session_woken")
    assert take().job_id == job_id


def test_sessions_that_take_turns_keep_no_job_waiting(make_job, send, take, rest):
    first, second, waiting = make_job(), make_job(), make_job()
    assert take().job_id == first
    rest(first)
    assert take().job_id == second
    send(first, 1, "train")
    rest(second)
    send(second, 1, "train")

    assert [take().job_id for _ in range(3)] == [waiting, first, second]


def test_a_session_that_is_woken_before_it_rests_stands_at_the_end_too(make_job, send, take, rest):
    session, waiting = make_job(), make_job()
    take()
    send(session, 1, "train")
    rest(session)

    assert take().job_id == waiting


def test_a_step_that_comes_while_a_session_goes_to_rest_is_not_left_waiting(make_job, send, take, rest, read):
    job_id = make_job()
    take()
    send(job_id, 1, "train")
    assert rest(job_id) == "queued"
    assert read(job_id).reason == "session_woken"


def test_whatever_comes_first_a_session_never_rests_beside_a_step_that_waits(make_job, send, take, rest, read):
    together = threading.Barrier(2)

    def after(act):
        together.wait()
        return act()

    for _ in range(10):
        job_id = make_job()
        take()
        with ThreadPoolExecutor(2) as pool:
            both = (
                pool.submit(after, lambda job_id=job_id: rest(job_id)),
                pool.submit(after, lambda job_id=job_id: send(job_id, 1, "train")),
            )
            for each in both:
                each.result()
        assert (read(job_id).state, read(job_id).steps_sent) == ("queued", 1)
        assert take().job_id == job_id


@pytest.mark.parametrize(("verb", "becomes"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_wish_wins_over_rest(make_job, take, rest, change, read, verb, becomes):
    job_id = make_job()
    take()
    change(verb, job_id)
    rest(job_id)
    assert (read(job_id).state, read(job_id).reason) == (becomes, f"{becomes}_by_user")


def test_a_session_that_rests_can_be_paused_and_then_is_not_woken(make_job, send, take, rest, change, read):
    job_id = make_job()
    take()
    rest(job_id)
    change("pause", job_id)
    assert read(job_id).reason == "paused_by_user"
    with pytest.raises(StateConflict, match="resume"):
        send(job_id, 1, "train")
    change("resume", job_id)
    assert send(job_id, 1, "train").state == "queued"


def test_a_session_that_rests_holds_its_datasets_and_has_no_lease(make_job, make_dataset, take, rest, read, sessions):
    dataset_id = make_dataset()
    job_id = make_job(datasets=[dataset_id])
    take()
    rest(job_id)
    with sessions.begin() as session:
        assert leases.expire(session, 3, 0.0) == {}
        with pytest.raises(DatasetInUse):
            Datasets(session, DEFAULT_PROJECT).remove(dataset_id)
    assert read(job_id).lease_owner is None
