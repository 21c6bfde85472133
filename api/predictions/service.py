"""What happens when weights that a job has left are asked."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from api import express
from api.idempotency import Answer
from api.jobs.planning import TRAINED, read_plan
from api.predictions.schemas import EvaluationIn, PredictionIn
from api.wiring import Wiring
from core.columns import finite
from core.errors import NotFound, StateConflict, Unprocessable
from core.jobs import Jobs
from core.tables import Job
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
        content = express.left(wiring, job, OUTPUT)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
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
    """Run one part of a job on another job's weights."""

    def prepare(session: Session, job: Job) -> list[str]:
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
        job.seed, job.definition = source.seed, {**plan.definition, "weights": {"job": trained}}
        return plan.datasets

    with express.running(wiring, project_id, prepare) as job:
        yield job


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
