"""What an attempt may write, and what it may not any more."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text, update

from core import attempts, leases
from core.database import db_now
from core.errors import LostLease
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from core.tables import TERMINAL, Artifact, Attempt, Checkpoint, Epoch, Event, Job

ME, OTHER = "worker-1", "worker-2"


def test_a_claim_takes_the_oldest_job_of_the_kinds_asked_for(make_job, take):
    make_job(kind="express")
    first, second = make_job(), make_job()

    assert [take().job_id, take().job_id, take()] == [first, second, None]


def test_who_has_rested_stands_at_the_end_of_the_queue_and_who_was_given_back_or_lost_does_not(
    make_job, take, write, sessions, run_out, reap
):
    rested, back, lost, last = make_job(), make_job(), make_job(), make_job()
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).pause(rested)
        Jobs(session, DEFAULT_PROJECT).resume(rested)
    assert [take().job_id, take().job_id] == [back, lost]
    write("finish", back, "queued")
    run_out(lost)
    reap()

    assert [take().job_id for _ in range(4)] == [back, lost, last, rested]


def test_a_claim_begins_an_attempt(make_job, take, read, look):
    job_id = make_job(definition={"model": {}}, seed=9)

    claim = take()

    job = read(job_id)
    assert (claim.attempt, claim.seed, claim.definition, claim.checkpoint) == (1, 9, {"model": {}}, None)
    assert (job.state, job.attempt, job.lease_owner) == ("running", 1, ME)
    assert job.started_at <= job.lease_expires_at
    assert [(row.number, row.worker, row.ended_at) for row in look(select(Attempt))] == [(1, ME, None)]
    events = look(select(Event).order_by(Event.seq))
    assert [(row.seq, row.data["to"]) for row in events] == [(1, "queued"), (2, "running")]


def test_a_job_is_not_taken_before_its_time(make_job, take):
    make_job(not_before=db_now(60))
    assert take() is None


def test_a_job_whose_time_has_come_is_taken(make_job, take):
    make_job(not_before=db_now(-1))
    assert take() is not None


def test_many_workers_never_claim_one_job_twice(make_job, take):
    wanted = {make_job() for _ in range(12)}
    start = threading.Barrier(6)

    def work(number):
        start.wait()
        mine = []
        while claim := take(worker=f"worker-{number}"):
            mine.append(claim.job_id)
        return mine

    with ThreadPoolExecutor(6) as pool:
        taken = [job_id for mine in pool.map(work, range(6)) for job_id in mine]

    assert sorted(taken) == sorted(wanted)


CHECKPOINT = {"step": 5, "epoch": 1, "blob": "b", "bytes": 1, "sha256": "0", "keep": 2}
ARTIFACT = {"name": "weights.h5", "bytes": 1, "sha256": "0", "format": "hdf5", "blob": "b"}
WRITES = {
    "renew": ([30.0], {}),
    "report": ([{"epoch": 1}], {}),
    "epochs": ([[(0, {"loss": 1.0})]], {}),
    "event": (["warning", {}], {}),
    "checkpointed": ([], CHECKPOINT),
    "resumed": ([None], {}),
    "artifact": ([], ARTIFACT),
    "finish": (["succeeded"], {}),
    "lose": ([], {"reason": "runner_killed", "max_attempts": 3, "backoff_seconds": 0.0}),
}


@pytest.mark.parametrize("heir", [OTHER, ME])
@pytest.mark.parametrize("name", WRITES)
def test_a_zombie_can_write_nothing(name, heir, make_job, take, write, run_out, reap, look):
    job_id = make_job()
    take()
    run_out(job_id)
    reap()
    take(worker=heir)
    everything = [select(Job.version), select(Event.seq), select(Epoch.epoch), select(Checkpoint.step),
                  select(Artifact.name), select(Job.state), select(Attempt.exit)]  # fmt: skip
    before = [look(query) for query in everything]

    arguments, named = WRITES[name]
    with pytest.raises(LostLease, match="attempt 1"):
        write(name, job_id, *arguments, **named)
    with pytest.raises(LostLease):
        write(name, job_id, *arguments, attempt=2, worker="worker-3", **named)

    assert [look(query) for query in everything] == before


@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_after_the_end(name, make_job, take, write):
    job_id = make_job()
    take()
    write("finish", job_id, "succeeded")

    arguments, named = WRITES[name]
    with pytest.raises(LostLease):
        write(name, job_id, *arguments, **named)


def test_a_lease_that_is_renewed_is_not_reaped(make_job, take, write, run_out, reap):
    job_id = make_job()
    take()
    run_out(job_id)
    write("renew", job_id, 30.0)

    assert reap() == []


def test_a_renewal_is_no_change_a_client_can_see(make_job, take, write, read):
    job_id = make_job()
    take()
    before = read(job_id).version
    write("renew", job_id, 30.0)
    assert read(job_id).version == before


def test_a_report_changes_the_version_and_returns_the_wish(make_job, take, write, read, sessions):
    job_id = make_job()
    take()
    before = read(job_id).version

    assert write("report", job_id, {"epoch": 1}, {"loss": 0.5}) is None
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).pause(job_id)
    assert write("report", job_id, {"epoch": 2}) == "pause"

    job = read(job_id)
    assert (job.progress, job.metrics) == ({"epoch": 2}, {"loss": 0.5})
    assert job.version > before + 1


def test_numbers_that_json_has_no_word_for_are_stored_as_words(make_job, take, write, read):
    job_id = make_job()
    take()
    write("epochs", job_id, [(0, {"loss": math.nan, "val_loss": math.inf, "acc": -math.inf})])
    assert read(job_id).metrics == {"loss": "NaN", "val_loss": "Infinity", "acc": "-Infinity"}


def test_an_epoch_trained_again_replaces_its_row_and_adds_to_the_story(make_job, take, write, look):
    job_id = make_job()
    take()
    write("epochs", job_id, [(0, {"loss": 2.0})])
    write("epochs", job_id, [(0, {"loss": 1.0})])

    assert [row.logs for row in look(select(Epoch))] == [{"loss": 1.0}]
    assert [row.seq for row in look(select(Event).order_by(Event.seq))] == [1, 2, 3, 4]


def test_the_sequence_of_events_has_no_gap_when_writers_race(make_job, take, write, look, sessions):
    job_id = make_job()
    take()

    def act(number):
        if number % 4 == 0:
            with sessions.begin() as session:
                jobs = Jobs(session, DEFAULT_PROJECT)
                (jobs.pause if number % 8 else jobs.resume)(job_id)
        else:
            write("event", job_id, "warning", {"number": number})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(24)))

    seqs = look(select(Event.seq).order_by(Event.seq))
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= 20


def test_an_event_that_is_rolled_back_leaves_no_gap(make_job, take, write, look, sessions):
    job_id = make_job()
    take()
    with pytest.raises(RuntimeError), sessions.begin() as session:
        attempts.event(session, job_id, 1, ME, "warning", {})
        raise RuntimeError
    write("event", job_id, "warning", {})
    assert look(select(Event.seq).order_by(Event.seq)) == [1, 2, 3]


def test_only_the_newest_checkpoints_are_kept(make_job, take, write, look):
    job_id = make_job()
    take()

    gone = [write("checkpointed", job_id, **(CHECKPOINT | {"step": step, "blob": f"b{step}"})) for step in range(4)]

    assert gone == [[], [], ["b0"], ["b1"]]
    assert look(select(Checkpoint.step).order_by(Checkpoint.step)) == [2, 3]


def test_a_checkpoint_written_twice_keeps_its_blob(make_job, take, write, look):
    job_id = make_job()
    take()
    write("checkpointed", job_id, **CHECKPOINT)
    assert write("checkpointed", job_id, **CHECKPOINT) == []
    assert look(select(Checkpoint.blob)) == ["b"]


def test_a_new_attempt_resumes_from_the_newest_checkpoint_of_the_newest_attempt(
    make_job, take, write, run_out, reap, look
):
    job_id = make_job()
    take()
    write("checkpointed", job_id, **(CHECKPOINT | {"step": 90, "blob": "old"}))
    run_out(job_id)
    reap()
    take()
    write("checkpointed", job_id, attempt=2, **(CHECKPOINT | {"step": 10, "blob": "new"}))
    run_out(job_id)
    reap()

    claim = take()

    assert claim.checkpoint.blob == "new"
    places = look(select(Attempt.resumed_from).order_by(Attempt.number))
    assert places[2] == {"attempt": 2, "step": 10, "epoch": 1}


def test_an_attempt_may_say_that_it_started_from_an_older_checkpoint(make_job, take, write, look):
    job_id = make_job()
    take()
    write("resumed", job_id, Checkpoint(job_id=job_id, attempt=1, step=3, epoch=0))
    assert look(select(Attempt.resumed_from)) == [{"attempt": 1, "step": 3, "epoch": 0}]


def test_an_artifact_that_is_written_again_names_the_blob_it_replaces(make_job, take, write, look):
    job_id = make_job()
    take()
    assert write("artifact", job_id, **ARTIFACT) is None
    assert write("artifact", job_id, **ARTIFACT) is None
    assert write("artifact", job_id, **(ARTIFACT | {"blob": "b2"})) == "b"
    assert look(select(Artifact.blob)) == ["b2"]


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_attempt_can_end_a_job(state, make_job, take, write, read, look):
    job_id = make_job()
    take()

    assert write("finish", job_id, state, reason="why", evaluation={"loss": 1.0}) == state

    job = read(job_id)
    assert (job.state, job.reason, job.evaluation, job.lease_owner) == (state, "why", {"loss": 1.0}, None)
    assert job.finished_at is not None
    (attempt,) = look(select(Attempt))
    assert (attempt.exit, attempt.reason) == (state, "why")
    assert attempt.ended_at >= attempt.started_at


@pytest.mark.parametrize(
    ("wish", "said", "becomes"),
    [
        (None, "queued", "queued"),
        ("pause", "queued", "paused"),
        ("cancel", "queued", "cancelled"),
        ("pause", "paused", "paused"),
        (None, "paused", "queued"),
        ("cancel", "paused", "cancelled"),
        ("cancel", "succeeded", "succeeded"),
        ("cancel", "failed", "failed"),
    ],
)
def test_the_newest_wish_decides_what_becomes_of_a_job_given_back(
    wish, said, becomes, make_job, take, write, read, sessions
):
    job_id = make_job()
    take()
    with sessions.begin() as session:
        session.execute(update(Job).where(Job.id == job_id).values(wish=wish))

    assert write("finish", job_id, said) == becomes

    job = read(job_id)
    assert (job.state, job.wish, job.lease_expires_at) == (becomes, None, None)


def test_a_job_whose_bell_was_lost_is_found_waiting(make_job, sessions):
    job_id = make_job()
    make_job(not_before=db_now(60))
    with sessions.begin() as session:
        assert leases.waiting(session, seconds=60) == []
        assert leases.waiting(session, seconds=-1) == [job_id]


def test_a_place_is_wanted_once_a_job_of_its_kind_has_waited_for_a_while(make_job, take, sessions):
    def is_wanted(kind, seconds):
        with sessions.begin() as session:
            return leases.is_wanted(session, kind, seconds)

    make_job(not_before=db_now(60))
    make_job(leases.EXPRESS)
    assert not is_wanted(leases.TRAINING, -1)
    job_id = make_job()
    assert not is_wanted(leases.TRAINING, 60)
    assert is_wanted(leases.TRAINING, -1)
    assert take().job_id == job_id
    assert not is_wanted(leases.TRAINING, -1)


def test_the_database_itself_refuses_an_end_without_a_time(make_job, sessions):
    job_id = make_job()
    with pytest.raises(Exception, match="finished_when_terminal"), sessions.begin() as session:
        session.execute(text("UPDATE jobs SET state = 'succeeded' WHERE id = :id"), {"id": job_id})
