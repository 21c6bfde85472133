"""Jobs in and out: submissions a second over HTTP, claims a second by one, four and sixteen workers."""

import json
import threading
import time

from benchmarks.service.load import NUMBER, ask, post
from benchmarks.service.stack import Stack
from core import leases
from tests.core.crowd import fill

SUBMIT_SECONDS, CLAIM_SECONDS, WAITING = 5.0, 4.0, 20_000
MODEL = {"class_name": "Sequential", "config": [{"class_name": "Dense", "config": {"output_dim": 1, "input_dim": 1}}]}
JOB = {"model": MODEL, "predict": {"x": [[1]]}, "labels": {"team": "a"}}
HEAD = "| database | what | at once | a second | p50 ms | p99 ms |\n"
RULE = "|---|---|---|---|---|---|"


def submissions(stack: Stack) -> list[str]:
    """POST jobs, each with an Idempotency-Key of its own."""
    request = post("/v1/jobs", json.dumps(JOB), Idempotency_Key=NUMBER.decode())
    rows = []
    for connections in (1, 10):
        got = ask(stack.url, request, connections, SUBMIT_SECONDS)
        if set(got["counts"]) != {"201"}:
            raise RuntimeError(f"submitting: {got['counts']}")
        times = f"{got['p50_ms']:.1f} | {got['p99_ms']:.1f}"
        rows.append(f"| {stack.name} | POST /v1/jobs | {connections} | {got['rate']:,.0f} | {times} |")
    return rows


def claims(stack: Stack) -> list[str]:
    """Claim from a long queue, in threads of this process."""
    with stack.writing() as session:
        fill(session.connection(), WAITING, "queued", "waiting")
    return [claimed(stack, number) for number in (1, 4, 16)]


def claimed(stack: Stack, workers: int) -> str:
    took: list[float] = []
    seen: list[str] = []
    began = time.perf_counter()
    deadline = began + CLAIM_SECONDS

    def work(number: int) -> None:
        while time.perf_counter() < deadline:
            start = time.perf_counter()
            with stack.writing() as session:
                claim = leases.claim(session, f"w{number}", 600.0, ["training"])
            if claim:
                took.append(time.perf_counter() - start)
                seen.append(claim.job_id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(seen) != len(set(seen)):
        raise RuntimeError("a job was claimed twice")
    took.sort()
    at = [took[int(len(took) * part)] * 1000 for part in (0.5, 0.99)]
    rate = len(seen) / (time.perf_counter() - began)
    return f"| {stack.name} | claims | {workers} | {rate:,.0f} | {at[0]:.1f} | {at[1]:.1f} |"
