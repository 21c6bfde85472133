"""Lists, polls, claims and /metrics beside a million jobs that have ended."""

import time
from statistics import median

import httpx
from sqlalchemy import text

from benchmarks.service.stack import Stack
from tests.core.crowd import fill

JOBS, TIMES = 1_000_000, 15
HEAD = "| database | jobs in the table | request | median ms | slowest ms |\n"
RULE = "|---|---|---|---|---|"
PATHS = (
    "/v1/jobs",
    "/v1/jobs?state=running",
    "/v1/jobs?state=queued,running,failed",
    "/v1/jobs?label=team:rare",
    "/v1/jobs?label=team:none",
    "/v1/jobs?created_after=2025-12-31T00:00:00Z",
    "/metrics",
)


def rows(stack: Stack, count: int = JOBS) -> list[str]:
    """Fill the table and ask."""
    with stack.writing() as session:
        fill(session.connection(), count)
    with stack.sessions.kw["bind"].connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    with httpx.Client(base_url=stack.url, timeout=60) as client:
        return [asked(stack, client, path, count) for path in PATHS]


def asked(stack: Stack, client: httpx.Client, path: str, count: int) -> str:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        client.get(path).raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
    return f"| {stack.name} | {count:,} | `GET {path}` | {median(took):,.1f} | {max(took):,.1f} |"
