"""What a stranger's text becomes: a frozen tree of numbers, names and known functions, computed with tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import BadData
from engine.expressions.table import FUNCTIONS, MAX_VALUES, check_broadcast, real

if TYPE_CHECKING:
    from torch import Tensor

ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}

#: How many values all results of one evaluation may have together.
MAX_TOGETHER = 4 * MAX_VALUES


@dataclass
class Scope:
    """The values of one evaluation.

    Args:
        names: What each parameter and local name stands for.
        like: A tensor on the device and of the type that numbers become.
        spent: How many values have been made so far.
    """

    names: dict[str, Any]
    like: Tensor
    spent: int = 0

    def tensor(self, value: Any) -> Tensor:
        """Return a number as a tensor, and a tensor as it is."""
        return self.like.new_full((), value) if isinstance(value, float) else value

    def made(self, value: Any) -> Any:
        """Count the values of a result.

        Raises:
            BadData: They are too many together.
        """
        if isinstance(value, tuple):
            return value
        self.spent += 1 if isinstance(value, float) else value.numel()
        if self.spent > MAX_TOGETHER:
            raise BadData(f"A custom function may make {MAX_TOGETHER:,} values in all, but this one makes more.")
        return value


@dataclass(frozen=True)
class Node:
    """One part of an expression.

    Args:
        at: Where it stands in the text, for people.
    """

    at: str = field(compare=False)

    def compute(self, scope: Scope) -> Any:
        """Return the part's value, a tensor or a float.

        Raises:
            BadData: The tensors do not fit.
        """
        try:
            return scope.made(self.value(scope))
        except (RuntimeError, IndexError, TypeError, ValueError) as error:
            if type(error) not in (RuntimeError, IndexError, TypeError, ValueError):
                raise  # out of memory, say
            raise BadData(f"A custom function cannot be computed at {self.at}: {_first_line(error)}.") from error

    def value(self, scope: Scope) -> Any:
        """Compute the value; what goes wrong is reported by `compute`."""
        raise NotImplementedError

    def parts(self) -> Iterator[Node]:
        """Iterate over the parts it is made of."""
        return iter(())

    def mentions(self, names: set[str]) -> bool:
        """Whether one of these names occurs in it."""
        return any(part.mentions(names) for part in self.parts())


@dataclass(frozen=True)
class Number(Node):
    """A constant."""

    number: float

    def value(self, scope: Scope) -> Any:
        return self.number


@dataclass(frozen=True)
class Variable(Node):
    """A parameter or a local name."""

    name: str

    def value(self, scope: Scope) -> Any:
        return scope.names[self.name]

    def mentions(self, names: set[str]) -> bool:
        return self.name in names


@dataclass(frozen=True)
class Every(Variable):
    """All tensors of a parameter that is a list of them."""


@dataclass(frozen=True)
class Element(Variable):
    """One tensor of a parameter that is a list of them."""

    index: int

    def value(self, scope: Scope) -> Any:
        return scope.names[self.name][self.index]


@dataclass(frozen=True)
class Arithmetic(Node):
    """Two operands and a sign of `ARITHMETIC`."""

    sign: str
    left: Node
    right: Node

    def value(self, scope: Scope) -> Any:
        left, right = real(self.left.compute(scope)), real(self.right.compute(scope))
        check_broadcast(left, right)
        return ARITHMETIC[self.sign](left, right)

    def parts(self) -> Iterator[Node]:
        yield from (self.left, self.right)


@dataclass(frozen=True)
class Call(Node):
    """A function of `K`, its arguments by name: nodes that must be tensors, nodes that may be numbers, constants."""

    function: str
    tensors: tuple[tuple[str, Node | tuple[Node, ...]], ...]
    operands: tuple[tuple[str, Node], ...]
    constants: tuple[tuple[str, Any], ...]

    def value(self, scope: Scope) -> Any:
        given: dict[str, Any] = {name: node.compute(scope) for name, node in self.operands}
        for name, node in self.tensors:
            if isinstance(node, tuple):
                given[name] = [scope.tensor(each.compute(scope)) for each in node]
            else:
                given[name] = scope.tensor(node.compute(scope))
        return FUNCTIONS[self.function](**given, **dict(self.constants))

    def parts(self) -> Iterator[Node]:
        for _, node in self.tensors:
            yield from node if isinstance(node, tuple) else (node,)
        yield from (node for _, node in self.operands)


@dataclass(frozen=True)
class Cut:
    """A slice of one axis."""

    start: int | None
    stop: int | None
    step: int | None


@dataclass(frozen=True)
class Item(Node):
    """A subscript with constants; None stands for `...`."""

    of: Node
    index: tuple[int | Cut | None, ...]

    def value(self, scope: Scope) -> Any:
        index: list[Any] = [
            ... if each is None else slice(each.start, each.stop, each.step) if isinstance(each, Cut) else each
            for each in self.index
        ]
        return scope.tensor(self.of.compute(scope))[tuple(index)]

    def parts(self) -> Iterator[Node]:
        yield self.of


@dataclass(frozen=True)
class Expression:
    """A function of tensors, read from source text.

    Args:
        name: What it is called in logs; a function of several results goes by their names instead.
        source: The text.
        parameters: The names of its tensors: targets and predictions, a layer's input, or a list of those.
        steps: The assignments, in order.
        results: What is returned: one result under an empty name, or several under their own.
    """

    name: str | None
    source: str
    parameters: tuple[str, ...]
    steps: tuple[tuple[str, Node], ...]
    results: tuple[tuple[str, Node], ...]

    @property
    def names(self) -> list[str]:
        """What its results are called in logs."""
        return [key or self.name or "" for key, _ in self.results]

    @property
    def uses_prediction(self) -> bool:
        """Whether what it returns depends on the prediction, the last of its tensors."""
        names = {self.parameters[-1]}
        for name, node in self.steps:
            if node.mentions(names):
                names.add(name)
            else:
                names.discard(name)
        return any(node.mentions(names) for _, node in self.results)

    def values(self, t: Tensor, p: Tensor, result: int = 0) -> Tensor:
        """Compute one of the results from targets and predictions.

        Raises:
            BadData: The tensors do not fit what the text does with them.
        """
        return self._computed(Scope(dict(zip(self.parameters, (t, p), strict=True)), like=p), result)

    def of(self, given: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Compute the result from a layer's input, or from a list of tensors.

        Raises:
            BadData: The tensors do not fit what the text does with them.
        """
        first = given[0] if isinstance(given, tuple) else given
        return self._computed(Scope({self.parameters[0]: given}, like=real(first)), 0)

    def _computed(self, scope: Scope, result: int) -> Tensor:
        for name, node in self.steps:
            scope.names[name] = node.compute(scope)
        value = real(scope.tensor(self.results[result][1].compute(scope)))
        return value.to(scope.like.dtype)  # type: ignore[no-any-return]

    def metric(self, result: int) -> Callable[[Tensor, Tensor], Tensor]:
        """Return one of the results as a metric: its mean over the batch."""
        return lambda t, p: self.values(t, p, result).mean()

    def to_json(self) -> dict[str, str]:
        """Return the name, if it has one, and the text."""
        return {"source": self.source} if self.name is None else {"name": self.name, "source": self.source}


def _first_line(error: Exception) -> str:
    return (str(error).partition("\n")[0] or type(error).__name__).rstrip(".")[:200]
