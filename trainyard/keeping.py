"""Where a model's weights are: not drawn yet, in a job on the service or a session that is open there, or here.

Models that stand in one another share weights, as in Keras 1; whichever of them changed last has the say.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.drawing import draw
from engine.files.layout import groups
from engine.files.slots import Slot
from trainyard import arrays, tensors
from trainyard.arrays import Array
from trainyard.building import held_models
from trainyard.calls import Json
from trainyard.errors import JobFailed, TrainyardError

if TYPE_CHECKING:
    from trainyard.built import Built
    from trainyard.stepping import Stepping

#: What a job leaves of what stateful layers remember.
_STATES = "states.safetensors"

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
        states: Whether its stateful layers go on as well, from what they remember.
        here: The weights themselves, by their keys.
        session: That job, where it is a session, which may be open still.
    """

    moment: int = 0
    job: str | None = None
    prefix: str = ""
    whole: bool = False
    optimizer: str | None = None
    states: bool = False
    here: dict[str, Array] | None = None
    session: Stepping | None = None


def keep(model: Built, weights: dict[str, Array]) -> None:
    """Have a model's weights be these; what its optimizer has gathered stays."""
    model.kept = Kept(next(_moments), optimizer=model.kept.optimizer, here=weights)


def keep_job(
    model: Built, job_id: str, has_optimizer: bool, states: bool = False, session: Stepping | None = None
) -> None:
    """Have the weights of a model, and of the models that stand in it, be those that a job has left.

    Args:
        model: The model.
        job_id: The job.
        has_optimizer: Whether its optimizer is the one that goes on; otherwise it stays the one that there was.
        states: Whether its stateful layers go on from what they remember.
        session: The job, where it is a session that is open.
    """
    moment = next(_moments)
    optimizer = job_id if has_optimizer else model.kept.optimizer
    model.kept = Kept(moment, job_id, whole=True, optimizer=optimizer, states=states, session=session)
    for other, prefix in held_models(model.described_layers):
        other.kept = Kept(moment, job_id, prefix, optimizer=other.kept.optimizer, session=session)


def has_states(model: Built, job_id: str) -> bool:
    """Tell whether a job has left what a model's layers remember."""
    if not model.settled.all_memories:
        return False
    return any(each["name"] == _STATES for each in model.client.jobs.artifacts(job_id)["items"])


def keep_session(model: Built, session: Stepping) -> None:
    """Have a session that has just begun from what a model has keep it; what it had is fallen back to if it is lost."""
    before = [(each, each.kept) for each in (model, *(other for other, _ in held_models(model.described_layers)))]
    fits = model.fits

    def fall_back() -> None:
        model.fits = fits
        for each, kept in before:
            if each.kept.session is session:
                each.kept = kept
            elif each.kept.optimizer == session.job_id:
                each.kept = replace(each.kept, optimizer=kept.optimizer)

    session.lost = fall_back
    keep_job(model, session.job_id, False, model.kept.states, session)


def changed_shape(model: Built) -> None:
    """Note that layers came or went: what is known of the others stays."""
    kept = model.kept
    if kept.moment:
        model.kept = Kept(kept.moment, kept.job, kept.prefix, here=kept.here, session=kept.session)


def newer(model: Built) -> list[tuple[Built, str]]:
    """List the models standing in this one whose weights changed after its own, the latest last."""
    found = [each for each in held_models(model.described_layers) if each[0].kept.moment > model.kept.moment]
    return sorted(found, key=lambda each: each[0].kept.moment)


def session_of(model: Built) -> Stepping | None:
    """The open session whose weights, all of them, are those of this very model, if there is one."""
    kept = model.kept
    is_open = kept.session is not None and not kept.session.ended
    return kept.session if is_open and kept.whole and not newer(model) else None


def job_of(model: Built) -> str | None:
    """The ended job whose weights, all of them, are those of this very model, if there is one; a session is closed."""
    if not model.kept.whole or newer(model):
        return None
    close(model)
    return model.kept.job


def close(model: Built) -> None:
    """Close a model's session, if one is open.

    Raises:
        JobFailed: It did not end well; the model is as it was when that session began.
    """
    if model.steps is not None:
        model.steps.stepping.close()


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
    left = kept.session.weights() if kept.session else arrays.weights_of(model.client, kept.job)
    return {key: left[kept.prefix + key] for key in wanted if kept.prefix + key in left}


def start(model: Built, goes_on: bool) -> Json:
    """Say what a job begins from: the `weights` of its definition, if any; what is only here is sent.

    Args:
        model: The model.
        goes_on: Whether the optimizer, and what layers remember, go on in it, where there is any.
    """
    if job := job_of(model):
        whose = model.kept.optimizer if goes_on else None
        optimizer = {"optimizer": True} if whose == job else _optimizer_of(whose)
        remembered = {"states": True} if goes_on and model.kept.states else {}
        return {"weights": {"job": job, **optimizer, **remembered}}
    if not model.kept.moment and not newer(model):
        return {}
    weights = weights_of(model)
    with suppress(JobFailed):  # whatever becomes of a session that does not have the model's weights any more
        close(model)
    with arrays.folder() as place:
        path = place / "weights.safetensors"
        tensors.write(path, weights)
        whose = model.kept.optimizer if goes_on else None
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
