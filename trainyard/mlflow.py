"""Jobs as runs of MLflow: what was asked for as parameters, each epoch's numbers as metrics, files as artifacts."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from trainyard import arrays, session
from trainyard.asking import TERMINAL
from trainyard.callbacks import Callback, Logs
from trainyard.calls import Json
from trainyard.errors import Detached, JobCancelled, Missing, TrainyardError
from trainyard.history import History, number_of, read
from trainyard.http import Client

__all__ = ["ARTIFACTS", "Logger", "log"]

#: By how a job has ended, how MLflow calls it.
_STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
#: What of a fit is a parameter; the rest is data.
_FIT = ("batch_size", "nb_epoch", "initial_epoch", "shuffle", "validation_split")
#: MLflow takes no more in one request, and no longer values.
_MOST_METRICS, _MOST_LETTERS = 1000, 500
#: Which files of a job become artifacts of its run, unless others are named.
ARTIFACTS = ("model.json", "weights.h5", "receipt.json")


class Run:
    """One run of MLflow, as it is written.

    Args:
        tracking_uri: Where MLflow keeps its runs; what MLflow itself is set to when absent.
        experiment: The experiment's name; it is made where there is none.
        name: What the run is called.
        tags: What it can be found by.
        began: When it began, in milliseconds since 1970; now when absent.

    Raises:
        Missing: MLflow is not installed.
    """

    def __init__(
        self,
        tracking_uri: str | None,
        experiment: str,
        name: str | None,
        tags: Mapping[str, str],
        began: int | None = None,
    ) -> None:
        mlflow = _imported("mlflow")
        self._entities = _imported("mlflow.entities")
        self._tracking = mlflow.MlflowClient(tracking_uri)
        of = _experiment(self._tracking, experiment)
        self.id: str = self._tracking.create_run(of, began or _now(), dict(tags), name).info.run_id

    def tag(self, key: str, value: str) -> None:
        """Set a tag."""
        self._tracking.set_tag(self.id, key, value)

    def parameters(self, job: Json) -> None:
        """Write what a job was asked for."""
        params = [self._entities.Param(*each) for each in _parameters(job).items()]
        self._tracking.log_batch(self.id, params=params)

    def numbers(self, numbers: Iterable[tuple[str, float, int]], at: int | None = None) -> None:
        """Write numbers, each with its name and its epoch."""
        moment = at or _now()
        for part in _parts(list(numbers)):
            metrics = [self._entities.Metric(name, value, moment, epoch) for name, value, epoch in part]
            self._tracking.log_batch(self.id, metrics=metrics)

    def files(self, client: Client, job_id: str, wanted: Sequence[str] | None) -> None:
        """Bring files of a job: those that are named and that it has left, or all of them."""
        for each in client.jobs.artifacts(job_id)["items"]:
            if wanted is None or each["name"] in wanted:
                with arrays.folder() as place:
                    self._tracking.log_artifact(self.id, str(client.download(job_id, each, place)))

    def end(self, status: str, at: int | None = None) -> None:
        """End the run."""
        self._tracking.set_terminated(self.id, status, at or _now())


class Logger(Callback):
    """Writes a training into MLflow while it goes on: `model.fit(…, callbacks=[trainyard.mlflow.Logger()])`.

    Parameters are written when the job is queued, numbers as epochs are heard of, files when it has ended. A job
    that is let go of leaves its run as it is; one that fails, or is cancelled, ends it so.

    Args:
        tracking_uri: Where MLflow keeps its runs; what MLflow itself is set to when absent.
        experiment: The experiment's name; it is made where there is none.
        name: What the run is called; as the model when absent.
        tags: What it can be found by, beside `trainyard.job`.
        artifacts: Which of the job's files become artifacts; None for all that it leaves, () for none.
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "trainyard",
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        artifacts: Sequence[str] | None = ARTIFACTS,
    ) -> None:
        self.tracking_uri, self.experiment, self.name = tracking_uri, experiment, name
        self.tags, self.artifacts = dict(tags or {}), artifacts
        self._run: Run | None = None

    @property
    def run_id(self) -> str:
        """The id of the newest run.

        Raises:
            TrainyardError: There is none yet.
        """
        return self._newest.id

    @property
    def _newest(self) -> Run:
        if self._run is None:
            raise TrainyardError("This logger has no run yet: give it to `fit`, among `callbacks`.")
        return self._run

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin a run."""
        self._run = Run(self.tracking_uri, self.experiment, self.name or self.model.name, self.tags)

    def set_job(self, job: str) -> None:
        """Write what the job was asked for."""
        super().set_job(job)
        self._newest.tag("trainyard.job", job)
        self._newest.parameters(self.model.client.jobs.get(job))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the numbers of an epoch."""
        self._newest.numbers((name, float(value), epoch) for name, value in (logs or {}).items())

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Bring the files, and end the run."""
        self._newest.files(self.model.client, str(self.job), self.artifacts)
        self._newest.end("FINISHED")

    def on_train_error(self, error: BaseException) -> None:
        """End the run, unless the job runs on."""
        if not isinstance(error, Detached):
            self._newest.end("KILLED" if isinstance(error, JobCancelled | KeyboardInterrupt) else "FAILED")


def log(
    job: History | str,
    tracking_uri: str | None = None,
    experiment: str = "trainyard",
    client: Client | None = None,
    artifacts: Sequence[str] | None = ARTIFACTS,
) -> str:
    """Write a job that has ended into MLflow, as a run of its own.

    Args:
        job: What `fit` has returned, or the id of a job.
        tracking_uri: Where MLflow keeps its runs; what MLflow itself is set to when absent.
        experiment: The experiment's name; it is made where there is none.
        client: The service that has the job; that of the history's model, or of `trainyard.connect`, when absent.
        artifacts: Which of the job's files become artifacts; None for all that it has left, () for none.

    Returns:
        The id of the run.

    Raises:
        Missing: MLflow is not installed.
        TrainyardError: There is no single job, or it has not ended.
    """
    _imported("mlflow")
    client = client or _client_of(job)
    told = client.jobs.get(_id_of(job))
    if told["state"] not in TERMINAL:
        raise TrainyardError(f"{told['id']} is {told['state']}; it can be logged once it has ended.")
    tags = {**told["labels"], "trainyard.job": told["id"]}
    run = Run(tracking_uri, experiment, told["name"] or told["id"], tags, _moment(told["created_at"]))
    ended = _moment(told["finished_at"])
    history = job if isinstance(job, History) else read(client.jobs.metrics(told["id"]))
    run.parameters(told)
    run.numbers(_numbers(told, history), ended)
    run.files(client, told["id"], artifacts)
    run.end(_STATUS[told["state"]], ended)
    return run.id


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Missing(error.name, "`trainyard.mlflow` writes by MLflow's own client", "mlflow") from error


def _client_of(job: History | str) -> Client:
    if isinstance(job, History) and job.model is not None:
        return job.model.client
    return session.current()


def _id_of(job: History | str) -> str:
    found = job.job if isinstance(job, History) else job
    if found is None:
        raise TrainyardError(f"{job!r} has no job on the service that could be logged.")
    return found


def _experiment(tracking: Any, name: str) -> str:
    found = tracking.get_experiment_by_name(name)
    made: str = found.experiment_id if found else tracking.create_experiment(name)
    return made


def _now() -> int:
    return round(time.time() * 1000)


def _moment(at: str) -> int:
    """Read a moment as MLflow counts it: in milliseconds since 1970."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def _parameters(job: Json) -> dict[str, str]:
    """List what was asked for, each as a short text."""
    definition = job["definition"]
    compiled, fit = definition.get("compile") or {}, definition.get("fit") or {}
    found = {"seed": job["seed"], **{key: fit[key] for key in _FIT if fit.get(key) is not None}}
    if compiled:
        optimizer = compiled["optimizer"]
        found |= {"loss": compiled["loss"], "optimizer": optimizer["class_name"]}
        found |= {f"optimizer.{key}": value for key, value in optimizer["config"].items()}
    return {key: _text(value)[:_MOST_LETTERS] for key, value in found.items()}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _numbers(job: Json, history: History) -> Iterator[tuple[str, float, int]]:
    """List every number with its name and its epoch; an evaluation's stand by the last one."""
    for name, values in history.history.items():
        yield from ((name, value, epoch) for epoch, value in zip(history.epoch, values, strict=True))
    last = history.epoch[-1] if history.epoch else 0
    for name, value in (job["evaluation"] or {}).items():
        yield f"evaluation_{name}", number_of(value), last


def _parts(numbers: list[Any]) -> Iterable[list[Any]]:
    return (numbers[start : start + _MOST_METRICS] for start in range(0, len(numbers), _MOST_METRICS))
