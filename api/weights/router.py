"""Paths of weights."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from api.arrivals.content import RAW, Content, receiving
from api.arrivals.schemas import CompleteIn
from api.examples import WEIGHTS_FILES
from api.idempotency import OnceDep
from api.strict import JsonRoute, StrictRoute
from api.uploads import UploadDep
from api.weights import inspection, service
from api.weights.schemas import AnnouncedWeightsOut, SavedModelOut, WeightsIn, WeightsOut
from api.weights.service import ARRIVALS
from api.wiring import ProjectDep, SessionDep, WiringDep
from core.models import Weights
from core.tables import WeightsFile
from core.unit import unit_of_work

router = APIRouter(prefix="/v1/weights", tags=["weights"], route_class=StrictRoute)

announcing = APIRouter(prefix="/v1/weights", tags=["weights"], route_class=JsonRoute)

#: Both bodies are one operation to a reader of the OpenAPI document.
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "name": {"type": "string"},
        "kernels": {"type": "string"},
    },
}
BODIES = {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}}}


@announcing.post(
    "", status_code=201, response_model=AnnouncedWeightsOut, operation_id="create_weights", openapi_extra=BODIES
)
def announce(
    body: Annotated[WeightsIn, Body(openapi_examples=WEIGHTS_FILES)],
    request: Request,
    once: OnceDep,
    wiring: WiringDep,
    project_id: ProjectDep,
) -> Response:
    """Upload weights: as multipart; or announce them as JSON, send them to the URL of the answer, and complete them."""
    base_url = str(request.base_url)
    return once.do(body.model_dump(), lambda unit: service.announce(unit, wiring, project_id, body, base_url))


@router.post("", status_code=201, response_model=WeightsOut, include_in_schema=False)
def create(upload: UploadDep, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Upload weights (HDF5, .keras or safetensors) as multipart: `file`, `kernels` if they are Theano's, and `name`."""
    asked = [upload.sha256, upload.fields]
    return once.do(asked, lambda unit: service.create(unit, wiring, project_id, upload))


@router.get("/{weights_id}", response_model=WeightsOut, operation_id="get_weights")
def read(weights_id: str, session: SessionDep, project_id: ProjectDep) -> WeightsFile:
    """Read what is known of uploaded weights."""
    return Weights(session, project_id).get(weights_id)


@router.get("/{weights_id}/model", response_model=SavedModelOut, operation_id="get_weights_model")
def read_model(weights_id: str, wiring: WiringDep, project_id: ProjectDep) -> SavedModelOut:
    """Read the model in the file of a whole model, as `model.save` of any Keras writes it.

    A worker looks into the file, which may take some seconds.
    """
    return inspection.inspect(wiring, project_id, weights_id)


def the_awaited(weights_id: str, wiring: WiringDep, project_id: ProjectDep) -> WeightsFile:
    """Look whether a weights file is waited for."""
    return ARRIVALS.awaited(wiring, project_id, weights_id)


ContentDep = Annotated[Content, receiving(the_awaited)]


@router.put("/{weights_id}/content", status_code=204, operation_id="put_weights_content", openapi_extra=RAW)
def put_content(content: ContentDep, wiring: WiringDep) -> Response:
    """Upload the file of announced weights; where the storage takes uploads itself, send it there."""
    wiring.blobs.put_file(content.row.blob, content.path)
    return Response(status_code=204, headers={"ETag": f'"{content.sha256}"'})


@router.post("/{weights_id}/complete", response_model=WeightsOut, operation_id="complete_weights")
def complete(
    weights_id: str, once: OnceDep, wiring: WiringDep, project_id: ProjectDep, body: CompleteIn | None = None
) -> Response:
    """Have an uploaded file checked; a file that was sent in parts needs their ETags."""
    asked = body.model_dump() if body else None
    return once.do_outside(asked, lambda: ARRIVALS.complete(wiring, project_id, weights_id, body))


@router.delete("/{weights_id}", status_code=204, operation_id="delete_weights")
def remove(weights_id: str, wiring: WiringDep, project_id: ProjectDep) -> None:
    """Delete uploaded weights that no live job needs."""
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        ARRIVALS.remove(unit, wiring, project_id, weights_id)
