"""Functions of shapes that strangers write: a small language of integers and tuples, read and never run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.arguments import Shape
from engine.errors import within
from engine.expressions.arguments import index_of, refusal
from engine.expressions.tree import Cut
from engine.expressions.written import Written
from engine.registry import shown

ALLOWED = (
    "A function of shapes may hold its own names, tuples, subscripts with constants, whole numbers, None, and + - * //."
)
#: How large a number, and how long a tuple, may become on the way.
MAX_LENGTH = 10**12
MAX_AXES = 64

SIGNS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}
BEFORE: Mapping[type[ast.unaryop], Callable[[Any, Any], Any]] = {ast.UAdd: operator.add, ast.USub: operator.sub}


@dataclass(frozen=True)
class ShapeFunction(Written):
    """A function of a shape, or of a list of shapes, batch axes included."""

    def of(self, given: Shape | tuple[Shape, ...]) -> Shape:
        """Compute the shape; an axis that follows from one of any length has any length, too.

        Raises:
            BadArgument: The function is none of shapes, or gives none; the message has line and column.
        """
        with within(*self.place):
            return _Reading(self.parsed, given).shape()


class _Reading:
    def __init__(self, function: ast.Lambda | ast.FunctionDef, given: Any) -> None:
        self.function = function
        takes = function.args
        names = [*takes.posonlyargs, *takes.args]
        extra = takes.vararg or takes.kwarg or takes.kwonlyargs or takes.defaults
        if len(names) != 1 or extra or names[0].annotation:
            raise refusal(function, "A function of shapes takes exactly one shape, or one list of shapes.")
        self.names: dict[str, Any] = {names[0].arg: given}

    def shape(self) -> Shape:
        returned = self.function.body if isinstance(self.function, ast.Lambda) else self.body(self.function)
        shape = self.value(returned)
        if not isinstance(shape, tuple) or not shape or not all(_is_axis(each) for each in shape):
            raise refusal(returned, f"This is no shape: {shown(shape)}. Give a tuple of lengths, the batch's first.")
        return shape

    def body(self, function: ast.FunctionDef) -> ast.expr:
        if function.decorator_list or function.returns:
            raise refusal(function, "A function of shapes has no decorators and no annotations.")
        *before, last = function.body
        for each in before:
            target = each.targets[0] if isinstance(each, ast.Assign) and len(each.targets) == 1 else None
            if not isinstance(each, ast.Assign) or not isinstance(target, ast.Name):
                raise refusal(each, f"This statement is not allowed. {ALLOWED}")
            self.names[target.id] = self.value(each.value)
        if not isinstance(last, ast.Return) or last.value is None:
            raise refusal(last, "A function of shapes ends with `return` and a shape.")
        return last.value

    def value(self, node: ast.expr) -> Any:
        forms: Mapping[type[ast.expr], Callable[[Any], Any]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.Tuple: self.several,
            ast.List: self.several,
            ast.Subscript: self.item,
            ast.UnaryOp: self.sign,
            ast.BinOp: self.arithmetic,
        }
        if type(node) not in forms:
            raise refusal(node, f"This is not allowed. {ALLOWED}")
        value = forms[type(node)](node)
        if (isinstance(value, int) and abs(value) > MAX_LENGTH) or (isinstance(value, tuple) and len(value) > MAX_AXES):
            raise refusal(node, f"Lengths may be {MAX_LENGTH:,} at most, and shapes may have {MAX_AXES} axes.")
        if _is_deep(value):
            raise refusal(node, "A shape, or a list of shapes, holds no lists of shapes.")
        return value

    def constant(self, node: ast.Constant) -> int | None:
        if node.value is not None and type(node.value) is not int:
            raise refusal(node, f"{shown(node.value)} is not allowed here; write a whole number.")
        return node.value

    def name(self, node: ast.Name) -> Any:
        if node.id not in self.names:
            raise refusal(node, f"There is no value named {shown(node.id)}. There are {', '.join(self.names)}.")
        return self.names[node.id]

    def several(self, node: ast.Tuple | ast.List) -> tuple[Any, ...]:
        return tuple(self.value(each) for each in node.elts)

    def item(self, node: ast.Subscript) -> Any:
        of, index = self.value(node.value), index_of(node.slice)
        if not isinstance(of, tuple) or index is None:
            raise refusal(node, "Only a shape, or a list of shapes, has parts; they are counted by whole numbers.")
        if isinstance(index, Cut):
            return of[index.start : index.stop : index.step]
        if not -len(of) <= index < len(of):
            raise refusal(node, f"There is no part {index} of {shown(of)}.")
        return of[index]

    def sign(self, node: ast.UnaryOp) -> Any:
        return self.combined(node, BEFORE.get(type(node.op)), 0, self.value(node.operand))

    def arithmetic(self, node: ast.BinOp) -> Any:
        return self.combined(node, SIGNS.get(type(node.op)), self.value(node.left), self.value(node.right))

    def combined(self, node: ast.expr, compute: Callable[[Any, Any], Any] | None, left: Any, right: Any) -> Any:
        joined = compute is operator.add and isinstance(left, tuple) and isinstance(right, tuple)
        if compute is None or not (joined or (_is_length(left) and _is_length(right))):
            raise refusal(node, f"{shown(left)} and {shown(right)} do not go together so. {ALLOWED}")
        if left is None or right is None:
            return None
        if compute is operator.floordiv and right == 0:
            raise refusal(node, "There is no division by 0.")
        return compute(left, right)


def _is_length(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _is_axis(value: Any) -> bool:
    return value is None or (isinstance(value, int) and value >= 1)


def _is_deep(value: Any) -> bool:
    """Tell what is nested deeper than a list of shapes: each name may double it, so it must not grow."""
    inner = [each for each in value if isinstance(each, tuple)] if isinstance(value, tuple) else []
    return any(isinstance(one, tuple) for each in inner for one in each)
