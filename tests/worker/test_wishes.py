"""A pause or a cancel is heard whatever an attempt does just then, and what is resumed ends in the same bits."""

import json
import threading

import pytest

from core import leases
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.tables import TERMINAL
from tests.worker.small import training
from worker import results
from worker.attempt import Attempt
from worker.inputs import Inputs
from worker.journal import Journal


@pytest.fixture
def wish(sessions):
    def wish(job_id, verb):
        with sessions.begin() as session:
            return getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id).state

    return wish


@pytest.fixture
def job_id(undisturbed, make_job, dataset, monkeypatch):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    return make_job(training(dataset, checkpoint={"every_seconds": 3600, "every_epochs": 1}))


def during(monkeypatch, owner, name, act):
    """Have something happen once, in the middle of a call."""
    original, acts = getattr(owner, name), [act]

    def interrupted(self, *arguments, **named):
        if acts:
            acts.pop()()
        return original(self, *arguments, **named)

    monkeypatch.setattr(owner, name, interrupted)


MOMENTS = {
    "reading its data": (Inputs, "load"),
    "keeping a checkpoint": (Journal, "checkpoint"),
    "keeping an epoch": (Attempt, "epoch"),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("verb", "becomes"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_heard(run, job_id, read, wish, monkeypatch, blob_of, undisturbed, moment, verb, becomes):
    during(monkeypatch, *MOMENTS[moment], lambda: wish(job_id, verb))
    run()
    assert read(job_id).state == becomes
    assert read(job_id, "artifacts") == []

    if becomes == "paused":
        assert wish(job_id, "resume") == "queued"
        run()
        assert blob_of(job_id, "weights.h5") == undisturbed


def shortened(run, make_job, dataset, blob_of, nb_epoch):
    """The weights of so many epochs."""
    job_id = make_job(training(dataset, nb_epoch=nb_epoch))
    run()
    return blob_of(job_id, "weights.h5")


def told_epochs(read, job_id):
    return [row.epoch for row in read(job_id, "epochs")]


def test_a_training_that_is_stopped_ends_well_after_its_epoch_with_all_that_it_leaves(
    run, make_job, dataset, read, wish, blob_of, monkeypatch
):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    expected = shortened(run, make_job, dataset, blob_of, 2)
    job_id = make_job(training(dataset, nb_epoch=50))
    run(after=11, act=lambda: wish(job_id, "stop"))  # of 8 batches each: in the second epoch

    job = read(job_id)
    assert (job.state, job.reason, job.wish) == ("succeeded", "stopped_by_user", None)
    assert read(job_id, "attempts")[0].reason == "stopped_by_user"
    assert told_epochs(read, job_id) == [0, 1]
    assert job.evaluation.keys() == {"loss", "acc"}
    assert blob_of(job_id, "weights.h5") == expected
    left = {row.name for row in read(job_id, "artifacts")}
    assert {"history.json", "optimizer.safetensors", "predictions.npz", "receipt.json"} <= left
    assert json.loads(blob_of(job_id, "history.json"))["epoch"] == [0, 1]
    assert json.loads(blob_of(job_id, "receipt.json"))["epochs"] == 2


class Died(BaseException):
    """Stands for a runner that is killed."""


@pytest.mark.parametrize(
    ("batch", "checkpoint", "epochs"),
    [
        (3, {}, 1),  # nothing was told of yet
        (11, {}, 1),
        (20, {}, 2),
        (9, {"every_epochs": 1}, 1),  # where its checkpoint is, all is done that was told of
    ],
)
def test_a_stop_survives_the_runner_and_no_epoch_that_was_told_of_is_lost(
    run, make_job, dataset, read, wish, blob_of, sessions, monkeypatch, batch, checkpoint, epochs
):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    expected = shortened(run, make_job, dataset, blob_of, epochs)
    job_id = make_job(training(dataset, nb_epoch=50, checkpoint={"every_seconds": 3600} | checkpoint))

    def die():
        wish(job_id, "stop")
        raise Died

    with pytest.raises(Died):
        run(after=batch, act=die)
    with sessions.begin() as session:
        leases.lose(session, job_id, 1, "me", reason="runner_killed", max_attempts=3, backoff_seconds=0.0)
    run()

    assert (read(job_id).state, read(job_id).reason) == ("succeeded", "stopped_by_user")
    assert told_epochs(read, job_id) == list(range(epochs))
    assert blob_of(job_id, "weights.h5") == expected


def test_a_job_that_was_given_back_in_an_epoch_ends_after_it(run, make_job, dataset, read, wish, blob_of, monkeypatch):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    expected = shortened(run, make_job, dataset, blob_of, 2)
    job_id = make_job(training(dataset, nb_epoch=50))
    stop = threading.Event()
    run(after=11, act=lambda: (wish(job_id, "stop"), stop.set()), stop=stop)
    assert (read(job_id).state, read(job_id).wish) == ("queued", "stop")
    run()

    assert (read(job_id).reason, told_epochs(read, job_id)) == ("stopped_by_user", [0, 1])
    assert blob_of(job_id, "weights.h5") == expected


def test_a_stop_in_the_last_epoch_is_an_end_like_any_other(run, job_id, read, wish, blob_of, undisturbed):
    run(after=20, act=lambda: wish(job_id, "stop"))
    assert (read(job_id).state, read(job_id).reason) == ("succeeded", None)
    assert blob_of(job_id, "weights.h5") == undisturbed


@pytest.mark.parametrize(("verb", "becomes"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_heard_while_steps_are_compiled(run, job_id, read, wish, monkeypatch, verb, becomes):
    monkeypatch.setattr("engine.training.loop.Stepper.waits", lambda self, at: True)  # for ever
    wishes = [verb]
    batch = Attempt.batch
    monkeypatch.setattr(Attempt, "batch", lambda self: (wishes and wish(job_id, wishes.pop()), batch(self)))
    run()

    assert (read(job_id).state, read(job_id).progress["step"]) == (becomes, 0)


@pytest.mark.parametrize("verb", ["cancel", "pause"])
def test_what_is_done_is_not_undone_by_a_wish_that_comes_while_its_files_are_stored(
    run, job_id, read, wish, monkeypatch, verb
):
    leave = results.leave
    monkeypatch.setattr("worker.attempt.leave", lambda *told: (wish(job_id, verb), leave(*told)))
    run()

    assert read(job_id).state == "succeeded"
    states = [row.data["to"] for row in read(job_id, "events", 0, 1000) if row.type == "state"]
    assert [state for state in states if state in TERMINAL] == ["succeeded"]


@pytest.mark.parametrize(("verb", "becomes"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_heard_while_nobody_has_the_job(job_id, claim, read, wish, sessions, verb, becomes):
    claim()
    with sessions.begin() as session:
        leases.lose(session, job_id, 1, "me", reason="runner_killed", max_attempts=3, backoff_seconds=3600.0)
    assert claim() is None, "it waits for its next attempt"

    assert wish(job_id, verb) == becomes
    if becomes == "paused":
        assert wish(job_id, "resume") == "queued"
