"""Sessions at work: each step done once, in order, with the same bits whatever dies, pauses or rests."""

import json
import os
import signal
import threading

import numpy as np
import pytest
from safetensors.numpy import load
from sqlalchemy import update

from core import attempts, steps
from core.errors import LostLease
from core.ids import DEFAULT_PROJECT
from core.steps import Sent
from core.tables import Step
from engine.limits import Limits
from engine.plan import Plan
from engine.steps import read_step
from engine.training.loop import Training
from engine.training.session import Stepping
from tests.worker.processes import runner_of, wish
from tests.worker.small import COMPILE, SOFTMAX, arrays, until
from worker import session as sitting
from worker.attempt import Attempt
from worker.journal import Journal

#: All that a step may depend on: states, running means, random draws, an optimizer's moments.
STATEFUL = {
    "class_name": "Sequential",
    "config": [
        {
            "class_name": "LSTM",
            "config": {"output_dim": 8, "stateful": True, "batch_input_shape": [8, 6, 4], "dropout_U": 0.2},
        },
        {"class_name": "BatchNormalization", "config": {}},
        {"class_name": "Dropout", "config": {"p": 0.3}},
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ],
}
RNG = np.random.default_rng(9)
BATCHES = [
    {"x": RNG.normal(size=(8, 6, 4)).round(3).tolist(), "y": np.eye(3)[RNG.integers(0, 3, 8)].tolist()}
    for _ in range(12)
]
ROWS = {"x": arrays(8)["x"].tolist(), "y": arrays(8)["y"].tolist()}
TRAIN, CLOSE = {"train": ROWS}, {"close": {}}


def mixed(count):
    """Steps of every kind, so many, in an order that is always the same."""
    kinds = [
        lambda batch: {"train": batch},
        lambda batch: {"train": batch | {"class_weight": {"0": 1.0, "1": 2.0, "2": 0.5}}},
        lambda batch: {"predict": {"x": batch["x"], "batch_size": 8}},
        lambda batch: {"train": batch | {"y": {"to_categorical": [9] * 8, "nb_classes": 3}}},
        lambda batch: {"evaluate": batch | {"batch_size": 8}},
        lambda batch: {"set": {"lr": 0.002}},
        lambda batch: {"train": batch},
        lambda batch: {"reset_states": {"layer": "lstm_1"}},
        lambda batch: {"save": {"name": "kept.safetensors"}},
    ]
    return [kinds[index % len(kinds)](BATCHES[index % len(BATCHES)]) for index in range(count)]


class Silent:
    def artifact(self, name, write):
        pass


def undisturbed(given, seed=7):
    """What comes of steps in one process, without a service: results or classes of failures, and the end."""
    body = {"model": STATEFUL, "compile": COMPILE | {"optimizer": "adam"}, "session": {}}
    plan = Plan.read(body, lambda *_: None)
    training = Training(plan, lambda *_: None, seed)
    doing, told = Stepping(training, Silent(), Limits()), []
    for step in given:
        try:
            told.append(doing.do(read_step(step, plan.model, plan.compile, lambda *_: None)))
        except Exception as error:
            told.append(error.class_)
    return told, training


@pytest.fixture
def make_session(make_job):
    def make_session(model=SOFTMAX, compiled=COMPILE, idle_seconds=600, **more):
        return make_job({"model": model, "compile": compiled, "session": {"idle_seconds": idle_seconds}} | more)

    return make_session


@pytest.fixture
def send(sessions, read):
    """Send steps after those that are there; return their numbers."""

    def send(job_id, *given):
        first = read(job_id).steps_sent + 1
        sent = [Sent(next(iter(each)), json.dumps(each).encode()) for each in given]
        with sessions.begin() as session:
            steps.append(session, DEFAULT_PROJECT, job_id, first, sent)
        return range(first, first + len(given))

    return send


@pytest.fixture
def told(sessions):
    """Read the steps of a session."""

    def told(job_id):
        with sessions.begin() as session:
            return list(steps.pages(session, [(job_id, 0, 10_000)])[job_id, 0, 10_000].steps)

    return told


def results(rows):
    return [row.error["class"] if row.state == "failed" else row.result for row in rows]


def as_stored(value):
    return json.loads(json.dumps(value))


@pytest.fixture
def when_idle(monkeypatch):
    """Do something once nothing is left to do, and again whenever that is so."""

    def when_idle(*acts):
        left = list(acts)
        pause = sitting.Sitting._pause

        def act(self):
            if left:
                left.pop(0)()
            pause(self)

        monkeypatch.setattr(sitting.Sitting, "_pause", act)

    return when_idle


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
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"})
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
    assert [row.state for row in told(job_id)] == ["waiting", "waiting"]


def test_a_fault_of_ours_in_a_step_is_no_failure_of_the_step(run, make_session, send, told, read, monkeypatch):
    job_id = make_session()
    send(job_id, TRAIN)
    monkeypatch.setattr(Stepping, "_train", lambda *_: 1 / 0)
    assert run() == "internal"
    assert read(job_id).state == "failed"
    assert [row.state for row in told(job_id)] == ["waiting"]


# -- killed -------------------------------------------------------------------------------------


@pytest.fixture
def kept(sessions):
    """The checkpoints of a session, newest first."""

    def kept(job_id):
        with sessions.begin() as session:
            return [(row.attempt, row.step) for row in attempts.checkpoints(session, job_id)]

    return kept


def kill(yard, job_id, read):
    number = read(job_id).attempt
    os.kill(runner_of(yard, job_id).pid, signal.SIGKILL)
    until(lambda: read(job_id, "attempts")[number - 1].exit == "lost")


def ends_as(wanted, training, rows, blob_of, job_id):
    assert results(rows)[:-1] == as_stored(wanted)
    assert json.loads(blob_of(job_id, "receipt.json"))["weights_sha256"] == training.weights_sha256()
    states = load(blob_of(job_id, "states.safetensors"))
    assert all((states[key] == training.state[key].numpy()).all() for key in states)


def test_killed_in_its_middle_a_session_does_its_steps_again_and_records_none_twice(
    yard, sessions, make_session, send, told, read, blob_of
):
    given = mixed(40)
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"}, checkpoint={"every_seconds": 3600})
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
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"}, checkpoint={"every_seconds": 0.2, "keep": 2})
    for at in range(0, 60, 5):
        if at in (20, 40):
            until(lambda: kept(job_id)[0][0] == read(job_id).attempt)
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


# -- wishes, rest, time -------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "busy"])
@pytest.mark.parametrize(("verb", "becomes"), [("cancel", "cancelled"), ("pause", "paused")])
def test_a_wish_is_heard_whether_there_is_something_to_do_or_not(
    run, make_session, send, sessions, read, when_idle, monkeypatch, idle, verb, becomes
):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    monkeypatch.setattr(sitting, "RECORD_SECONDS", 0.0)
    job_id = make_session()
    if idle:
        when_idle(lambda: wish(sessions, job_id, verb))
        run()
    else:
        send(job_id, *[TRAIN] * 5)
        run(2, lambda: wish(sessions, job_id, verb))
        assert 0 < read(job_id).steps_done < 5
    assert read(job_id).state == becomes


def test_paused_anywhere_and_resumed_a_session_ends_in_the_same_bits(
    run, make_session, send, sessions, told, read, blob_of, monkeypatch
):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    monkeypatch.setattr(sitting, "RECORD_SECONDS", 0.0)
    given = mixed(18)
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"})
    send(job_id, *given, CLOSE)
    for after in (3, 5, 2):
        assert run(after, lambda: wish(sessions, job_id, "pause")) == "paused_by_user"
        wish(sessions, job_id, "resume")
    assert run() == "succeeded"
    ends_as(*undisturbed(given), told(job_id), blob_of, job_id)


@pytest.fixture
def hurried(monkeypatch):
    """Have a second without a step pass at once."""
    monkeypatch.setattr(sitting.Sitting, "_idle_seconds", lambda self: 1e6)


def test_a_session_that_has_had_nothing_to_do_rests_at_a_checkpoint_and_goes_on_from_it(
    run, make_session, send, told, read, blob_of, kept, hurried
):
    given = mixed(18)
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"})
    for at in range(0, 18, 6):
        send(job_id, *given[at : at + 6])
        assert run() == "session_idle"
        assert (read(job_id).state, read(job_id).reason) == ("paused", "session_idle")
        assert read(job_id).progress["step"] == at + 6
        assert kept(job_id)[0][1] == at + 6
    send(job_id, CLOSE)
    assert run() == "succeeded"
    ends_as(*undisturbed(given), told(job_id), blob_of, job_id)


def test_a_step_that_comes_as_a_session_goes_to_rest_is_done(run, make_session, send, read, hurried, monkeypatch):
    job_id = make_session()
    coming = [lambda: send(job_id, TRAIN)]
    finish = Journal.finish
    monkeypatch.setattr(
        Journal, "finish", lambda self, *state, **end: (coming and coming.pop()(), finish(self, *state, **end))
    )
    run()
    assert (read(job_id).state, read(job_id).reason) == ("queued", "session_woken")
    run()
    assert (read(job_id).reason, read(job_id).steps_done) == ("session_idle", 1)


def test_a_session_that_does_nothing_writes_nothing(run, make_session, sessions, read, when_idle, monkeypatch):
    monkeypatch.setattr("worker.attempt._REPORT_SECONDS", 0.0)
    job_id, versions = make_session(checkpoint={"every_seconds": 0.001}), []

    def note():
        versions.append((read(job_id).version, read(job_id).last_event))

    when_idle(*[note] * 30, lambda: wish(sessions, job_id, "cancel"))
    run()
    assert len(set(versions[1:])) == 1, "but for what it says as it begins"


@pytest.mark.parametrize("sent", [0, 2])
def test_a_worker_that_stops_gives_a_session_back_at_a_checkpoint(
    run, make_session, send, told, read, kept, when_idle, sent
):
    job_id, stop = make_session(), threading.Event()
    if sent:
        send(job_id, *[TRAIN] * sent)
    when_idle(stop.set)
    assert run(stop=stop) == "worker_stopped"
    assert (read(job_id).state, kept(job_id)) == ("queued", [(1, sent)])
    assert [row.state for row in told(job_id)] == ["done"] * sent


def test_a_session_ends_when_its_time_is_over_though_nothing_happens(run, make_session, read, when_idle):
    job_id = make_session(limits={"seconds": 0.05})
    assert run() == "time_limit"
    assert read(job_id).state == "failed"


# -- checkpoints that cannot be used ------------------------------------------------------------


def rested(run, send, job_id):
    send(job_id, *mixed(6))
    assert run() == "session_idle"


def test_a_checkpoint_of_another_version_is_gone_on_from_with_a_warning(
    run, make_session, send, read, hurried, monkeypatch
):
    job_id = make_session(STATEFUL, checkpoint={"keep": 1})
    rested(run, send, job_id)
    monkeypatch.setattr("engine.training.checkpoint.sources", lambda: "another")
    send(job_id, mixed(1)[0], CLOSE)
    assert run() == "succeeded"
    warnings = [row.data["detail"] for row in read(job_id, "events", 0, 1000) if row.type == "warning"]
    assert any("the session goes on from it" in each for each in warnings)
    assert read(job_id).resume_fidelity == "approximate"


def test_where_the_newest_checkpoint_is_damaged_the_steps_since_the_one_before_are_done_again(
    run, make_session, send, read, told, blobs, sessions, blob_of, hurried
):
    given = mixed(12)
    job_id = make_session(STATEFUL, COMPILE | {"optimizer": "adam"}, checkpoint={"keep": 2})
    for at in (0, 6):
        send(job_id, *given[at : at + 6])
        run()
    damage(sessions, blobs, job_id, 1)
    send(job_id, CLOSE)
    assert run() == "succeeded"
    ends_as(*undisturbed(given), told(job_id), blob_of, job_id)


def test_a_session_whose_steps_cannot_be_done_again_fails_and_says_so(
    run, make_session, send, read, blobs, sessions, hurried
):
    job_id = make_session(STATEFUL, checkpoint={"keep": 1})
    rested(run, send, job_id)
    damage(sessions, blobs, job_id, 1)
    send(job_id, mixed(1)[0])
    assert run() == "session_lost"
    assert read(job_id).state == "failed"
    assert "Begin another session" in read(job_id).error["detail"]


def damage(sessions, blobs, job_id, newest):
    with sessions.begin() as session:
        for row in attempts.checkpoints(session, job_id)[:newest]:
            blobs.put(row.blob, b"damaged")
