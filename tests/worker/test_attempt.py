import io
import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from core import attempts, leases
from core.errors import LostLease
from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from tests.worker.small import COMPILE, SOFTMAX, arrays, training


def test_a_job_runs_to_its_end(run, make_job, dataset, read, blob_of):
    job_id = make_job(training(dataset, nb_epoch=3))
    run()

    job = read(job_id)
    assert (job.state, job.reason, job.error) == ("succeeded", None, None)
    assert set(job.evaluation) == {"loss", "acc"}
    assert job.progress["step"] == job.progress["total_steps"] == 24
    assert job.progress["fraction"] == 1.0
    assert [row.epoch for row in read(job_id, "epochs")] == [0, 1, 2]
    names = {row.name: row.format for row in read(job_id, "artifacts")}
    assert names == {
        "history.json": "json",
        "model.h5": "hdf5",
        "model.json": "json",
        "optimizer.safetensors": "safetensors",
        "predictions.npz": "npz",
        "receipt.json": "json",
        "weights.h5": "hdf5",
        "weights.safetensors": "safetensors",
    }
    assert json.loads(blob_of(job_id, "history.json"))["epoch"] == [0, 1, 2]
    assert json.loads(blob_of(job_id, "model.json"))["class_name"] == "Sequential"
    assert np.load(io.BytesIO(blob_of(job_id, "predictions.npz")))["y"].shape == (64, 3)


def test_the_first_progress_comes_right_after_the_first_batch(run, make_job, dataset, read):
    job_id = make_job(training(dataset))
    seen = []
    run(after=1, act=lambda: seen.append(read(job_id).progress["step"]))

    assert seen == [1]


def test_nothing_is_left_on_the_workers_disk(run, make_job, dataset, tmp_path):
    make_job(training(dataset))
    run()

    assert not list(tmp_path.glob("run-*"))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(run, make_job, dataset, blob_of):
    jobs = [make_job(training(dataset), seed=seed) for seed in (7, 7, 8)]
    for _ in jobs:
        run()
    first, second, third = (blob_of(job_id, "weights.h5") for job_id in jobs)

    assert first == second
    assert first != third


def wish(sessions, job_id, verb):
    with sessions.begin() as session:
        getattr(Jobs(session, DEFAULT_PROJECT), verb)(job_id)


@pytest.mark.parametrize("batches", [1, 8, 11, 24])
def test_paused_and_resumed_anywhere_the_bits_are_the_same(
    run, make_job, dataset, sessions, read, blob_of, undisturbed, batches
):
    job_id = make_job(training(dataset))
    run(after=batches, act=lambda: wish(sessions, job_id, "pause"))
    assert read(job_id).state == "paused"
    wish(sessions, job_id, "resume")
    run()

    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == undisturbed
    assert read(job_id, "attempts")[1].resumed_from["step"] >= min(batches, 24)
    assert [row.epoch for row in read(job_id, "epochs")] == [0, 1, 2]


def test_a_stopping_worker_gives_the_job_back_at_its_checkpoint(run, make_job, dataset, read, blob_of, undisturbed):
    job_id, stop = make_job(training(dataset)), threading.Event()
    run(after=13, act=stop.set, stop=stop)

    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")
    run()
    first, second = read(job_id, "attempts")
    assert (first.exit, first.reason) == ("queued", "worker_stopped")
    assert second.resumed_from["step"] == 14
    assert blob_of(job_id, "weights.h5") == undisturbed


def test_a_cancelled_job_stops_at_the_next_report(run, make_job, dataset, sessions, read):
    job_id = make_job(training(dataset))
    run(after=5, act=lambda: wish(sessions, job_id, "cancel"))

    assert read(job_id).state == "cancelled"
    assert read(job_id).error is None
    assert read(job_id, "artifacts") == []


def test_a_wish_that_came_before_the_start_is_heard(run, make_job, dataset, read):
    job_id = make_job(training(dataset))
    run(wish="cancel")

    assert read(job_id).state == "cancelled"
    assert read(job_id).progress is None


def test_a_job_with_a_damaged_checkpoint_goes_on_from_the_one_before(
    run, make_job, dataset, sessions, blobs, read, blob_of, undisturbed
):
    job_id = make_job(training(dataset))
    for batches in (5, 5):
        run(after=batches, act=lambda: wish(sessions, job_id, "pause"))
        wish(sessions, job_id, "resume")
    with sessions.begin() as session:
        newest, older = attempts.checkpoints(session, job_id)
    blobs.put(newest.blob, b"x" * newest.bytes)
    run()

    assert read(job_id, "attempts")[2].resumed_from["step"] == older.step < newest.step
    assert "warning" in [event.type for event in read(job_id, "events", 0, 100)]
    assert blob_of(job_id, "weights.h5") == undisturbed


def test_a_job_without_a_whole_checkpoint_begins_anew(
    run, make_job, dataset, sessions, blobs, read, blob_of, undisturbed
):
    job_id = make_job(training(dataset))
    run(after=5, act=lambda: wish(sessions, job_id, "pause"))
    wish(sessions, job_id, "resume")
    with sessions.begin() as session:
        (only,) = attempts.checkpoints(session, job_id)
    blobs.delete(only.blob)
    run()

    assert read(job_id, "attempts")[1].resumed_from is None
    assert blob_of(job_id, "weights.h5") == undisturbed


def test_checkpoints_come_as_often_as_the_job_asks(run, make_job, dataset, sessions):
    job_id = make_job(training(dataset, checkpoint={"every_seconds": 1e-9, "keep": 3}))
    run()

    with sessions.begin() as session:
        assert [row.step for row in attempts.checkpoints(session, job_id)] == [24, 23, 22]


def test_checkpoints_come_after_as_many_epochs_as_the_job_asks(run, make_job, dataset, sessions):
    job_id = make_job(training(dataset, 5, checkpoint={"every_seconds": 3600, "every_epochs": 2, "keep": 9}))
    run()

    with sessions.begin() as session:
        assert [(row.epoch, row.step) for row in attempts.checkpoints(session, job_id)] == [(4, 32), (2, 16)]


def test_a_zombie_writes_nothing_after_another_attempt_has_begun(run, make_job, dataset, sessions, claim, read):
    job_id = make_job(training(dataset))

    def taken_over():
        with sessions.begin() as session:
            leases.lose(session, job_id, 1, "me", reason="worker_lost", max_attempts=3, backoff_seconds=0)
        assert claim("somebody else").attempt == 2

    with pytest.raises(LostLease):
        run(after=5, act=taken_over)

    assert read(job_id).state == "running"
    assert read(job_id, "events", 0, 100)[-1].attempt == 2
    assert read(job_id, "artifacts") == []


def test_a_loss_that_is_no_number_is_a_typed_failure(run, make_job, make_dataset, read):
    numbers = arrays()
    numbers["x"][20, 0] = np.nan
    job_id = make_job(training(make_dataset(**numbers)))
    run()

    job = read(job_id)
    assert (job.state, job.reason) == ("failed", "numeric_divergence")
    assert (job.error["who"], job.error["retryable"]) == ("user", False)
    assert "pointer" in job.error


def test_an_attempt_has_its_time_limit(run, make_job, dataset, read):
    job_id = make_job(training(dataset, limits={"seconds": 1e-6}))
    run()

    job = read(job_id)
    assert (job.state, job.reason, job.error["class"]) == ("failed", "time_limit", "time_limit")
    assert "limits.seconds" in job.error["detail"]


@contextmanager
def broken(monkeypatch, error):
    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("worker.attempt.Training.fit", fail)
        yield


def test_running_out_of_memory_is_the_callers_to_mend(run, make_job, dataset, read, monkeypatch):
    job_id = make_job(training(dataset))
    with broken(monkeypatch, MemoryError()):
        run()

    assert read(job_id).error["class"] == "out_of_memory"
    assert "batch_size" in read(job_id).error["detail"]


def test_an_unforeseen_error_is_logged_and_told_without_its_cause(run, make_job, dataset, read, monkeypatch, caplog):
    job_id = make_job(training(dataset))
    with broken(monkeypatch, KeyError("a secret")):
        run()

    assert read(job_id).error["class"] == "internal"
    assert "secret" not in json.dumps(read(job_id).error)
    assert "a secret" in caplog.text


def test_a_job_starts_from_the_weights_another_job_has_left(run, make_job, dataset, read, blob_of):
    first = make_job(training(dataset))
    run()
    second = make_job(
        {"model": SOFTMAX, "compile": COMPILE, "weights": {"job": first}, "predict": {"x": f"{dataset}/x"}}
    )
    run()

    assert read(second).state == "succeeded"
    assert blob_of(second, "predictions.npz") == blob_of(first, "predictions.npz")


@pytest.mark.parametrize("optimizer", [True, False])
def test_a_job_may_take_the_other_jobs_optimizer_along(run, make_job, dataset, blob_of, optimizer):
    # The order of an epoch depends on seed and epoch, so two halves can make a whole.
    plain = [{"class_name": "Dense", "config": {"output_dim": 3, "input_dim": 4, "activation": "softmax"}}]
    model = {"class_name": "Sequential", "config": plain}
    whole = make_job(training(dataset, 4, model=model))
    first = make_job(training(dataset, 2, model=model))
    second = training(dataset, 4, model=model, weights={"job": first, "optimizer": optimizer})
    second["fit"]["initial_epoch"] = 2
    second = make_job(second)
    for _ in range(3):
        run()

    assert (blob_of(second, "weights.h5") == blob_of(whole, "weights.h5")) is optimizer


def test_one_job_s_weights_are_gone_on_with_by_the_optimizer_of_another(
    run, make_job, dataset, make_weights, blob_of, tmp_path
):
    plain = [{"class_name": "Dense", "config": {"output_dim": 3, "input_dim": 4, "activation": "softmax"}}]
    model = {"class_name": "Sequential", "config": plain}
    whole = make_job(training(dataset, 4, model=model))
    first = make_job(training(dataset, 2, model=model))
    run()
    run()
    (tmp_path / "weights.h5").write_bytes(blob_of(first, "weights.h5"))
    weights = {"id": make_weights(tmp_path / "weights.h5"), "optimizer_of": first}
    # What rests in a job that trains nothing is gone on with from there.
    resting = {"model": model, "compile": COMPILE, "weights": weights, "predict": {"x": f"{dataset}/x"}}
    resting = make_job(resting)
    second = training(dataset, 4, model=model, weights={"job": resting, "optimizer": True})
    second["fit"]["initial_epoch"] = 2
    second = make_job(second)
    run()
    run()

    assert blob_of(second, "weights.h5") == blob_of(whole, "weights.h5")
    assert blob_of(resting, "optimizer.safetensors") == blob_of(first, "optimizer.safetensors")


def test_the_state_of_another_optimizer_is_refused(run, make_job, dataset, read):
    first = make_job(training(dataset, 1))
    run()
    definition = training(dataset, 1, weights={"job": first, "optimizer": True})
    second = make_job(definition | {"compile": COMPILE | {"optimizer": "adam"}})
    run()

    assert read(second).state == "failed"
    assert read(second).error["pointer"] == "/weights/optimizer"


def test_weights_of_another_model_are_refused(run, make_job, dataset, read):
    first = make_job(training(dataset))
    run()
    other = {"class_name": "Sequential", "config": SOFTMAX["config"][:1]}
    second = make_job({"model": other, "weights": {"job": first}, "predict": {"x": f"{dataset}/x"}})
    run()

    assert (read(second).state, read(second).reason) == ("failed", "user_data")


def test_a_callbacks_file_appears_in_mid_training(run, make_job, dataset, read):
    callback = {"class_name": "ModelCheckpoint", "config": {"filepath": "best.{epoch:02d}.hdf5"}}
    definition = training(dataset, nb_epoch=2)
    definition["fit"]["callbacks"] = [callback]
    job_id = make_job(definition)
    seen = []
    run(after=12, act=lambda: seen.extend((row.name, row.format) for row in read(job_id, "artifacts")))

    assert seen == [("best.00.hdf5", "hdf5")]


def test_a_table_of_the_epochs_appears_when_the_fit_ends(run, make_job, dataset, read):
    definition = training(dataset, nb_epoch=3)
    definition["fit"]["callbacks"] = [{"class_name": "CSVLogger", "config": {"filename": "log.csv"}}]
    job_id = make_job(definition)
    run()

    assert read(job_id).state == "succeeded"
    assert {row.name: row.format for row in read(job_id, "artifacts")}["log.csv"] == "csv"


def test_tensorboard_s_file_appears_when_the_fit_ends(run, make_job, dataset, read):
    definition = training(dataset, nb_epoch=3)
    definition["fit"]["callbacks"] = ["TensorBoard"]
    job_id = make_job(definition)
    run()

    assert read(job_id).state == "succeeded"
    (row,) = [row for row in read(job_id, "artifacts") if row.name.startswith("events.out.tfevents.")]
    assert row.format == "binary"


def test_an_express_job_leaves_its_answer_and_nothing_else(run, make_job, dataset, read):
    first = make_job(training(dataset))
    run()
    data = {"x": f"{dataset}/x", "y": f"{dataset}/y"}
    predict = make_job({"model": SOFTMAX, "weights": {"job": first}, "predict": {"x": data["x"]}}, kind="express")
    evaluate = make_job(
        {"model": SOFTMAX, "compile": COMPILE, "weights": {"job": first}, "evaluate": data}, kind="express"
    )
    run(kind="express")
    run(kind="express")

    assert [row.name for row in read(predict, "artifacts")] == ["predictions.npz"]
    assert read(evaluate).evaluation == read(first).evaluation
    assert read(evaluate, "artifacts") == []
