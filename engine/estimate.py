"""How much a job will take, by arithmetic on its description."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import TYPE_CHECKING, TypedDict

from engine.model import Placed, Sequential, branches_of

if TYPE_CHECKING:
    from engine.compiled import Compile
    from engine.matching import Fed
    from engine.methods import Fit

#: Bytes of a float32.
WIDTH = 4


class Estimate(TypedDict):
    """What a job will take: values that its layers give for a sample, bytes of memory, and steps of training."""

    parameters: int
    activations: int
    memory_bytes: int
    steps_per_epoch: int
    total_steps: int


def estimate(
    model: Sequential, compiled: Compile | None, fit: Fit | None, fed: Fed | None, batch_size: int, trains: bool
) -> Estimate:
    """Estimate memory (weights, gradients, slots, one batch's activations and their gradients) and steps.

    A session trains without a fit, and nobody knows how often.
    """
    total = sum(each.size for each in model.all_weights)
    trained = sum(each.size for each in model.all_weights if each.trainable)
    copies = 2 + len(compiled.optimizer.moments) if compiled and trains else 0
    activations = _values(model.placed)
    held = activations * batch_size * (2 if trains else 1)
    steps = ceil(fed.samples / fit.batch_size) if fit and fed else 0
    if fit and fed and fit.samples_per_epoch is not None:
        steps = ceil(fit.samples_per_epoch * steps / fed.samples)  # on average: a short batch ends some passes
    epochs = max(0, fit.nb_epoch - fit.initial_epoch) if fit else 0
    return {
        "parameters": total,
        "activations": activations,
        "memory_bytes": WIDTH * (total + trained * copies + held),
        "steps_per_epoch": steps,
        "total_steps": steps * epochs,
    }


def _values(placed: Iterable[Placed]) -> int:
    """Count the values all layers give for one sample; an axis of any length counts as one."""
    count = 0
    for each in placed:
        inner = each.layer
        count += inner.values(each.input_shape)
        if isinstance(inner, Sequential):
            count += _values(inner.place(each.input_shape))
        count += sum(_values(branch.placed) for branch in branches_of(inner))
    return count
