"""All tables of the service, as Markdown; by name some of them."""

import os
from collections.abc import Sequence
from types import ModuleType

import httpx

from benchmarks.service import files, first_step, growth, peers, polls, queue, sessions, streams
from benchmarks.service.stack import DATABASES, Stack, stack

PARTS = ("first_step", "sessions", "peers", "polls", "streams", "queue", "files", "growth")


def main(parts: Sequence[str] = ()) -> None:
    """Measure, and print."""
    wanted = [part for part in PARTS if part in (parts or PARTS)]
    found = {part: [] for part in wanted}
    for name in DATABASES if set(wanted) - {"first_step", "sessions", "peers"} else ():
        with stack(name) as each:
            measure(each, found)
    print(f"\nLoad before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.")
    show("Polls", polls, found.get("polls"))
    show("Event streams", streams, found.get("streams"))
    show("The queue", queue, found.get("queue"))
    show("Files", files, found.get("files"))
    show("Long tables", growth, found.get("growth"))
    if "first_step" in wanted:
        print("\n## An embedded yard\n", *first_step.table(), sep="\n")
    if "sessions" in wanted:
        print("\n## Steps of a session\n", *sessions.table(), sep="\n")
    if "peers" in wanted:
        print("\n## Beside MLflow and H2O-3\n", *peers.table(), sep="\n")


def measure(stack: Stack, found: dict[str, list[str]]) -> None:
    """Measure everything that is wanted of one database."""
    job_id = httpx.post(f"{stack.url}/v1/jobs", json=queue.JOB).raise_for_status().json()["id"]
    if "polls" in found:
        found["polls"] += polls.table(stack, job_id)
    if "streams" in found or "files" in found:
        streams.take(stack, job_id)
    if "streams" in found:
        found["streams"].append(streams.row(stack, job_id))
    if "files" in found:
        found["files"] += files.rows(stack, job_id, streams.WORKER)
    if "queue" in found:
        found["queue"] += [*queue.submissions(stack), *queue.claims(stack)]
    if "growth" in found:
        found["growth"] += growth.rows(stack)


def show(title: str, part: ModuleType, rows: list[str] | None) -> None:
    """Print a table, if it was wanted."""
    if rows:
        print(f"\n## {title}\n", part.HEAD + part.RULE, *rows, sep="\n")
