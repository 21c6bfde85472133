"""What a job that has succeeded tells of how it was made."""

import hashlib
import json

import numpy as np
import pytest
import torch
from sqlalchemy import text

from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs
from engine.limits import Limits
from engine.plan import ArraySpec, Plan
from engine.training import checkpoint
from engine.training.loop import Training
from tests.worker.small import arrays, training
from worker.receipt import fidelity


@pytest.fixture
def receipt_of(blob_of):
    return lambda job_id: json.loads(blob_of(job_id, "receipt.json"))


def plan():
    data = arrays()
    return Plan.read(training("ds_1"), lambda _, name: ArraySpec(data[name].shape, "float32"), Limits())


class Nobody:
    def batch(self):
        pass

    def epoch(self, epoch, logs):
        pass


def test_a_receipt_is_enough_to_make_the_same_weights_again(run, make_job, dataset, receipt_of, sessions):
    job_id = make_job(training(dataset))
    run()
    told = receipt_of(job_id)

    data = arrays()
    torch.set_num_threads(told["threads"])
    again = Training(plan(), lambda _, name: data[name], seed=told["seed"])
    again.fit(Nobody())
    assert again.weights_sha256() == told["weights_sha256"]
    with sessions.begin() as session:
        assert told["datasets"] == {dataset: session.scalar(text("SELECT sha256 FROM datasets"))}


def test_a_receipt_names_what_made_the_job_and_what_it_made(run, make_job, dataset, receipt_of, read):
    definition = training(dataset)
    job_id = make_job(definition)
    run()
    told = receipt_of(job_id)

    assert (told["job"], told["seed"], told["steps"], told["given_weights"]) == (job_id, 7, 24, None)
    assert (told["versions"]["torch"], told["versions"]["numpy"]) == (torch.__version__, np.__version__)
    assert set(told["versions"]) == {"trainyard", "torch", "numpy", "python"}
    assert told["device"] == {
        "type": "cpu",
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": told["device"]["machine"],
    }
    read_back = json.dumps(dict(reversed(read(job_id).definition.items())), sort_keys=True, separators=(",", ":"))
    assert told["definition_sha256"] == hashlib.sha256(read_back.encode()).hexdigest()
    others = {row.name: row.sha256 for row in read(job_id, "artifacts") if row.name != "receipt.json"}
    assert told["artifacts"] == others


def test_a_receipt_tells_every_attempt_and_what_it_went_on_from(run, make_job, dataset, receipt_of, sessions):
    job_id = make_job(training(dataset))

    def pause():
        with sessions.begin() as session:
            Jobs(session, DEFAULT_PROJECT).pause(job_id)

    run(after=11, act=pause)
    with sessions.begin() as session:
        Jobs(session, DEFAULT_PROJECT).resume(job_id)
    run()

    first, second = receipt_of(job_id)["attempts"]
    assert (first["number"], first["exit"], first["reason"]) == (1, "paused", "paused_by_user")
    assert (second["number"], second["exit"]) == (2, None)
    assert second["resumed_from"]["step"] == 12


def test_given_weights_are_told_by_their_digest(run, make_job, dataset, receipt_of, read):
    first = make_job(training(dataset, 1))
    run()
    second = make_job(training(dataset, 1, weights={"job": first}))
    run()

    given = receipt_of(second)["given_weights"]
    assert given["job"] == first
    assert given["sha256"] == read(first, "artifact", "weights.h5").sha256
    assert "optimizer_sha256" not in given

    third = make_job(training(dataset, 1, weights={"job": second, "optimizer_of": first}))
    run()
    given = receipt_of(third)["given_weights"]
    assert (given["job"], given["optimizer_of"]) == (second, first)
    assert given["optimizer_sha256"] == read(first, "artifact", "optimizer.safetensors").sha256


def test_a_job_says_while_it_runs_how_exactly_it_can_be_resumed(run, make_job, dataset, read, receipt_of):
    job_id = make_job(training(dataset))
    seen = [read(job_id).resume_fidelity]
    run(after=2, act=lambda: seen.append(read(job_id).resume_fidelity))

    assert seen == [None, "exact"]
    assert receipt_of(job_id)["resume_fidelity"] == read(job_id).resume_fidelity == "exact"


def trained():
    data = arrays()
    run = Training(plan(), lambda _, name: data[name], seed=7)
    run.fit(Nobody())
    return run


@pytest.mark.parametrize(
    ("device", "deterministic", "told"), [("cpu", False, True), ("cuda", False, False), ("cuda", True, True)]
)
def test_a_gpu_is_exact_only_with_kernels_that_repeat_their_bits(monkeypatch, device, deterministic, told):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: deterministic)
    assert checkpoint.repeats(torch.device(device)) is told


def test_a_run_that_is_not_exact_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "repeats", lambda device: False)
    assert fidelity(trained()) == "approximate"


def test_a_run_whose_compiled_steps_cannot_be_had_again_is_approximate_from_then_on(tmp_path):
    run = trained()
    run.stepper.compiles = True
    run.save(tmp_path / "compiled")
    assert fidelity(run) == "exact"

    again = trained()
    again.restore(tmp_path / "compiled")
    assert fidelity(again) == "exact"
    again.stepper.compiles = False
    assert fidelity(again) == "approximate"
    again.save(tmp_path / "eager")
    third = trained()
    third.restore(tmp_path / "eager")
    assert fidelity(third) == "approximate"
