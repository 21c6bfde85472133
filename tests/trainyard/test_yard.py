"""The command line against a whole yard: gateway, worker, database and storage in one folder."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.trainyard.yards import family_of, is_alive, wait_until
from trainyard import cli
from trainyard.http import Client


def job(nb_epoch=2, **more):
    y = {"to_categorical": "$data/y", "nb_classes": 3}
    dense = {"output_dim": 3, "input_dim": 4, "activation": "softmax"}
    return {
        "name": "points",
        "seed": 7,
        "model": {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": dense}]},
        "compile": {"optimizer": "sgd", "loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        "fit": {"x": "$data/x", "y": y, "nb_epoch": nb_epoch, "batch_size": 8},
        "evaluate": {"x": "$data/x", "y": y},
    } | more


@pytest.fixture
def job_file(tmp_path):
    def write(definition):
        path = tmp_path / "job.json"
        path.write_text(json.dumps(definition))
        return str(path)

    return write


@pytest.fixture
def run(yard, monkeypatch):
    """Run a command against the shared yard."""
    monkeypatch.setenv("TRAINYARD_URL", yard.url)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.out, "_width", 200)
    return lambda *arguments: CliRunner().invoke(cli.app, [str(each) for each in arguments])


@pytest.fixture
def submit(run, job_file, data_file):
    """Submit a job and return its id."""

    def submit(definition):
        result = run("submit", job_file(definition), "--data", data_file)
        assert result.exit_code == 0, result.output
        return result.output.split("Submitted ")[1].split()[0]

    return submit


@pytest.fixture
def client(yard):
    with Client(yard.url) as client:
        yield client


def test_a_yard_keeps_everything_in_its_folder(yard):
    assert httpx.get(f"{yard.url}/readyz").status_code == 200
    assert {"trainyard.db", "blobs", "broker", "logs"} <= {path.name for path in yard.folder.iterdir()}
    assert {path.name for path in (yard.folder / "logs").iterdir()} == {"gateway.log", "worker-1.log"}


def test_submit_and_follow_trains_and_tells_the_score(run, job_file, data_file):
    result = run("submit", job_file(job()), "--data", data_file, "--follow")

    assert result.exit_code == 0, result.output
    assert "succeeded" in result.output
    assert "Test score: loss" in result.output


def test_a_job_that_is_wrong_is_refused_with_its_place(run, job_file, data_file):
    definition = job()
    definition["model"]["config"][0]["config"]["output_dim"] = -3
    result = run("submit", job_file(definition), "--data", data_file)

    assert result.exit_code == 1
    assert "/model/config/0/config/output_dim: " in result.output
    assert "Traceback" not in result.output


def test_a_job_that_wants_data_is_not_sent_without(run, job_file):
    result = run("submit", job_file(job()))

    assert result.exit_code == 1
    assert "--data" in result.output


def test_following_a_job_that_fails_is_a_failure(run, client, submit):
    definition = job(nb_epoch=50)
    definition["compile"]["optimizer"] = {"class_name": "SGD", "config": {"lr": 1e38, "momentum": 0.9}}
    definition["compile"]["loss"] = "mse"
    definition["model"]["config"][0]["config"]["activation"] = "linear"
    result = run("follow", submit(definition))

    assert result.exit_code == 1
    assert "numeric_divergence" in result.output


def test_jobs_lists_what_was_submitted(run, submit):
    job_id = submit(job(name="a [red]name"))
    result = run("jobs")

    assert job_id in result.output
    assert "a [red]name" in result.output


def test_a_job_can_be_cancelled(run, client, submit):
    job_id = submit(job(nb_epoch=100_000))
    assert "cancel" in run("cancel", job_id).output

    assert list(client.watch(job_id))[-1]["state"] == "cancelled"
    again = run("cancel", job_id)
    assert again.exit_code == 1
    assert "409" in again.output


def test_a_training_can_be_stopped_and_keeps_its_weights(run, client, submit, tmp_path):
    job_id = submit(job(nb_epoch=100_000))
    next(each for each in client.watch(job_id) if each["state"] == "running")
    assert "keeps its weights" in run("stop", job_id).output
    assert list(client.watch(job_id))[-1]["reason"] == "stopped_by_user"
    assert run("download", job_id, "weights.h5", "--to", tmp_path).exit_code == 0
    assert "409" in run("stop", job_id).output


def test_artifacts_are_downloaded_by_name_or_all(run, client, submit, tmp_path):
    job_id = submit(job())
    assert list(client.watch(job_id))[-1]["state"] == "succeeded"

    assert run("download", job_id, "weights.h5", "--to", tmp_path / "one").exit_code == 0
    assert run("download", job_id, "--to", tmp_path / "all").exit_code == 0
    missing = run("download", job_id, "model.exe", "--to", tmp_path / "none")

    assert [path.name for path in (tmp_path / "one").iterdir()] == ["weights.h5"]
    assert {"model.json", "weights.h5", "weights.safetensors", "history.json"} <= {
        path.name for path in (tmp_path / "all").iterdir()
    }
    assert missing.exit_code == 1
    assert "it has" in missing.output


def test_letting_go_of_a_job_says_how_to_come_back(run, submit, monkeypatch):
    job_id = submit(job(nb_epoch=100_000))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainyard.follow.watch", interrupted)
    result = run("follow", job_id)
    run("cancel", job_id)

    assert result.exit_code == 130
    assert f"trainyard follow {job_id} --url http" in result.output


def test_paused_and_resumed_over_http_a_job_ends_with_the_same_bits(client, submit):
    calm, disturbed = submit(job(nb_epoch=60)), submit(job(nb_epoch=60))
    wait_until(lambda: (client.jobs.get(disturbed)["progress"] or {}).get("step"))
    client.jobs.pause(disturbed)
    wait_until(lambda: client.jobs.get(disturbed)["state"] != "pausing")
    if client.jobs.get(disturbed)["state"] == "paused":
        client.jobs.resume(disturbed)
    hashes = []
    for job_id in (calm, disturbed):
        assert list(client.watch(job_id))[-1]["state"] == "succeeded"
        hashes.append({each["name"]: each["sha256"] for each in client.jobs.artifacts(job_id)["items"]}["weights.h5"])

    assert hashes[0] == hashes[1]


def test_a_second_yard_in_the_same_folder_is_told_where_the_first_is(yard, run):
    result = run("up", "--data", yard.folder, "--port", "0")

    assert result.exit_code == 1
    assert f"already running in {yard.folder}" in result.output
    assert yard.url in result.output


def test_a_busy_port_is_named(run, tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        result = run("up", "--data", tmp_path / "yard", "--port", port)

    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in result.output
    assert "--port 0" in result.output


@pytest.mark.slow
def test_a_yard_runs_its_first_job_outlives_its_children_and_ends_them(make_yard, job_file, data_file):
    up = make_yard("--submit", job_file(job()), "--data-file", str(data_file))
    weights = Path(up.await_text(r"\n +(/\S+weights\.h5)").group(1))
    assert "Test score: loss" in up.text
    assert weights.read_bytes()[:4] == b"\x89HDF"
    assert up.await_text(r"to look at: (\S+)\n$").group(1) == f"{up.url}/", "its last words lead to the dashboard"

    # Whoever kills a child finds another one in its place.
    (gateway,) = [pid for pid in family_of(up.process.pid) if "api.main" in command_of(pid)]
    os.kill(gateway, signal.SIGKILL)
    wait_until(lambda: not is_alive(gateway))
    wait_until(lambda: ready(up.url))

    family = family_of(up.process.pid)
    assert up.end() == 0
    wait_until(lambda: not any(map(is_alive, family)))


def test_the_children_end_when_the_yard_is_killed(make_yard):
    up = make_yard()
    assert up.url
    family = family_of(up.process.pid)
    assert len(family) >= 3
    up.process.kill()
    up.process.wait()

    wait_until(lambda: not any(map(is_alive, family)))


def command_of(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


def ready(url):
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_key_is_shown_once_and_can_be_revoked(tmp_path):
    def keys(*arguments):
        return CliRunner().invoke(cli.app, ["keys", *arguments, "--data", str(tmp_path)])

    secret = keys("create", "--name", "laptop").output.strip()
    assert secret.startswith("ty_")
    shown = keys("list").output
    assert "laptop" in shown
    assert secret not in shown
    key_id = next(word for word in shown.split() if word.startswith("key_"))
    assert keys("revoke", key_id).exit_code == 0
    unknown = keys("revoke", "key_none")
    assert unknown.exit_code == 1
    assert "key_none" in unknown.output


def test_the_client_and_the_command_line_need_none_of_the_services_packages():
    heavy = ["torch", "fastapi", "sqlalchemy", "celery", "pydantic", "api", "core", "worker", "engine"]
    source = f"import sys, trainyard.cli; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


def test_a_missing_service_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("trainyard.service.PACKAGES", ("no_such_package",))
    result = CliRunner().invoke(cli.app, ["up", "--data", str(tmp_path)])

    assert result.exit_code == 1
    assert "pip install '.[worker]'" in result.output


def test_the_example_is_a_job_the_service_accepts(client, tmp_path):
    folder = Path(__file__).parents[2] / "examples" / "digits"
    path = tmp_path / "digits.npz"
    subprocess.run([sys.executable, str(folder / "data.py"), str(path)], check=True, capture_output=True)
    with np.load(path) as arrays:
        assert {name: array.shape[0] for name, array in arrays.items()} == {
            "x_train": 1200,
            "y_train": 1200,
            "x_val": 300,
            "y_val": 300,
            "x_test": 297,
            "y_test": 297,
        }
    from trainyard import jobfile

    sent = client.jobs.create(jobfile.with_data(jobfile.read(folder / "job.json"), client.upload(path)["id"]))
    done = list(client.watch(sent["id"]))[-1]
    assert done["state"] == "succeeded"
    assert done["evaluation"]["acc"] > 0.95
