"""How a model's weights lie in a file: groups, one for every layer, in order.

Keras 1 has our own arrays. Keras 2 and 3 join some, turn the axes of others and name them anew; `conversions` says how.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import BadFile
from engine.files.conversions import modern
from engine.files.keras3_order import order
from engine.files.slots import Slot, as_it_is
from engine.model import Placed, Sequential, branches_of


@dataclass(frozen=True)
class Group:
    """One layer of a file with its arrays."""

    name: str
    slots: tuple[Slot, ...]
    placed: Placed
    #: What its weights' keys begin with, before the layer's own name.
    prefix: str = ""


def groups(model: Sequential, into: str | None = None, version: int = 1) -> list[Group]:
    """List the groups of a model, or of the layer or branch named `into` alone, as some version of Keras has them.

    The layers of a Merge's branches come one by one, in the Merge's place. A nested model is one group: the trained
    arrays of all its layers first, then the others.

    Raises:
        BadFile: There is no layer or branch named `into`.
    """
    placed, prefix = (list(model.leaves()), "") if into is None else _inside(model, into)
    unique = {each.layer.name: each for each in placed}
    if version == 3 and into is None and model.layers[0].transparent:
        places = order(model)
        unique = dict(sorted(unique.items(), key=lambda item: places[item[0]]))
    slots = _slots if version == 1 else _modern_slots
    return [Group(str(name), tuple(slots(each, prefix)), each, prefix) for name, each in unique.items()]


def _inside(model: Sequential, into: str) -> tuple[list[Placed], str]:
    """List the layers of the branch, nested model or layer of that name, and the prefix of their keys."""
    branches = {branch.name: branch for branch in _branches(model)}
    if into in branches:
        return list(branches[into].leaves()), ""
    leaves = {each.layer.name: each for each in model.leaves()}
    if into not in leaves:
        names = ", ".join(str(name) for name in (*branches, *leaves))
        raise BadFile(f"`into` names {into!r}, but the model's branches and layers are: {names}.", "/weights/into")
    found = leaves[into]
    if isinstance(found.layer, Sequential):
        return list(found.layer.leaves(found.input_shape)), f"{into}/"
    return [found], ""


def _branches(model: Sequential) -> Iterator[Sequential]:
    for branch in branches_of(model.layers[0]):
        yield branch
        yield from _branches(branch)


def _slots(placed: Placed, prefix: str) -> Iterator[Slot]:
    nested = isinstance(placed.layer, Sequential)
    weights = sorted(placed.weights, key=lambda each: not each.trainable) if nested else placed.weights
    for each in weights:
        yield as_it_is("_".join(each.name.rsplit("/", 2)[-2:]), prefix + each.name, each)


def _modern_slots(placed: Placed, prefix: str) -> list[Slot]:
    trained = {each.name for each in placed.weights if each.trainable}
    slots = modern(placed.layer, placed.input_shape, f"{prefix}{placed.layer.name}/")
    return sorted(slots, key=lambda slot: slot.keys[0].removeprefix(prefix) not in trained)
