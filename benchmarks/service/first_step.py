"""How fast a yard answers: from POST to the first training step, and polls a second with and without ETag."""

import asyncio
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

JOBS, CONNECTIONS, POLL_SECONDS = 20, 10, 5.0
#: A spare runner needs this long to import torch; until it stands by the worker is not warm.
WARM_SECONDS = 8.0


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


async def polls(url: str, path: str, etag: str | None) -> float:
    """Poll over keep-alive connections as fast as they answer; return polls a second."""
    host, port = re.fullmatch(r"http://(.+):(\d+)", url).groups()
    condition = f"If-None-Match: {etag}\r\n" if etag else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{condition}\r\n".encode()
    deadline = time.perf_counter() + POLL_SECONDS

    async def one() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        count = 0
        while time.perf_counter() < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(one() for _ in range(CONNECTIONS)))) / POLL_SECONDS


def main() -> None:
    with yard() as url, httpx.Client(base_url=url) as client:
        dataset = upload(client)
        seconds = latencies(client, dataset)
        job = client.get("/v1/jobs").json()["items"][0]["id"]
        etag = client.get(f"/v1/jobs/{job}").headers["etag"]
        path = f"/v1/jobs/{job}"
        full = asyncio.run(polls(url, path, None))
        same = asyncio.run(polls(url, path, etag))
    print("\n## An embedded yard\n\n| | |\n|---|---|")
    print(f"| POST /v1/jobs to first training step, warm, median of {JOBS} | {median(seconds) * 1000:,.0f} ms |")
    print(f"| the same, slowest | {max(seconds) * 1000:,.0f} ms |")
    print(f"| polls/s of a job, {CONNECTIONS} connections, 200 with body | {full:,.0f} |")
    print(f"| polls/s of a job, {CONNECTIONS} connections, 304 by ETag | {same:,.0f} |")


if __name__ == "__main__":
    main()
