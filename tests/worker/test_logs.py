"""Every line of an attempt's log says of which job and which attempt it is; a worker tells Prometheus what it does."""

import logging
import subprocess
import sys
import threading

import httpx
import pytest

from tests.servers.process import free_ports
from tests.worker.fakes import FakeRunner
from tests.worker.small import training
from worker.about import talk_about
from worker.attempt import Attempt
from worker.metrics import EPOCH_SECONDS
from worker.process import RunnerProcess
from worker.warden import Warden


@pytest.fixture
def written(monkeypatch):
    """What a handler of the root logger is given: each line's message, job and attempt."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append((record.getMessage(), getattr(record, "job_id", None), getattr(record, "attempt", None)))

    monkeypatch.setattr(logging.getLogger(), "handlers", [Handler()])
    yield lines
    talk_about(None)


@pytest.fixture
def assignment(make_job, assign):
    make_job()
    return assign()


def test_every_line_is_about_the_attempt_at_hand_whoever_writes_it(written, assignment):
    logging.getLogger("somebody.elses").warning("before")
    talk_about(assignment)
    logging.getLogger("somebody.elses").warning("while")
    logging.getLogger("worker").warning("of another", extra={"job_id": "job_2", "attempt": 9})
    talk_about(None)
    logging.getLogger("somebody.elses").warning("after")

    assert written == [
        ("before", None, None),
        ("while", assignment.job_id, 1),
        ("of another", "job_2", 9),
        ("after", None, None),
    ]


def test_a_record_carries_job_and_attempt_as_fields_of_their_own(caplog, assignment, settings):
    runner = FakeRunner("training", lambda: None)
    runner.assign(assignment)
    runner.held_at -= 3600
    Warden(settings, lambda: [runner]).judge(runner, assignment)

    (record,) = caplog.records
    assert (record.job_id, record.attempt) == (assignment.job_id, 1)


def test_epochs_and_ends_are_counted_as_the_runner_tells_them(monkeypatch):
    monkeypatch.setattr(RunnerProcess, "__init__", lambda self: None)
    runner, before = RunnerProcess(), EPOCH_SECONDS._sum.get()
    runner._hear("epochs 0.25 0.5\n")
    assert EPOCH_SECONDS._sum.get() == before + 0.75
    runner._hear("done succeeded\n")
    assert runner.done


def test_an_attempt_tells_how_long_its_epochs_took_and_how_it_ended(tools, make_job, assign, dataset):
    said = []
    make_job(training(dataset, nb_epoch=3))
    outcome = Attempt(assign(), tools, threading.Event(), lambda *words: said.append(words)).run()

    assert outcome == "succeeded"
    seconds = [float(each) for word, *values in said if word == "epochs" for each in values]
    assert len(seconds) == 3
    assert all(each > 0 for each in seconds)


def test_metrics_are_served_where_the_operator_wants_them_and_nowhere_else(settings, monkeypatch):
    (port,) = free_ports(1)
    code = (
        "import sys; from core.settings import get_settings; from worker import metrics; "
        "metrics.serve(get_settings()); metrics.CLAIMS.labels('training').inc(); print(flush=True); sys.stdin.read()"
    )
    monkeypatch.setenv("TRAINYARD_WORKER_METRICS_PORT", str(port))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        told = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        process.stdin.close()

    for name in ("claims", "lease_expiries", "refused_writes", "epoch_seconds"):
        assert f"trainyard_worker_{name}" in told
    assert 'trainyard_worker_claims_total{kind="training"} 1.0' in told
    assert settings.worker_metrics_port is None
