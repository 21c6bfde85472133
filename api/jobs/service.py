"""What happens to jobs."""

import secrets
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.orm import Session

from api.idempotency import Answer
from api.jobs.planning import read_job
from api.jobs.schemas import ArtifactOut, AttemptOut, EventOut, History, JobIn, JobOut
from api.watching import hints
from api.watching.watch import Watch
from api.wiring import Wiring
from core.ids import new_id
from core.jobs import Jobs
from core.leases import TRAINING
from core.tables import Artifact, Attempt, Epoch, Event, Job, JobState
from core.unit import Unit, reading
from engine.plan import Plan

#: What every job that has succeeded leaves beside its results: what they were made of.
RECEIPT = "receipt.json"


def validate(session: Session, wiring: Wiring, project_id: str, body: JobIn) -> dict[str, Any]:
    """Say what a job would be told, and store nothing.

    Raises:
        EngineError: Its definition is wrong.
        Unprocessable: It names a model or weights that are not there.
    """
    plan = read_job(session, wiring, project_id, body)
    return {
        **plan.model.summary(),
        "definition": _definition(plan, body),
        "datasets": plan.datasets,
        "estimate": plan.estimate,
        "translated": plan.translated,
        "warnings": plan.warnings,
    }


def submit(unit: Unit, wiring: Wiring, project_id: str, body: JobIn) -> Answer:
    """Store a job and ring for it once it is stored.

    Raises:
        EngineError: Its definition is wrong.
        Unprocessable: It names a model or weights that are not there.
        NotFound: A dataset was deleted just now.
    """
    with reading(wiring.sessions) as session:
        plan = read_job(session, wiring, project_id, body)
    job = Job(id=new_id("job"), project_id=project_id, kind=TRAINING, name=body.name)
    job.labels, job.definition = dict(body.labels), _definition(plan, body)
    job.seed = secrets.randbelow(2**32) if body.seed is None else body.seed
    Jobs(unit.session, project_id).add(job, plan.datasets)
    unit.ring_later(job.id)
    headers = {"Location": f"/v1/jobs/{job.id}", **hints(job)}
    return Answer(201, show(job).model_dump(mode="json"), headers)


def _definition(plan: Plan, body: JobIn) -> dict[str, Any]:
    ours = body.model_dump(include={"weights", "checkpoint", "limits", "exports"}, exclude_none=True)
    return {**plan.definition, **ours}


def change(unit: Unit, watch: Watch, job_id: str, act: Callable[[str], Job]) -> Answer:
    """Cancel, pause or resume a job; ring if it waits again, and tell those who watch.

    Raises:
        NotFound: There is no such job.
        JobFinished: It has already ended.
        StateConflict: It is being cancelled.
    """
    job = act(job_id)
    unit.after_commit(watch.nudge)
    if job.state == JobState.QUEUED:
        unit.ring_later(job.id)
    return Answer(202, show(job).model_dump(mode="json"), hints(job))


def show(job: Job, whole: bool = True) -> JobOut:
    """Write a job down; without its definition, where the row may have been read without."""
    path = f"/v1/jobs/{job.id}"
    links = {name: f"{path}/{name}" for name in ("events", "metrics", "attempts", "artifacts")}
    if job.state == JobState.SUCCEEDED and job.kind == TRAINING:
        links["receipt"] = f"{path}/artifacts/{RECEIPT}"
    if whole and "session" in job.definition:
        links["steps"] = f"{path}/steps"
    return JobOut(
        id=job.id,
        name=job.name,
        labels=job.labels,
        state=job.state,
        reason=job.reason,
        attempt=job.attempt,
        seed=job.seed,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        progress=job.progress and {**job.progress, "updated_at": job.progress_at},
        metrics=job.metrics,
        evaluation=job.evaluation,
        error=job.error,
        resume_fidelity=job.resume_fidelity,
        definition=job.definition if whole else {},
        links={"self": path, **links},
    )


def show_event(event: Event) -> EventOut:
    """Write an event down."""
    return EventOut.model_validate(event, from_attributes=True)


def show_attempt(attempt: Attempt) -> AttemptOut:
    """Write an attempt down."""
    return AttemptOut.model_validate(attempt, from_attributes=True)


def show_artifact(artifact: Artifact) -> ArtifactOut:
    """Write an artifact down."""
    return ArtifactOut.model_validate(artifact, from_attributes=True)


def history(epochs: Iterable[Epoch]) -> History:
    """Turn rows of logs into Keras's lists."""
    rows = list(epochs)
    names = dict.fromkeys(name for row in rows for name in row.logs)
    series = {name: [row.logs.get(name) for row in rows] for name in names}
    return History(epoch=[row.epoch for row in rows], series=series)
