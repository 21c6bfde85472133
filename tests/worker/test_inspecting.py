"""Files of whole models, looked into by an attempt whose runner then serves nobody else."""

import json

import pytest

from core.tables import JobState
from tests.engine.yard import GOLDEN
from worker.protocol import Assignment


@pytest.fixture
def inspect(make_job, make_weights, run):
    def inspect(path):
        job_id = make_job({"inspect": {"id": make_weights(path)}}, kind="express")
        run(kind="express")
        return job_id

    return inspect


def test_a_saved_model_tells_how_it_was_made_and_compiled(inspect, read, blob_of):
    job_id = inspect(GOLDEN / "opt_adam_default" / "model.h5")
    found = json.loads(blob_of(job_id, "saved.json"))
    assert read(job_id).state == JobState.SUCCEEDED
    assert [each.name for each in read(job_id, "artifacts")] == ["saved.json"]
    assert found["definition"]["class_name"] == "Sequential"
    assert (found["compile"]["optimizer"]["class_name"], found["optimizer"]) == ("Adam", True)


def test_a_file_without_a_model_fails_as_the_caller_s(inspect, read):
    job = read(inspect(GOLDEN / "opt_adam_default" / "trained.h5"))
    assert (job.state, job.error["class"], job.error["who"]) == (JobState.FAILED, "user_data", "user")
    assert "weights alone" in job.error["detail"]


@pytest.mark.parametrize(
    ("kind", "definition", "last"),
    [
        ("training", {"model": {}}, True),
        ("express", {"model": {}}, False),
        ("express", {"inspect": {"id": "wts_1"}}, True),
    ],
)
def test_who_has_trained_or_opened_a_strangers_file_serves_nobody_else(kind, definition, last):
    told = {"job_id": "j", "project_id": "p", "attempt": 1, "worker": "w", "seed": 1, "wish": None}
    assignment = Assignment(**told, kind=kind, definition=definition, resume=False, folder="f")
    assert assignment.is_last is last
