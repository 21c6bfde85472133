"""Paths of weights."""

from fastapi import APIRouter, Response

from api.idempotency import OnceDep
from api.strict import StrictRoute
from api.uploads import UploadDep
from api.weights import service
from api.weights.schemas import WeightsOut
from api.wiring import ProjectDep, SessionDep, WiringDep
from core.models import Weights
from core.tables import WeightsFile

router = APIRouter(prefix="/v1/weights", tags=["weights"], route_class=StrictRoute)


@router.post("", status_code=201, response_model=WeightsOut, operation_id="create_weights")
def create(upload: UploadDep, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Upload weights (HDF5, .keras or safetensors) as multipart: `file`, and `kernels` if they are Theano's."""
    asked = [upload.sha256, upload.fields]
    return once.do(asked, lambda unit: service.create(unit, wiring, project_id, upload))


@router.get("/{weights_id}", response_model=WeightsOut, operation_id="get_weights")
def read(weights_id: str, session: SessionDep, project_id: ProjectDep) -> WeightsFile:
    """Read what is known of uploaded weights."""
    return Weights(session, project_id).get(weights_id)
