"""Every query about datasets."""

from sqlalchemy import select

from core.errors import DatasetInUse
from core.files import Files
from core.pages import Cursor, Page, cut
from core.tables import READY, Dataset, JobDataset


class Datasets(Files[Dataset]):
    """The datasets of one project."""

    row = Dataset
    need = JobDataset
    key = "dataset_id"
    noun = "Dataset"
    missing = "There is no dataset {}; GET /v1/datasets lists those there are."
    in_use = DatasetInUse

    def page(self, size: int, after: Cursor | None, sha256: str | None = None) -> Page[Dataset]:
        """List datasets, newest first; only those whose file has this sha256, where it is given."""
        query = select(Dataset).where(Dataset.project_id == self.project_id)
        if sha256 is not None:
            query = query.where(Dataset.sha256 == sha256)
        return cut(self.session, query, Dataset, size, after)


def array_of(dataset: Dataset, array: str) -> tuple[tuple[int, ...], str]:
    """Tell the shape and the type of one array of a dataset.

    Raises:
        LookupError: It has no such array, or its file has not arrived.
    """
    if dataset.state != READY:
        raise LookupError(
            f"Dataset {dataset.id} is {dataset.state}: upload its file, then POST /v1/datasets/{dataset.id}/complete."
        )
    found = dataset.arrays.get(array)
    if found is None:
        names = ", ".join(list(dataset.arrays)[:20])
        raise LookupError(f"Dataset {dataset.id} has no array {array[:80]!r}; it has {names}.")
    return tuple(found["shape"]), found["dtype"]
