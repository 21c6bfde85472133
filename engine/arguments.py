"""What an argument may be, and the classes whose arguments a stranger may set.

A `Description` is a frozen dataclass. Each of its fields carries a `Kind`, which says what the field
takes, reads a stranger's value, and writes it back to JSON. Python callers and JSON pass through the same check.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import numpy as np

from engine.errors import BadArgument, within
from engine.registry import Registry, shown

Json = Any
D = TypeVar("D", bound="Description")

#: A tensor's shape; None is an axis of any length. The batch axis is included where the name says so.
Shape = tuple[int | None, ...]


class Wrong(Exception):
    """Raised by a `Kind` when a value is not of its kind."""


@dataclass(frozen=True)
class Kind:
    """A kind of argument: its words for people, its reader, its writer."""

    expects: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Json] = lambda value: value

    def optional(self) -> Kind:
        """Return the same kind, which also takes None."""
        return Kind(
            self.expects + " or null",
            lambda value: None if value is None else self.read(value),
            lambda value: None if value is None else self.write(value),
        )


class Description:
    """Frozen arguments, checked when made: the base of layers, optimizers, callbacks and the like."""

    #: Keys of the JSON form that are not arguments; `from_config` passes over them.
    ignored: ClassVar[frozenset[str]] = frozenset()
    #: What arguments are called in JSON whose name belongs to a method of the class.
    called: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, kind in kinds(type(self)).items():
            value = _plain(getattr(self, name))
            object.__setattr__(self, name, _read(kind, self.called.get(name, name), value))
        self.check()

    def check(self) -> None:
        """Refuse arguments that do not go together; the default refuses none."""

    @classmethod
    def from_config(cls: type[D], config: Mapping[str, Any]) -> D:
        """Make one from its JSON form.

        Raises:
            BadArgument: An argument is unknown, missing, or of the wrong kind.
        """
        if not isinstance(config, Mapping):
            raise BadArgument(f"The config of {cls.__name__} must be an object, but got {shown(config)}.")
        known = {cls.called.get(name, name): name for name in kinds(cls)}
        for key in config:
            if key not in known and key not in cls.ignored:
                raise _unknown(cls, key, known)
        for name in required(cls):
            if (key := cls.called.get(name, name)) not in config:
                raise BadArgument(f"{cls.__name__} needs `{key}`: {kinds(cls)[name].expects}.", f"/{key}")
        return cls(**{known[key]: value for key, value in config.items() if key in known})

    def get_config(self) -> dict[str, Json]:
        """Return the arguments in their JSON form, as `from_config` takes them."""
        return {
            self.called.get(name, name): kind.write(getattr(self, name)) for name, kind in kinds(type(self)).items()
        }


def _plain(value: Any) -> Any:
    """Turn numpy's numbers, which Python callers have, into Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple) and any(isinstance(each, np.generic) for each in value):
        return type(value)(_plain(each) for each in value)
    return value


def _read(kind: Kind, name: str, value: Any) -> Any:
    with within(name):
        try:
            return kind.read(value)
        except Wrong as wrong:
            detail = f" ({wrong})" if str(wrong) else ""
            raise BadArgument(f"`{name}` must be {kind.expects}, but got {shown(value)}{detail}.") from None


def _unknown(cls: type, key: str, known: Mapping[str, str]) -> BadArgument:
    close = get_close_matches(str(key)[:100], known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else f" It takes: {', '.join(known)}."
    return BadArgument(f"{cls.__name__} has no argument {shown(key)}.{hint}", f"/{key}")


def kinds(cls: type) -> Mapping[str, Kind]:
    """Map each field of a description to its kind: its own arguments in order, then those all share."""
    return _kinds(cls)


@cache
def _kinds(cls: Any) -> Mapping[str, Kind]:
    hints = typing.get_type_hints(cls, include_extras=True)
    own = sorted(fields(cls), key=lambda each: bool(each.kw_only))  # a stable sort
    return types.MappingProxyType({each.name: kind_of(hints[each.name]) for each in own if each.init})


def required(cls: type) -> tuple[str, ...]:
    """Name the fields without a default."""
    return tuple(name for name in kinds(cls) if default_of(cls, name) is MISSING)


def default_of(cls: Any, name: str) -> Any:
    """Return a field's default, or `dataclasses.MISSING`."""
    return next(each.default for each in fields(cls) if each.name == name)


def kind_of(hint: Any) -> Kind:
    """Find the kind of a field's annotation."""
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Kind):
            return extra
    if get_origin(hint) in (types.UnionType, typing.Union):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return kind_of(inner).optional()
    return PLAIN[hint]


# -- kinds of plain values ----------------------------------------------------------------------


def _integer(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Wrong
        return value

    return read


def _number(low: float = -math.inf, high: float = math.inf) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise Wrong
        try:
            number = float(value)
        except OverflowError:
            raise Wrong("too large for a float") from None
        if not math.isfinite(number):
            raise Wrong("not a finite number")
        return number

    return read


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100 or "/" in value or not value.isprintable():
        raise Wrong
    return value


def _axes(low: int) -> Callable[[Any], Shape]:
    def read(value: Any) -> Shape:
        if isinstance(value, str) or not isinstance(value, Sequence) or not low <= len(value) <= 8:
            raise Wrong
        for axis in value:
            if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int) or axis < 1):
                raise Wrong(f"{shown(axis)} is no axis length")
        return tuple(value)

    return read


def number_within(low: float, high: float) -> Kind:
    """Make a kind that takes a number between two bounds."""
    return Kind(f"a number from {low:,} to {high:,}", _number(low, high))


def one_of(*choices: str) -> Kind:
    """Make a kind that takes one of a few words."""

    def read(value: Any) -> str:
        if value not in choices:
            raise Wrong
        return str(value)

    return Kind("one of " + ", ".join(repr(each) for each in choices), read)


def list_of(kind: Kind, expects: str) -> Kind:
    """Make a kind that takes a list of another kind; it is kept as a tuple."""

    def read(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise Wrong
        return tuple(_read(kind, str(index), each) for index, each in enumerate(value))

    return Kind(expects, read, lambda value: [kind.write(each) for each in value])


def named(registry: Registry[Any], none: str | None = None) -> Kind:
    """Make a kind that takes a name in `registry`; `none` is what null stands for."""

    def read(value: Any) -> str:
        if value is None and none is not None:
            return none
        if not isinstance(value, str):
            raise Wrong
        return registry.canonical(value)

    article = "an" if registry.kind[0] in "aeio" else "a"
    return Kind(f"the name of {article} {registry.kind}", read)


ANY_SHAPE = Kind("a list of positive integers or nulls", _axes(1), list)

PositiveInt = Annotated[int, Kind("an integer of 1 or more", _integer(1))]
CountInt = Annotated[int, Kind("an integer of 0 or more", _integer(0))]
NonNegative = Annotated[float, Kind("a number of 0 or more", _number(0))]
Fraction = Annotated[float, Kind("a number from 0 to 1", _number(0, 1))]
Name = Annotated[str, Kind("a text of 1 to 100 printable characters without '/'", _name)]
InputShape = Annotated[Shape, ANY_SHAPE]
Integers = Annotated[tuple[int, ...], list_of(Kind("an integer", _integer()), "a list of integers")]
DimOrdering = Annotated[str, one_of("default", "th", "tf")]

PLAIN: Mapping[Any, Kind] = {
    int: Kind("an integer", _integer()),
    float: Kind("a number", _number()),
    bool: Kind("true or false", _boolean),
    str: Kind("a text", _text),
}
