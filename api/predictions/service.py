"""Short runs: an express job that the gateway waits for and then forgets."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from anyio import from_thread
from sqlalchemy.orm import Session

from api.idempotency import Answer
from api.jobs.planning import TRAINED, read_plan
from api.predictions.schemas import EvaluationIn, PredictionIn
from api.watching.watch import Watch
from api.wiring import Wiring
from core.columns import finite
from core.errors import (
    JobFinished,
    NotFound,
    RunRefused,
    StateConflict,
    Unavailable,
    Unprocessable,
    WaitedTooLong,
)
from core.ids import new_id
from core.jobs import Jobs
from core.leases import EXPRESS
from core.tables import Job, JobState
from core.unit import reading, unit_of_work
from engine.errors import EngineError

OUTPUT = "predictions.npz"


def predict(wiring: Wiring, project_id: str, body: PredictionIn) -> Answer:
    """Run trained weights on some inputs.

    Raises:
        NotFound: There is no such job.
        StateConflict: It has no trained weights (yet).
        EngineError: The inputs do not fit the model.
        RunRefused: They fit, and the run failed because of them.
        WaitedTooLong: No worker answered in time.
    """
    part = {"predict": body.model_dump(exclude={"job"})}
    with _running(wiring, project_id, body.job, part) as job:
        with reading(wiring.sessions) as session:
            blob = Jobs(session, project_id).artifact(job.id, OUTPUT).blob
        with np.load(io.BytesIO(wiring.blobs.read(blob)), allow_pickle=False) as arrays:
            y = arrays["y"]
    values = y.tolist()
    return Answer(200, {"y": values if np.isfinite(y).all() else finite(values)})


def evaluate(wiring: Wiring, project_id: str, body: EvaluationIn) -> Answer:
    """Judge trained weights on some samples; raises what `predict` raises."""
    part = {"evaluate": body.model_dump(exclude={"job"}, exclude_none=True)}
    with _running(wiring, project_id, body.job, part) as job:
        return Answer(200, job.evaluation)


@contextmanager
def _running(wiring: Wiring, project_id: str, trained: str, part: dict[str, Any]) -> Iterator[Job]:
    """Run one part of a job on another job's weights; leave nothing behind."""
    if not wiring.lanes.acquire(blocking=False):
        raise Unavailable("Too many callers wait for a prediction; try again, or submit a job with `predict`.")
    try:
        job_id = _submit(wiring, project_id, trained, part)
        try:
            yield _succeeded(_ended(wiring, project_id, job_id))
        finally:
            _forget(wiring, project_id, job_id)
    finally:
        wiring.lanes.release()


def _submit(wiring: Wiring, project_id: str, trained: str, part: dict[str, Any]) -> str:
    with reading(wiring.sessions) as session:
        source = _trained(session, project_id, trained)
        if "evaluate" in part and "compile" not in source.definition:
            raise _uncompiled(trained)
        known = {key: source.definition[key] for key in ("model", "compile") if key in source.definition}
        try:
            plan = read_plan(session, wiring, project_id, known | part)
        except EngineError as error:
            # The caller knows of no `predict` part: to them it is the body.
            error.where = error.where.removeprefix(f"/{next(iter(part))}")
            raise
    job = Job(id=new_id("job"), project_id=project_id, kind=EXPRESS, labels={}, seed=source.seed)
    job.definition = {**plan.definition, "weights": {"job": trained}}
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        Jobs(unit.session, project_id).add(job, plan.datasets)
        unit.ring_later(job.id)
    return job.id


def _uncompiled(job_id: str) -> Unprocessable:
    fault = f"Job {job_id} has no `compile`, so there is no loss to judge by."
    return Unprocessable(fault, errors=[{"pointer": "/job", "detail": fault}])


def _trained(session: Session, project_id: str, job_id: str) -> Job:
    jobs = Jobs(session, project_id)
    try:
        job = jobs.get(job_id)
    except NotFound as error:
        raise NotFound(error.detail, errors=[{"pointer": "/job", "detail": error.detail}]) from error
    if not job.is_terminal:
        raise StateConflict(f"Job {job_id} is {job.state}; wait until it has ended.", state=job.state)
    try:
        jobs.artifact(job_id, TRAINED)
    except NotFound as error:
        raise StateConflict(f"Job {job_id} is {job.state} and has left no weights.", state=job.state) from error
    return job


def _ended(wiring: Wiring, project_id: str, job_id: str) -> Job:
    wait = wiring.settings.express_wait_seconds
    # The watch lives in the loop, and this is one of its threads.
    from_thread.run(_watched, wiring.express, job_id, wait)
    with reading(wiring.sessions) as session:
        job = Jobs(session, project_id).get(job_id)
    if job.is_terminal:
        return job
    raise WaitedTooLong(
        f"No worker answered within {wait:g} seconds; try again, or submit a job with `predict` or `evaluate`."
    )


async def _watched(watch: Watch, job_id: str, seconds: float) -> None:
    """Wait until a job has ended or is gone, for some seconds at most; all who wait share each look."""
    deadline, mark = time.monotonic() + seconds, await watch.mark(job_id)
    while mark is not None and not mark.is_terminal and (left := deadline - time.monotonic()) > 0:
        mark = await watch.change(mark, left)


def _succeeded(job: Job) -> Job:
    if job.state == JobState.SUCCEEDED:
        return job
    error = job.error or {}
    detail = str(error.get("detail") or f"The run was {job.state}.")
    if error.get("who") == "user":
        pointer = str(error.get("pointer") or "/x")
        raise RunRefused(detail, errors=[{"pointer": pointer, "detail": detail}])
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
