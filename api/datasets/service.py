"""What happens to datasets."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from api.arrivals.service import Arrivals
from api.datasets.schemas import MAX_NAME, DatasetIn, DatasetOut
from api.idempotency import Answer
from api.uploads import Upload, wrong
from api.wiring import Wiring
from core.blobs import dataset_key
from core.datasets import Datasets
from core.formats import format_of, inspect
from core.ids import new_id
from core.settings import Settings
from core.tables import READY, Dataset
from core.unit import Unit
from core.uploads import DATASETS


def _inspected(dataset: Dataset, path: Path, settings: Settings) -> Mapping[str, Any]:
    return {"arrays": inspect(path, dataset.format, settings.max_unpacked_bytes)}


ARRIVALS = Arrivals(DATASETS, dataset_key, DatasetOut, _inspected)


def announce(unit: Unit, wiring: Wiring, project_id: str, body: DatasetIn, base_url: str) -> Answer:
    """Store a dataset whose file is to come, and say where it goes.

    Raises:
        PayloadTooLarge: It is to be larger than is taken.
        UnsupportedFormat: It is of no known format.
        Unprocessable: The name is no name.
    """
    dataset = Dataset(id=new_id("ds"), project_id=project_id, name=body.name, format=format_of(f".{body.format}"))
    dataset.bytes, dataset.sha256, dataset.arrays = body.bytes, body.sha256 or "", {}
    return ARRIVALS.announce(unit, wiring, dataset, base_url)


def create(unit: Unit, wiring: Wiring, project_id: str, upload: Upload) -> Answer:
    """Check an uploaded file whole, then store it; nothing is stored of one that is refused.

    Raises:
        UnsupportedFormat: It is of no known format.
        BadDataset: It is damaged, dangerous or not made of numbers.
        Unprocessable: A field beside it is wrong.
    """
    name, asked = upload.take("name", "format")
    format = format_of(f".{asked}" if asked else upload.filename)
    dataset = Dataset(id=new_id("ds"), project_id=project_id, name=_name(name, upload), format=format)
    dataset.arrays = inspect(upload.path, format, wiring.settings.max_unpacked_bytes)
    dataset.bytes, dataset.sha256, dataset.state = upload.bytes, upload.sha256, READY
    dataset.blob = dataset_key(project_id, dataset.id)
    unit.on_rollback(partial(wiring.blobs.delete, dataset.blob))
    wiring.blobs.put_file(dataset.blob, upload.path)
    Datasets(unit.session, project_id).add(dataset)
    body = DatasetOut.model_validate(dataset).model_dump(mode="json")
    return Answer(201, body, {"Location": f"/v1/datasets/{dataset.id}"})


def _name(name: str | None, upload: Upload) -> str:
    if name is None:
        name = upload.filename.replace("\\", "/").rpartition("/")[2].partition(".")[0] or "dataset"
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise wrong("name", f"A name has 1 to {MAX_NAME} printable characters.")
    return name
