"""What must hold whatever has died, read from the database, the object store and the answers over HTTP."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import obstore
from obstore.store import ObjectStore
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.leases import TRAINING
from core.tables import TERMINAL, Artifact, Attempt, Checkpoint, Dataset, Epoch, Event, Job, WeightsFile
from tests.chaos.callers import Callers, Ledger

#: Answers over HTTP are compared with the rows for so many jobs; everything else is looked at for all.
ASKED_OVER_HTTP = 30


@dataclass
class Story:
    """All that the database knows of one job."""

    job: Job
    events: list[Event] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    artifacts: list[Artifact] = field(default_factory=list)


def read(session: Session) -> dict[str, Story]:
    """Read the story of every job that a run has sent."""
    ours = select(Job).where(Job.kind == TRAINING, Job.labels["key"].as_string() != "")
    stories = {job.id: Story(job) for job in session.scalars(ours)}
    orders = {Event: Event.seq, Epoch: Epoch.epoch, Attempt: Attempt.number, Artifact: Artifact.name}
    for table, order in orders.items():
        for row in session.scalars(select(table).order_by(order)):
            if row.job_id in stories:
                getattr(stories[row.job_id], table.__tablename__).append(row)
    return stories


def lost(ledger: Ledger, stories: dict[str, Story]) -> Iterator[str]:
    """Find requests that were accepted and whose job is not there, or has not ended."""
    for key, job_id in ledger.jobs.items():
        story = stories.get(job_id)
        if story is None:
            yield f"{job_id}, promised to {key}, is gone"
        elif story.job.state not in TERMINAL:
            yield f"{job_id} is still {story.job.state} in attempt {story.job.attempt}"
        elif story.job.state == "failed" or (story.job.state == "cancelled" and job_id not in ledger.cancelled):
            yield f"{job_id} is {story.job.state}: {story.job.reason} {story.job.error}"


def doubled(ledger: Ledger, stories: dict[str, Story]) -> Iterator[str]:
    """Find requests with two effects: two jobs, two ends, or the files of two attempts."""
    yield from ledger.doubled
    jobs = defaultdict(list)
    for story in stories.values():
        jobs[story.job.labels["key"]].append(story.job.id)
    yield from (f"{key} made {found}" for key, found in jobs.items() if len(found) > 1)
    for job_id, story in stories.items():
        if len(ends := [event.seq for event in story.events if _ends(event)]) > 1:
            yield f"{job_id} ended at events {ends}"
        if story.job.state == "succeeded" and {row.attempt for row in story.artifacts} != {story.job.attempt}:
            yield f"{job_id} has files of attempts {sorted({row.attempt for row in story.artifacts})}"


def broken(stories: dict[str, Story]) -> Iterator[str]:
    """Find stories that do not add up."""
    for job_id, story in stories.items():
        yield from (f"{job_id}: {fault}" for fault in _faults(story))


def _faults(story: Story) -> Iterator[str]:
    numbers = [event.seq for event in story.events]
    if numbers != list(range(1, story.job.last_event + 1)):
        yield f"its events are {numbers} and should be 1 to {story.job.last_event}"
    if not story.events or not _ends(story.events[-1]) or story.events[-1].data["to"] != story.job.state:
        yield "its last event is not its end, so something was written after it"
    if any(later.attempt < former.attempt for former, later in pairwise(story.events)):
        yield "an attempt wrote after a later one had begun"
    if any(former.ended_at is None or former.ended_at > later.started_at for former, later in pairwise(story.attempts)):
        yield "two attempts overlap"
    if story.attempts and story.attempts[-1].ended_at is None:
        yield "its last attempt has not ended"
    if [row.epoch for row in story.epochs] != list(range(len(story.epochs))):
        yield f"its epochs are {[row.epoch for row in story.epochs]}"
    yield from _resumed_elsewhere(story)


def _resumed_elsewhere(story: Story) -> Iterator[str]:
    """Find attempts that began before the newest checkpoint there was, and so trained again what was safe."""
    newest, attempts = None, {row.number: row for row in story.attempts}
    for event in story.events:
        if event.type == "checkpoint":
            newest = event.data["step"]
        if event.type == "state" and event.data["to"] == "running" and event.data["from"] == "queued":
            began = (attempts[event.attempt].resumed_from or {}).get("step")
            if began != newest:
                yield f"attempt {event.attempt} began at step {began} and the newest checkpoint was at {newest}"


def result_of(story: Story, kinds: dict[str, str]) -> str:
    """Name what a job must end with: its kind, and where it was stopped."""
    kind = kinds[story.job.id]
    return f"{kind}@{len(story.epochs)}" if story.job.reason == "stopped_by_user" else kind


def differing(
    stories: dict[str, Story], kinds: dict[str, str], weights: dict[str, str], store: ObjectStore
) -> Iterator[str]:
    """Find trained weights whose stored bytes are not those of an undisturbed run."""
    for job_id, story in stories.items():
        if story.job.state != "succeeded":
            continue
        row = next((each for each in story.artifacts if each.name == "weights.h5"), None)
        stored = hashlib.sha256(bytes(obstore.get(store, row.blob).bytes())).hexdigest() if row else None
        if row is None or not stored == row.sha256 == weights[result_of(story, kinds)]:
            yield f"{job_id}, a {result_of(story, kinds)!r} job of {story.job.attempt} attempts, differs"


def orphans(session: Session, store: ObjectStore) -> list[str]:
    """List blobs that no row points at."""
    columns = (Dataset.blob, WeightsFile.blob, Artifact.blob, Checkpoint.blob)
    known = {blob for column in columns for blob in session.scalars(select(column))}
    stored = {each["path"] for batch in obstore.list(store, "projects") for each in batch}
    return sorted(stored - known)


def missing(session: Session, store: ObjectStore) -> list[str]:
    """List rows whose blob is not there."""
    rows = (select(Dataset.blob).where(Dataset.state == "ready"), select(Artifact.blob), select(Checkpoint.blob))
    known = {blob for query in rows for blob in session.scalars(query)}
    return sorted(known - {each["path"] for batch in obstore.list(store, "projects") for each in batch})


def told_otherwise(callers: Callers, stories: Sequence[Story]) -> Iterator[str]:
    """Find jobs of which the gateways tell another story than the database, or one than the other."""
    for story in stories[:ASKED_OVER_HTTP]:
        path = f"/v1/jobs/{story.job.id}"
        answers = [callers.ask("GET", path, first).json() for first in range(len(callers.urls))]
        if any((answer["state"], answer["attempt"]) != (story.job.state, story.job.attempt) for answer in answers):
            yield f"{story.job.id} is told as {[answer['state'] for answer in answers]}"
        told = callers.ask("GET", f"{path}/events?page_size=1000").json()["items"]
        if [event["seq"] for event in told] != [event.seq for event in story.events][:1000]:
            yield f"{story.job.id} has other events over HTTP"


def _ends(event: Event) -> bool:
    return event.type == "state" and event.data["to"] in TERMINAL
