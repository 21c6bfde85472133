"""Short runs: an express job that a request waits for and then forgets."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from anyio import from_thread
from sqlalchemy.orm import Session

from api.watching.watch import Watch
from api.wiring import Wiring
from core.errors import JobFinished, RunRefused, Unavailable, WaitedTooLong
from core.ids import new_id
from core.jobs import Jobs
from core.leases import EXPRESS
from core.tables import Job, JobState
from core.unit import reading, unit_of_work

#: Fills in a job of which only what it is called and whose it is has been said; returns the datasets it reads.
Prepare = Callable[[Session, Job], list[str]]


@contextmanager
def running(wiring: Wiring, project_id: str, prepare: Prepare, pointer: str = "/x") -> Iterator[Job]:
    """Run a short job to its good end, and leave nothing behind afterwards.

    Args:
        wiring: What the gateway shares.
        project_id: Whose it is.
        prepare: Says what is to be run.
        pointer: What of the request is at fault where a run fails on it without saying where.

    Raises:
        Unavailable: Too many wait already, or the run failed for a reason of ours.
        RunRefused: It failed because of what was sent.
        WaitedTooLong: No worker answered in time.
    """
    if not wiring.lanes.acquire(blocking=False):
        raise Unavailable("Too many callers wait for a short run, such as a prediction; try again, or submit a job.")
    try:
        job_id = _submit(wiring, project_id, prepare)
        try:
            yield _succeeded(_ended(wiring, project_id, job_id), pointer)
        finally:
            _forget(wiring, project_id, job_id)
    finally:
        wiring.lanes.release()


def left(wiring: Wiring, job: Job, name: str) -> bytes:
    """Read a file that the run has left."""
    with reading(wiring.sessions) as session:
        blob = Jobs(session, job.project_id).artifact(job.id, name).blob
    return wiring.blobs.read(blob)


def _submit(wiring: Wiring, project_id: str, prepare: Prepare) -> str:
    job = Job(id=new_id("job"), project_id=project_id, kind=EXPRESS, labels={}, seed=0)
    with reading(wiring.sessions) as session:
        datasets = prepare(session, job)
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        Jobs(unit.session, project_id).add(job, datasets)
        unit.ring_later(job.id)
    return job.id


def _ended(wiring: Wiring, project_id: str, job_id: str) -> Job:
    wait = wiring.settings.express_wait_seconds
    # The watch lives in the loop, and this is one of its threads.
    from_thread.run(_watched, wiring.express, job_id, wait)
    with reading(wiring.sessions) as session:
        job = Jobs(session, project_id).get(job_id)
    if job.is_terminal:
        return job
    raise WaitedTooLong(
        f"No worker answered within {wait:g} seconds; try again, or submit a job, which waits for as long as it takes."
    )


async def _watched(watch: Watch, job_id: str, seconds: float) -> None:
    """Wait until a job has ended or is gone, for some seconds at most; all who wait share each look."""
    deadline, mark = time.monotonic() + seconds, await watch.mark(job_id)
    while mark is not None and not mark.is_terminal and (left := deadline - time.monotonic()) > 0:
        mark = await watch.change(mark, left)


def _succeeded(job: Job, pointer: str) -> Job:
    if job.state == JobState.SUCCEEDED:
        return job
    error = job.error or {}
    detail = str(error.get("detail") or f"The run was {job.state}.")
    if error.get("who") == "user":
        raise RunRefused(detail, errors=[{"pointer": str(error.get("pointer") or pointer), "detail": detail}])
    raise Unavailable(f"The run failed, and not because of what was sent: {detail}")


def _forget(wiring: Wiring, project_id: str, job_id: str) -> None:
    """Remove an ended run; stop one nobody waits for any more, and leave it to the reaper."""
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        jobs = Jobs(unit.session, project_id)
        try:
            if not jobs.cancel(job_id).is_terminal:
                return
        except JobFinished:
            pass
        for blob in jobs.forget(job_id):
            unit.after_commit(partial(wiring.blobs.delete, blob))
