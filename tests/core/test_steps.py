"""Steps of sessions as clients send them: in order, without a gap, each stored once, whoever asks twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from core import steps
from core.datasets import Datasets
from core.errors import DatasetInUse, JobFinished, NotFound, StateConflict, StepConflict, TooManySteps
from core.ids import DEFAULT_PROJECT
from core.tables import Step


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
