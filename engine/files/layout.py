"""How a model's weights lie in a Keras 1 file: one group for every layer, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import BadFile
from engine.model import Placed, Sequential


@dataclass(frozen=True)
class Slot:
    """One array of a file: its name there, the weight's key in the model, its shape."""

    name: str
    key: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Group:
    """One layer of a file with its arrays."""

    name: str
    slots: tuple[Slot, ...]


def groups(model: Sequential, into: str | None = None) -> list[Group]:
    """List the groups of a model, or of the layer named `into` alone.

    A nested model is one group: the trained arrays of all its layers first, then the others.

    Raises:
        BadFile: There is no layer named `into`.
    """
    placed, prefix = model.placed, ""
    if into is not None:
        found = next((each for each in placed if each.layer.name == into), None)
        if found is None:
            names = ", ".join(str(each.layer.name) for each in placed)
            raise BadFile(f"`into` names {into!r}, but the model's layers are: {names}.", "/weights/into")
        placed, prefix = (found,), ""
        if isinstance(found.layer, Sequential):
            placed, prefix = tuple(found.layer.place(found.input_shape)), f"{into}/"
    unique = {each.layer.name: each for each in placed}
    return [Group(str(name), tuple(_slots(each, prefix))) for name, each in unique.items()]


def _slots(placed: Placed, prefix: str) -> Iterator[Slot]:
    nested = isinstance(placed.layer, Sequential)
    weights = sorted(placed.weights, key=lambda each: not each.trainable) if nested else placed.weights
    for each in weights:
        yield Slot("_".join(each.name.rsplit("/", 2)[-2:]), prefix + each.name, each.shape)
