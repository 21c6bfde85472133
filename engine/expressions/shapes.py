"""What shape comes out of an expression, told without a tensor: a rule for every function of `K`.

Rules work on lengths that are known. An axis of any length is put in as a prime number far beyond any real length, once
as one prime and once as another: what is the same both times is known, all else may have any length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from engine.arguments import Shape
from engine.errors import DefinitionError, ShapeMismatch, TooLarge
from engine.expressions.arguments import parameters_of
from engine.expressions.rules import FAR, RULES, Misfit, Sizes, broadcast, text
from engine.expressions.table import MAX_VALUES
from engine.expressions.tree import Arithmetic, Call, Cut, Element, Expression, Item, Node, Variable
from engine.layer import shape_text

#: What an unknown axis is put in as, by its place, in two readings: primes beyond `FAR`.
PRIMES = (
    tuple(2**127 + each for each in (29, 45, 65, 101, 123, 251, 273, 303, 395)),
    tuple(2**128 + each for each in (51, 81, 165, 273, 385, 421, 463, 573, 625)),
)
#: How far the product of such may grow.
FURTHEST = 2**1024
MAX_RANK = len(PRIMES[0])


def infer(expression: Expression, given: Shape | tuple[Shape, ...], many: bool = False) -> Shape:
    """Tell the shape of what a layer's function gives, batch axis included.

    Args:
        expression: The function.
        given: The shape of its input, or those of its list of inputs, batch axes included.
        many: Whether it takes a list.

    Raises:
        ShapeMismatch: It cannot take these shapes, or what it gives has not the batch as its first axis.
        TooLarge: A sample would have too many values.
    """
    shapes: tuple[Shape, ...] = given if many else (given,)  # type: ignore[assignment]
    for shape in shapes:
        if len(shape) > MAX_RANK:
            raise ShapeMismatch(f"A function takes tensors of {MAX_RANK} axes at most, but gets {shape_text(shape)}.")
    one, other = (_with_batch(expression, shapes, primes, many) for primes in PRIMES)
    kept = (a if a == b <= FAR else None for a, b in zip(one[1:], other[1:], strict=True))
    return (shapes[0][0], *kept)


def _with_batch(expression: Expression, shapes: tuple[Shape, ...], primes: Sizes, many: bool) -> Sizes:
    """Make one reading, with primes for the batch and for every axis of any length."""
    filled = tuple(
        tuple(primes[at] if axis is None or not at else axis for at, axis in enumerate(shape)) for shape in shapes
    )
    sizes = sizes_of(expression, filled if many else filled[0])
    if len(sizes) < 2 or sizes[0] != primes[0]:
        raise _refusal(
            expression.results[0][1],
            f"this gives {text(sizes)}, but a layer's function keeps the batch as its first of two axes or more. Leave "
            "axis 0 alone, and use `keepdims=True` where no other axis would be left.",
            ShapeMismatch,
        )
    return sizes


def sizes_of(expression: Expression, given: Sizes | tuple[Sizes, ...]) -> Sizes:
    """Tell the shape of what a function of one tensor, or of a list of them, gives for these lengths.

    Raises:
        ShapeMismatch: It cannot take them.
        TooLarge: A part of it would have too many values.
    """
    walk = _Walk({expression.parameters[0]: given})
    for name, node in expression.steps:
        walk.names[name] = walk.sizes(node)
    result: Sizes = walk.sizes(expression.results[0][1])
    return result


@dataclass
class _Walk:
    """Goes through an expression; `names` holds the shape, or the list of shapes, that each name stands for."""

    names: dict[str, Any]

    def sizes(self, node: Node) -> Any:
        """Tell the shape of one part; that of a number is `()`, that of a list of tensors a tuple of shapes."""
        found = self.found(node)
        if not (found and isinstance(found[0], tuple)):
            self.check(node, found)
        return found

    def check(self, node: Node, sizes: Sizes) -> None:
        if len(sizes) > MAX_RANK:
            raise _refusal(node, f"this has {len(sizes)} axes, but a layer's tensors have {MAX_RANK} at most.")
        if prod(each for each in sizes if each <= FAR) > MAX_VALUES or max(sizes, default=0) > FURTHEST:
            message = f"this has the shape {text(sizes)}, more than {MAX_VALUES:,} values for one sample."
            raise _refusal(node, message, TooLarge)
        if 0 in sizes:
            raise _refusal(node, f"this has the shape {text(sizes)}: nothing is left of an axis.")

    def found(self, node: Node) -> Any:
        if isinstance(node, Element):
            return self.element(node)
        if isinstance(node, Variable):
            return self.names[node.name]
        if isinstance(node, Arithmetic):
            return self.applied(node, f"`{node.sign}`", broadcast, [node.left, node.right])
        if isinstance(node, Call):
            return self.called(node)
        if isinstance(node, Item):
            return self.applied(node, "A subscript", lambda x: _picked(x, node.index), [node.of])
        return ()

    def element(self, node: Element) -> Sizes:
        shapes: tuple[Sizes, ...] = self.names[node.name]
        if not -len(shapes) <= node.index < len(shapes):
            raise _refusal(node, f"there is no {node.name}[{node.index}] among {len(shapes)} tensors.")
        return shapes[node.index]

    def called(self, node: Call) -> Sizes:
        parameters = parameters_of(node.function)
        given: dict[str, Any] = {
            name: tuple(map(self.sizes, part)) if isinstance(part, tuple) else self.sizes(part)
            for name, part in node.tensors
        }
        given |= {name: self.sizes(part) for name, part in node.operands}
        constants = {name: each.default for name, each in parameters.items() if name not in given}
        constants |= dict(node.constants)
        rule = RULES[node.function]
        return _ruled(node, f"K.{node.function}", list(given.values()), lambda: rule(**given, **constants))

    def applied(self, node: Node, what: str, rule: Callable[..., Sizes], parts: Sequence[Node]) -> Sizes:
        given = [self.sizes(part) for part in parts]
        return _ruled(node, what, given, lambda: rule(*given))


def _ruled(node: Node, what: str, given: list[Any], rule: Callable[[], Sizes]) -> Sizes:
    try:
        return rule()
    except Misfit as misfit:
        flat = [each for one in given for each in (one if one and isinstance(one[0], tuple) else (one,))]
        shapes = " and ".join(map(text, flat[:6])) + (" and others" if len(flat) > 6 else "")
        raise _refusal(node, f"{what} cannot take {shapes}: {misfit}.") from None


def _picked(x: Sizes, index: tuple[int | Cut | None, ...]) -> Sizes:
    named = len(index) - index.count(None)
    if named > len(x):
        raise Misfit(f"it names {named} axes")
    at = index.index(None) if None in index else len(index)
    whole = (Cut(None, None, None),) * (len(x) - named)
    picks = (*index[:at], *whole, *index[at + 1 :])
    kept = []
    for length, pick in zip(x, picks, strict=True):
        if isinstance(pick, Cut):
            kept.append(_cut(length, pick))
        elif pick is None or not -length <= pick < length:
            raise Misfit(f"there is no {pick} on an axis of {length}")
    return tuple(kept)


def _cut(length: int, pick: Cut) -> int:
    start, stop, step = slice(pick.start, pick.stop, pick.step).indices(length)
    left = max(0, -((start - stop) // step))
    if length <= FAR or left > FAR or (left == 1 and pick.start in (None, 0, -1)):
        return left
    return length + 1  # of an axis of any length, so many are left at most


def _refusal(node: Node, message: str, error: type[DefinitionError] = ShapeMismatch) -> DefinitionError:
    return error(f"{node.at[0].upper()}{node.at[1:]}: {message}")
