"""Files in and out, in megabytes a second, beside a plain copy on the same disk."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

from benchmarks.service.stack import Stack
from core import attempts
from core.blobs import Blobs

MEGABYTES = 256
HEAD = "| database | what | MB/s | of a plain copy |\n"
RULE = "|---|---|---|---|"


def rows(stack: Stack, job_id: str, worker: str) -> list[str]:
    """Copy, upload and download one file; the best of three each."""
    with tempfile.TemporaryDirectory() as folder:
        source, copy = Path(folder) / "x.npy", Path(folder) / "copy"
        np.save(source, np.random.default_rng(0).random((MEGABYTES * 2**20 // 32, 8), dtype="float32"))
        publish(stack, job_id, worker, source)
        url = f"{stack.url}/v1/jobs/{job_id}/artifacts/x.npy"
        plain = best(lambda: copied(source, copy))
        found = {"upload": best(lambda: upload(stack, source)), "download": best(lambda: download(url, copy))}
    each = [f"| {stack.name} | {name} | {rate:,.0f} | {rate / plain:.0%} |" for name, rate in found.items()]
    return [f"| {stack.name} | cp and fsync | {plain:,.0f} | 100% |", *each]


def best(act: Callable[[], object]) -> float:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return MEGABYTES / min(seconds)


def copied(source: Path, to: Path) -> None:
    shutil.copyfile(source, to)
    with to.open("rb") as file:
        os.fsync(file.fileno())


def upload(stack: Stack, source: Path) -> None:
    with source.open("rb") as file:
        answer = httpx.post(f"{stack.url}/v1/datasets", files={"file": (source.name, file)}, timeout=300)
    dataset = answer.raise_for_status().json()["id"]
    httpx.delete(f"{stack.url}/v1/datasets/{dataset}", timeout=60).raise_for_status()


def download(url: str, to: Path) -> None:
    with httpx.stream("GET", url, timeout=300) as answer, to.open("wb") as file:
        answer.raise_for_status()
        for part in answer.iter_raw(2**20):
            file.write(part)


def publish(stack: Stack, job_id: str, worker: str, source: Path) -> None:
    """Leave a file as a runner does."""
    size, sha256 = Blobs(stack.settings.storage_url).put_file(f"bench/{job_id}", source)
    with stack.writing() as session:
        named = {"name": "x.npy", "bytes": size, "sha256": sha256, "format": "npy", "blob": f"bench/{job_id}"}
        attempts.artifact(session, job_id, 1, worker, **named)
