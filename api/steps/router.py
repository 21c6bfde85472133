"""Paths of steps."""

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query, Request, Response

from api.examples import STEPS
from api.steps import service
from api.steps.schemas import MOST_BYTES, StepsIn, StepsOut
from api.strict import StrictRoute
from api.wiring import ProjectDep, WiringDep

PREFER = "`wait=N`: answer when {}, and after N seconds at the latest; {}."
NOT_DONE = {"description": "The steps are stored, and not all of them are done yet.", "model": StepsOut}


class StepsRoute(StrictRoute):
    """A route for steps, which are kept in the database: what is large belongs into a dataset."""

    max_bytes = MOST_BYTES


router = APIRouter(prefix="/v1/jobs", tags=["sessions"], route_class=StepsRoute)


@router.post("/{job_id}/steps", response_model=StepsOut, operation_id="create_steps", responses={202: NOT_DONE})
async def send(
    job_id: str,
    body: Annotated[StepsIn, Body(openapi_examples=STEPS)],
    request: Request,
    wiring: WiringDep,
    project_id: ProjectDep,
    prefer: Annotated[str | None, Header(description=PREFER.format("all are done", "30 unless it is said"))] = None,
) -> Response:
    """Have a session do its next steps; each is done once, in the order of the numbers.

    Steps whose numbers are known are not done again: the answer is what is recorded of them. So a request may be sent
    again after a broken connection, or overlap with the one before. A step that fails has changed nothing, and the
    session goes on. Sent to a session that rests, steps wake it up.
    """
    return await service.send(request, wiring, project_id, job_id, body)


@router.get("/{job_id}/steps", response_model=StepsOut, operation_id="list_steps")
async def browse(
    job_id: str,
    request: Request,
    wiring: WiringDep,
    project_id: ProjectDep,
    after: Annotated[int, Query(ge=0, lt=2**53, description="The number before the first that is wanted.")] = 0,
    limit: Annotated[int, Query(ge=1, le=256)] = 64,
    prefer: Annotated[str | None, Header(description=PREFER.format("the first is done", "at once without it"))] = None,
) -> Response:
    """List a session's steps in order, and what came of them."""
    return await service.browse(request, wiring, project_id, job_id, after, limit)
