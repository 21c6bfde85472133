"""Functional models: those that are a row of layers, or branches that meet, are written as a Sequential is.

A branch begins at an input. Where an input or the layers after it lead into several branches, they stand in each of
them under the same names, which makes them one: a Merge takes such an input once, and its weights too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.dialects.parts import check_dtype, check_origin
from engine.dialects.sent import Sent
from engine.errors import BadArgument, BadModel, TooLarge, within
from engine.limits import Limits
from engine.registry import shown

MODELS = frozenset({"Model", "Functional"})
#: What joins tensors, by the mode of Keras 1's Merge.
JOINS = {"Add": "sum", "Multiply": "mul", "Average": "ave", "Maximum": "max", "Concatenate": "concat", "Dot": "dot"}
#: Layers that draw: two branches that share one would draw twice.
DRAWING = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout")
ADVICE = "Write the model as a Sequential, or as branches from inputs that meet in Add, Concatenate and the like."


@dataclass(frozen=True)
class Node:
    """A layer of a functional model in its place in a row.

    Args:
        index: Where it stands in the client's list.
        value: The client's object; None for one that only gives an input its name.
        branches: What it joins, if it does.
        entry: Where the InputLayer that it begins with stands, and what it says.
        name: Its name, where it has no object.
    """

    index: int
    value: Mapping[str, Any] | None
    branches: tuple[tuple[Node, ...], ...] = ()
    entry: tuple[int, Mapping[str, Any]] | None = None
    name: str = ""

    def identity(self, at: str) -> Sent:
        """Write a layer that changes nothing and bears an input's name."""
        new, config = Sent(at), Sent(f"{at}/config")
        config.put("name", self.name, f"{at}/config/name")
        config.put("activation", "linear", at)
        new.put("class_name", "Activation", f"{at}/class_name")
        new.put("config", config, f"{at}/config")
        return new

    def merge(self, at: str) -> Sent:
        """Write a Merge, without its branches yet."""
        value = self.value or {}
        given = value.get("config", {})
        new, config = Sent(at), Sent(f"{at}/config")
        with within("config", "layers", self.index):
            check_origin(value)
            if not isinstance(given, Mapping):
                raise BadArgument(f"The config of a layer must be an object, but got {shown(given)}.", "/config")
            if value["class_name"] == "Merge":
                for key, each in given.items():
                    config.put(key, each, f"{at}/config/{key}")
            else:
                _join(str(value["class_name"]), given, config)
        new.put("class_name", "Merge", f"{at}/class_name")
        new.put("config", config, f"{at}/config")
        return new


def _join(name: str, given: Mapping[str, Any], config: Sent) -> None:
    config.put("mode", JOINS[name], config.origin)
    known = {"Concatenate": {"axis": "concat_axis"}, "Dot": {"axes": "dot_axes"}}.get(name, {})
    for key, value in given.items():
        with within("config", key):
            if key == "dtype":
                check_dtype(value)
            elif key == "name" or key in known:
                config.put(known.get(key, key), value, f"{config.origin}/{key}")
            elif key == "normalize" and name == "Dot":
                config["mode"] = "cos" if value is True else "dot"
            elif key != "trainable":
                raise BadArgument(f"{name} has no argument {shown(key)} here.")


@dataclass(frozen=True)
class Flat:
    """A functional model as a row, and what is to be told of it; pointers are below its config."""

    chain: tuple[Node, ...]
    notes: list[dict[str, str]] = field(default_factory=list)


def unrolled(config: Any, limits: Limits) -> Flat:
    """Read a functional model's layers into a row.

    Raises:
        BadModel: It is none.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
        raise BadModel(f'The config of a functional model must be {{"layers": […], …}}, but got {shown(config)}.')
    for key in config:
        if key not in ("name", "trainable", "dtype", "layers", "input_layers", "output_layers"):
            raise BadArgument(f"The config of a functional model has no key {shown(key)}.", f"/{key}")
    return _Graph(config, limits).flat()


class _Graph:
    """Who comes before whom in a functional model."""

    def __init__(self, config: Mapping[str, Any], limits: Limits) -> None:
        self.limits = limits
        self.output = _one_output(config.get("output_layers"))
        self.index: dict[str, int] = {}
        self.layers: dict[str, Mapping[str, Any]] = {}
        self.before: dict[str, list[str]] = {}
        self.count = 0
        self.entries: list[str] = []
        for index, each in enumerate(config["layers"]):
            with within("layers", index):
                name = _name(each)
                if name in self.index:
                    raise BadModel(f"Two layers are named {shown(name)}. Rename one.", "/config/name")
                self.index[name], self.layers[name] = index, each
                with within("inbound_nodes"):
                    self.before[name] = list(_before(each.get("inbound_nodes", [])))

    def flat(self) -> Flat:
        chain = self.chain(self.output, 0)
        for name, index in self.index.items():
            if name not in self.reached(chain):
                raise BadModel(f"Layer {shown(name)} does not lead to the output. Leave it out.", f"/layers/{index}")
        note = "A functional model whose layers are a row is a Sequential."
        if chain[0].branches:
            names = ", ".join(dict.fromkeys(self.entries))
            note = f"Branches that meet are a Merge, which begins a Sequential; its inputs are, in this order: {names}."
        return Flat(tuple(chain), [{"pointer": "", "detail": note}])

    def reached(self, chain: list[Node]) -> set[str]:
        names: set[str] = set()
        stack = [self.output]
        while stack:
            name = stack.pop()
            if name not in names:
                names.add(name)
                stack += self.before.get(name, [])
        return names

    def chain(self, name: str, depth: int) -> list[Node]:
        """Walk back from a layer to the input, or to where branches meet."""
        row: list[Node] = []
        while True:
            self.check(name, depth)
            value, before = self.layers[name], self.before[name]
            if value["class_name"] == "InputLayer":
                return list(reversed(self.begun(row, name)))
            with within("layers", self.index[name]):
                self.check_place(name, value, before)
            if len(before) != 1:
                branches = tuple(tuple(self.chain(each, depth + 1)) for each in before)
                return [Node(self.index[name], value, branches), *reversed(row)]
            row.append(Node(self.index[name], value))
            name = before[0]

    def check(self, name: str, depth: int) -> None:
        self.count += 1
        if name not in self.layers:
            raise BadModel(f"There is no layer {shown(name)}, but it is said to come before another.", "/layers")
        if self.count > self.limits.max_layers or depth > self.limits.max_depth:
            raise TooLarge(f"The model's branches meet too often to be written as a row. {ADVICE}", "/layers")

    def begun(self, row: list[Node], name: str) -> list[Node]:
        """Begin a row, which is still the wrong way round, with an input."""
        entry = (self.index[name], self.layers[name])
        self.entries.append(name)
        if row and self.uses(name) == 1:
            first = row.pop()
            return [*row, Node(first.index, first.value, entry=entry)]
        return [*row, Node(self.index[name], None, entry=entry, name=name)]

    def uses(self, name: str) -> int:
        return sum(before.count(name) for before in self.before.values())

    def check_place(self, name: str, value: Mapping[str, Any], before: list[str]) -> None:
        """Refuse a layer that cannot stand in a row, or cannot be shared."""
        if len(before) != 1 and (value["class_name"] not in (*JOINS, "Merge") or not before):
            raise BadModel(
                f"Layer {shown(name)} ({value['class_name']}) takes {len(before)} tensors, which no layer of a "
                f"Sequential does. {ADVICE}",
                "/inbound_nodes",
            )
        config = value.get("config")
        noisy = value["class_name"] in DRAWING or (
            isinstance(config, Mapping) and any(config.get(key) for key in ("dropout", "recurrent_dropout", "stateful"))
        )
        if noisy and self.uses(name) > 1:
            raise BadModel(
                f"Layer {shown(name)} draws or remembers, and leads into several branches, where it would do so for "
                "each. Move it into the branches.",
            )


def _name(value: Any) -> str:
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        raise BadModel(f'A layer must be {{"class_name": …, "config": …}}, but got {shown(value)}.')
    config = value.get("config")
    name = value.get("name", config.get("name") if isinstance(config, Mapping) else None)
    if not isinstance(name, str):
        raise BadModel("A layer of a functional model must have a `name`.")
    return name


def _one_output(value: Any) -> str:
    first = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(first, list) or len(first) != 3 or not isinstance(first[0], str) or first[1:] != [0, 0]:
        raise BadModel(
            f'A model must have one output, such as [["dense_1", 0, 0]], but got {shown(value)}. Several outputs are '
            "several models here: post one for each.",
            "/output_layers",
        )
    return first[0]


def _before(nodes: Any) -> Iterator[str]:
    """Name the layers whose tensors a layer takes."""
    if not isinstance(nodes, list) or len(nodes) > 1:
        raise BadModel(
            "A layer may be called once: one that is shared is written in every place, with the same name, in the "
            "branches of a Merge."
        )
    for node in nodes:
        yield from _called(node) if isinstance(node, Mapping) else _listed(node)


def _listed(node: Any) -> Iterator[str]:
    for each in node if isinstance(node, list) else [None]:
        if not isinstance(each, list) or len(each) not in (3, 4) or not isinstance(each[0], str):
            raise BadModel(f'A layer takes tensors such as ["dense_1", 0, 0], but got {shown(each)}.')
        _check_call(each[1:3], each[3] if len(each) == 4 else {})
        yield each[0]


def _called(node: Mapping[str, Any]) -> Iterator[str]:
    arguments = node.get("args")
    if not isinstance(arguments, list) or len(arguments) != 1:
        raise BadModel("A layer must be called with one argument: a tensor, or a list of them.")
    for each in arguments[0] if isinstance(arguments[0], list) else arguments:
        config = each.get("config") if isinstance(each, Mapping) else None
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        if not isinstance(history, list) or len(history) != 3 or not isinstance(history[0], str):
            raise BadModel(f"A layer takes tensors of other layers, but got {shown(each)}.")
        arguments_by_name = node.get("kwargs", {})
        if isinstance(arguments_by_name, Mapping) and arguments_by_name.get("training") is False:
            arguments_by_name = {**arguments_by_name, "training": None}  # what it was when the model was put together
        _check_call(history[1:], arguments_by_name)
        yield history[0]


def _check_call(place: Any, arguments: Any) -> None:
    if place != [0, 0]:
        raise BadModel("A layer has one output here, the first of its first call.")
    told = (
        {key: each for key, each in arguments.items() if each is not None} if isinstance(arguments, Mapping) else None
    )
    if told is None or told:
        raise BadModel(f"A layer is called with a tensor alone here, but got {shown(arguments)}.")
