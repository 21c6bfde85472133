"""From text to a small syntax tree: bounded before, while and after it is parsed."""

from __future__ import annotations

import ast
from typing import Any

from engine.errors import BadArgument, TooLarge
from engine.expressions.arguments import refusal
from engine.registry import shown

MAX_LENGTH = 10_000
MAX_NODES = 500
MAX_DEPTH = 50
MAX_BRACKETS = 100

ALLOWED = (
    "A custom function may hold arithmetic, comparisons, numbers, its own names, constant subscripts, and calls of "
    "K's functions; assignments to a name; and one `return`."
)


Parsed = ast.Lambda | ast.FunctionDef


def parse(source: Any) -> Parsed:
    """Parse the text of one function.

    Raises:
        BadArgument: It is not one function in Python.
        TooLarge: It is too long, too deep, or of too many parts.
    """
    if not isinstance(source, str):
        raise BadArgument(f"`source` must be a text, but got {shown(source)}.")
    _check_text(source)
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        raise BadArgument(f"Line {error.lineno or 1}, column {error.offset or 1}: not Python: {error.msg}.") from None
    except (ValueError, RecursionError, MemoryError):
        raise TooLarge(f"The text cannot be parsed. {ALLOWED}") from None
    function = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else body[0] if body else None
    if len(body) != 1 or not isinstance(function, ast.Lambda | ast.FunctionDef):
        message = "`source` must be one lambda or one def. K is there without an import."
        raise refusal(body[min(1, len(body) - 1)], message) if body else BadArgument(message)
    _check_size(function)
    return function


def _check_text(source: str) -> None:
    if len(source) > MAX_LENGTH:
        raise TooLarge(f"A custom function may have {MAX_LENGTH:,} characters, but this one has {len(source):,}.")
    depth = 0
    for line, text in enumerate(source.split("\n"), 1):
        for column, character in enumerate(text, 1):
            if not (" " <= character <= "~" or character in "\t\r"):
                raise BadArgument(
                    f"Line {line}, column {column}: a custom function is written in ASCII, but this is U+"
                    f"{ord(character):04X}."
                )
            depth += (character in "([{") - (character in ")]}")
            if depth > MAX_BRACKETS:
                raise TooLarge(f"Line {line}, column {column}: more than {MAX_BRACKETS} open brackets.")


def _check_size(function: ast.AST) -> None:
    """Count nodes and depth without recursion, before anything else looks at them."""
    waiting, count = [(function, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += isinstance(node, ast.expr | ast.stmt)
        if count > MAX_NODES:
            raise refusal(node, f"A custom function may have {MAX_NODES} parts.", TooLarge)
        if depth > MAX_DEPTH:
            message = f"A custom function may be nested {MAX_DEPTH} deep: give a part of this a name."
            raise refusal(node, message, TooLarge)
        waiting += [(child, depth + 1) for child in ast.iter_child_nodes(node)]
