"""Others on this machine: MLflow's tracking server and H2O-3, each in an environment of its own.

python -m venv .venv-service-peers && .venv-service-peers/bin/pip install mlflow h2o
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.service.load import ask, get, post
from benchmarks.service.stack import wait_for
from tests.servers.process import free_ports

PEERS = Path(os.environ.get("TRAINYARD_PEERS", ".venv-service-peers"))
CONNECTIONS, SECONDS = 10, 5.0
API = "/api/2.0/mlflow"


def table() -> list[str]:
    """Measure the peers that are there."""
    rows = ["| peer | request | connections | a second | p50 ms | p99 ms |\n|---|---|---|---|---|---|"]
    for name, peer in {"MLflow": mlflow, "H2O-3": h2o}.items():
        if reason := missing(name):
            rows.append(f"| {name} | skipped: {reason} | | | | |")
        else:
            rows += peer()
    return rows


def missing(name: str) -> str | None:
    if not (PEERS / "bin/python").exists():
        return f"there is no {PEERS}"
    if name == "H2O-3" and shutil.which("java") is None:
        return "there is no java"
    return None


def mlflow() -> list[str]:
    """GET a run, and log a metric of it."""
    with tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder]
        command = [PEERS / "bin/mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
        with running(command, folder, f"http://127.0.0.1:{port}/health") as url:
            run = httpx.post(f"{url}{API}/runs/create", json={"experiment_id": "0"}).raise_for_status().json()
            run_id = run["run"]["info"]["run_id"]
            metric = {"run_id": run_id, "key": "loss", "value": 0.5, "timestamp": 1, "step": 1}
            requests = {
                "GET runs/get": get(f"{API}/runs/get?run_id={run_id}"),
                "POST runs/log-metric": post(f"{API}/runs/log-metric", json.dumps(metric)),
            }
            return [measured("MLflow", url, name, request) for name, request in requests.items()]


def h2o() -> list[str]:
    """GET a job that has ended."""
    with tempfile.TemporaryDirectory() as folder:
        (port,) = free_ports(1)
        (jar,) = PEERS.glob("lib/python*/site-packages/h2o/backend/bin/h2o.jar")
        command = ["java", "-Xmx1g", "-jar", jar, "-ip", "127.0.0.1", "-port", str(port), "-ice_root", folder]
        with running(command, folder, f"http://127.0.0.1:{port}/3/Cloud") as url:
            data = Path(folder) / "x.csv"
            data.write_text("a,b\n1,2\n" * 100)
            parsed = {"source_frames": f'["nfs:/{data}"]', "destination_frame": "x", "check_header": 1}
            httpx.get(f"{url}/3/ImportFiles", params={"path": str(data)}).raise_for_status()
            setup = httpx.post(f"{url}/3/ParseSetup", data={"source_frames": f'["nfs:/{data}"]'})
            known = setup.raise_for_status().json()
            for key in ("parse_type", "separator", "number_columns", "chunk_size"):
                parsed[key] = known[key]
            parsed["column_types"] = json.dumps(known["column_types"])
            job = httpx.post(f"{url}/3/Parse", data=parsed).raise_for_status().json()["job"]["key"]["name"]
            return [measured("H2O-3", url, "GET 3/Jobs/{id}", get(f"/3/Jobs/{job.replace('$', '%24')}"))]


@contextmanager
def running(command: list[object], folder: str, health: str) -> Iterator[str]:
    with (Path(folder) / "peer.log").open("wb") as log:
        process = subprocess.Popen([str(each) for each in command], stdout=log, stderr=log)
        try:
            wait_for(health, 120.0)
            yield health.rpartition("/")[0].removesuffix("/3")
        finally:
            process.terminate()
            process.wait()


def measured(peer: str, url: str, name: str, request: str) -> str:
    got = ask(url, request, CONNECTIONS, SECONDS)
    if set(got["counts"]) != {"200"}:
        raise RuntimeError(f"{peer} {name}: {got['counts']}")
    return f"| {peer} | {name} | {CONNECTIONS} | {got['rate']:,.0f} | {got['p50_ms']:.1f} | {got['p99_ms']:.1f} |"
