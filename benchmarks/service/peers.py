"""The same questions to what others use: MLflow's tracking server and H2O-3, in an environment of their own.

An answer about one run: MLflow's `runs/get`, H2O's `/3/Jobs/{id}`, our job with its ETag. Submit to trained: one epoch
of the small MLP over the same rows, by H2O's deep learning and by us; MLflow trains nothing.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np

from benchmarks.environments import prepare
from benchmarks.models import MLP
from benchmarks.service import first_step
from benchmarks.service.load import ask, get
from benchmarks.service.stack import wait_for
from tests.servers.process import free_ports

ROOT = Path(__file__).parent.parent.parent
TRACKERS = ROOT / ".venv-trackers"
PACKAGES = ["mlflow==3.17.2", "h2o==3.46.0.12"]
CONNECTIONS, SECONDS, TRAININGS = 50, 8.0, 7
HEAD = "| | polls/s | p50 ms | p99 ms | submit to trained, ms |\n"
RULE = "|---|---|---|---|---|"


def table() -> list[str]:
    """Measure them one after the other; one row each."""
    prepare(TRACKERS, PACKAGES)
    return [HEAD + RULE, row("Trainyard, 304 by ETag", *ours()), row("MLflow", *mlflow()), row("H2O-3", *h2o())]


def row(name: str, got: dict[str, Any], trained: float | None) -> str:
    if set(got["counts"]) - {"200", "304"}:
        raise RuntimeError(f"{name}: {got['counts']}")
    took = "" if trained is None else f"{trained * 1000:,.0f}"
    return f"| {name} | {got['rate']:,.0f} | {got['p50_ms']:.1f} | {got['p99_ms']:.1f} | {took} |"


def ours() -> tuple[dict[str, Any], float]:
    with first_step.yard() as url, httpx.Client(base_url=url) as client:
        dataset = first_step.upload(client)
        seconds = [trained(client, dataset) for _ in range(TRAININGS + 1)][1:]
        path = client.get("/v1/jobs").json()["items"][0]["id"]
        answer = client.get(f"/v1/jobs/{path}")
        request = get(f"/v1/jobs/{path}", If_None_Match=answer.headers["etag"])
        return ask(url, request, CONNECTIONS, SECONDS), median(seconds)


def trained(client: httpx.Client, dataset: str) -> float:
    """Submit a job, and wait for its end as a client does that has nothing else to do."""
    began = time.perf_counter()
    job = client.post("/v1/jobs", json=MLP.job(dataset, 1)).raise_for_status().json()["id"]
    while client.get(f"/v1/jobs/{job}").json()["state"] != "succeeded":
        time.sleep(0.002)
    return time.perf_counter() - began


def mlflow() -> tuple[dict[str, Any], None]:
    api = "/api/2.0/mlflow"
    with tempfile.TemporaryDirectory() as folder, server(mlflow_command(folder), "/health") as url:
        run = {"experiment_id": "0", "start_time": 0}
        told = httpx.post(f"{url}{api}/runs/create", json=run, timeout=60).raise_for_status().json()
        run_id = told["run"]["info"]["run_id"]
        metric = {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 0}
        httpx.post(f"{url}{api}/runs/log-metric", json=metric, timeout=60).raise_for_status()
        return ask(url, get(f"{api}/runs/get?run_id={run_id}"), CONNECTIONS, SECONDS), None


def mlflow_command(folder: str) -> list[str]:
    stored = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder]
    return [str(TRACKERS / "bin/mlflow"), "server", *stored, "--host", "127.0.0.1", "--port"]


def h2o() -> tuple[dict[str, Any], float]:
    jar = next(TRACKERS.glob("lib/*/site-packages/h2o/backend/bin/h2o.jar"))
    command = ["java", "-Xmx2g", "-jar", str(jar), "-ip", "127.0.0.1", "-name", "bench", "-port"]
    with tempfile.TemporaryDirectory() as folder, server(command, "/3/About") as url:
        file = Path(folder) / "mlp.csv"
        write_table(file)
        code = "from benchmarks.service.trained_by_h2o import main; main()"
        told = subprocess.run(
            [str(TRACKERS / "bin/python"), "-c", code, url, str(file), str(TRAININGS)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, job = json.loads(next(line for line in told.stdout.splitlines() if line.startswith("[[")))
        return ask(url, get(f"/3/Jobs/{job}"), CONNECTIONS, SECONDS), median(seconds)


def write_table(file: Path) -> None:
    data = MLP.data()
    (name,) = MLP.inputs()
    rows = np.column_stack([data[name], data["y"].argmax(1)])
    head = ",".join([f"x{number}" for number in range(rows.shape[1] - 1)] + ["y"])
    np.savetxt(file, rows, delimiter=",", header=head, comments="", fmt="%g")


@contextmanager
def server(command: list[str], path: str) -> Iterator[str]:
    """Run a server whose command ends with its port, until it is not needed any more."""
    (port,) = free_ports(1)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, str(port)], start_new_session=True, **quiet)
    try:
        wait_for(f"http://127.0.0.1:{port}{path}", 120)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
