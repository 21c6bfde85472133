"""A model's methods as jobs: what is sent, what is waited for, what is left of it here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from engine.arguments import Shape
from engine.errors import EngineError
from engine.plan import ArraySpec, Plan
from engine.sources import Describe
from trainyard import arrays, keeping
from trainyard.arrays import Array, Here, arrays_in, here, sent
from trainyard.building import ANY_SIZE
from trainyard.callbacks import Hearing
from trainyard.calls import Json
from trainyard.errors import Refused, TrainyardError
from trainyard.following import Following, check_interrupt
from trainyard.history import History, number_of, read

if TYPE_CHECKING:
    from trainyard.built import Built
    from trainyard.models import Sequential

#: More is sent to a job of its own than to one that the gateway waits for.
_EXPRESS_VALUES = 1_000_000
#: More is sent as a dataset than within the request.
_INLINE_VALUES = 20_000
#: How long an axis is taken to be that may have any length, where only the weights matter.
_SOME_LENGTH = 64


@dataclass(frozen=True)
class Options:
    """What a job has beside Keras 1's arguments.

    Args:
        on_interrupt: What Ctrl-C does: "ask", "detach" or "cancel".
        job: More of the job's definition: `name`, `labels`, `checkpoint`, `limits`.
    """

    on_interrupt: str = "ask"
    job: Mapping[str, Any] = field(default_factory=dict)


# -- data ---------------------------------------------------------------------------------------


def data(value: Any, name: str) -> Any:
    """Take inputs or targets into a job: one array, a list of them, or an object by input name."""
    if isinstance(value, Mapping):
        return {key: here(each, f"{name}_{key}") for key, each in value.items()}
    if isinstance(value, list | tuple) and value and all(isinstance(each, np.ndarray) for each in value):
        return [here(each, f"{name}_{index}") for index, each in enumerate(value)]
    return here(value, name)


def scored(name: str, x: Any, y: Any, sample_weight: Any = None) -> Json:
    """Take inputs, targets and their weights into a job."""
    part = {"x": data(x, f"{name}_x"), "y": data(y, f"{name}_y")}
    if sample_weight is not None:
        part["sample_weight"] = here(sample_weight, f"{name}_weight")
    return part


def validation(given: Any) -> Json:
    """Take validation data into a job: `(x, y[, sample_weight])`, or an object that may have a batch size too."""
    if isinstance(given, Mapping):
        return scored("validation", given["x"], given["y"], given.get("sample_weight")) | {
            key: given[key] for key in ("batch_size",) if key in given
        }
    if not isinstance(given, list | tuple) or len(given) not in (2, 3):
        raise ValueError("`validation_data` must be (x, y) or (x, y, sample_weight).")
    return scored("validation", *given)


def class_weights(given: Mapping[int, float] | None) -> Json:
    """Take weights of classes into a job, if there are any."""
    return {} if given is None else {"class_weight": {str(key): float(value) for key, value in given.items()}}


def rows_of(part: Mapping[str, Any]) -> int:
    """Count the samples of a part of a job."""
    return int(next(arrays_in(part["x"])).array.shape[0])


# -- definitions --------------------------------------------------------------------------------


def definition(model: Built, seed: int, options: Options, compiled: bool = True, **parts: Json) -> Json:
    """Write a job down, and check all of it that can be checked here, before anything is sent.

    Raises:
        EngineError: Something is wrong with it; `where` is the pointer to it.
    """
    body = {"name": model.name, **options.job, "seed": seed, "model": model.settled.definition(), **parts}
    if compiled:
        body["compile"] = model.compiled.get_config()
    with noting_where():
        Plan.read(body, describing(body), ANY_SIZE)
    return body


def describing(part: Any) -> Describe:
    """Have the arrays of a job, or of a part of one, described that have yet to be sent."""
    known = {str(each): each.array for each in arrays_in(part)}

    def describe(dataset: str, name: str) -> ArraySpec:
        array = known[f"{dataset}/{name}"]
        return ArraySpec(array.shape, array.dtype.name)

    return describe


@contextmanager
def noting_where() -> Iterator[None]:
    """Have a refusal say the place that it is about."""
    try:
        yield
    except EngineError as error:
        if error.where:
            error.add_note(f"at {error.where}")
        raise


def run(model: Built, body: Json, follow: Mapping[str, Any], goes_on: bool = False) -> Json:
    """Run a job to its good end; from then on the model's weights are those that it has left.

    One that has trained nothing has left those that there were. It is kept where no other has them, or where it knows
    how the model is now compiled, so that what comes next can be done at once.
    """
    console = Console() if follow.get("verbose") else None
    job = model.client.jobs.create(sent(model.client, body | keeping.start(model, goes_on), console))
    ended = Following(model.client, job["id"], **follow).to_the_end()
    judges = "compile" in body and model.trained_compile != body["compile"]
    if goes_on or judges or keeping.job_of(model) is None:
        keeping.keep_job(model, job["id"], goes_on, states=goes_on and bool(model.settled.all_memories))
        model.trained_compile = body.get("compile")
    return ended


# -- fit, evaluate, predict ---------------------------------------------------------------------


def fit(model: Sequential, part: Json, callbacks: Any, verbose: int, options: Options) -> History:
    """Run a fit."""
    check_interrupt(options.on_interrupt)
    hearing = Hearing(callbacks, part["nb_epoch"])
    part = part | {"callbacks": [each.to_json() for each in hearing.served]}
    body = definition(model, seed_of(model), options, fit=part)
    params = {"nb_epoch": part["nb_epoch"], "batch_size": part["batch_size"], "nb_sample": rows_of(part)}
    params |= {"verbose": verbose, "metrics": model.metrics_names, "do_validation": "validation_data" in part}
    hearing.begin(model, params)
    told = hearing.epoch if hearing.ours else None
    follow = {"verbose": verbose, "queued": hearing.queued, "told": told, "on_interrupt": options.on_interrupt}
    with hearing.heard():
        job = run(model, body, follow, goes_on=True)
    model.fits += 1
    history = read(model.client.jobs.metrics(job["id"]), model=model, job=job["id"], params=params)
    hearing.end(history)
    return history


def seed_of(model: Built) -> int:
    """Return the seed of the model's next fit: the first one draws its weights, later ones other noise."""
    if not model.fits:
        return model.seed
    return int(np.random.SeedSequence([model.seed, model.fits]).generate_state(1)[0])


def evaluate(model: Built, part: Json, verbose: int) -> dict[str, float]:
    """Run an evaluation, at once where it is small and the weights are on the service."""
    body = definition(model, model.seed, Options(), evaluate=part)
    logs = None
    if model.trained_compile == body["compile"]:
        logs = _express(model, part, model.client.evaluations.create)
    if logs is None:
        logs = run(model, body, {"verbose": verbose})["evaluation"]
    return {name: number_of(logs[name]) for name in model.metrics_names}


def predict(model: Built, part: Json, verbose: int) -> Array:
    """Run a prediction, at once where it is small and the weights are on the service."""
    body = definition(model, model.seed, Options(), compiled=False, predict=part)
    answer = None if is_large(model, part) else _express(model, part, model.client.predictions.create)
    if answer is None:
        return arrays.predictions_of(model.client, run(model, body, {"verbose": verbose})["id"])
    return np.asarray(answer["y"], dtype=type_of(model, part))


def type_of(model: Built, part: Json) -> type[np.generic]:
    """Return the type that Keras 1 gives what is predicted."""
    if part.get("method") != "predict_classes":
        return np.float32
    return np.int64 if model.output_shape[-1] != 1 else np.int32


def is_large(model: Built, part: Json) -> bool:
    """Tell whether a prediction takes or gives more than is done at once."""
    outputs = prod(axis or 1 for axis in model.output_shape[1:]) * rows_of(part)
    return max(outputs, _values(part)) > _EXPRESS_VALUES


def _values(part: Json) -> int:
    return sum(each.array.size for each in arrays_in(part))


def _express(model: Built, part: Json, ask: Any) -> Json | None:
    """Have something done at once with the weights of the job that left them; None where a job is needed."""
    job = keeping.job_of(model)
    values = _values(part)
    if job is None or values > _EXPRESS_VALUES:
        return None
    try:
        done: Json = ask({"job": job, **_written(model, part, values)})
    except Refused as refusal:
        if refusal.status < 500:
            raise
        return None
    return done


def _written(model: Built, part: Json, values: int) -> Json:
    if values <= _INLINE_VALUES and all(np.isfinite(each.array).all() for each in arrays_in(part)):
        written: Json = _inline(part)
    else:
        written = sent(model.client, part)
    written.pop("verbose", None)
    return written


def _inline(value: Any) -> Any:
    if isinstance(value, Here):
        return value.array.tolist()
    if isinstance(value, Mapping):
        return {key: _inline(each) for key, each in value.items()}
    return [_inline(each) for each in value] if isinstance(value, list) else arrays.plain(value)


# -- weights ------------------------------------------------------------------------------------


def resting_in(model: Built, start: Json, compiled: bool = False) -> str:
    """Have the service take weights for a model into a job that trains nothing; return the job.

    Args:
        model: The model.
        start: More of the job's definition: its `weights`, and what files are wanted of it.
        compiled: Whether it is compiled, so that an optimizer goes on in it.
    """
    shapes = _some_rows(model)
    zeros = [{"random": list(shape), "high": 1} for shape in shapes]
    part = {"x": zeros if len(zeros) > 1 else zeros[0], "batch_size": shapes[0][0]}
    body = definition(model, model.seed, Options(), compiled=compiled, predict=part)
    job = model.client.jobs.create(sent(model.client, body | start))
    ended: str = Following(model.client, job["id"]).to_the_end()["id"]
    return ended


def _some_rows(model: Built) -> list[tuple[int, ...]]:
    shapes: list[Shape] = [each.shape for each in model.settled.inputs()]
    rows = next((shape[0] for shape in shapes if shape[0]), 1)
    return [(rows, *(axis or _SOME_LENGTH for axis in shape[1:])) for shape in shapes]


def job_with_weights(model: Built) -> str:
    """Return a job that has left exactly this model's weights, and have one made if there is none.

    Raises:
        TrainyardError: The model has no layers.
    """
    if not model.described_layers:
        raise TrainyardError("A model without layers has no weights.")
    job = keeping.job_of(model)
    if job is None:
        job = resting_in(model, keeping.start(model, goes_on=False))
        keeping.keep_job(model, job, has_optimizer=False)
    return job
