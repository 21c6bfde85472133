"""From what a caller wrote to a plan that can be carried out: everything it names is looked up here."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from api.jobs.schemas import JobIn, StartIn
from api.shelf import Shelf
from api.wiring import Wiring
from core.datasets import Datasets
from core.errors import NotFound, Unprocessable
from core.jobs import Jobs
from core.models import Models, Weights
from core.tables import READY
from engine import exports
from engine.errors import within
from engine.plan import Plan

#: The keys that the engine reads; the others of a definition are the service's own.
PLAN_KEYS = ("model", "compile", "fit", "evaluate", "predict", "session", "dim_ordering")
#: What an ended job leaves for others to go on from.
TRAINED, OPTIMIZER, STATES = "weights.h5", "optimizer.safetensors", "states.safetensors"


def wrong(pointer: str, fault: str) -> Unprocessable:
    """Point at what is wrong with a body."""
    return Unprocessable(fault, errors=[{"pointer": pointer, "detail": fault}])


def read_plan(session: Session, wiring: Wiring, project_id: str, body: Mapping[str, Any]) -> Plan:
    """Check a definition against the datasets there are.

    Raises:
        EngineError: Something is wrong with it.
    """
    shelf = Shelf(Datasets(session, project_id))
    return Plan.read(body, shelf.describe, wiring.limits)


def read_job(session: Session, wiring: Wiring, project_id: str, job: JobIn) -> Plan:
    """Check a job's definition, with the model and the weights that it names.

    Raises:
        EngineError: Something is wrong with it.
        Unprocessable: It names a model or weights that are not there.
    """
    body = {key: value for key in PLAN_KEYS if (value := getattr(job, key)) is not None}
    body["model"] = _model(session, project_id, job.model)
    if job.weights:
        _check_weights(session, project_id, job.weights)
    plan = read_plan(session, wiring, project_id, body)
    with within("exports"):
        exports.check(plan.model, job.exports or ())
    return plan


def _model(session: Session, project_id: str, model: dict[str, Any]) -> dict[str, Any]:
    if "id" not in model:
        return model
    if len(model) > 1 or not isinstance(model["id"], str):
        raise wrong("/model", 'A stored model is named by {"id": "mdl_…"} alone.')
    try:
        return Models(session, project_id).get(model["id"]).definition
    except NotFound as error:
        raise wrong("/model/id", error.detail) from error


def _check_weights(session: Session, project_id: str, weights: StartIn) -> None:
    state = READY
    try:
        if weights.id is not None:
            row = Weights(session, project_id).get(weights.id)
            state = row.state
            if weights.optimizer and row.format == "safetensors":
                raise wrong("/weights/optimizer", "Safetensors hold weights alone: no optimizer's state is in them.")
    except NotFound as error:
        raise wrong("/weights/id", error.detail) from error
    if state != READY:
        fault = f"Weights {weights.id} are {state}: upload their file, then POST /v1/weights/{weights.id}/complete."
        raise wrong("/weights/id", fault)
    if weights.job is not None:
        _check_trained(session, project_id, weights.job, weights)
    elif weights.states:
        raise wrong("/weights/states", "Uploaded weights hold no states of stateful layers: those are left by jobs.")


def _check_trained(session: Session, project_id: str, job_id: str, weights: StartIn) -> None:
    jobs = Jobs(session, project_id)
    try:
        job = jobs.get(job_id)
        if not job.is_terminal:
            raise wrong("/weights/job", f"Job {job_id} is {job.state}; wait until it has ended.")
        jobs.artifact(job_id, TRAINED)
        if weights.optimizer:
            jobs.artifact(job_id, OPTIMIZER)
    except NotFound as error:
        raise wrong("/weights/job", error.detail) from error
    if weights.states and not any(each.name == STATES for each in jobs.artifacts(job_id)):
        fault = f"Job {job_id} has left no states: its model has no stateful layer, or it did not come to an end."
        raise wrong("/weights/states", fault)
