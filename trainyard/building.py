"""From layers as a person writes them to a model with names and shapes: what `Sequential.add` does.

Names are unique in the program, as in Keras 1, so that a layer is called the same in every model that it stands in.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from engine.definition import read_model
from engine.layer import Layer
from engine.limits import Limits
from engine.model import Sequential as Described
from trainyard import backend

if TYPE_CHECKING:
    from trainyard.built import Built

#: How large a model may be is for the service to say.
ANY_SIZE = Limits(**{each.name: 10**18 for each in fields(Limits) if each.name != "max_depth"}, max_depth=100)

_NUMBERED = re.compile(r"(.+)_([1-9]\d{0,8})")
_numbers: defaultdict[str, int] = defaultdict(int)


def numbered(prefix: str) -> str:
    """Make the next name of a kind: `dense_1`, `dense_2`."""
    _numbers[prefix] += 1
    return f"{prefix}_{_numbers[prefix]}"


def _note(layer: Layer) -> None:
    """Keep the next names apart from those that were given."""
    for each in layer.layers if isinstance(layer, Described) else ():
        _note(each)
    if found := _NUMBERED.fullmatch(layer.name or ""):
        _numbers[found[1]] = max(_numbers[found[1]], int(found[2]))


class Snapshot(Described):
    """A model in the place of a layer: as it was when it was put there, and which one it was."""

    live: Any  # a `Built`; the arguments of descriptions are found by their annotations


def snapshot(model: Built, layers: Sequence[Layer], name: str, trainable: bool) -> Snapshot:
    """Take a model as a layer."""
    taken = Snapshot(tuple(layers), name=name, trainable=trainable)
    taken.live = model
    return taken


def named(layer: Layer) -> Layer:
    """Give a layer, and those it holds, names; the same object gets the same name wherever it is added."""
    _note(layer)
    if isinstance(layer, Described):
        return layer
    # A description is frozen, but for what only follows from it.
    known: Layer | None = layer.__dict__.get("_named")
    if known is None:
        whole: Any = layer
        held = {key: _named_within(getattr(layer, key), layer.transparent) for key in layer.holds}
        known = replace(whole, name=layer.name or numbered(type(layer).__name__.lower()), **held)
        layer.__dict__["_named"] = known.__dict__["_named"] = known
    return known


def _named_within(value: Any, branches: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(_named_within(each, branches) for each in value)
    return named(first(value) if branches else value)


def first(layer: Layer) -> Layer:
    """Write a layer as the one that a model begins with."""
    return layer if layer.transparent or isinstance(layer, Described) else layer.as_first()


def settled(layers: Sequence[Layer]) -> Described:
    """Put named layers in their places, with all shapes that follow.

    Raises:
        DefinitionError: They do not make a model; `where` points at the layer.
    """
    definition = {"class_name": "Sequential", "config": [each.to_json() for each in layers]}
    return read_model(definition, ANY_SIZE, backend.image_dim_ordering())[0]


def held_models(layers: Sequence[Layer], prefix: str = "") -> Iterator[tuple[Built, str]]:
    """List the models that stand in the place of layers, however deep, and how the keys of their weights begin."""
    for layer in layers:
        if isinstance(layer, Described):
            yield from _models_in(layer, f"{prefix}{layer.name}/")
        for key in layer.holds:
            value = getattr(layer, key)
            for each in value if isinstance(value, tuple) else (value,):
                inner = prefix if layer.transparent else f"{prefix}{layer.name}/{each.name}/"
                if isinstance(each, Described):
                    yield from _models_in(each, inner)
                else:
                    yield from held_models([each], inner)


def _models_in(model: Described, prefix: str) -> Iterator[tuple[Built, str]]:
    if isinstance(model, Snapshot):
        yield model.live, prefix
    yield from held_models(model.layers, prefix)


def replaced(layers: Sequence[Layer], name: str, **changes: Any) -> list[Layer]:
    """Change the arguments of the layer of that name, in a Merge's branches too."""
    return [_replaced(each, name, changes) for each in layers]


def _replaced(layer: Layer, name: str, changes: dict[str, Any]) -> Layer:
    whole: Any = layer
    if layer.name == name and isinstance(layer, Snapshot):
        return snapshot(layer.live, layer.layers, name, changes.get("trainable", layer.trainable))
    if layer.name == name:
        return replace(whole, **changes)  # type: ignore[no-any-return]
    if layer.transparent:
        branches = tuple(_branch(each, name, changes) for each in whole.layers)
        return replace(whole, layers=branches)  # type: ignore[no-any-return]
    return layer


def _branch(branch: Layer, name: str, changes: dict[str, Any]) -> Layer:
    if not isinstance(branch, Described) or branch.name == name:
        return _replaced(branch, name, changes)
    layers = replaced(branch.layers, name, **changes)
    if isinstance(branch, Snapshot):
        return snapshot(branch.live, layers, str(branch.name), branch.trainable)
    return replace(branch, layers=tuple(layers))
