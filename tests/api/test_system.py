"""Health, metrics, capabilities, request ids, and the form of what goes wrong."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError, TimeoutError

from core.ids import DEFAULT_PROJECT
from core.jobs import Jobs

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_gateway_never_imports_torch():
    program = "import api.main, trainyard, sys; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_gateway_that_can_do_its_work_is_ready(client):
    answer = client.get("/readyz")
    assert (answer.status_code, set(answer.json().values())) == (200, {"ok"})


def test_a_gateway_without_its_broker_is_not_ready(make_client):
    client = make_client(broker_url="redis://127.0.0.1:1/0")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "database": "ok", "storage": "ok", "broker": "unreachable"}
    assert client.get("/healthz").status_code == 200


def test_a_gateway_without_its_tables_is_not_ready(client, wiring, tmp_path):
    (tmp_path / "trainyard.db").rename(tmp_path / "gone.db")
    wiring.sessions.kw["bind"].dispose()
    assert client.get("/readyz").json()["database"] == "unreachable"


@pytest.mark.parametrize("error", [OperationalError("SELECT", {}, Exception("secret")), TimeoutError("secret")])
def test_a_database_that_is_away_is_told_as_passing_and_without_its_words(error, make_client, problem, monkeypatch):
    client = make_client(quiet=True)

    def fails(*_):
        raise error

    monkeypatch.setattr(Jobs, "page", fails)
    answer = client.get("/v1/jobs")
    assert "secret" not in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"]


def test_a_job_is_accepted_while_the_broker_is_down(make_client):
    client = make_client(broker_url="redis://127.0.0.1:1/0")
    model = {
        "class_name": "Sequential",
        "config": [{"class_name": "Dense", "config": {"output_dim": 1, "input_dim": 1}}],
    }
    answer = client.post("/v1/jobs", json={"model": model, "predict": {"x": [[1]]}})
    assert answer.status_code == 201


def test_metrics_count_requests_by_route_and_jobs_by_state(client, submit):
    submit()
    client.get("/v1/jobs/job_nope")
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    assert 'trainyard_requests_total{method="POST",route="/v1/jobs",status="201"} 1.0' in text
    assert 'trainyard_requests_total{method="GET",route="/v1/jobs/{job_id}",status="404"} 1.0' in text
    assert 'route="unmatched",status="404"' in text
    assert 'trainyard_jobs{state="queued"} 1.0' in text
    assert "job_nope" not in text


def test_capabilities_name_what_a_job_may_use(client):
    body = client.get("/v1/capabilities").json()
    assert "Dense" in body["layers"]
    assert "categorical_crossentropy" in body["losses"]
    assert body["limits"]["max_upload_bytes"] == 4 * 2**30
    assert body["dataset_formats"] == ["npz", "npy", "csv", "parquet", "json"]
    assert "succeeded" in body["job_states"]


def test_every_answer_carries_a_request_id(client):
    first, second = client.get("/healthz"), client.get("/nope")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert client.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/nope", headers={"X-Request-Id": "abc-1"}).json()["request_id"] == "abc-1"
    odd = client.get("/healthz", headers={"X-Request-Id": "a b<script>"}).headers["x-request-id"]
    assert odd.startswith("req_")


def test_unknown_paths_and_methods_are_problems_too(client, problem):
    problem(client.get("/v1/nothing"), 404)
    answer = client.put("/v1/jobs")
    assert problem(answer, 405)["title"] == "Method Not Allowed"
    assert "POST" in answer.headers["allow"] or "GET" in answer.headers["allow"]


def test_our_own_faults_say_nothing_of_their_cause(make_client, problem, monkeypatch, caplog):
    from core.models import Models

    def fail(*_):
        raise RuntimeError("password=hunter2 in /etc/secret")

    monkeypatch.setattr(Models, "page", fail)
    answer = make_client(quiet=True).get("/v1/models")
    body = problem(answer, 500)
    assert "hunter2" not in answer.text
    assert "hunter2" in caplog.text
    assert body["request_id"] in caplog.text


def test_every_route_is_described_and_has_a_name_of_its_own(client):
    paths = client.get("/openapi.json").json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names)) >= 25
    assert all(operation["description"] for operation in operations)
    job_in = client.get("/openapi.json").json()["components"]["schemas"]["JobIn"]
    assert job_in["additionalProperties"] is False


@pytest.mark.parametrize("path", ["/v1/jobs?page_sise=3", "/v1/models?x=1", "/healthz?x=1"])
def test_a_misspelt_parameter_is_refused_and_not_ignored(path, client, problem):
    problem(client.get(path), 422)


def test_the_default_project_is_there_from_the_first_migration_on(wiring):
    from core.tables import Project

    with wiring.sessions.begin() as session:
        assert session.get_one(Project, DEFAULT_PROJECT).name == "default"
