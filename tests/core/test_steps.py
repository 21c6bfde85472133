"""Steps of sessions: in order, without a gap, each recorded once, whoever asks twice and whoever dies."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core import leases, stepping, steps
from core.datasets import Datasets
from core.errors import (
    DatasetInUse,
    JobFinished,
    LostLease,
    NotFound,
    StateConflict,
    StepConflict,
    StepsGone,
    TooManySteps,
)
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.stepping import Did
from core.steps import Sent
from core.tables import Step


def sent(*kinds, datasets=()):
    return [Sent(kind.partition(":")[0], f'{{"{kind}":{{}}}}'.encode(), frozenset(datasets)) for kind in kinds]


@pytest.fixture
def send(sessions):
    def send(job_id, first, *kinds, project=DEFAULT_PROJECT, datasets=()):
        with sessions.begin() as session:
            return steps.append(session, project, job_id, first, sent(*kinds, datasets=datasets))

    return send


@pytest.fixture
def did(sessions):
    """Record that steps up to a number are done."""

    def did(job_id, *numbers, attempt=1, worker="worker-1", error=None):
        with sessions.begin() as session:
            done = [Did(number, None if error else {"n": number}, error) for number in numbers]
            return stepping.did(session, job_id, attempt, worker, done)

    return did


@pytest.fixture
def page(sessions):
    def page(job_id, after=0, limit=100):
        with sessions.begin() as session:
            return steps.pages(session, [(job_id, after, limit)])[job_id, after, limit]

    return page


@pytest.fixture
def checkpoint(write):
    """Keep a checkpoint that covers the steps up to a number."""

    def checkpoint(job_id, number, keep=1, attempt=1):
        told = {"epoch": 0, "blob": f"b{attempt}-{number}", "bytes": 1, "sha256": "0", "keep": keep}
        return write("checkpointed", job_id, attempt=attempt, step=number, **told)

    return checkpoint


@pytest.fixture
def change(sessions):
    def change(verb, job_id):
        with sessions.begin() as session:
            return getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id)

    return change


@pytest.fixture
def rest(write):
    """End an attempt as one that has had nothing to do."""
    return lambda job_id, attempt=1: write("finish", job_id, "paused", reason="session_idle", attempt=attempt)


def test_steps_are_numbered_from_1_without_a_gap(make_job, send, page):
    job_id = make_job()
    assert send(job_id, 1, "train:1", "train:2").steps_sent == 2
    assert send(job_id, 3, "predict").steps_sent == 3

    found = page(job_id)
    assert [(row.number, row.kind, row.state) for row in found.steps] == [
        (1, "train", "waiting"),
        (2, "train", "waiting"),
        (3, "predict", "waiting"),
    ]
    assert (found.next, found.oldest, found.state) == (4, 1, "queued")
    assert [row.number for row in page(job_id, after=1, limit=1).steps] == [2]


def test_steps_that_are_known_are_not_stored_again(make_job, send, page):
    job_id = make_job()
    send(job_id, 1, "train:1", "train:2")
    assert send(job_id, 1, "train:1", "train:2").steps_sent == 2
    assert send(job_id, 2, "train:2", "train:3").steps_sent == 3
    assert len(page(job_id).steps) == 3


@pytest.mark.parametrize(
    ("first", "kinds"),
    [(4, ["train:4"]), (2, ["train:other"]), (1, ["train:1", "train:other", "train:3"]), (9, ["train:1"])],
)
def test_another_step_of_a_known_number_and_a_gap_are_refused_whole(make_job, send, page, first, kinds):
    job_id = make_job()
    send(job_id, 1, "train:1", "train:2")
    with pytest.raises(StepConflict) as refusal:
        send(job_id, first, *kinds)
    assert refusal.value.extra["next"] == 3
    assert len(page(job_id).steps) == 2


def test_of_ten_that_send_the_same_number_at_once_one_has_an_effect(make_job, send, page):
    job_id = make_job()
    together = threading.Barrier(10)

    def one(number):
        together.wait()
        try:
            return send(job_id, 1, f"train:{number % 2}").steps_sent
        except StepConflict:
            return "refused"

    with ThreadPoolExecutor(10) as pool:
        ended = list(pool.map(one, range(10)))

    assert (ended.count(1), ended.count("refused")) == (5, 5)
    assert len(page(job_id).steps) == 1


def test_a_job_of_another_project_takes_no_steps(make_job, send, other_project):
    with pytest.raises(NotFound):
        send(make_job(), 1, "train", project=other_project)


def test_nothing_follows_the_step_that_closes(make_job, send):
    job_id = make_job()
    send(job_id, 1, "train", "close")
    with pytest.raises(StateConflict, match="nothing follows step 2"):
        send(job_id, 3, "train")
    assert send(job_id, 2, "close").steps_sent == 2


@pytest.mark.parametrize("verb", ["pause", "cancel"])
@pytest.mark.parametrize("running", [False, True])
def test_a_session_that_is_to_stop_takes_no_new_steps_and_knows_the_old_ones(
    make_job, send, take, change, verb, running
):
    job_id = make_job()
    send(job_id, 1, "train")
    if running:
        take()
    change(verb, job_id)
    with pytest.raises(StateConflict) as refusal:
        send(job_id, 2, "train")
    assert refusal.value.extra["next"] == 2
    assert send(job_id, 1, "train").steps_sent == 1


def test_a_session_that_has_ended_takes_no_steps_and_keeps_its_results_but_not_what_was_sent(
    make_job, send, take, write, did, look, page
):
    job_id = make_job()
    send(job_id, 1, "train", "close")
    take()
    did(job_id, 1, 2)
    write("finish", job_id, "succeeded")
    with pytest.raises(JobFinished):
        send(job_id, 3, "train")
    assert send(job_id, 1, "train", "close").steps_sent == 2
    assert [row.result for row in page(job_id).steps] == [{"n": 1}, {"n": 2}]
    assert look(select(Step.content)) == [None, None]


def test_as_much_waits_as_may(make_job, send, take, did, monkeypatch):
    monkeypatch.setattr(steps, "MOST_WAITING", 3)
    job_id = make_job()
    send(job_id, 1, "train", "train")
    with pytest.raises(TooManySteps):
        send(job_id, 3, "train", "train")
    send(job_id, 3, "train")
    take()
    did(job_id, 1, 2)
    assert send(job_id, 4, "train", "train").steps_sent == 5


def test_as_many_bytes_wait_as_may(make_job, send, take, did, monkeypatch):
    monkeypatch.setattr(steps, "MOST_WAITING_BYTES", 40)
    job_id = make_job()
    send(job_id, 1, "train", "train")  # 12 bytes each
    with pytest.raises(TooManySteps):
        send(job_id, 3, "train", "train")
    take()
    did(job_id, 1)
    assert send(job_id, 3, "train", "train").steps_sent == 4


# -- datasets -----------------------------------------------------------------------------------


def test_what_steps_read_is_held_until_the_session_has_ended(make_job, make_dataset, send, sessions, change):
    dataset_id, job_id = make_dataset(), make_job()
    send(job_id, 1, "train", datasets=[dataset_id])
    send(job_id, 2, "train", datasets=[dataset_id])

    def remove():
        with sessions.begin() as session:
            Datasets(session, DEFAULT_PROJECT).remove(dataset_id)

    with pytest.raises(DatasetInUse):
        remove()
    change("cancel", job_id)
    remove()


def test_a_dataset_that_was_just_deleted_stores_nothing(make_job, send, page):
    job_id = make_job()
    with pytest.raises(NotFound, match="deleted"):
        send(job_id, 1, "train", datasets=["ds_gone"])
    assert page(job_id).next == 1


# -- an attempt ---------------------------------------------------------------------------------


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
