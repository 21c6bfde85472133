"""How soon an embedded yard trains: from POST to the first training step."""

import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from benchmarks.models import MLP

JOBS = 20
#: The next runner stands by long before.
WARM_SECONDS = 1.0


@contextmanager
def yard() -> Iterator[str]:
    """Start an embedded yard on a free port and give its address."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("trainyard")), "up", "--port", "0", "--data", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            yield next(found[0] for line in process.stdout if (found := re.search(r"http://\S+", line)))
        finally:
            process.terminate()
            process.wait()


def upload(client: httpx.Client) -> str:
    buffer = io.BytesIO()
    np.savez(buffer, **MLP.data())
    answer = client.post("/v1/datasets", files={"file": ("mlp.npz", buffer.getvalue())}, data={"name": "mlp"})
    return answer.raise_for_status().json()["id"]


def first_step(client: httpx.Client, dataset: str) -> tuple[str, float]:
    """Submit a job and return its id and the seconds until its first step was seen from outside."""
    began = time.perf_counter()
    job = client.post("/v1/jobs", json=MLP.job(dataset, 1)).raise_for_status().json()["id"]
    while not (client.get(f"/v1/jobs/{job}").json()["progress"] or {}).get("step"):
        time.sleep(0.001)
    return job, time.perf_counter() - began


def latencies(client: httpx.Client, dataset: str) -> list[float]:
    seconds = []
    for _ in range(JOBS):
        time.sleep(WARM_SECONDS)
        job, took = first_step(client, dataset)
        seconds.append(took)
        while client.get(f"/v1/jobs/{job}").json()["state"] not in ("succeeded", "failed"):
            time.sleep(0.05)
    return seconds


def table() -> list[str]:
    """Start a yard and measure in it."""
    with yard() as url, httpx.Client(base_url=url) as client:
        seconds = latencies(client, upload(client))
    return [
        "| | |\n|---|---|",
        f"| POST /v1/jobs to first training step, warm, median of {JOBS} | {median(seconds) * 1000:,.0f} ms |",
        f"| the same, slowest | {max(seconds) * 1000:,.0f} ms |",
    ]
