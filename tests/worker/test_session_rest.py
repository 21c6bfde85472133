"""Sessions that are paused, rest, run out of time, or find their checkpoints damaged."""

import threading

import pytest

from core import attempts
from tests.worker.processes import wish
from tests.worker.sessions import ADAM, CLOSE, STATEFUL, TRAIN, ends_as, mixed, undisturbed
from worker import session as sitting
from worker.journal import Journal


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
    job_id = make_session(STATEFUL, ADAM)
    send(job_id, *given, CLOSE)
    for after in (3, 5, 2):
        assert run(after, lambda: wish(sessions, job_id, "pause")) == "paused_by_user"
        wish(sessions, job_id, "resume")
    assert run() == "succeeded"
    ends_as(*undisturbed(given), told(job_id), blob_of, job_id)


def test_a_session_that_has_had_nothing_to_do_rests_at_a_checkpoint_and_goes_on_from_it(
    run, make_session, send, told, read, blob_of, kept, hurried
):
    given = mixed(18)
    job_id = make_session(STATEFUL, ADAM)
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
    job_id = make_session(STATEFUL, ADAM, checkpoint={"keep": 2})
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
