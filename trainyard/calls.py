"""Every call of the REST contract, described once; a client, sync or async, only carries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

Json = dict[str, Any]
#: What a call gives: the answer's JSON, or an awaitable of it.
Answer = TypeVar("Answer")

#: How long the service may take to fetch and read a large file that it has not seen before.
COMPLETE_SECONDS = 900.0


@dataclass(frozen=True)
class Call:
    """One request.

    Args:
        method: The HTTP method.
        path: Below the service's address.
        params: The query; what is None is left out.
        body: Sent as JSON.
        file: Sent as the `file` of a form, beside `fields`.
        fields: The form's other fields; what is None is left out.
        headers: Beside those that every request has.
        seconds: How long the answer may take; the client's patience where absent.
        moved: Told how much of the file has gone.
        keyed: Whether a POST carries an `Idempotency-Key`; one whose body says which it is needs none.
    """

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    file: Path | None = None
    fields: Mapping[str, str | None] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    moved: Callable[[int], None] | None = None
    keyed: bool = True


class Resource(Generic[Answer]):
    """The calls about one kind of thing."""

    def __init__(self, do: Callable[[Call], Answer]) -> None:
        self._do = do

    def _get(self, path: str, **params: Any) -> Answer:
        return self._do(Call("GET", path, {key: value for key, value in params.items() if value is not None}))

    def _post(self, path: str, body: Any = None) -> Answer:
        return self._do(Call("POST", path, body=body))


class Jobs(Resource[Answer]):
    """`/v1/jobs`."""

    def create(self, body: Mapping[str, Any]) -> Answer:
        """Queue a job; asked twice because an answer was lost, it is still one job."""
        return self._post("/v1/jobs", body)

    def validate(self, body: Mapping[str, Any]) -> Answer:
        """Check a job without storing it: shapes, parameters, memory and steps, warnings."""
        return self._post("/v1/validations", body)

    def list(
        self,
        state: str | None = None,
        label: str | None = None,
        created_after: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
    ) -> Answer:
        """List jobs, the newest first, a page at a time."""
        return self._get(
            "/v1/jobs",
            state=state,
            label=label,
            created_after=created_after,
            page_size=page_size,
            page_token=page_token,
        )

    def get(self, job_id: str) -> Answer:
        """Say how a job is."""
        return self._get(f"/v1/jobs/{job_id}")

    def cancel(self, job_id: str) -> Answer:
        """Stop a job for good."""
        return self._post(f"/v1/jobs/{job_id}/cancel")

    def pause(self, job_id: str) -> Answer:
        """Let a job rest at a checkpoint."""
        return self._post(f"/v1/jobs/{job_id}/pause")

    def stop(self, job_id: str) -> Answer:
        """Have a training end after the epoch that it is in, and keep what it has learnt."""
        return self._post(f"/v1/jobs/{job_id}/stop")

    def resume(self, job_id: str) -> Answer:
        """Let a paused job go on."""
        return self._post(f"/v1/jobs/{job_id}/resume")

    def metrics(self, job_id: str) -> Answer:
        """Read the history so far: `epoch`, and in `series` one list for each log name."""
        return self._get(f"/v1/jobs/{job_id}/metrics")

    def events(self, job_id: str, after: int = 0, page_size: int | None = None) -> Answer:
        """Read what has happened after event number `after`."""
        return self._get(f"/v1/jobs/{job_id}/events", after=after, page_size=page_size)

    def attempts(self, job_id: str) -> Answer:
        """List the tries at a job, first to last."""
        return self._get(f"/v1/jobs/{job_id}/attempts")

    def artifacts(self, job_id: str) -> Answer:
        """List the files that a job has left so far."""
        return self._get(f"/v1/jobs/{job_id}/artifacts")

    def send_steps(
        self, job_id: str, first: int, steps: Sequence[Mapping[str, Any]], wait_seconds: int | None = None
    ) -> Answer:
        """Send a session its next steps, of which `first` is the number of the first; sent again, they are done once.

        The answer is held back until all of them are done, but for no longer than `wait_seconds`.
        """
        body = {"first": first, "steps": list(steps)}
        path = f"/v1/jobs/{job_id}/steps"
        return self._do(Call("POST", path, body=body, headers=_held_back(wait_seconds), keyed=False))

    def steps(self, job_id: str, after: int = 0, limit: int | None = None, wait_seconds: int | None = None) -> Answer:
        """Read the steps of a session after number `after`; with `wait_seconds`, once one of them is done."""
        params = {"after": after, "limit": limit}
        known = {key: value for key, value in params.items() if value is not None}
        return self._do(Call("GET", f"/v1/jobs/{job_id}/steps", known, headers=_held_back(wait_seconds)))


def _held_back(wait_seconds: int | None) -> dict[str, str]:
    return {} if wait_seconds is None else {"Prefer": f"wait={wait_seconds}"}


class Datasets(Resource[Answer]):
    """`/v1/datasets`."""

    def create(
        self,
        file: Path,
        name: str | None = None,
        format: str | None = None,
        moved: Callable[[int], None] | None = None,
    ) -> Answer:
        """Upload a file of arrays with one request; `Client.upload` also sends large ones past the gateway."""
        fields = {"name": name or Path(file).stem, "format": format}
        return self._do(Call("POST", "/v1/datasets", file=Path(file), fields=fields, moved=moved))

    def announce(self, body: Mapping[str, Any]) -> Answer:
        """Say that a file is to come; the answer says where it is to be sent."""
        return self._post("/v1/datasets", body)

    def complete(self, dataset_id: str, parts: Sequence[Mapping[str, Any]] | None = None) -> Answer:
        """Have an uploaded file checked and read."""
        body = {"parts": list(parts)} if parts else None
        return self._do(Call("POST", f"/v1/datasets/{dataset_id}/complete", body=body, seconds=COMPLETE_SECONDS))

    def list(self, sha256: str | None = None, page_size: int | None = None, page_token: str | None = None) -> Answer:
        """List datasets, the newest first; only those whose file has this sha256, where it is given."""
        return self._get("/v1/datasets", sha256=sha256, page_size=page_size, page_token=page_token)

    def get(self, dataset_id: str) -> Answer:
        """Read what is known of a dataset."""
        return self._get(f"/v1/datasets/{dataset_id}")

    def delete(self, dataset_id: str) -> Answer:
        """Delete a dataset that no live job needs."""
        return self._do(Call("DELETE", f"/v1/datasets/{dataset_id}"))


class Models(Resource[Answer]):
    """`/v1/models`."""

    def create(self, definition: Mapping[str, Any]) -> Answer:
        """Store a model's definition, in Keras's own JSON."""
        return self._post("/v1/models", definition)

    def list(self, page_size: int | None = None, page_token: str | None = None) -> Answer:
        """List models, the newest first."""
        return self._get("/v1/models", page_size=page_size, page_token=page_token)

    def get(self, model_id: str) -> Answer:
        """Read a model, with its layers, shapes and numbers of parameters."""
        return self._get(f"/v1/models/{model_id}")


class Weights(Resource[Answer]):
    """`/v1/weights`."""

    def create(self, file: Path, kernels: str | None = None) -> Answer:
        """Upload weights with one request; `kernels` is "theano" where they are flipped."""
        return self._do(Call("POST", "/v1/weights", file=Path(file), fields={"kernels": kernels}))

    def announce(self, body: Mapping[str, Any]) -> Answer:
        """Say that a file is to come; the answer says where it is to be sent."""
        return self._post("/v1/weights", body)

    def complete(self, weights_id: str, parts: Sequence[Mapping[str, Any]] | None = None) -> Answer:
        """Have an uploaded file checked."""
        body = {"parts": list(parts)} if parts else None
        return self._do(Call("POST", f"/v1/weights/{weights_id}/complete", body=body, seconds=COMPLETE_SECONDS))

    def get(self, weights_id: str) -> Answer:
        """Read what is known of uploaded weights."""
        return self._get(f"/v1/weights/{weights_id}")

    def model(self, weights_id: str) -> Answer:
        """Read the model that a whole model's file holds, and how it was compiled."""
        return self._get(f"/v1/weights/{weights_id}/model")

    def delete(self, weights_id: str) -> Answer:
        """Delete uploaded weights that no live job needs."""
        return self._do(Call("DELETE", f"/v1/weights/{weights_id}"))


class Predictions(Resource[Answer]):
    """`/v1/predictions`."""

    def create(self, body: Mapping[str, Any]) -> Answer:
        """Predict with a job's trained weights, at once: `{"job", "x"[, "batch_size", "method"]}`."""
        return self._post("/v1/predictions", body)


class Evaluations(Resource[Answer]):
    """`/v1/evaluations`."""

    def create(self, body: Mapping[str, Any]) -> Answer:
        """Evaluate a job's trained weights, at once: `{"job", "x", "y"[, "batch_size", "sample_weight"]}`."""
        return self._post("/v1/evaluations", body)


class System(Resource[Answer]):
    """What the service tells of itself."""

    def health(self) -> Answer:
        """Say that the gateway answers."""
        return self._get("/healthz")

    def readiness(self) -> Answer:
        """Say whether database, storage and broker answer too."""
        return self._get("/readyz")

    def capabilities(self) -> Answer:
        """List every layer, optimizer, loss, metric and callback with its arguments, and the limits."""
        return self._get("/v1/capabilities")


class Resources(Generic[Answer]):
    """All of the service, as attributes."""

    def __init__(self, do: Callable[[Call], Answer]) -> None:
        self.jobs = Jobs(do)
        self.datasets = Datasets(do)
        self.models = Models(do)
        self.weights = Weights(do)
        self.predictions = Predictions(do)
        self.evaluations = Evaluations(do)
        self.system = System(do)
