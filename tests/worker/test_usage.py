import os

import numpy as np
import pytest

from tests.worker.fakes import Clock
from tests.worker.small import training
from worker import machine
from worker.usage import Usage


def test_cores_are_told_as_how_many_were_busy_since_the_last_time():
    now, worked = Clock(), Clock()
    usage = Usage("cpu", now, worked)
    assert usage.read()["cores"] is None

    now.seconds, worked.seconds = 4.0, 6.0
    assert usage.read()["cores"] == 1.5
    now.seconds, worked.seconds = 5.0, 6.0
    assert usage.read()["cores"] == 0.0


def test_memory_is_told_as_it_is_and_as_it_was_at_most():
    usage = Usage("cpu")
    before = usage.read()["memory_bytes"]
    large = np.ones(2**23)
    during = usage.read()
    del large
    after = usage.read()

    assert during["memory_bytes"] - before > 0.9 * 2**26
    assert after["memory_bytes"] < during["memory_bytes"]
    assert after["peak_memory_bytes"] == during["peak_memory_bytes"] == during["memory_bytes"]
    assert after["memory_bytes"] == pytest.approx(machine.held_bytes(os.getpid()), rel=0.1)
    assert after["device"] == "cpu"


def test_memory_of_a_gpu_is_told_beside(monkeypatch):
    gpu = {"get_device_name": "H100", "memory_reserved": 3, "max_memory_reserved": 5}
    for name, value in gpu.items():
        monkeypatch.setattr(f"torch.cuda.{name}", lambda device, value=value: value)

    told = Usage("cuda").read()
    assert (told["device_name"], told["gpu_memory_bytes"], told["peak_gpu_memory_bytes"]) == ("H100", 3, 5)


def test_a_job_tells_what_it_takes(run, make_job, dataset, read):
    job_id = make_job(training(dataset))
    run()

    told = read(job_id).progress["resources"]
    assert told["device"] == "cpu"
    assert told["peak_memory_bytes"] >= told["memory_bytes"] > 2**20
