"""From a stranger's JSON to a settled model: every layer read, named and put in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.arguments import Shape
from engine.dialects import translate
from engine.errors import BadArgument, BadModel, ShapeMismatch, TooLarge, pointer, within
from engine.layer import LAYERS, Layer, shape_text
from engine.limits import Limits
from engine.model import NO_SHAPE, Sequential
from engine.registry import shown

Note = dict[str, str]


def read_model(value: Any, limits: Limits | None = None, dim_ordering: str = "tf") -> tuple[Sequential, list[Note]]:
    """Read a model's JSON, of Keras 1, 2 or 3, name its layers and check every shape and size.

    Args:
        value: The JSON.
        limits: How large it may be.
        dim_ordering: What "default" stands for: "th" has the channels of an image first, "tf" last.

    Returns:
        The model in its normal form, and what was translated on the way there.

    Raises:
        DefinitionError: It is no model, or too large a one; `where` points at the spot.
    """
    limits = limits or Limits()
    said = translate(value, limits)
    with said.pointing():
        model = _Reader(limits).model(said.value, 0)
        if not isinstance(model, Sequential):
            raise BadModel("A model must be a Sequential.", "/class_name")
        settled = _Settler(dim_ordering).settle(model, None)
        settled.masked(False)
        _check_size(settled, limits)
    return settled, said.told(_translations(model, settled))


class _Reader:
    """Turns JSON into layers, counting them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.count = 0
        self.characters = 0

    def model(self, value: Any, depth: int) -> Layer:
        if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
            raise BadModel(f'A model or layer must be {{"class_name": …, "config": …}}, but got {shown(value)}.')
        name, config = value["class_name"], value.get("config", {})
        beside = {key: each for key, each in value.items() if key not in ("class_name", "config")}
        if not depth:
            beside.pop("keras_version", None)
        if name == "Sequential":
            return self.sequential(config, depth, beside)
        if not depth:
            raise BadModel(f"A model must be a Sequential, but got {shown(name)}.", "/class_name")
        _check_beside(beside, ())
        with within("class_name"):
            cls = LAYERS[name]
        with within("config"):
            self.check_texts(config)
            return cls.from_config(self.with_layers(cls, config, depth))

    def with_layers(self, cls: type[Layer], config: Any, depth: int) -> Any:
        """Read those arguments that are layers themselves."""
        if not isinstance(config, Mapping):
            return config
        read = dict(config)
        for key in set(cls.holds) & set(config):
            with within(key):
                if isinstance(config[key], list):
                    read[key] = list(self.several(config[key], depth))
                elif isinstance(config[key], Mapping):
                    read[key] = self.held(config[key], depth)
        return read

    def several(self, values: list[Any], depth: int) -> Iterator[Layer]:
        for index, each in enumerate(values):
            with within(index):
                yield self.held(each, depth)

    def held(self, value: Any, depth: int) -> Layer:
        self.check(1, depth)
        return self.model(value, depth + 1)

    def sequential(self, config: Any, depth: int, beside: Mapping[str, Any]) -> Sequential:
        _check_beside(beside, ("name", "trainable") if depth else ())
        with within("config"):
            if not isinstance(config, list) or not config:
                raise BadModel(
                    f"The config of a Sequential must be a list of at least one layer, but got {shown(config)}."
                )
            self.check(len(config), depth)
            layers = []
            for index, each in enumerate(config):
                with within(index):
                    layers.append(self.model(each, depth + 1))
        return Sequential(tuple(layers), **beside)

    def check_texts(self, config: Any) -> None:
        """Bound what all functions of a model are long together, before any is read."""
        for each in config.values() if isinstance(config, Mapping) else ():
            text = each.get("source") if isinstance(each, Mapping) else each
            self.characters += len(text) if isinstance(text, str) else 0
        if self.characters > self.limits.max_function_characters:
            raise TooLarge(
                f"All functions of a model may have {self.limits.max_function_characters:,} characters together."
            )

    def check(self, more: int, depth: int) -> None:
        if depth >= self.limits.max_depth:
            raise TooLarge(f"Models may be nested {self.limits.max_depth} deep.")
        self.count += more
        if self.count > self.limits.max_layers:
            raise TooLarge(f"A model may have {self.limits.max_layers:,} layers, but this one has {self.count:,}.")


def _check_beside(beside: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in beside:
        if key not in known:
            raise BadArgument(f"A model or layer has no key {shown(key)}.", pointer(key))


@dataclass
class _Names:
    """The names of one model: those a stranger gave, and the layers that bear one."""

    given: set[str]
    borne: dict[str | None, Layer] = field(default_factory=dict)

    def bear(self, settled: Layer) -> None:
        """Note that a layer bears its name; it may stand twice, but two layers may not share one."""
        # The first of a model also holds the shape of the input, which is none of its own arguments.
        own = settled if isinstance(settled, Sequential) or settled.transparent else settled.as_later()
        if self.borne.setdefault(own.name, own) != own:
            raise BadModel(
                f"Two different layers are named {settled.name!r}. Rename one; a layer that shall stand "
                "twice must be written the same both times.",
                "/config/name",
            )


def _given_names(model: Sequential) -> Iterator[str]:
    for each in model.layers:
        if each.name:
            yield each.name
        if each.transparent:
            for branch in _held(each):
                yield from [branch.name] if branch.name else []
                yield from _given_names(branch) if isinstance(branch, Sequential) else ()


def _held(each: Layer) -> Iterator[Layer]:
    for key in each.holds:
        value = getattr(each, key)
        yield from value if isinstance(value, tuple) else (value,)


class _Settler:
    """Gives every layer a name and its place."""

    def __init__(self, dim_ordering: str) -> None:
        self.dim_ordering = dim_ordering
        self.counts: dict[str, int] = {}

    def settle(self, model: Sequential, incoming: Shape | None, names: _Names | None = None) -> Sequential:
        names = names or _Names(set(_given_names(model)))
        done: list[Layer] = []
        shape = incoming
        for index, each in enumerate(model.layers):
            with within("config", index):
                if index and _begins_with_merge(each):
                    raise BadModel(
                        "A Merge begins a model: what comes before it belongs into one of its `layers`.", "/class_name"
                    )
                settled = self.in_place(self.named(each, names), shape, names, first=index == 0)
                names.bear(settled)
                done.append(settled)
                shape = settled.output_shape(_input_of(settled, shape))
        whole = Sequential(tuple(done), name=model.name, trainable=model.trainable)
        tuple(whole.placed)
        return whole

    def named(self, each: Layer, names: _Names) -> Layer:
        if each.name is not None:
            return each
        prefix = type(each).__name__.lower()
        while True:
            self.counts[prefix] = self.counts.get(prefix, 0) + 1
            name = f"{prefix}_{self.counts[prefix]}"
            if name not in names.given:
                return replace(each, name=name)

    def in_place(self, each: Layer, shape: Shape | None, names: _Names, first: bool) -> Layer:
        if each.transparent:
            return each.holding(None, lambda branch, _: self.branch(branch, names))
        if isinstance(each, Sequential):
            declared = None if _begins_with_merge(each) else each.first_shape()
            if shape is not None and declared is not None:
                _check_meeting(each, declared, shape)
            return self.settle(each, shape if declared is None else None)
        if first:
            if shape is not None and each.first_shape() is None:
                each = replace(each, batch_input_shape=shape)
            each = each.as_first()
            shape = each.first_shape()
        else:
            each = each.as_later()
        if shape is None:
            raise BadModel(NO_SHAPE, "/config")
        each.check_rank(shape)
        with within("config"):
            each = each.holding(shape, self.within)
        return each.ordered(self.dim_ordering).settled(shape)

    def branch(self, branch: Layer, names: _Names) -> Layer:
        """Settle a branch of a Merge; its layers share the names of the model that the Merge stands in."""
        whole = branch if isinstance(branch, Sequential) else Sequential((branch,))
        named = self.named(whole, names)
        settled = self.settle(whole, None, names)
        names.bear(settled := replace(settled, name=named.name))
        return settled

    def within(self, each: Layer, shape: Shape | None) -> Layer:
        """Settle a layer that another one holds."""
        named = self.named(each, _Names(set()))
        return self.in_place(named, shape, _Names(set()), first=isinstance(named, Sequential))


def _begins_with_merge(each: Layer) -> bool:
    return each.transparent or (isinstance(each, Sequential) and _begins_with_merge(each.layers[0]))


def _input_of(settled: Layer, shape: Shape | None) -> Shape:
    own = settled.first_shape()
    if isinstance(settled, Sequential) or shape is None:
        if own is None:
            raise BadModel(NO_SHAPE, "/config")
        return own
    return shape


def _check_meeting(model: Sequential, declared: Shape, shape: Shape) -> None:
    fits = len(declared) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(declared, shape, strict=True)
    )
    if not fits:
        raise ShapeMismatch(
            f"Model {model.name} declares an input of {shape_text(declared)}, but gets {shape_text(shape)}."
        )


def _check_size(model: Sequential, limits: Limits) -> None:
    total = 0
    for index, placed in enumerate(model.placed):
        total += placed.parameters(True) + placed.parameters(False)
        if total > limits.max_parameters:
            raise TooLarge(
                f"A model may have {limits.max_parameters:,} parameters, but this one has {total:,} by layer "
                f"{placed.layer.name}.",
                pointer("config", index),
            )


def _is_width(declared: Layer, real: Shape) -> bool:
    """Tell whether a layer declares no more than the width it gets, as the normal form does."""
    whole = declared.input_shape or declared.batch_input_shape
    return whole is None and getattr(declared, "input_dim", None) == real[-1]


def _translations(given: Sequential, settled: Sequential) -> list[Note]:
    """Say where a declaration was replaced by what the layers before it really give."""
    notes = []
    for index, (before, after) in enumerate(zip(given.layers, settled.layers, strict=True)):
        said = before.first_shape() if index else None
        real = settled.placed[index].input_shape
        if said is not None and said[1:] != real[1:] and not _is_width(before, real):
            notes.append(
                {
                    "pointer": pointer("config", index, "config"),
                    "detail": f"Layer {after.name} declares an input of {shape_text(said)}, which Keras 1 does not "
                    f"heed after the first layer; it gets {shape_text(real)}.",
                }
            )
    return notes
