"""Polls a second of one job, with and without the ETag of the last answer, and what they cost."""

import httpx

from benchmarks.service.load import ask, get
from benchmarks.service.stack import Stack

CONNECTIONS = (1, 50, 1_000)
SECONDS = 8.0
HEAD = (
    "| database | poll | connections | polls/s | p50 ms | p99 ms | queries/poll | gateway's core | generator's core |\n"
)
RULE = "|---|---|---|---|---|---|---|---|---|"


def table(stack: Stack, job_id: str) -> list[str]:
    """Measure every case; one row each."""
    path = f"/v1/jobs/{job_id}"
    tag = httpx.get(stack.url + path).headers["etag"]
    cases = {"304 by ETag": get(path, If_None_Match=tag), "200 with body": get(path)}
    return [row(stack, name, request, each) for name, request in cases.items() for each in CONNECTIONS]


def row(stack: Stack, name: str, request: str, connections: int) -> str:
    looks, cpu = stack.metric("trainyard_look_askers_count"), stack.cpu_seconds()
    got = ask(stack.url, request, connections, SECONDS)
    polls, used = sum(got["counts"].values()), (stack.cpu_seconds() - cpu) / got["wall"]
    looks = stack.metric("trainyard_look_askers_count") - looks
    if set(got["counts"]) - {name[:3]}:
        raise RuntimeError(f"{name}: {got['counts']}")
    return (
        f"| {stack.name} | {name} | {connections:,} | {got['rate']:,.0f} | {got['p50_ms']:.1f} | {got['p99_ms']:.1f} "
        f"| {looks / polls:.3f} | {used:.0%} | {got['share']:.0%} |"
    )
