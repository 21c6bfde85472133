"""The datasets of a project, as the engine asks for them."""

from dataclasses import dataclass

from core.datasets import Datasets, array_of
from core.tables import Dataset
from engine.plan import ArraySpec


@dataclass
class Shelf:
    """Describes arrays; each dataset is looked up once."""

    datasets: Datasets

    def __post_init__(self) -> None:
        self.seen: dict[str, Dataset] = {}

    def describe(self, dataset_id: str, array: str) -> ArraySpec:
        """Tell an array's shape and type.

        Raises:
            LookupError: There is no such dataset, or it has no such array.
        """
        dataset = self.seen.get(dataset_id) or self.datasets.find(dataset_id)
        if dataset is None:
            raise LookupError(f"There is no dataset {dataset_id[:80]!r}; GET /v1/datasets lists those there are.")
        self.seen[dataset_id] = dataset
        return ArraySpec(*array_of(dataset, array))
