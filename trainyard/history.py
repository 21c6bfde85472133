"""What `fit` returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trainyard.calls import Json

if TYPE_CHECKING:
    from trainyard.models import Sequential


class History:
    """The numbers of a training, as Keras 1's `History` has them.

    Args:
        epoch: The epochs that were done, counted from 0.
        history: For each log, such as `loss` and `val_acc`, its value in each of them.
        model: The model that was trained.
        job: The id of the job that trained it.
        params: What the training was asked for.
    """

    def __init__(
        self,
        epoch: list[int] | None = None,
        history: dict[str, list[float]] | None = None,
        model: Sequential | None = None,
        job: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self.epoch, self.history = epoch or [], history or {}
        self.model, self.job, self.params = model, job, dict(params or {})

    def take(self, other: History) -> None:
        """Become what another one is: what was given to `fit` as a callback is filled by it."""
        self.__dict__.update(other.__dict__)

    def __repr__(self) -> str:
        return f"<History of {self.job}: {len(self.epoch)} epochs of {', '.join(self.history) or 'nothing'}>"


def number_of(value: Any) -> float:
    """Read a number of the service's, which writes those that are none as text."""
    return float("nan") if value is None else float(value)


def read(metrics: Json, **about: Any) -> History:
    """Make one of what the service tells of a job's metrics."""
    series = {name: [number_of(each) for each in values] for name, values in metrics["series"].items()}
    return History(list(metrics["epoch"]), series, **about)
