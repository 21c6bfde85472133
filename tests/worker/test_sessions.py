"""Sessions at work: each step done once, in order, and recorded once, whoever dies."""

import json
import os
import signal

import numpy as np
import pytest
from safetensors.numpy import load
from sqlalchemy import update

from core import steps
from core.errors import LostLease
from core.ids import DEFAULT_PROJECT
from core.steps import Sent
from core.tables import Step
from engine.training.session import Stepping
from tests.worker.processes import runner_of
from tests.worker.sessions import (
    ADAM,
    BATCHES,
    CLOSE,
    ROWS,
    STATEFUL,
    TRAIN,
    as_stored,
    ends_as,
    mixed,
    results,
    undisturbed,
)
from tests.worker.small import until
from worker.attempt import Attempt


def test_a_session_does_its_steps_and_ends_as_a_training(run, make_session, send, told, read, blob_of):
    job_id = make_session()
    send(job_id, TRAIN, {"evaluate": ROWS}, {"predict": {"x": ROWS["x"][:1]}}, {"save": {"name": "a.h5"}}, CLOSE)
    assert run() == "succeeded"

    first, judged, predicted, saved, closed = told(job_id)
    assert {row.state for row in told(job_id)} == {"done"}
    assert first.result.keys() == judged.result.keys() == {"loss", "acc"}
    assert np.shape(predicted.result["y"]) == (1, 3)
    assert (saved.result, closed.result) == ({"artifact": "a.h5"}, {})
    job = read(job_id)
    assert (job.state, job.steps_done, job.metrics) == ("succeeded", 5, first.result)
    progress = {key: job.progress[key] for key in ("phase", "step", "total_steps", "fraction", "eta_seconds")}
    assert progress == {"phase": "session", "step": 5, "total_steps": None, "fraction": None, "eta_seconds": None}
    names = {row.name for row in read(job_id, "artifacts")}
    assert names == {
        *("a.h5", "model.json", "weights.h5", "weights.safetensors"),
        *("optimizer.safetensors", "receipt.json", "model.h5"),
    }
    assert blob_of(job_id, "a.h5") == blob_of(job_id, "weights.h5")


def test_a_session_without_a_loss_predicts_and_leaves_no_optimizer(run, make_job, send, told, read):
    job_id = make_job({"model": STATEFUL, "session": {"idle_seconds": 60}})
    send(job_id, {"predict": {"x": BATCHES[0]["x"], "batch_size": 8, "encoding": "base64"}}, CLOSE)
    run()
    assert told(job_id)[0].result["y"]["shape"] == [8, 3]
    names = {row.name for row in read(job_id, "artifacts")}
    assert "states.safetensors" in names
    assert "optimizer.safetensors" not in names


def test_what_steps_read_is_in_the_receipt(run, make_session, send, sessions, dataset, read, blob_of):
    job_id = make_session()
    step = {"train": {"x": f"{dataset}/x", "y": f"{dataset}/y"}}
    with sessions.begin() as session:
        given = [Sent("train", json.dumps(step).encode(), frozenset([dataset])), Sent("close", b'{"close":{}}')]
        steps.append(session, DEFAULT_PROJECT, job_id, 1, given)
    run()
    assert json.loads(blob_of(job_id, "receipt.json"))["datasets"].keys() == {dataset}


def test_a_step_that_fails_is_told_and_the_session_goes_on(run, make_session, send, told):
    job_id = make_session()
    bad = {"train": ROWS | {"y": {"to_categorical": [9] * 8, "nb_classes": 3}}}
    send(job_id, TRAIN, bad, TRAIN, CLOSE)
    assert run() == "succeeded"
    (_, failed, *_) = told(job_id)
    assert (failed.state, failed.result, failed.error["class"]) == ("failed", None, "user_data")
    assert "row 0 is not a whole number from 0 to 2" in failed.error["detail"]
    assert failed.error["pointer"] == "/train"
    assert [row.state for row in told(job_id)] == ["done", "failed", "done", "done"]


def test_the_results_of_every_kind_of_step_are_those_of_the_engine_alone(run, make_session, send, told, blob_of):
    given = mixed(18)
    job_id = make_session(STATEFUL, ADAM)
    send(job_id, *given, CLOSE)
    run()
    wanted, training = undisturbed(given)
    assert results(told(job_id)) == [*as_stored(wanted), {}]
    assert json.loads(blob_of(job_id, "receipt.json"))["weights_sha256"] == training.weights_sha256()
    states = load(blob_of(job_id, "states.safetensors"))
    assert states.keys() == {"weight:lstm_1/h", "weight:lstm_1/c"}
    assert all((states[key] == training.state[key].numpy()).all() for key in states)


def test_a_later_job_goes_on_from_the_states_of_the_one_before(run, make_session, send, told):
    given = mixed(3)
    first = make_session(STATEFUL)
    send(first, *given, CLOSE)
    run()
    asked = {"predict": {"x": BATCHES[4]["x"], "batch_size": 8}}
    ends = []
    for states in (True, False):
        following = make_session(STATEFUL, weights={"job": first, "optimizer": True, "states": states})
        send(following, asked, CLOSE)
        run()
        ends.append(told(following)[0].result)
    whole = make_session(STATEFUL)
    send(whole, *given, asked, CLOSE)
    run()
    assert ends[0] == told(whole)[3].result
    assert ends[1] != ends[0]


# -- what is recorded once ----------------------------------------------------------------------


def test_a_close_is_not_done_before_the_job_has_ended(run, make_session, send, told, read, monkeypatch):
    job_id = make_session()
    send(job_id, TRAIN, CLOSE)
    leave = [OSError("the storage is away")]

    def failing(*arguments):
        if leave:
            raise leave.pop()
        return original(*arguments)

    from worker import attempt

    original = attempt.leave
    monkeypatch.setattr("worker.attempt.leave", failing)
    assert run() == "infra_storage"
    assert (read(job_id).state, read(job_id).steps_done) == ("queued", 1)
    assert [row.state for row in told(job_id)] == ["done", "waiting"]
    assert run() == "succeeded"
    assert [row.state for row in told(job_id)] == ["done", "done"]


def test_an_attempt_that_has_lost_its_lease_in_a_step_blames_no_step(run, make_session, send, told, monkeypatch):
    job_id = make_session()
    send(job_id, TRAIN, {"save": {"name": "a.h5"}})

    def lost(self, *arguments):
        raise LostLease("another has it")

    monkeypatch.setattr(Attempt, "artifact", lost)
    with pytest.raises(LostLease):
        run()
    first, lost = told(job_id)
    assert first.error is None
    assert (lost.state, lost.error) == ("waiting", None)


def test_a_fault_of_ours_in_a_step_is_no_failure_of_the_step(run, make_session, send, told, read, monkeypatch):
    job_id = make_session()
    send(job_id, TRAIN)
    monkeypatch.setattr(Stepping, "_train", lambda *_: 1 / 0)
    assert run() == "internal"
    assert read(job_id).state == "failed"
    assert [row.state for row in told(job_id)] == ["waiting"]


# -- killed -------------------------------------------------------------------------------------


def kill(yard, job_id, read):
    number = read(job_id).attempt
    os.kill(runner_of(yard, job_id).pid, signal.SIGKILL)
    until(lambda: read(job_id, "attempts")[number - 1].exit == "lost")


def test_killed_in_its_middle_a_session_does_its_steps_again_and_records_none_twice(
    yard, sessions, make_session, send, told, read, blob_of
):
    given = mixed(40)
    job_id = make_session(STATEFUL, ADAM, checkpoint={"every_seconds": 3600})
    send(job_id, *given[:20])
    until(lambda: read(job_id).steps_done >= 20)
    first = told(job_id)[0].result
    with sessions.begin() as session:
        session.execute(update(Step).where(Step.number == 1).values(result={"untouched": True}))
    send(job_id, *given[20:])
    kill(yard, job_id, read)
    send(job_id, CLOSE)
    until(lambda: read(job_id).is_terminal)

    rows = told(job_id)
    assert (read(job_id).state, read(job_id, "attempts")[1].resumed_from) == ("succeeded", None)
    assert rows[0].result == {"untouched": True}
    rows[0].result = first
    ends_as(*undisturbed(given), rows, blob_of, job_id)


def test_killed_twice_past_its_checkpoints_a_session_ends_in_the_same_bits(
    yard, make_session, send, told, read, blob_of, kept
):
    given = mixed(60)
    job_id = make_session(STATEFUL, ADAM, checkpoint={"every_seconds": 0.2, "keep": 2})
    for at in range(0, 60, 5):
        if at in (20, 40):
            until(lambda: [attempt for attempt, _ in kept(job_id)][:1] == [read(job_id).attempt])
        send(job_id, *given[at : at + 5])
        if at in (20, 40):
            kill(yard, job_id, read)
        until(lambda last=at + 5: read(job_id).steps_done >= last)
    send(job_id, CLOSE)
    until(lambda: read(job_id).is_terminal)

    assert [row.reason for row in read(job_id, "attempts")] == ["runner_killed", "runner_killed", None]
    assert all(row.resumed_from["step"] > 0 for row in read(job_id, "attempts")[1:])
    ends_as(*undisturbed(given), told(job_id), blob_of, job_id)


def test_a_session_rests_is_woken_and_heard_by_a_real_worker(yard, make_session, send, told, read):
    job_id = make_session(idle_seconds=1)
    send(job_id, TRAIN)
    until(lambda: read(job_id).reason == "session_idle")
    send(job_id, TRAIN)
    until(lambda: read(job_id).steps_done == 2)
    assert read(job_id).attempt == 2
    assert {row.state for row in told(job_id)} == {"done"}
