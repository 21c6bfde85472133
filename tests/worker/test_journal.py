import pytest

from core import leases
from core.errors import LostLease
from core.jobs import Jobs
from worker.journal import Journal
from worker.patience import Patience

PROGRESS = {"epoch": 0, "step": 1}


@pytest.fixture
def assignment(make_job, assign):
    make_job()
    return assign()


@pytest.fixture
def journal(sessions, blobs, assignment):
    return Journal(Patience(sessions, 1.0), blobs, assignment)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def types(read, job_id):
    return [event.type for event in read(job_id, "events", 0, 100)]


def test_fast_epochs_are_written_with_the_next_report(journal, assignment, read):
    journal.epoch(0, {"loss": 2.0})
    journal.epoch(1, {"loss": 1.0})
    assert read(assignment.job_id, "epochs") == []

    journal.report(PROGRESS, {"loss": 0.5})

    assert [row.logs for row in read(assignment.job_id, "epochs")] == [{"loss": 2.0}, {"loss": 1.0}]
    assert read(assignment.job_id).metrics == {"loss": 0.5}


def test_epochs_are_written_once(journal, assignment, read):
    journal.epoch(0, {"loss": 2.0})
    journal.report(PROGRESS, None)
    journal.report(PROGRESS, None)

    assert types(read, assignment.job_id).count("epoch") == 1


def test_epochs_come_before_the_checkpoint_that_counts_them_as_done(journal, assignment, read, file):
    journal.epoch(0, {"loss": 2.0})
    journal.checkpoint(file, step=10, epoch=1, keep=2)

    assert types(read, assignment.job_id)[-2:] == ["epoch", "checkpoint"]


def test_a_report_brings_back_the_wish(journal, assignment, sessions):
    assert journal.report(PROGRESS, None) is None
    with sessions.begin() as session:
        Jobs(session, assignment.project_id).pause(assignment.job_id)

    assert journal.report(PROGRESS, None) == "pause"


def test_only_the_wanted_number_of_checkpoints_stays_in_storage(journal, blobs, file):
    for step in (1, 2, 3):
        journal.checkpoint(file, step=step, epoch=0, keep=2)

    kept = journal.checkpoints()
    assert [row.step for row in kept] == [3, 2]
    assert all(blobs.exists(row.blob) for row in kept)
    assert not blobs.exists(kept[0].blob.replace("checkpoint-3", "checkpoint-1"))


def test_artifacts_appear_together_with_the_end(journal, assignment, read, blob_of, file):
    journal.artifact("weights.h5", file, "hdf5")
    assert read(assignment.job_id, "artifacts") == []

    journal.finish("succeeded", evaluation={"loss": 0.5})

    assert blob_of(assignment.job_id, "weights.h5") == b"content"
    assert read(assignment.job_id).state == "succeeded"
    assert read(assignment.job_id).evaluation == {"loss": 0.5}


def test_a_published_artifact_is_not_published_again(journal, assignment, read, file):
    journal.artifact("best.h5", file, "hdf5")
    journal.publish()
    version = read(assignment.job_id).version
    journal.publish()

    assert read(assignment.job_id).version == version


def test_nothing_is_written_after_the_lease_is_lost(journal, assignment, sessions, read, file):
    with sessions.begin() as session:
        leases.lose(session, assignment.job_id, 1, "me", reason="worker_lost", max_attempts=3, backoff_seconds=0)
    told = types(read, assignment.job_id)

    journal.epoch(0, {"loss": 2.0})
    journal.artifact("weights.h5", file, "hdf5")
    for write in (
        lambda: journal.report(PROGRESS, None),
        lambda: journal.event("warning", {}),
        lambda: journal.checkpoint(file, 1, 0, 2),
        lambda: journal.publish(),
        lambda: journal.finish("succeeded"),
        lambda: journal.lose({"class": "infra_storage", "detail": "no"}, 3, 0.0),
    ):
        with pytest.raises(LostLease):
            write()

    assert types(read, assignment.job_id) == told
    assert read(assignment.job_id).state == "queued"
    assert read(assignment.job_id, "epochs") == []
    assert read(assignment.job_id, "artifacts") == []
