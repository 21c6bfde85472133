"""Which checkpoint an attempt goes on from, and when it rather begins anew."""

import pytest

from core import attempts
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from engine.training import checkpoint
from engine.training.loop import Training
from tests.worker.small import training


def wish(sessions, job_id, verb):
    with sessions.begin() as session:
        getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id)


def warnings(read, job_id):
    return [row.data["detail"] for row in read(job_id, "events", 0, 1000) if row.type == "warning"]


@pytest.fixture
def interrupted(run, make_job, dataset, sessions):
    """A job that was paused after each of so many batches, with as many checkpoints, and waits again."""

    def interrupted(*batches):
        job_id = make_job(training(dataset, checkpoint={"every_seconds": 3600, "keep": 5}))
        for number in batches:
            run(after=number, act=lambda: wish(sessions, job_id, "pause"))
            wish(sessions, job_id, "resume")
        return job_id

    return interrupted


@pytest.fixture
def maker(monkeypatch):
    """Let this worker be of another make from now on."""
    ours = checkpoint.maker

    def maker(**changes):
        monkeypatch.setattr(checkpoint, "maker", lambda device: ours(device) | changes)

    return maker


@pytest.mark.parametrize("changed", ["engine", "torch", "cpu", "machine_code"])
def test_a_checkpoint_of_another_make_is_not_gone_on_from_and_the_job_says_so(
    run, interrupted, read, blob_of, undisturbed, maker, changed
):
    job_id = interrupted(5)
    maker(**{changed: "another"})
    run()

    assert read(job_id).state == "succeeded"
    assert read(job_id, "attempts")[1].resumed_from is None
    first, second = warnings(read, job_id)
    assert f"made with {changed}" in first
    assert "another" in first
    assert "begins anew" in second
    assert blob_of(job_id, "weights.h5") == undisturbed
    assert [row.epoch for row in read(job_id, "epochs")] == [0, 1, 2]


def test_an_older_checkpoint_of_our_own_make_is_better_than_none(
    run, interrupted, make_job, read, sessions, blob_of, undisturbed, monkeypatch, maker
):
    job_id = interrupted(5)
    ours = checkpoint.maker
    maker(torch="another")
    monkeypatch.setattr(Training, "restore", _as_if_alike(Training.restore, ours))
    run(after=5, act=lambda: wish(sessions, job_id, "pause"))
    wish(sessions, job_id, "resume")
    monkeypatch.undo()
    run()

    assert read(job_id, "attempts")[2].resumed_from["attempt"] == 1
    assert blob_of(job_id, "weights.h5") == undisturbed


def _as_if_alike(restore, ours):
    def restored(self, path):
        theirs, self.made_by = self.made_by, ours(self.device)
        restore(self, path)
        self.made_by = theirs

    return restored


def test_a_checkpoint_of_another_format_is_not_gone_on_from(run, interrupted, read, monkeypatch):
    job_id = interrupted(5)
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    run()

    assert read(job_id).state == "succeeded"
    assert "format 1, and this worker has 2" in warnings(read, job_id)[0]


def test_of_several_checkpoints_the_newest_whole_one_is_used(
    run, interrupted, read, blobs, sessions, blob_of, undisturbed
):
    job_id = interrupted(5, 5, 5)
    with sessions.begin() as session:
        newest, middle, oldest = attempts.checkpoints(session, job_id)
    blobs.put(newest.blob, b"x" * newest.bytes)
    blobs.delete(middle.blob)
    run()

    assert read(job_id, "attempts")[3].resumed_from["step"] == oldest.step
    told = warnings(read, job_id)
    assert [str(row.step) in detail for row, detail in zip((newest, middle), told, strict=True)] == [True, True]
    assert "damaged" in told[0]
    assert "gone" in told[1]
    assert blob_of(job_id, "weights.h5") == undisturbed


def test_storage_that_does_not_answer_is_no_reason_to_begin_anew(run, interrupted, read, monkeypatch, tools):
    job_id = interrupted(5)
    with monkeypatch.context() as patch:
        patch.setattr("core.blobs.Blobs.get_file", _no_answer)
        run()
    assert (read(job_id).state, read(job_id).reason) == ("queued", "infra_storage")
    run()

    assert read(job_id, "attempts")[2].resumed_from["step"] == 6
    assert warnings(read, job_id) == []


def _no_answer(*_):
    raise OSError("no answer")
