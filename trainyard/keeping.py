"""Where a model's weights are: not drawn yet, in a job on the service, or here.

Models that stand in one another share weights, as in Keras 1; whichever of them changed last has the say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.drawing import draw
from engine.files.layout import groups
from engine.files.slots import Slot
from trainyard import arrays, tensors
from trainyard.arrays import Array
from trainyard.building import held_models
from trainyard.calls import Json
from trainyard.errors import TrainyardError

if TYPE_CHECKING:
    from trainyard.built import Built

_moments = itertools.count(1)


@dataclass(frozen=True)
class Kept:
    """Where a model's weights are.

    Args:
        moment: When they last changed; 0 while they are still to be drawn.
        job: The job that has left them.
        prefix: What their keys begin with there.
        whole: Whether that job's model is this very model, so that another job can begin from it.
        optimizer: The job whose optimizer goes on, if there is one since the model was compiled.
        here: The weights themselves, by their keys.
    """

    moment: int = 0
    job: str | None = None
    prefix: str = ""
    whole: bool = False
    optimizer: str | None = None
    here: dict[str, Array] | None = None


def keep(model: Built, weights: dict[str, Array]) -> None:
    """Have a model's weights be these; what its optimizer has gathered stays."""
    model.kept = Kept(next(_moments), optimizer=model.kept.optimizer, here=weights)


def keep_job(model: Built, job_id: str, has_optimizer: bool) -> None:
    """Have the weights of a model, and of the models that stand in it, be those that a job has left.

    Args:
        model: The model.
        job_id: The job.
        has_optimizer: Whether its optimizer is the one that goes on; otherwise it stays the one that there was.
    """
    moment = next(_moments)
    optimizer = job_id if has_optimizer else model.kept.optimizer
    model.kept = Kept(moment, job_id, whole=True, optimizer=optimizer)
    for other, prefix in held_models(model.described_layers):
        other.kept = Kept(moment, job_id, prefix, optimizer=other.kept.optimizer)


def changed_shape(model: Built) -> None:
    """Note that layers came or went: what is known of the others stays."""
    kept = model.kept
    if kept.moment:
        model.kept = Kept(kept.moment, kept.job, kept.prefix, here=kept.here)


def newer(model: Built) -> list[tuple[Built, str]]:
    """List the models standing in this one whose weights changed after its own, the latest last."""
    found = [each for each in held_models(model.described_layers) if each[0].kept.moment > model.kept.moment]
    return sorted(found, key=lambda each: each[0].kept.moment)


def job_of(model: Built) -> str | None:
    """The job whose weights, all of them, are those of this very model, if there is one."""
    kept = model.kept
    return kept.job if kept.whole and not newer(model) else None


def weights_of(model: Built) -> dict[str, Array]:
    """Return every weight by its key; those that nobody has set are drawn from the model's seed."""
    wanted = {each.name: each.shape for each in model.settled.all_weights}
    known = _own(model, wanted)
    if missing := wanted.keys() - known.keys():
        drawn = draw(model.settled.all_weights, model.seed)
        known |= {key: drawn[key] for key in missing}
    for other, prefix in newer(model):
        known |= {prefix + key: each for key, each in weights_of(other).items() if prefix + key in wanted}
    return {key: known[key] for key in wanted}


def _own(model: Built, wanted: Iterable[str]) -> dict[str, Array]:
    kept = model.kept
    if kept.here is not None:
        return {key: kept.here[key] for key in wanted if key in kept.here}
    if kept.job is None:
        return {}
    left = arrays.weights_of(model.client, kept.job)
    return {key: left[kept.prefix + key] for key in wanted if kept.prefix + key in left}


def start(model: Built, goes_on: bool) -> Json:
    """Say what a job begins from: the `weights` of its definition, if any; what is only here is sent.

    Args:
        model: The model.
        goes_on: Whether the optimizer goes on in it, where there is one.
    """
    whose = model.kept.optimizer if goes_on else None
    if job := job_of(model):
        return {"weights": {"job": job, **({"optimizer": True} if whose == job else _optimizer_of(whose))}}
    if not model.kept.moment and not newer(model):
        return {}
    with arrays.folder() as place:
        path = place / "weights.safetensors"
        tensors.write(path, weights_of(model))
        return {"weights": {"id": model.client.upload_weights(path)["id"], **_optimizer_of(whose)}}


def _optimizer_of(job: str | None) -> Json:
    return {"optimizer_of": job} if job else {}


def slots(model: Built, layer: str | None = None) -> list[Slot]:
    """List a model's weights, or those of one of its layers, in Keras 1's order."""
    found = groups(model.settled)
    return [slot for group in found if layer in (None, group.name) for slot in group.slots]


def in_order(model: Built, layer: str | None = None) -> list[Array]:
    """Return the weights of a model, or of one of its layers, in Keras 1's order."""
    known = weights_of(model)
    return [known[slot.keys[0]].copy() for slot in slots(model, layer)]


def put(model: Built, weights: Iterable[Array], layer: str | None = None) -> None:
    """Set the weights of a model, or of one of its layers, in Keras 1's order.

    Raises:
        TrainyardError: They are not as many, or not of the shapes, that there are.
    """
    places, given = slots(model, layer), [np.asarray(each, dtype=np.float32) for each in weights]
    wanted = [slot.shape for slot in places]
    if [each.shape for each in given] != wanted:
        raise TrainyardError(
            f"{layer or model.name} takes {len(wanted)} arrays of the shapes {wanted}, but got {len(given)} of "
            f"{[each.shape for each in given]}."
        )
    keep(model, weights_of(model) | {slot.keys[0]: each for slot, each in zip(places, given, strict=True)})
