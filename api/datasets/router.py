"""Paths of datasets."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from api.arrivals.content import RAW, Content, receiving
from api.arrivals.schemas import CompleteIn
from api.datasets import service
from api.datasets.schemas import AnnouncedOut, DatasetIn, DatasetOut, DatasetPage
from api.datasets.service import ARRIVALS
from api.examples import DATASETS
from api.idempotency import OnceDep
from api.paging import PageDep, listed
from api.strict import JsonRoute, StrictRoute
from api.uploads import UploadDep
from api.wiring import ProjectDep, SessionDep, WiringDep
from core.datasets import Datasets
from core.tables import Dataset
from core.unit import unit_of_work

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=StrictRoute)
announcing = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=JsonRoute)

#: Both bodies are one operation to a reader of the OpenAPI document.
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "name": {"type": "string"},
        "format": {"type": "string"},
    },
}
BODIES = {"requestBody": {"content": {"multipart/form-data": {"schema": FORM}}}}


@announcing.post("", status_code=201, response_model=AnnouncedOut, operation_id="create_dataset", openapi_extra=BODIES)
def announce(
    body: Annotated[DatasetIn, Body(openapi_examples=DATASETS)],
    request: Request,
    once: OnceDep,
    wiring: WiringDep,
    project_id: ProjectDep,
) -> Response:
    """Upload a data file: as multipart; or announce it as JSON, send it to the URL of the answer, and complete it."""
    base_url = str(request.base_url)
    return once.do(body.model_dump(), lambda unit: service.announce(unit, wiring, project_id, body, base_url))


@router.post("", status_code=201, response_model=DatasetOut, include_in_schema=False)
def create(upload: UploadDep, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Upload a data file (`.npz .npy .csv .parquet .json`) as multipart: `file`, and `name` if you like."""
    asked = [upload.filename, upload.sha256, upload.fields]
    return once.do(asked, lambda unit: service.create(unit, wiring, project_id, upload))


@router.get("", response_model=DatasetPage, operation_id="list_datasets")
def browse(
    page: PageDep,
    session: SessionDep,
    project_id: ProjectDep,
    sha256: Annotated[str | None, Query(pattern=r"^[0-9a-f]{64}$", description="Only files with this sha256.")] = None,
) -> dict[str, Any]:
    """List datasets, newest first."""
    return listed(Datasets(session, project_id).page(page.size, page.after, sha256), DatasetOut.model_validate)


@router.get("/{dataset_id}", response_model=DatasetOut, operation_id="get_dataset")
def read(dataset_id: str, session: SessionDep, project_id: ProjectDep) -> Dataset:
    """Read what is known of a dataset."""
    return Datasets(session, project_id).get(dataset_id)


def the_awaited(dataset_id: str, wiring: WiringDep, project_id: ProjectDep) -> Dataset:
    """Look whether a dataset's file is waited for."""
    return ARRIVALS.awaited(wiring, project_id, dataset_id)


ContentDep = Annotated[Content, receiving(the_awaited)]


@router.put("/{dataset_id}/content", status_code=204, operation_id="put_dataset_content", openapi_extra=RAW)
def put_content(content: ContentDep, wiring: WiringDep) -> Response:
    """Upload the file of an announced dataset; where the storage takes uploads itself, send it there."""
    wiring.blobs.put_file(content.row.blob, content.path)
    return Response(status_code=204, headers={"ETag": f'"{content.sha256}"'})


@router.post("/{dataset_id}/complete", response_model=DatasetOut, operation_id="complete_dataset")
def complete(
    dataset_id: str, once: OnceDep, wiring: WiringDep, project_id: ProjectDep, body: CompleteIn | None = None
) -> Response:
    """Have an uploaded file checked and read; a file that was sent in parts needs their ETags."""
    asked = body.model_dump() if body else None
    return once.do_outside(asked, lambda: ARRIVALS.complete(wiring, project_id, dataset_id, body))


@router.delete("/{dataset_id}", status_code=204, operation_id="delete_dataset")
def remove(dataset_id: str, wiring: WiringDep, project_id: ProjectDep) -> None:
    """Delete a dataset that no live job needs."""
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        ARRIVALS.remove(unit, wiring, project_id, dataset_id)
