"""Jobs as runs of MLflow: what was asked for as parameters, every epoch's numbers as metrics."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from trainyard import session
from trainyard.asking import TERMINAL
from trainyard.calls import Json
from trainyard.errors import Missing, TrainyardError
from trainyard.history import History, number_of, read
from trainyard.http import Client

__all__ = ["log"]

#: By how a job has ended, how MLflow calls it.
_STATUS = {"succeeded": "FINISHED", "failed": "FAILED", "cancelled": "KILLED"}
#: What of a fit is a parameter; the rest is data.
_FIT = ("batch_size", "nb_epoch", "initial_epoch", "shuffle", "validation_split")
#: MLflow takes no more in one request, and no longer values.
_MOST_METRICS, _MOST_LETTERS = 1000, 500


def log(
    job: History | str, tracking_uri: str | None = None, experiment: str = "trainyard", client: Client | None = None
) -> str:
    """Write a job that has ended into MLflow, as a run of its own.

    Args:
        job: What `fit` has returned, or the id of a job.
        tracking_uri: Where MLflow keeps its runs; what MLflow itself is set to when absent.
        experiment: The experiment's name; it is made where there is none.
        client: The service that has the job; that of the history's model, or of `trainyard.connect`, when absent.

    Returns:
        The id of the run.

    Raises:
        Missing: MLflow is not installed.
        TrainyardError: There is no single job, or it has not ended.
    """
    mlflow = _imported("mlflow")
    client = client or _client_of(job)
    told = client.jobs.get(_id_of(job))
    if told["state"] not in TERMINAL:
        raise TrainyardError(f"{told['id']} is {told['state']}; it can be logged once it has ended.")
    tracking = mlflow.MlflowClient(tracking_uri)
    tags = {**told["labels"], "trainyard.job": told["id"]}
    run: str = tracking.create_run(
        _experiment(tracking, experiment), _moment(told["created_at"]), tags, told["name"] or told["id"]
    ).info.run_id
    ended = _moment(told["finished_at"])
    history = job if isinstance(job, History) else read(client.jobs.metrics(told["id"]))
    _write(tracking, run, _parameters(told), list(_numbers(told, history)), ended)
    tracking.set_terminated(run, _STATUS[told["state"]], ended)
    return run


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Missing(error.name, "`trainyard.mlflow.log` writes by MLflow's own client", "mlflow") from error


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


def _write(tracking: Any, run: str, parameters: Json, numbers: list[tuple[str, float, int]], at: int) -> None:
    entities = _imported("mlflow.entities")
    tracking.log_batch(run, params=[entities.Param(*each) for each in parameters.items()])
    for part in _parts(numbers):
        tracking.log_batch(run, metrics=[entities.Metric(name, value, at, epoch) for name, value, epoch in part])


def _parts(numbers: list[Any]) -> Iterable[list[Any]]:
    return (numbers[start : start + _MOST_METRICS] for start in range(0, len(numbers), _MOST_METRICS))
