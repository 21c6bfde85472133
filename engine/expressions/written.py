"""A function as a stranger wrote it: its text, and what is read from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from engine.arguments import Json, Name, Wrong, kind_of
from engine.errors import BadArgument, within
from engine.expressions.parsing import Parsed, parse
from engine.expressions.python import as_source
from engine.expressions.reading import read_layer
from engine.expressions.tree import Expression
from engine.registry import shown

Constants = tuple[tuple[str, float], ...]
W = TypeVar("W", bound="Written")

BYTECODE = (
    "A function saved by Keras 1 is the bytecode of one version of Python, which is never run. Give the function's "
    'source text: {"source": "lambda x: …"}.'
)


@dataclass(frozen=True)
class Written:
    """A function in source text.

    Args:
        source: The text.
        name: What it is called, for people.
        place: Where the text stands in the JSON, below the argument.
    """

    source: str
    name: str | None = None
    place: tuple[str, ...] = field(default=("source",), compare=False)

    @classmethod
    def read(cls: type[W], value: Any) -> W:
        """Read `{"source": …[, "name": …]}`, a bare text that begins with `lambda` or `def`, or a Python function.

        Raises:
            Wrong: It is no function at all.
            BadArgument: It is bytecode, a name, or a text that is no function.
        """
        if isinstance(value, cls):
            return value
        value = as_source(value)
        if isinstance(value, list | tuple) and value and isinstance(value[0], str):
            raise BadArgument(BYTECODE)
        if isinstance(value, str):
            return cls._checked(_text(value), None, ())
        if not isinstance(value, dict) or "source" not in value or not set(value) <= {"source", "name"}:
            raise Wrong
        return cls._checked(value["source"], _name(value.get("name")), ("source",))

    @classmethod
    def _checked(cls: type[W], source: Any, name: str | None, place: tuple[str, ...]) -> W:
        written = cls(source, name, place)
        with within(*place):
            written.parsed  # noqa: B018  # refuses what is no function
        return written

    @cached_property
    def parsed(self) -> Parsed:
        """The text's syntax."""
        return parse(self.source)

    def to_json(self) -> Json:
        """Return the text, and the name if it has one."""
        return {"source": self.source} if self.name is None else {"name": self.name, "source": self.source}


def is_text(value: Any) -> bool:
    """Tell the text of a function from a name."""
    return isinstance(value, str) and value.lstrip()[:6].startswith(("lambda", "def ", "def\t"))


def _text(value: str) -> str:
    if not is_text(value):
        raise BadArgument(
            f"A function cannot be found by a name, such as {shown(value)}. Give its source text: "
            '{"source": "lambda x: …"}.'
        )
    return value


def _name(value: Any) -> str | None:
    try:
        return None if value is None else str(kind_of(Name).read(value))
    except Wrong:
        raise BadArgument(f"`name` must be {kind_of(Name).expects}, but got {shown(value)}.", "/name") from None


@dataclass(frozen=True)
class Function(Written):
    """A function of a tensor, or of a list of tensors, and of constants."""

    @cached_property
    def _readings(self) -> dict[tuple[Constants, bool], Expression]:
        return {}

    def expression(self, arguments: Constants, many: bool = False) -> Expression:
        """Read what it computes with these constants.

        Raises:
            DefinitionError: It does what a custom function may not; the message has line and column.
        """
        key = (arguments, many)
        if key not in self._readings:
            with within(*self.place):
                self._readings[key] = read_layer(self.parsed, self.source, dict(arguments), many)
        return self._readings[key]
