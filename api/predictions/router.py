"""Paths of predictions and evaluations."""

from typing import Annotated

from fastapi import APIRouter, Body, Response

from api.examples import EVALUATIONS, PREDICTIONS
from api.idempotency import OnceDep
from api.predictions import service
from api.predictions.schemas import EvaluationIn, EvaluationOut, PredictionIn, PredictionOut
from api.strict import StrictRoute
from api.wiring import ProjectDep, WiringDep

router = APIRouter(prefix="/v1", tags=["predictions"], route_class=StrictRoute)


@router.post("/predictions", response_model=PredictionOut, operation_id="predict")
def predict(
    body: Annotated[PredictionIn, Body(openapi_examples=PREDICTIONS)],
    once: OnceDep,
    wiring: WiringDep,
    project_id: ProjectDep,
) -> Response:
    """Predict with a job's trained weights, at once."""
    return once.do_outside(body.model_dump(), lambda: service.predict(wiring, project_id, body))


@router.post("/evaluations", response_model=EvaluationOut, operation_id="evaluate")
def evaluate(
    body: Annotated[EvaluationIn, Body(openapi_examples=EVALUATIONS)],
    once: OnceDep,
    wiring: WiringDep,
    project_id: ProjectDep,
) -> Response:
    """Evaluate a job's trained weights, at once, by its own loss and metrics."""
    return once.do_outside(body.model_dump(), lambda: service.evaluate(wiring, project_id, body))
