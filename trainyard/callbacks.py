"""Keras 1's callbacks: those that the service runs in the training, and those that run here as epochs are heard of.

`EarlyStopping`, `ReduceLROnPlateau`, `ModelCheckpoint`, `TensorBoard` and `LearningRateScheduler` run on the service,
in the moment they are about. A `Callback` of your own runs here, some time after each epoch.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.callbacks import CALLBACKS
from engine.callbacks import Callback as Served
from engine.callbacks import LearningRateScheduler as _Rates
from engine.callbacks import ModelCheckpoint as _Checkpoint
from engine.filenames import fill
from engine.loggers import EVENTS
from engine.loggers import TensorBoard as _Scalars
from trainyard.errors import Refused, TrainyardError
from trainyard.history import History as History
from trainyard.http import Client
from trainyard.names import finder, names_of

if TYPE_CHECKING:
    from trainyard.models import Sequential

Logs = Mapping[str, float]

_find = finder(CALLBACKS, __name__)
__all__ = sorted({*names_of(CALLBACKS), "CSVLogger", "Callback", "History", "LambdaCallback"})


def __getattr__(name: str) -> Any:
    return _find(name)


class Callback:
    """Something of your own that hears of a training: override what it shall hear.

    It is told of epochs once the service has told of them here, so it can watch and keep, but not change the training.
    Where it sets `model.stop_training`, the job ends well after the epoch that it is then in, which may be a later one,
    and keeps its weights. `fit_generator` draws every batch here: there it hears of batches as well, may set
    `model.learning_rate`, and `model.stop_training` is heeded at the end of the epoch.
    """

    model: Sequential
    params: Mapping[str, Any]
    #: The job that trains, once it is queued.
    job: str | None = None

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take what the training was asked for."""
        self.params = params

    def set_model(self, model: Sequential) -> None:
        """Take the model; its weights are those from before the training until that has ended."""
        self.model = model

    def set_job(self, job: str) -> None:
        """Take the job, which is queued now."""
        self.job = job

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Hear that a job is about to be sent."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Hear of an epoch, before its end is told of."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Hear the numbers of an epoch that is done."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Hear that the job has succeeded."""

    def on_train_error(self, error: BaseException) -> None:
        """Hear that it has not: it failed or was cancelled, was let go of, or something broke here."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Hear of a batch of `fit_generator` before it is trained on: its number in the epoch, and its size."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Hear the numbers of a batch of `fit_generator`, from before the update that was made on it."""


class LambdaCallback(Callback):
    """Calls functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: …)`."""

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs | None], Any] | None = None,
        on_epoch_end: Callable[[int, Logs | None], Any] | None = None,
        on_batch_begin: Callable[[int, Logs | None], Any] | None = None,
        on_batch_end: Callable[[int, Logs | None], Any] | None = None,
        on_train_begin: Callable[[Logs | None], Any] | None = None,
        on_train_end: Callable[[Logs | None], Any] | None = None,
    ) -> None:
        for name, function in list(locals().items()):
            if name != "self" and function is not None:
                setattr(self, name, function)


class CSVLogger(Callback):
    """Writes a row for each epoch: its number, and its logs by name.

    Args:
        filename: The file.
        separator: What stands between two columns.
        append: Whether what the file has already stays.
    """

    def __init__(self, filename: str, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = filename, separator, append
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin the file."""
        if not self.append:
            Path(self.filename).write_text("")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the row, after a head where the file has none."""
        logs = logs or {}
        path = Path(self.filename)
        if self._names is None:
            self._names = sorted(logs)
        fresh = not path.exists() or not path.stat().st_size
        with path.open("a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if fresh:
                writer.writerow(["epoch", *self._names])
            writer.writerow([epoch, *(logs.get(name, "") for name in self._names)])


class LearningRateScheduler:
    """Sets the learning rate of every epoch.

    Args:
        schedule: A function of the epoch, counted from 0, which is asked here for all of them beforehand; or the rates
            themselves, as a list or as `{epoch: rate from then on}`.
    """

    def __init__(self, schedule: Callable[[int], float] | Sequence[float] | Mapping[int, float]) -> None:
        self.schedule = schedule

    def served(self, nb_epoch: int) -> list[Served]:
        """Write it as the table that the service takes."""
        schedule = self.schedule
        if callable(schedule):
            schedule = [float(schedule(epoch)) for epoch in range(nb_epoch)]
        return [_Rates(schedule)] if schedule else []  # type: ignore[arg-type]


class _Fetched(Callback):
    """Runs on the service, and brings home at the end the files that it has left there.

    Args:
        described: What the service runs.
        folder: Where the files go.
    """

    def __init__(self, described: Served, folder: Path) -> None:
        self.described, self.folder = described, folder

    def served(self, nb_epoch: int) -> list[Served]:
        """Write it as what the service runs."""
        return [self.described]

    def is_wanted(self, name: str) -> bool:
        """Tell whether an artifact may be one of its files."""
        raise NotImplementedError(f"{type(self).__name__} says which files are its own")

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Fetch what was kept."""
        client, job = self.model.client, self.model.kept.job
        for artifact in client.jobs.artifacts(str(job))["items"]:
            if self.is_wanted(artifact["name"]):
                client.download(str(job), artifact, self.folder)


class ModelCheckpoint(_Fetched):
    """Keeps the weights after epochs: on the service as they come, and here at the end.

    Args:
        filepath: Where to; `{epoch:02d}` and `{val_loss:.2f}` stand for the epoch (from 0) and any log.
        monitor: The log that is watched with `save_best_only`.
        verbose: Taken for compatibility.
        save_best_only: Whether only a better epoch is kept.
        save_weights_only: Taken for compatibility: weights are what is kept.
        mode: Whether less or more is better; "auto" goes by the name.
        period: Every how many epochs it looks.
    """

    def __init__(
        self,
        filepath: str,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        period: int = 1,
    ) -> None:
        path = Path(filepath)
        rest = (monitor, verbose, save_best_only, save_weights_only, mode, period)
        super().__init__(_Checkpoint(path.name, *rest), path.parent)
        self._name = path.name
        self._epochs: list[tuple[int, Logs]] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note under which name the weights may have been kept."""
        self._epochs.append((epoch, dict(logs or {})))

    def is_wanted(self, name: str) -> bool:
        """Tell whether it is the name of one of the epochs."""
        return any(fill(self._name, epoch, dict(each)) == name for epoch, each in self._epochs)


class TensorBoard(_Fetched):
    """Writes the logs of every epoch as scalars for TensorBoard: on the service, and into a folder here at the end.

    Args:
        log_dir: Where to.
        histogram_freq: 0; histograms are not written.
        write_graph: Taken for compatibility: the model is drawn by the dashboard.
        write_images: False; weights are not written as images.
    """

    def __init__(
        self, log_dir: str = "./logs", histogram_freq: int = 0, write_graph: bool = True, write_images: bool = False
    ) -> None:
        super().__init__(_Scalars(log_dir, histogram_freq, write_graph, write_images), Path(log_dir))

    def is_wanted(self, name: str) -> bool:
        """Tell whether it is named as TensorBoard's files are."""
        return name.startswith(EVENTS)


class Hearing:
    """The callbacks of one training, sorted by where they run.

    Args:
        callbacks: As they were given.
        nb_epoch: How many epochs there will be.
        batches: Whether batches are told of; where not, who would hear of them is warned.

    Raises:
        TrainyardError: One is none.
    """

    def __init__(self, callbacks: Sequence[Any] | None, nb_epoch: int, batches: bool = False) -> None:
        self.served: list[Served] = []
        self.ours: list[Callback] = []
        #: Where the files belong that a callback of the service keeps.
        self.folders: dict[int, Path] = {}
        self._histories: list[History] = []
        self._model: Sequential | None = None
        #: The job that can be stopped, until that was asked for.
        self._job: str | None = None
        for each in callbacks or ():
            self._take(each, nb_epoch)
        if not batches:
            for each in self.ours:
                _warn_of_batches(each)

    def _take(self, each: Any, nb_epoch: int) -> None:
        if isinstance(each, History):
            self._histories.append(each)
        elif isinstance(each, Served):
            self.served.append(each)
        elif hasattr(each, "served"):
            self.served += each.served(nb_epoch)
        elif not isinstance(each, Callback):
            raise TrainyardError(f"A callback is made by one of `trainyard.callbacks`, but got {each!r}.")
        if isinstance(each, Callback):
            self.ours.append(each)
            if isinstance(each, _Fetched):
                self.folders[id(each.described)] = each.folder

    def begin(self, model: Sequential, params: Mapping[str, Any]) -> None:
        """Tell that a training begins."""
        model.stop_training, self._model = False, model
        for each in self.ours:
            each.job = None
            each.set_model(model)
            each.set_params(params)
            each.on_train_begin({})

    def queued(self, job: str) -> None:
        """Tell which job it is."""
        self._job = job
        for each in self.ours:
            each.set_job(job)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Tell if what is done meanwhile goes wrong."""
        try:
            yield
        except BaseException as error:
            for each in self.ours:
                each.on_train_error(error)
            raise

    @property
    def hears_batches(self) -> bool:
        """Whether anybody wants to hear of batches."""
        return any(_batch_methods(each) for each in self.ours)

    def epoch(self, epoch: int, logs: Logs) -> None:
        """Tell of an epoch that is over already."""
        for each in self.ours:
            each.on_epoch_begin(epoch, {})
            each.on_epoch_end(epoch, logs)
        if self._job and self._model and self._model.stop_training:
            _stop(self._model.client, self._job)
            self._job = None

    def epoch_begin(self, epoch: int) -> None:
        """Tell of an epoch that begins."""
        for each in self.ours:
            each.on_epoch_begin(epoch, {})

    def epoch_end(self, epoch: int, logs: Logs) -> None:
        """Tell of an epoch that ends."""
        for each in self.ours:
            each.on_epoch_end(epoch, logs)

    def batch_begin(self, batch: int, logs: Logs) -> None:
        """Tell of a batch that begins."""
        for each in self.ours:
            each.on_batch_begin(batch, logs)

    def batch_end(self, batch: int, logs: Logs) -> None:
        """Tell of a batch that ends."""
        for each in self.ours:
            each.on_batch_end(batch, logs)

    def end(self, history: History) -> None:
        """Tell that the training has ended, and how it went."""
        for given in self._histories:
            given.take(history)
        for each in self.ours:
            each.on_train_end({})


def _stop(client: Client, job: str) -> None:
    try:
        client.jobs.stop(job)
    except Refused as refusal:
        if refusal.status != 409:  # it has just ended by itself
            raise


def _batch_methods(callback: Callback) -> list[str]:
    """List the methods by which a callback hears of batches."""
    cls = type(callback)
    names = ("on_batch_begin", "on_batch_end")
    return [name for name in names if name in vars(callback) or getattr(cls, name) is not getattr(Callback, name)]


def _warn_of_batches(callback: Callback) -> None:
    for name in _batch_methods(callback):
        warnings.warn(
            f"`{name}` of {type(callback).__name__} is not called by `fit`, which runs on the service; `fit_generator` "
            "calls it.",
            stacklevel=5,
        )
