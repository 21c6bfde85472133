"""A model of any Keras, read into the Keras 1 form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.dialects.config import Config, translated
from engine.dialects.graph import MODELS, Node, unrolled
from engine.dialects.masks import carry
from engine.dialects.parts import check_dtype, check_origin
from engine.dialects.rules import ALIASES, COMMON, REFUSED, RULES, Rule
from engine.dialects.sent import Sent
from engine.dialects.speech import Spoken, spoken
from engine.dialects.translation import Note, Translation
from engine.errors import BadArgument, BadModel, TooLarge, UnknownName, pointer, within
from engine.limits import Limits
from engine.registry import shown

#: What stands beside a config and means nothing to the numbers.
BESIDE = ("module", "registered_name", "build_config", "shared_object_id")
#: What stands beside a whole model's.
AROUND = (*BESIDE, "keras_version", "backend", "compile_config", "name", "trainable")


def translate(value: Any, limits: Limits) -> Translation:
    """Read a model of any Keras; one of Keras 1 stays what it is.

    Raises:
        DefinitionError: Something in it cannot be said in the Keras 1 form; `where` points at the spot.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
        return Translation(value)
    version = spoken(value)
    if version.version == 1 and value["class_name"] not in MODELS:
        return Translation(value)
    translator = _Translator(version, limits)
    model = translator.model(value, "", 0)
    return Translation(model, translator.notes)


class _Translator:
    """One reading of one model."""

    def __init__(self, speech: Spoken, limits: Limits) -> None:
        self.speech = speech
        self.limits = limits
        self.notes: list[Note] = []

    def note(self, where: str, detail: str) -> None:
        self.notes.append({"pointer": where, "detail": detail})

    def model(self, value: Mapping[str, Any], at: str, depth: int) -> Sent:
        """Read a whole model: the outermost, or one that stands in another."""
        if depth > self.limits.max_depth:
            raise TooLarge(f"Models may be nested {self.limits.max_depth} deep.")
        check_origin(value)
        new = Sent(at)
        if not depth:
            self.head(value)
        for key, each in value.items():
            if key not in (*AROUND, "class_name", "config", "inbound_nodes") or (
                key in ("name", "trainable") and depth
            ):
                new.put(key, each, at + pointer(key))
        new.put("class_name", "Sequential", at + "/class_name")
        self.layers(value, new, at, depth)
        if not depth:
            for name in ("name", "trainable"):
                new.pop(name, None)
            carry(new["config"], self.speech)
        return new

    def head(self, value: Mapping[str, Any]) -> None:
        """Say once what holds for all of it."""
        if self.speech.version > 1:
            self.note(
                "",
                f"Read as {self.speech.name} and stored in the Keras 1 form; where the two compute differently, the "
                f"layers keep {self.speech.name}'s numbers.",
            )
        if value.get("compile_config"):
            self.note(
                "/compile_config", "How to compile it is told by `compile` of a job, which may be written the same."
            )

    def layers(self, value: Mapping[str, Any], new: Sent, at: str, depth: int) -> None:
        config, place = value.get("config"), at + "/config"
        if value["class_name"] in MODELS:
            with within("config"):
                flat = unrolled(config, self.limits)
            new.put("config", [self.node(each, place, depth) for each in flat.chain], place + "/layers")
            self.notes += [{**each, "pointer": place + each["pointer"]} for each in flat.notes]
            return
        elements: Any = config
        steps: tuple[str, ...] = ("config",)
        if isinstance(config, Mapping):
            with within("config"):
                self.around(config, new, at, depth)
            elements, place, steps = config.get("layers"), place + "/layers", ("config", "layers")
        with within(*steps):
            new.put("config", self.row(elements, place, depth), place)
        if isinstance(config, Mapping) and isinstance(config.get("build_input_shape"), list):
            built = Sent(f"{at}/config")
            built.put("batch_input_shape", config["build_input_shape"], f"{at}/config/build_input_shape")
            _feed(next(iter(new["config"] or ()), None), built)

    def around(self, config: Mapping[str, Any], new: Sent, at: str, depth: int) -> None:
        """Read what a Sequential's config holds beside its layers."""
        for key, value in config.items():
            with within(key):
                if key == "dtype":
                    check_dtype(value)
                elif key in ("name", "trainable"):
                    if depth and (key, value) != ("trainable", True):
                        new.put(key, value, f"{at}/config/{key}")
                elif key not in ("layers", "build_input_shape"):
                    raise BadArgument(f"The config of a Sequential has no key {shown(key)}.")

    def row(self, elements: Any, at: str, depth: int) -> Any:
        """Read the layers of a Sequential; an InputLayer gives the first of them its shape."""
        if not isinstance(elements, list) or len(elements) > self.limits.max_layers + 1:
            return elements
        done: list[Any] = []
        first = None
        for index, each in enumerate(elements):
            with within(index):
                if isinstance(each, Mapping) and each.get("class_name") == "InputLayer":
                    first = self.entry(each, f"{at}/{index}", index)
                else:
                    done.append(self.element(each, f"{at}/{index}", depth))
        if first is not None and done:
            _feed(done[0], first)
        return done

    def entry(self, value: Mapping[str, Any], at: str, index: int) -> Sent:
        """Read an InputLayer."""
        if index:
            raise BadModel("An InputLayer begins a model.", "/class_name")
        check_origin(value)
        config = value.get("config")
        if not isinstance(config, Mapping):
            raise BadArgument(f"The config of an InputLayer must be an object, but got {shown(config)}.", "/config")
        first = Sent(f"{at}/config")
        for key, each in config.items():
            with within("config", key):
                self.declare(first, key, each)
        self.note(at, "An InputLayer is `batch_input_shape` and `input_dtype` of the first layer in Keras 1.")
        return first

    def declare(self, first: Sent, key: str, value: Any) -> None:
        if key in ("batch_shape", "batch_input_shape", "shape", "input_shape"):
            whole = [None, *value] if key in ("shape", "input_shape") and isinstance(value, list) else value
            first.put("batch_input_shape", whole, f"{first.origin}/{key}")
        elif key in ("dtype", "input_dtype"):
            first.put("input_dtype", value, f"{first.origin}/{key}")
        elif key in ("sparse", "ragged", "optional"):
            if value not in (None, False):
                raise BadArgument(f"`{key}` must be false: every sample is a whole, dense array here.")
        elif key not in ("name", "trainable"):
            raise BadArgument(f"An InputLayer has no argument {shown(key)} here.")

    def node(self, node: Node, at: str, depth: int) -> Any:
        """Read a layer of a functional model, or a place where branches meet."""
        if node.branches:
            merge = node.merge(f"{at}/layers/{node.index}")
            merge["config"]["layers"] = [
                Sent.branch([self.node(each, at, depth) for each in branch], f"{at}/layers/{node.index}")
                for branch in node.branches
            ]
            return merge
        with within("config", "layers", node.index):
            here = f"{at}/layers/{node.index}"
            done = node.identity(here) if node.value is None else self.element(node.value, here, depth)
        if node.entry is not None:
            index, value = node.entry
            with within("config", "layers", index):
                _feed(done, self.entry(value, f"{at}/layers/{index}", 0))
        return done

    def element(self, value: Any, at: str, depth: int) -> Any:
        """Read one layer."""
        if not isinstance(value, Mapping) or not isinstance(value.get("class_name"), str):
            return value
        if value["class_name"] in ("Sequential", *MODELS):
            return self.model(value, at, depth + 1)
        check_origin(value)
        written = str(value["class_name"])
        name = ALIASES.get(written, written)
        if name in REFUSED and self.speech.version > 1:
            raise UnknownName(f"{shown(name)} cannot be used here. {REFUSED[name]}", "/class_name")
        return self.layer(name, value, at, depth)

    def layer(self, name: str, value: Mapping[str, Any], at: str, depth: int) -> Sent:
        new = Sent(at)
        for key, each in value.items():
            if key not in (*BESIDE, "name", "inbound_nodes"):
                new.put(key, each, at + pointer(key))
        given = value.get("config", {})
        if not isinstance(given, Mapping) or self.speech.version == 1:
            return new
        rule = RULES.get(name, Rule(value["class_name"]))
        config = Config(rule.name, given, f"{at}/config", self.speech)
        with within("config"):
            translated(config, COMMON | dict(rule.ways))
            self.held(config, depth)
            rule.finish(config)
        new["class_name"] = config.class_name
        new.put("config", config.new, f"{at}/config")
        self.tell(value["class_name"], config, at)
        return new

    def held(self, config: Config, depth: int) -> None:
        """Read the layers that another one holds."""
        if depth >= self.limits.max_depth and {"layer", "layers"} & set(config.new):
            raise TooLarge(f"Models may be nested {self.limits.max_depth} deep.")
        for key in ("layer", "backward_layer"):
            if isinstance(inner := config.get(key), Mapping):
                with within(key):
                    config.new[key] = self.element(inner, f"{config.at}/{key}", depth + 1)
        if config.class_name == "Merge":
            with within("layers"):
                config.new["layers"] = self.row(config.get("layers"), f"{config.at}/layers", depth + 1)
        if config.class_name == "Bidirectional":
            _one_direction(config)

    def tell(self, name: str, config: Config, at: str) -> None:
        """Note what became of a layer."""
        said = [f"{name} is {config.class_name} in Keras 1"] if name != config.class_name else []
        said += [f"`{old}` is `{new}`" for old, new in config.renamed.items()]
        implied = [f"`{key}` is {shown(config.new[key])}" for key in config.new if config.new.came[key] == config.at]
        said += [f"as nothing else is said, {each}" for each in implied]
        if config.dropped:
            said.append(f"without effect here: {', '.join(config.dropped)}")
        if said:
            self.note(at, "; ".join(said) + ".")


def _feed(first: Any, declared: Sent) -> None:
    """Give a first layer the shape that an InputLayer declares."""
    config = first.get("config") if isinstance(first, Sent) else None
    if isinstance(config, list) and config:
        _feed(config[0], declared)
        return
    if not isinstance(config, Sent):
        return
    if {"batch_input_shape", "input_shape", "input_dim"} & set(config) and first.get("class_name") != "Embedding":
        return
    if first.get("class_name") == "Embedding":
        declared = _indices(declared)
    for key, value in declared.items():
        if key not in config:
            config.put(key, value, declared.came[key])


def _indices(declared: Sent) -> Sent:
    """Say what an Embedding takes as Keras 1 does: indices, which later Keras may hand over as floats."""
    rest, shape = Sent(declared.origin), declared.get("batch_input_shape")
    for key, value in declared.items():
        if (key, value) != ("input_dtype", "float32"):
            rest.put(key, value, declared.came[key])
    if isinstance(shape, list) and len(shape) == 2:
        rest.put("input_length", shape[1], declared.came["batch_input_shape"])
    return rest


def _one_direction(config: Config) -> None:
    """Refuse a second layer of a Bidirectional that is not the first one's twin; name the first as Keras 1 does."""
    forward, backward = config.get("layer"), config.new.pop("backward_layer", None)
    inner = forward.get("config") if isinstance(forward, Mapping) else None
    if not isinstance(inner, Sent):
        return
    if isinstance(inner.get("name"), str):
        inner["name"] = inner["name"].removeprefix("forward_") or inner["name"]
    if backward is None:
        return
    twin = {**inner, "go_backwards": not inner.get("go_backwards", False), "name": None}
    other = backward.get("config") if isinstance(backward, Mapping) else None
    same = isinstance(other, Mapping) and {**other, "name": None} == twin
    if not same or backward.get("class_name") != forward["class_name"]:
        raise BadArgument(
            "The layer that goes backwards must be the twin of `layer`, with `go_backwards` the other way round.",
            "/backward_layer",
        )
