"""What is removed beside the reaper, and what happens where the storage does not help."""

import threading

import pytest
from sqlalchemy import select, update

from core import attempts, leases
from core.blobs import StorageFailed, attempt_key, upload_key
from core.database import db_now
from core.ids import DEFAULT_PROJECT, new_id
from core.tables import Dataset, Job, Sweep, Upload
from tests.worker.small import until
from worker.reaper import Reaper
from worker.sweeper import Sweeper


class NoBell:
    def ring(self, job_id):
        pass


@pytest.fixture
def sweeper(settings, sessions, blobs):
    settings = settings.model_copy(update={"orphan_grace_seconds": 1e-6, "sweep_seconds": 0.01})
    return Sweeper(settings, sessions, NoBell(), blobs)


@pytest.fixture
def left(blobs):
    return lambda: [found.key for found in blobs.page("projects", "", 100)]


@pytest.fixture
def forgotten_express(make_job, claim, sessions, blobs):
    """An express job that ended long ago and whose gateway never took its answer away."""
    job_id = make_job(kind="express")
    taken = claim(kinds=["express"])
    blob = attempt_key(taken.project_id, job_id, taken.attempt, "predictions.npz")
    blobs.put(blob, b"1")
    fence = (job_id, taken.attempt, "me")
    with sessions.begin() as session:
        attempts.artifact(session, *fence, name="p", bytes=1, sha256="0", format="npz", blob=blob)
        leases.finish(session, *fence, "succeeded")
        session.execute(update(Job).where(Job.id == job_id).values(finished_at=db_now(-7_200)))
    return job_id


def test_a_forgotten_answer_goes_with_its_blob(sweeper, forgotten_express, look, left):
    sweeper.look()
    assert look(select(Job.id)) == left() == []


def test_a_blob_that_cannot_be_deleted_with_its_job_is_swept_up_later(
    sweeper, forgotten_express, blobs, sessions, look, left, monkeypatch
):
    with monkeypatch.context() as broken:
        broken.setattr(blobs, "delete", lambda _: (_ for _ in ()).throw(StorageFailed("down")))
        sweeper.look()
    assert look(select(Job.id)) == []

    def again():
        with sessions.begin() as session:
            session.execute(update(Sweep).values(due_at=db_now(-1)))
        sweeper.look()
        return not left()

    until(again)


def test_an_upload_that_never_came_goes_with_what_came_of_it(sweeper, sessions, blobs, look, left):
    row = Dataset(id=new_id("ds"), project_id=DEFAULT_PROJECT, name="d", format="npz", bytes=1, sha256="")
    row.state, row.arrays, row.blob = "awaiting_upload", {}, upload_key(DEFAULT_PROJECT, row.id)
    blobs.put(row.blob, b"1")
    with sessions.begin() as session:
        session.add(row)
        session.flush()
        session.add(Upload(dataset_id=row.id, expires_at=db_now(-1)))

    sweeper.look()

    assert look(select(Dataset.id)) == left() == []


def test_a_storage_that_stalls_keeps_no_lease_waiting(settings, sessions, blobs, make_job, claim, look, monkeypatch):
    job_id = make_job()
    claim()
    stalled, over = threading.Event(), threading.Event()

    def page(*_):
        stalled.set()
        over.wait(20)
        return []

    monkeypatch.setattr(blobs, "page", page)
    settings = settings.model_copy(update={"sweep_seconds": 0.01, "reaper_seconds": 0.01})
    reaper = Reaper(settings, sessions, NoBell(), blobs)
    reaper.start()
    assert stalled.wait(20)
    with sessions.begin() as session:
        session.execute(update(Job).where(Job.id == job_id).values(lease_expires_at=db_now(-1)))
    until(lambda: look(select(Job.state)) == ["queued"])
    over.set()
    reaper.stop()


def test_a_sweep_that_failed_is_tried_again(sweeper, monkeypatch):
    calls = []

    def look():
        calls.append(1)
        raise StorageFailed("down")

    monkeypatch.setattr(sweeper, "look", look)
    sweeper.start()
    until(lambda: len(calls) > 1)
    sweeper.stop()
