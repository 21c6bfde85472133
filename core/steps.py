"""The steps of sessions as clients send and read them; what an attempt makes of them is in `core.stepping`."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session, defer

from core.datasets import Datasets
from core.errors import JobFinished, StateConflict, StepConflict, StepsGone, TooManySteps
from core.events import move
from core.jobs import unknown
from core.stepping import WAITING
from core.tables import SESSION_IDLE, SESSION_WOKEN, Job, JobDataset, JobState, Step

#: The kind of step that nothing follows.
CLOSE = "close"
#: The reason of a session that rested and has been sent a step.
WOKEN = SESSION_WOKEN
#: What may wait in one session.
MOST_WAITING, MOST_WAITING_BYTES = 256, 64 * 2**20


@dataclass(frozen=True)
class Sent:
    """A step as a client has sent it.

    Args:
        kind: What is asked for.
        content: The whole step, as JSON.
        datasets: What it draws on.
    """

    kind: str
    content: bytes
    datasets: frozenset[str] = frozenset()

    @cached_property
    def sha256(self) -> str:
        """The digest of the content."""
        return hashlib.sha256(self.content).hexdigest()


def append(session: Session, project_id: str, job_id: str, first: int, steps: Sequence[Sent]) -> Job:
    """Store those steps that are new; a session that rests is queued by the same transaction.

    Returns:
        The job, its definition aside; in the state "queued" with the reason `WOKEN` if it was woken up.

    Raises:
        NotFound: The project has no such job.
        StepConflict: A number is taken by another step, or those before it are missing.
        StepsGone: A step is so old that nobody knows any more what it was.
        JobFinished: The job has ended.
        StateConflict: It is paused, is about to stop, or has been closed.
        TooManySteps: As much waits as may.
    """
    job = _locked(session, project_id, job_id)
    new = steps[_known(session, job, first, steps) :]
    if not new:
        return job
    _refuse(session, job, new)
    _hold(session, job, frozenset().union(*(each.datasets for each in new)))
    numbers = range(job.steps_sent + 1, job.steps_sent + 1 + len(new))
    session.execute(insert(Step), [_row(job.id, *each) for each in zip(numbers, new, strict=True)])
    job.steps_sent = numbers[-1]
    if job.state == JobState.PAUSED:
        move(session, job, JobState.QUEUED, WOKEN)
    session.flush()
    return job


def _row(job_id: str, number: int, sent: Sent) -> dict[str, Any]:
    told = {"sha256": sent.sha256, "content_bytes": len(sent.content), "content": sent.content}
    return {"job_id": job_id, "number": number, "kind": sent.kind, "state": WAITING, **told}


def _locked(session: Session, project_id: str, job_id: str) -> Job:
    query = select(Job).where(Job.id == job_id, Job.project_id == project_id).options(defer(Job.definition))
    job = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if job is None:
        raise unknown(job_id)
    return job


def _known(session: Session, job: Job, first: int, steps: Sequence[Sent]) -> int:
    """Count the steps that are there already; what has these numbers must be the same."""
    following = job.steps_sent + 1
    if first > following:
        fault = f"Step {first} cannot come yet: the next one of job {job.id} is number {following}."
        raise StepConflict(fault, job_id=job.id, next=following)
    known = min(len(steps), following - first)
    if not known:
        return 0
    query = select(Step.number, Step.sha256).where(Step.job_id == job.id)
    rows = session.execute(query.where(Step.number >= first, Step.number < first + known))
    found = {row.number: row.sha256 for row in rows}
    for number, sent in zip(range(first, first + known), steps, strict=False):
        if number not in found:
            raise gone(job.id, _oldest(session, job.id))
        if found[number] != sent.sha256:
            fault = f"Step {number} of job {job.id} is another one already; the next one is number {following}."
            raise StepConflict(fault, job_id=job.id, next=following)
    return known


def _refuse(session: Session, job: Job, new: Sequence[Sent]) -> None:
    told = {"job_id": job.id, "state": job.state, "next": job.steps_sent + 1}
    if job.is_terminal:
        raise JobFinished(
            f"Job {job.id} is {job.state}: it takes no more steps. Begin another session from it.", **told
        )
    last = session.scalar(select(Step.kind).where(Step.job_id == job.id, Step.number == job.steps_sent))
    if last == CLOSE:
        raise StateConflict(f"Job {job.id} is being closed: nothing follows step {job.steps_sent}.", **told)
    rests = job.state == JobState.PAUSED and job.reason == SESSION_IDLE
    if job.state not in (JobState.QUEUED, JobState.RUNNING) and not rests:
        fault = (
            f"Job {job.id} is {job.state} and takes no steps; POST /v1/jobs/{job.id}/resume lets a paused one go on."
        )
        raise StateConflict(fault, **told)
    _refuse_too_many(session, job, new)


def _refuse_too_many(session: Session, job: Job, new: Sequence[Sent]) -> None:
    count = job.steps_sent - job.steps_done + len(new)
    waiting = select(func.sum(Step.content_bytes)).where(Step.job_id == job.id, Step.number > job.steps_done)
    held = (session.scalar(waiting) or 0) + sum(len(each.content) for each in new)
    if count > MOST_WAITING or held > MOST_WAITING_BYTES:
        raise TooManySteps(
            f"{MOST_WAITING} steps or {MOST_WAITING_BYTES:,} bytes may wait in a session, and with these it would be "
            f"{count} and {held:,}. Wait until some of them are done.",
            job_id=job.id,
            next=job.steps_sent + 1,
        )


def _hold(session: Session, job: Job, wanted: frozenset[str]) -> None:
    """Hold on to the datasets that steps read, until the job has ended."""
    if not wanted:
        return
    Datasets(session, job.project_id).hold(sorted(wanted))
    query = select(JobDataset.dataset_id).where(JobDataset.job_id == job.id, JobDataset.dataset_id.in_(wanted))
    missing = wanted - set(session.scalars(query))
    session.add_all(JobDataset(job_id=job.id, dataset_id=each) for each in sorted(missing))


#: Of a job, the steps after a number, at most so many.
Place = tuple[str, int, int]


@dataclass(frozen=True)
class Page:
    """Some steps of a session, without what was sent.

    Args:
        state: The job's.
        next: The number that comes next.
        oldest: The first number that is kept.
        steps: The steps, in order.
    """

    state: str
    next: int
    oldest: int
    steps: Sequence[Step]


def pages(session: Session, places: Collection[Place]) -> Mapping[Place, Page]:
    """Read steps as several ask for them; of jobs that are not there nothing."""
    found = {place: _page(session, *place) for place in places}
    return {place: page for place, page in found.items() if page}


def _page(session: Session, job_id: str, after: int, limit: int) -> Page | None:
    job = session.execute(select(Job.state, Job.steps_sent).where(Job.id == job_id)).one_or_none()
    if job is None:
        return None
    query = select(Step).where(Step.job_id == job_id, Step.number > after).options(defer(Step.content))
    rows = session.scalars(query.order_by(Step.number).limit(limit)).all()
    whole = after >= job.steps_sent or (rows and rows[0].number == after + 1)
    following = max(job.steps_sent, rows[-1].number if rows else 0) + 1
    return Page(job.state, following, 1 if whole else _oldest(session, job_id), rows)


def _oldest(session: Session, job_id: str) -> int:
    return session.scalar(select(func.min(Step.number)).where(Step.job_id == job_id)) or 1


def gone(job_id: str, oldest: int) -> StepsGone:
    """Say from which number on steps are kept."""
    fault = f"Steps of job {job_id} are kept from number {oldest} on; older ones were done, and are no longer known."
    return StepsGone(fault, job_id=job_id, oldest=oldest)
