"""Real supervisors and real runners, killed, frozen and stopped in the middle of an epoch."""

import json
import os
import random
import signal

import numpy as np
import pytest

from tests.worker.processes import (
    ENDLESS,
    EPOCHS,
    OFTEN,
    alive,
    in_the_middle,
    runner_of,
    runners_of,
    start_worker,
    wish,
)
from tests.worker.small import COMPILE, arrays, training, until


def test_killed_twice_in_mid_epoch_a_job_ends_with_the_same_bits(calm, yard, sessions, make_job, large, read, blob_of):
    job_id = make_job(training(large, EPOCHS, checkpoint=OFTEN))
    for attempt in (1, 2):
        in_the_middle(sessions, read, job_id, attempt)
        os.kill(runner_of(yard, job_id).pid, signal.SIGKILL)
        until(lambda n=attempt: read(job_id, "attempts")[n - 1].exit == "lost")
    until(lambda: read(job_id).is_terminal)

    assert read(job_id).state == "succeeded"
    assert blob_of(job_id, "weights.h5") == calm
    assert [row.reason for row in read(job_id, "attempts")] == ["runner_killed", "runner_killed", None]
    assert read(job_id, "attempts")[2].resumed_from["step"] > 0
    assert [row.epoch for row in read(job_id, "epochs")] == list(range(EPOCHS))
    assert [event.seq for event in read(job_id, "events", 0, 10**6)] == list(range(1, read(job_id).last_event + 1))


STATEFUL = {
    "class_name": "Sequential",
    "config": [
        {
            "class_name": "LSTM",
            "config": {"output_dim": 16, "stateful": True, "batch_input_shape": [8, 6, 4], "dropout_U": 0.2},
        },
        {"class_name": "BatchNormalization", "config": {}},
        {"class_name": "Dropout", "config": {"p": 0.3}},
        {"class_name": "Dense", "config": {"output_dim": 3, "activation": "softmax"}},
    ],
}
REDUCING = [
    {"class_name": "ReduceLROnPlateau", "config": {"monitor": "loss", "patience": 0, "epsilon": 0.05}},
    {"class_name": "EarlyStopping", "config": {"monitor": "loss", "patience": 60}},
]


@pytest.mark.slow
def test_killed_at_random_moments_a_stateful_job_ends_with_the_same_bits_and_the_same_history(
    yard, make_dataset, make_job, read, blob_of
):
    numbers = arrays(n=128)
    data = make_dataset(x=np.random.default_rng(3).normal(size=(128, 6, 4)).astype(np.float32), y=numbers["y"])
    fit = {"x": f"{data}/x", "y": f"{data}/y", "nb_epoch": 60, "batch_size": 8, "callbacks": REDUCING}
    definition = {"model": STATEFUL, "compile": COMPILE | {"optimizer": "adam"}, "fit": fit}
    definition["checkpoint"] = {"every_seconds": 0.05, "every_epochs": 7, "keep": 3}
    calm, shaken = make_job(definition), make_job(definition)
    until(lambda: read(calm).is_terminal, 300)
    draw, kills = random.Random(5), 0
    step = 0
    while kills < 2:  # a third would be one too many
        step += draw.randrange(50, 400)
        until(lambda after=step: read(shaken).is_terminal or (read(shaken).progress or {}).get("step", 0) >= after, 300)
        runners = [each for each in yard._runners if each.busy and each.exit_code is None]
        assert runners, "it ended before it could be killed; make it longer"
        os.kill(runners[0].pid, signal.SIGKILL)
        kills += 1
        until(lambda n=kills: read(shaken, "attempts")[n - 1].ended_at)
    until(lambda: read(shaken).is_terminal, 120)

    assert [row.reason for row in read(shaken, "attempts")] == ["runner_killed", "runner_killed", None]
    told, expected = (json.loads(blob_of(job_id, "receipt.json")) for job_id in (shaken, calm))
    assert told["weights_sha256"] == expected["weights_sha256"]
    assert blob_of(shaken, "history.json") == blob_of(calm, "history.json")
    assert [row.logs for row in read(shaken, "epochs")] == [row.logs for row in read(calm, "epochs")]


def test_a_running_job_is_cancelled_within_seconds_and_the_lane_is_free(yard, sessions, make_job, large, read):
    job_id, following = make_job(training(large, ENDLESS)), make_job(training(large, 1))
    until(lambda: read(job_id).progress)
    assert wish(sessions, job_id, "cancel") == "cancelling"

    until(lambda: read(job_id).state == "cancelled", seconds=5)
    until(lambda: read(following).state == "succeeded")


def test_a_runner_that_does_not_hear_is_killed_and_its_job_cancelled(
    yard, sessions, make_job, large, read, monkeypatch
):
    monkeypatch.setattr("worker.warden.CANCEL_GRACE_SECONDS", 0.5)
    job_id = make_job(training(large, ENDLESS))
    until(lambda: read(job_id).progress)
    os.kill(runner_of(yard, job_id).pid, signal.SIGSTOP)
    wish(sessions, job_id, "cancel")

    until(lambda: read(job_id).state == "cancelled", seconds=10)
    assert read(job_id, "attempts")[0].exit == "killed"


def test_time_that_is_up_ends_even_a_runner_that_hangs(yard, make_job, large, read, monkeypatch):
    monkeypatch.setattr("worker.warden.GRACE_SECONDS", 0.1)
    job_id = make_job(training(large, ENDLESS, limits={"seconds": 1}))
    os.kill(runner_of(yard, job_id).pid, signal.SIGSTOP)
    until(lambda: read(job_id).is_terminal)

    assert (read(job_id).state, read(job_id).reason) == ("failed", "time_limit")


@pytest.mark.slow
def test_a_worker_that_is_told_to_stop_gives_its_job_back_at_a_checkpoint(
    calm, live, sessions, make_job, large, read, blob_of
):
    job_id = make_job(training(large, EPOCHS, checkpoint=OFTEN))
    first = start_worker()
    in_the_middle(sessions, read, job_id)
    runners = runners_of(first)
    first.terminate()
    assert first.wait(30) == 0

    assert (read(job_id).state, read(job_id).reason) == ("queued", "worker_stopped")
    assert not any(map(alive, runners))
    second = start_worker()
    until(lambda: read(job_id).is_terminal)
    second.terminate()
    second.wait(30)
    assert read(job_id, "attempts")[1].resumed_from["step"] > 0
    assert blob_of(job_id, "weights.h5") == calm


@pytest.mark.slow
def test_runners_do_not_outlive_a_worker_that_is_killed(live, sessions, make_job, large, read):
    job_id = make_job(training(large, ENDLESS))
    worker = start_worker()
    until(lambda: read(job_id).progress)
    runners = runners_of(worker)
    worker.kill()
    worker.wait()

    until(lambda: not any(map(alive, runners)))
    assert read(job_id).state == "queued"
    assert read(job_id, "attempts")[0].reason == "worker_stopped"
