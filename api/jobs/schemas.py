"""What comes in and goes out about jobs."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator

from api.strict import Strict

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,62}$")]
LabelValue = Annotated[str, StringConstraints(max_length=200)]
Part = dict[str, Any] | None


class StartIn(Strict):
    """What a job's weights start from: an uploaded file, or another job."""

    id: str | None = None
    job: str | None = None
    by_name: bool = False
    into: str | None = None
    optimizer: bool = False
    states: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.id is None) == (self.job is None):
            raise ValueError('Give either "id" (of uploaded weights) or "job", and not both.')
        if self.optimizer and self.into is not None:
            raise ValueError('The state of an optimizer is that of a whole model: leave out "optimizer" or "into".')
        if self.states and self.into is not None:
            raise ValueError('The states of layers are those of a whole model: leave out "states" or "into".')
        return self


class CheckpointIn(Strict):
    """How often a job's full state is kept, and how many of them."""

    every_seconds: float = Field(default=30.0, ge=1, le=86_400)
    every_epochs: int | None = Field(default=None, ge=1, le=1_000_000)
    keep: int = Field(default=2, ge=1, le=10)


class JobLimitsIn(Strict):
    """When a job is stopped whatever it does."""

    seconds: float = Field(gt=0, le=30 * 86_400)


class JobIn(Strict):
    """A job; `model`, `compile`, `fit`, `evaluate` and `predict` are in Keras 1's words; a `session` is sent steps."""

    name: Name | None = None
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, max_length=20)
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    model: dict[str, Any]
    weights: StartIn | None = None
    compile: Part = None
    fit: Part = None
    evaluate: Part = None
    predict: Part = None
    session: Part = None
    dim_ordering: str | None = None
    checkpoint: CheckpointIn | None = None
    limits: JobLimitsIn | None = None
    exports: list[str] | None = Field(default=None, max_length=10)

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not any(part is not None for part in (self.fit, self.evaluate, self.predict, self.session)):
            raise ValueError("Give at least one of fit, evaluate and predict, or session: there is nothing to do.")
        return self


class JobOut(BaseModel):
    """How a job is."""

    id: str
    name: str | None
    labels: dict[str, str]
    state: str
    reason: str | None
    attempt: int
    seed: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    progress: dict[str, Any] | None
    metrics: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    error: dict[str, Any] | None
    resume_fidelity: str | None
    definition: dict[str, Any]
    links: dict[str, str]


class JobPage(BaseModel):
    """Some jobs, newest first."""

    items: list[JobOut]
    next_page_token: str | None


class EventOut(BaseModel):
    """Something that happened."""

    seq: int
    attempt: int
    type: str
    data: dict[str, Any]
    at: datetime


class EventPage(BaseModel):
    """Some events, oldest first; pass `next_after` as `after` to read on."""

    items: list[EventOut]
    next_after: int
    next_page_token: str | None


class AttemptOut(BaseModel):
    """One try."""

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    exit: str | None
    reason: str | None
    resumed_from: dict[str, Any] | None


class AttemptPage(BaseModel):
    """All tries, first to last."""

    items: list[AttemptOut]
    next_page_token: str | None = None


class ArtifactOut(BaseModel):
    """A file a job has left."""

    name: str
    bytes: int
    sha256: str
    format: str
    max_difference: float | None = None


class ArtifactPage(BaseModel):
    """All files a job has left so far, by name."""

    items: list[ArtifactOut]
    next_page_token: str | None = None


class History(BaseModel):
    """Keras 1's history: one list for each log name, `null` where an epoch did not log it."""

    epoch: list[int]
    series: dict[str, list[Any]]


class ValidationOut(BaseModel):
    """What a job would be told."""

    definition: dict[str, Any]
    layers: list[dict[str, Any]]
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    parameters: dict[str, int]
    datasets: list[str]
    estimate: dict[str, Any]
    translated: list[dict[str, Any]]
    warnings: list[dict[str, Any]]
