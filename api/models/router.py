"""Paths of models."""

from typing import Any

from fastapi import APIRouter, Response

from api.examples import Definition
from api.idempotency import OnceDep
from api.models import service
from api.models.schemas import ModelOut, ModelPage
from api.paging import PageDep, listed
from api.strict import StrictRoute
from api.wiring import ProjectDep, SessionDep, WiringDep
from core.models import Models

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


@router.post("", status_code=201, response_model=ModelOut, operation_id="create_model")
def create(definition: Definition, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Store a definition: what `model.to_json()` of Keras 1, 2 or 3 prints."""
    return once.do(definition, lambda unit: service.create(unit, wiring, project_id, definition))


@router.get("", response_model=ModelPage, operation_id="list_models")
def browse(page: PageDep, session: SessionDep, project_id: ProjectDep) -> dict[str, Any]:
    """List models, newest first."""
    return listed(Models(session, project_id).page(page.size, page.after), service.show)


@router.get("/{model_id}", response_model=ModelOut, operation_id="get_model")
def read(model_id: str, session: SessionDep, project_id: ProjectDep) -> ModelOut:
    """Read a model."""
    return service.show(Models(session, project_id).get(model_id))
