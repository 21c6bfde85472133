"""Paths of datasets."""

from typing import Any

from fastapi import APIRouter, Response

from api.datasets import service
from api.datasets.schemas import DatasetOut, DatasetPage
from api.idempotency import OnceDep
from api.paging import PageDep, listed
from api.strict import StrictRoute
from api.uploads import UploadDep
from api.wiring import ProjectDep, SessionDep, WiringDep
from core.datasets import Datasets
from core.tables import Dataset
from core.unit import unit_of_work

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=StrictRoute)


@router.post("", status_code=201, response_model=DatasetOut, operation_id="create_dataset")
def create(upload: UploadDep, once: OnceDep, wiring: WiringDep, project_id: ProjectDep) -> Response:
    """Upload a data file (`.npz .npy .csv .parquet .json`) as multipart: `file`, and `name` if you like."""
    asked = [upload.filename, upload.sha256, upload.fields]
    return once.do(asked, lambda unit: service.create(unit, wiring, project_id, upload))


@router.get("", response_model=DatasetPage, operation_id="list_datasets")
def browse(page: PageDep, session: SessionDep, project_id: ProjectDep) -> dict[str, Any]:
    """List datasets, newest first."""
    return listed(Datasets(session, project_id).page(page.size, page.after), DatasetOut.model_validate)


@router.get("/{dataset_id}", response_model=DatasetOut, operation_id="get_dataset")
def read(dataset_id: str, session: SessionDep, project_id: ProjectDep) -> Dataset:
    """Read what is known of a dataset."""
    return Datasets(session, project_id).get(dataset_id)


@router.delete("/{dataset_id}", status_code=204, operation_id="delete_dataset")
def remove(dataset_id: str, wiring: WiringDep, project_id: ProjectDep) -> None:
    """Delete a dataset that no live job needs."""
    with unit_of_work(wiring.sessions, wiring.queue) as unit:
        service.remove(unit, wiring, project_id, dataset_id)
