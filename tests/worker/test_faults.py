"""Full disks, lost and damaged files, a database that takes no writes: each has a name, an end, and no loop."""

import errno

import pytest
from obstore.exceptions import GenericError
from sqlalchemy import event, text

from core import attempts, leases
from core.blobs import StorageFailed
from core.database import make_engine, make_sessions
from core.errors import LostLease
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from engine.training import checkpoint
from tests.servers.postgres import clean_postgres, migrated_postgres, postgres_socket  # noqa: F401
from tests.worker.small import training
from worker.patience import Patience

FULL = OSError(errno.ENOSPC, "No space left on device")


def warnings(read, job_id):
    return [row.data["detail"] for row in read(job_id, "events", 0, 1000) if row.type == "warning"]


def behind_the_storage():
    """A full disk as the storage's driver tells it."""
    error = StorageFailed("storage failed on a key")
    error.__cause__ = GenericError("Unable to copy data to file: No space left on device (os error 28)")
    return error


@pytest.fixture
def failing(monkeypatch):
    """Let something fail, as often as told, and then work again."""

    def failing(where, error, times=10**9):
        owner, name = where
        original, left = getattr(owner, name), [times]

        def sometimes(*arguments, **named):
            if left[0]:
                left[0] -= 1
                raise error
            return original(*arguments, **named)

        monkeypatch.setattr(owner, name, sometimes)

    return failing


@pytest.mark.parametrize(
    ("error", "class_"),
    [
        (FULL, "disk_full"),
        (behind_the_storage(), "disk_full"),
        (OSError("Can't write data (file write failed: errno = 28, 'No space left on device')"), "disk_full"),
        (StorageFailed("storage failed on a key"), "infra_storage"),
    ],
)
def test_storage_that_fails_at_the_end_costs_an_attempt_and_not_the_job(
    run, make_job, dataset, read, blob_of, tools, failing, error, class_
):
    job_id = make_job(training(dataset))
    failing((type(tools.blobs), "put_file"), error, times=1)
    run()
    assert (read(job_id).state, read(job_id).reason) == ("queued", class_)

    run()
    assert read(job_id).state == "succeeded"
    assert [row.reason for row in read(job_id, "attempts")] == [class_, None]


@pytest.mark.parametrize("where", ["worker.attempt.Path.mkdir", "core.blobs.Blobs.get_file"], ids=["runs", "cache"])
def test_a_disk_that_stays_full_fails_the_job_after_its_attempts_and_no_later(
    run, make_job, dataset, read, tools, monkeypatch, where
):
    def full(*_, **__):
        raise FULL

    job_id = make_job(training(dataset))
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        for _ in range(tools.settings.max_attempts):
            run()

    job = read(job_id)
    assert (job.state, job.reason) == ("failed", "disk_full")
    assert (job.error["who"], job.error["retryable"]) == ("system", True)
    assert "3 times" in job.error["detail"]


def test_a_checkpoint_that_cannot_be_kept_is_no_reason_to_stop(
    run, make_job, dataset, read, blob_of, sessions, tools, failing, undisturbed
):
    job_id = make_job(training(dataset, checkpoint={"every_seconds": 1e-9, "keep": 2}))
    failing((type(tools.blobs), "put_file"), FULL, times=20)
    run()

    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == undisturbed
    with sessions.begin() as session:
        assert [row.step for row in attempts.checkpoints(session, job_id)] == [24, 23]
    (warning,) = warnings(read, job_id)
    assert "disk" in warning


def test_a_job_that_pauses_while_no_checkpoint_can_be_kept_goes_on_from_the_one_before(
    run, make_job, dataset, sessions, read, blob_of, tools, failing, undisturbed
):
    job_id = make_job(training(dataset, checkpoint={"every_seconds": 3600, "every_epochs": 1}))

    def pause():
        failing((type(tools.blobs), "put_file"), StorageFailed("no answer"), times=1)
        with sessions.begin() as session:
            Jobs(session, DEFAULT_PROJECT).pause(job_id)

    run(after=12, act=pause)
    assert read(job_id).state == "paused"
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).resume(job_id)
    run()

    assert read(job_id, "attempts")[1].resumed_from["step"] == 8
    assert blob_of(job_id, "weights.h5") == undisturbed


def test_a_checkpoint_is_in_storage_before_its_row_is_there(run, make_job, dataset, blobs, sessions, monkeypatch):
    seen = []
    checkpointed = attempts.checkpointed

    def look(*arguments, **row):
        seen.append(blobs.exists(row["blob"]))
        return checkpointed(*arguments, **row)

    monkeypatch.setattr("core.attempts.checkpointed", look)
    make_job(training(dataset, checkpoint={"every_seconds": 3600, "every_epochs": 1}))
    run()

    assert seen == [True, True, True]


def test_a_file_that_cannot_be_written_is_an_error_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="checkpoint cannot be written"):
        checkpoint.write(tmp_path / "no folder" / "checkpoint", {}, {})


def lose(blobs, key, sha256, folder):
    blobs.delete(key)


def damage(blobs, key, sha256, folder):
    blobs.put(key, b"something else")


def cut(blobs, key, sha256, folder):
    """The power went while the file lay in the cache, and the storage has other bytes by now."""
    blobs.put(key, b"something else")
    (folder / "cache").mkdir(exist_ok=True)
    (folder / "cache" / sha256).write_bytes(b"")


@pytest.mark.parametrize(
    ("hurt", "class_", "says"),
    [(lose, "input_lost", "gone"), (damage, "input_damaged", "sha256"), (cut, "input_damaged", "sha256")],
)
def test_data_that_is_gone_or_damaged_is_named_and_not_tried_again(
    run, make_job, dataset, blobs, read, sessions, settings, hurt, class_, says
):
    job_id = make_job(training(dataset))
    with sessions.begin() as session:
        (row,) = session.execute(text("SELECT blob, sha256 FROM datasets")).all()
    hurt(blobs, row.blob, row.sha256, settings.data_dir)
    run()

    job = read(job_id)
    assert (job.state, job.reason, job.attempt) == ("failed", class_, 1)
    assert (job.error["class"], job.error["who"], job.error["retryable"]) == (class_, "system", False)
    assert dataset in job.error["detail"]
    assert says in job.error["detail"]


def test_a_damaged_file_of_the_cache_is_fetched_anew(run, make_job, dataset, read, sessions, settings, tools):
    with sessions.begin() as session:
        (row,) = session.execute(text("SELECT blob, sha256 FROM datasets")).all()
    (settings.data_dir / "cache" / row.sha256).write_bytes(b"half of i")
    job_id = make_job(training(dataset))
    run()

    assert read(job_id).state == "succeeded"


def test_bytes_that_came_wrong_once_are_asked_for_again(tools, blobs, tmp_path, monkeypatch):
    _, sha256 = blobs.put("a", b"content")
    get_file, wrong = type(blobs).get_file, [b"c0ntent"]

    def on_the_way(self, key, path):
        get_file(self, key, path)
        if wrong:
            path.write_bytes(wrong.pop())

    monkeypatch.setattr(type(blobs), "get_file", on_the_way)
    assert tools.cache.fetch("a", sha256).read_bytes() == b"content"


def test_weights_of_another_job_that_are_gone_are_named(run, make_job, dataset, blobs, read):
    first = make_job(training(dataset, 1))
    run()
    second = make_job(training(dataset, 1, weights={"job": first}))
    blobs.delete(read(first, "artifact", "weights.h5").blob)
    run()

    assert read(second).reason == "input_lost"
    assert first in read(second).error["detail"]


@pytest.fixture
def read_only(clean_postgres):  # noqa: F811
    """A PostgreSQL whose transactions only read."""
    engine = make_engine(clean_postgres)

    def on_connect(connection, *_):
        connection.execute("SET default_transaction_read_only = on")
        connection.commit()

    event.listen(engine, "connect", on_connect)
    yield make_sessions(engine)
    engine.dispose()


def test_a_postgres_that_has_become_read_only_is_waited_for(read_only):
    def write(session):
        session.execute(text("DELETE FROM workers"))

    with pytest.raises(LostLease, match="read-only"):
        Patience(read_only, 0.3).write(write)


def test_a_sqlite_that_has_become_read_only_is_waited_for_and_the_job_runs_again(
    run, make_job, dataset, sessions, read, tools, monkeypatch, claim
):
    """The attempt gives up at the end of its lease; once the database takes writes, the reaper finds the job."""
    job_id = make_job(training(dataset))
    tools.settings = tools.settings.model_copy(update={"lease_seconds": 0.3})
    engine = sessions.kw["bind"]

    def refuse(connection, *_):
        connection.exec_driver_sql("PRAGMA query_only = ON")

    def turn():
        event.listen(engine, "begin", refuse)

    with pytest.raises(LostLease, match="readonly"):
        run(after=5, act=turn)
    event.remove(engine, "begin", refuse)
    engine.dispose()
    assert read(job_id).state == "running"
    with sessions.begin() as session:
        session.execute(text("UPDATE jobs SET lease_expires_at = '2000-01-01 00:00:00'"))
        assert leases.expire(session, 3, 0.0) == {job_id: "queued"}
    run()
    assert read(job_id).state == "succeeded"


def test_nothing_of_a_failed_attempt_stays_on_the_disk(run, make_job, dataset, tmp_path, tools, failing):
    make_job(training(dataset))
    failing((type(tools.blobs), "put_file"), FULL)
    run()
    assert not list(tmp_path.glob("run-*"))
