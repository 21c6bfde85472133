"""A layer's config on its way into the Keras 1 form, and the ways in which one argument gets there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.dialects import parts
from engine.dialects.sent import Sent
from engine.dialects.speech import Spoken
from engine.errors import BadArgument, pointer, within
from engine.registry import shown

#: What the arguments that a layer must have are called later, to point at where one is missing.
CALLED = {"output_dim": "units", "nb_filter": "filters", "p": "rate", "sigma": "stddev"} | dict.fromkeys(
    ("nb_row", "nb_col", "filter_length", "kernel_dim1", "kernel_dim2", "kernel_dim3"), "kernel_size"
)
#: What the arguments of constraints are called later.
BOUNDS = {"m": "max_value", "low": "min_value", "high": "max_value"}


def _part(value: Any, given: Any, where: str) -> Any:
    """Let an initialiser, regularizer or constraint remember where its arguments stood."""
    if (
        not isinstance(value, dict)
        or not isinstance(given, Mapping)
        or "class_name" not in given
        or "class_name" in value  # an optimizer, which is as it was written
        or isinstance(value, Sent)
    ):
        return value
    part = Sent(where)
    for key, each in value.items():
        part.put(key, each, f"{where}/config/{BOUNDS.get(key, key)}" if key != "name" else f"{where}/class_name")
    return part


class Config:
    """A config that is being translated.

    Args:
        class_name: The layer's class, by Keras 1's name; a rule may change it.
        given: What the client wrote.
        at: JSON pointer to it.
        spoken: Which Keras wrote it.
    """

    def __init__(self, class_name: str, given: Mapping[str, Any], at: str, spoken: Spoken) -> None:
        self.class_name = class_name
        self.given = given
        self.at = at
        self.spoken = spoken
        self.new = Sent(at)
        self.new.came |= {name: f"{at}/{key}" for name, key in CALLED.items()}
        self.renamed: dict[str, str] = {}
        self.dropped: list[str] = []

    def put(self, name: str, value: Any, key: str) -> None:
        """Set Keras 1's argument `name`, which the client wrote as `key`.

        Raises:
            BadArgument: It was given under another name too.
        """
        if self.given.get(name) is not None and name != key:
            raise BadArgument(f"`{key}` and `{name}` mean the same; give one.")
        where = f"{self.at}{pointer(key)}"
        self.new.put(name, _part(value, self.given.get(key), where), where)
        if name != key:
            self.renamed[key] = name

    def imply(self, name: str, value: Any) -> None:
        """Set an argument that Keras 1 would take for another if it were absent, unless it is there."""
        if name not in self.new:
            self.new.put(name, value, self.at)

    def drop(self, key: str) -> None:
        """Leave out what means nothing to the numbers."""
        self.dropped.append(key)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an argument of Keras 1's form."""
        return self.new.get(name, default)


#: What becomes of one argument.
Way = Callable[[Config, str, Any], None]


def to(name: str, read: Callable[[Any], Any] = lambda value: value) -> Way:
    """Call it by another name."""
    return lambda config, key, value: config.put(name, read(value), key)


def dropped(config: Config, key: str, value: Any) -> None:
    """Leave it out."""
    config.drop(key)


def only(*values: Any, advice: str = "") -> Way:
    """Take but these values, which mean nothing to the numbers."""

    def way(config: Config, key: str, value: Any) -> None:
        if not any(value == each and type(value) is type(each) for each in values):
            words = " or ".join("null" if each is None else repr(each).lower() for each in values)
            raise BadArgument(f"`{key}` must be {words} here, but got {shown(value)}.{advice and ' ' + advice}")
        config.drop(key)

    return way


def start(name: str, plain: bool = True) -> Way:
    """Read an initialiser."""
    return to(name, lambda value: parts.initializer(value, plain))


def turned(config: Config, key: str, value: Any) -> None:
    """Read the initialiser of a transposed convolution, whose kernel has what goes out before what comes in."""
    read = parts.initializer(value, plain=False)
    if isinstance(read, dict) and (mode := read.get("mode")) in ("fan_in", "fan_out"):
        read = {**read, "mode": "fan_out" if mode == "fan_in" else "fan_in"}
    if read == {"name": "VarianceScaling", "scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}:
        read = "glorot_uniform"
    config.put("init", read, key)


def started_with(*allowed: str) -> Way:
    """Refuse an initialiser that Keras 1 has no argument for, unless it is the one it starts with."""

    def way(config: Config, key: str, value: Any) -> None:
        if value is not None and parts.initializer(value) not in allowed:
            raise BadArgument(
                f"`{key}` must be {' or '.join(allowed)} here, but got {shown(value)}. Other numbers come with weights."
            )
        config.drop(key)

    return way


def penalty(name: str) -> Way:
    """Read a regularizer of a weight."""
    return to(name, parts.regularizer)


def output_penalty(config: Config, key: str, value: Any) -> None:
    """Read a regularizer of the output."""
    config.put(key, parts.regularizer(value, config.spoken.by_sample), key)


def bound(name: str) -> Way:
    """Read a constraint."""
    return to(name, parts.constraint)


def function(name: str) -> Way:
    """Read an activation."""
    return lambda config, key, value: config.put(name, parts.activation(value, config.spoken.version), key)


def typed(config: Config, key: str, value: Any) -> None:
    """Check the type of computation."""
    parts.check_dtype(value)
    config.drop(key)


def across(count: int, value: Any) -> Any:
    """Give every axis its own number, where one stands for all."""
    return [value] * count if isinstance(value, int) and not isinstance(value, bool) else value


def each_axis(name: str, count: int) -> Way:
    """Read a number for every axis."""
    return to(name, lambda value: across(count, value))


def one_axis(name: str) -> Way:
    """Read a number for the one axis there is, which may stand in a list."""
    return to(name, lambda value: value[0] if isinstance(value, list) and len(value) == 1 else value)


def spread_over(*names: str) -> Way:
    """Read a number for every axis, each of which Keras 1 has an argument for."""

    def way(config: Config, key: str, value: Any) -> None:
        sizes = across(len(names), value)
        if not isinstance(sizes, list) or len(sizes) != len(names):
            raise BadArgument(f"`{key}` must be an integer or a list of {len(names)}, but got {shown(value)}.")
        for name, size in zip(names, sizes, strict=True):
            config.put(name, size, key)

    return way


ORDERINGS = {"channels_last": "tf", "channels_first": "th", None: "default"}


def ordering(config: Config, key: str, value: Any) -> None:
    """Read where the channels are."""
    config.put("dim_ordering", ORDERINGS.get(value, value) if isinstance(value, str | None) else value, key)


def translated(config: Config, ways: Mapping[str, Way]) -> None:
    """Carry every argument over; what there is no way for is left to Keras 1's own reader."""
    for key, value in config.given.items():
        with within(key):
            if key in ways:
                ways[key](config, key, value)
            else:
                config.put(key, value, key)
