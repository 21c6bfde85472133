"""From a function in the caller's own program to its source text, which is all of it that travels.

The function is not run. Its text is cut out of the file it stands in, and what it takes from around it comes along
where that is a number; anything else is refused by its name.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from engine.errors import BadArgument
from engine.expressions.parsing import Parsed
from engine.registry import shown

LAMBDA = "<lambda>"


def as_source(value: Any) -> Any:
    """Return `{"source": …[, "name": …]}` for a function, and anything else as it is.

    Raises:
        BadArgument: There is no text of the function, or it takes along more than numbers.
    """
    if not callable(value) or isinstance(value, type) or hasattr(value, "to_json"):
        return value
    if not isinstance(value, FunctionType):
        raise BadArgument(
            f"{shown(value)} is no function with a text of its own. Write a lambda or a def that calls K's functions."
        )
    node = _closed(_node_of(value), value)
    named = {} if isinstance(node, ast.Lambda) else {"name": node.name}
    return {"source": ast.unparse(ast.fix_missing_locations(node)), **named}


# -- where it stands ----------------------------------------------------------------------------


def _node_of(function: FunctionType) -> Parsed:
    code = function.__code__
    found = list(_candidates(_tree_of(function), code))
    if len(found) > 1:
        found = [each for each in found if _stands(each) in set(code.co_positions())]
    if len(found) != 1:
        raise BadArgument(
            f"Line {code.co_firstlineno} of {code.co_filename} has {len(found) or 'no'} functions that this could be "
            f'({code.co_name}). Give it a line of its own, or its text: {{"source": "lambda x: …"}}.'
        )
    return _copied(found[0])


def _tree_of(function: FunctionType) -> ast.Module:
    try:
        lines, _ = inspect.findsource(function)
        return _parsed("".join(lines))
    except (OSError, TypeError, SyntaxError):
        raise BadArgument(
            f"The text of {function.__qualname__} cannot be found: it was typed into a prompt, or its file changed. "
            'Keep it in a file, or give its text: {"source": "lambda x: …"}.'
        ) from None


@lru_cache(maxsize=16)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _candidates(tree: ast.Module, code: CodeType) -> Iterator[Parsed]:
    for node in ast.walk(tree):
        if code.co_name == LAMBDA:
            if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno:
                yield node
        elif isinstance(node, ast.FunctionDef) and node.name == code.co_name and code.co_firstlineno in _begins(node):
            yield node


def _begins(function: ast.FunctionDef) -> set[int]:
    """The lines on which a function may begin: to Python a decorated one begins with its decorator."""
    return {function.lineno, *(each.lineno for each in function.decorator_list)}


def _stands(function: Parsed) -> tuple[int | None, int | None, int | None, int | None]:
    """Where a lambda's body stands, as the instructions compiled from it say."""
    body = function.body if isinstance(function, ast.Lambda) else function
    return body.lineno, body.end_lineno, body.col_offset, body.end_col_offset


def _copied(node: Parsed) -> Parsed:
    """A copy that may be changed; the tree itself is kept for the next function of the file."""
    (statement,) = ast.parse(ast.unparse(node)).body
    copied = statement.value if isinstance(statement, ast.Expr) else statement
    if not isinstance(copied, ast.Lambda | ast.FunctionDef):
        raise TypeError("a function is written as one")
    return copied


# -- what it takes along ------------------------------------------------------------------------


def _closed(node: Parsed, function: FunctionType) -> Parsed:
    """Put numbers in the place of the names from outside, and leave out what only people read."""
    _set_defaults(node.args, function)
    own = {each.arg for each in (*node.args.posonlyargs, *node.args.args)}
    if isinstance(node, ast.Lambda):
        node.body = _Closing(function, own).visit(node.body)
        return node
    node.returns = None
    if len(node.body) > 1 and ast.get_docstring(node) is not None:
        del node.body[0]
    own |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    node.body = [_Closing(function, own).visit(each) for each in node.body]
    return node


def _set_defaults(arguments: ast.arguments, function: FunctionType) -> None:
    for each in (*arguments.posonlyargs, *arguments.args):
        each.annotation = None
    for index, value in enumerate(function.__defaults__ or ()):
        if (number := _number(value)) is not None:
            arguments.defaults[index] = ast.Constant(number)


class _Closing(ast.NodeTransformer):
    """Replaces the names that a function does not make itself."""

    def __init__(self, function: FunctionType, own: set[str]) -> None:
        cells = function.__closure__ or ()
        self.closure = dict(zip(function.__code__.co_freevars, cells, strict=True))
        self.around = function.__globals__
        self.own = own

    def visit_Name(self, node: ast.Name) -> ast.expr:  # ast names it
        if node.id in self.own or not (node.id in self.closure or node.id in self.around):
            return node
        value = self.closure[node.id].cell_contents if node.id in self.closure else self.around[node.id]
        if isinstance(stands_for := getattr(value, "__stands_for__", None), str):
            return ast.parse(stands_for, mode="eval").body
        if (number := _number(value)) is not None:
            return ast.Constant(number)
        if node.id == "K":
            return node
        raise BadArgument(
            f"`{node.id}` comes from outside of this function and is {shown(value)}. Only numbers can be taken along: "
            "the function is sent as text. Write what it needs into it, over K's functions."
        )


def _number(value: Any) -> int | float | None:
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
