"""From a stranger's source text to an expression: parsed, never run; what is not known here is refused."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from engine.arguments import Name, kind_of
from engine.errors import BadArgument, DefinitionError, within
from engine.expressions.arguments import Bound, bind, index_of, number_of, refusal
from engine.expressions.parsing import ALLOWED, Parsed, parse
from engine.expressions.table import FUNCTIONS
from engine.expressions.tree import (
    ARITHMETIC,
    Arithmetic,
    Call,
    Element,
    Every,
    Expression,
    Item,
    Node,
    Number,
    Variable,
)
from engine.numbers import EPSILON
from engine.registry import shown

MAX_RESULTS = 50

SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
}


def read_expression(value: Any, unnamed: str | None = None) -> Expression:
    """Read `{"name": …, "source": …}`, a function of (y_true, y_pred).

    Args:
        value: The JSON; `name` may be left out where a `def` has one.
        unnamed: What a lambda without a name is called; None refuses it.

    Raises:
        DefinitionError: It is none, or does what a custom function may not; the message has line and column.
    """
    if isinstance(value, Expression):
        return value
    if not isinstance(value, Mapping) or "source" not in value or not set(value) <= {"name", "source"}:
        raise BadArgument(f'A custom function must be {{"name": …, "source": …}}, but got {shown(value)}.')
    name = value.get("name")
    if name is not None:
        name = _read_name(name, "/name")
    with within("source"):
        function = parse(value["source"])
        if name is None and isinstance(function, ast.FunctionDef):
            name = _read_name(function.name, "")
        return _Reader(function, _pair(function)).expression(name or unnamed, value["source"])


def read_layer(function: Parsed, source: str, arguments: Mapping[str, float], many: bool) -> Expression:
    """Read a function of one tensor, or of a list of tensors, and of constants.

    Args:
        function: What the text was parsed to.
        source: The text.
        arguments: The constants, by the names of the further parameters.
        many: Whether the first parameter is a list of tensors.

    Raises:
        DefinitionError: It does what a custom function may not; the message has line and column.
    """
    first, constants = _with_constants(function, arguments)
    reader = _Reader(function, (first,), {first} if many else set(), constants)
    expression = reader.expression("function", source)
    if expression.results[0][0]:
        raise refusal(function, "This function returns one tensor, not a dict.")
    return expression


def _read_name(value: Any, where: str) -> str:
    try:
        name: str = kind_of(Name).read(value)
    except Exception:
        name = ""
    if not name or name.startswith("val_"):
        raise BadArgument(
            "A custom function's name must be a text of 1 to 100 printable characters without '/', and not start "
            f"with 'val_', but got {shown(value)}.",
            where,
        )
    return name


# -- from syntax to an expression ---------------------------------------------------------------


class _Reader:
    """Translates one function; `names` holds what each name stands for at this point of the text.

    Args:
        function: The function.
        parameters: The names of its tensors.
        lists: Those of them that are lists of tensors.
        constants: What its other parameters are.
    """

    def __init__(
        self,
        function: Parsed,
        parameters: tuple[str, ...],
        lists: set[str] | None = None,
        constants: Mapping[str, Number] | None = None,
    ) -> None:
        self.function = function
        self.parameters = parameters
        self.lists = lists or set()
        self.names: dict[str, Number | None] = {**dict.fromkeys(parameters), **(constants or {})}
        self.steps: list[tuple[str, Node]] = []

    def expression(self, name: str | None, source: str) -> Expression:
        returned = self.function.body if isinstance(self.function, ast.Lambda) else self.body(self.function)
        if isinstance(returned, ast.Dict):
            results = self.dictionary(returned)
        elif name is None:
            raise BadArgument('A lambda has no name of its own: give {"name": …, "source": …}.')
        else:
            results = [("", self.node(returned))]
        return Expression(name, source, self.parameters, tuple(self.steps), tuple(results))

    def body(self, function: ast.FunctionDef) -> ast.expr:
        if function.decorator_list or function.returns or getattr(function, "type_params", None):
            raise refusal(function, "A custom function has no decorators, annotations or type parameters.")
        *before, last = function.body
        if before and isinstance(before[0], ast.Expr) and _is_text(before[0].value):
            del before[0]  # a docstring
        for each in before:
            self.assignment(each)
        if not isinstance(last, ast.Return) or last.value is None:
            raise refusal(last, "A custom function ends with `return` and a value.")
        return last.value

    def assignment(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise refusal(statement, f"This statement is not allowed. {ALLOWED}")
        target = statement.targets[0]
        if not isinstance(target, ast.Name) or target.id == "K":
            raise refusal(target, "Assign to a plain name that is not K.")
        node = self.node(statement.value)
        self.names[target.id] = node if isinstance(node, Number) else None
        self.lists.discard(target.id)
        self.steps.append((target.id, node))

    def dictionary(self, returned: ast.Dict) -> list[tuple[str, Node]]:
        if not 0 < len(returned.keys) <= MAX_RESULTS:
            raise refusal(returned, f"A custom function returns 1 to {MAX_RESULTS} results.")
        results: dict[str, Node] = {}
        for key, value in zip(returned.keys, returned.values, strict=True):
            if key is None or not _is_text(key):
                raise refusal(key or value, "A result's key must be a literal text.")
            try:
                name = _read_name(getattr(key, "value", None), "")
            except DefinitionError as error:
                raise refusal(key, error.message) from None
            if name in results:
                raise refusal(key, f"Two results are called {shown(name)}.")
            results[name] = self.node(value)
        return list(results.items())

    def node(self, node: ast.expr) -> Node:
        """Translate one expression.

        Raises:
            DefinitionError: It is of a form that is not known.
        """
        forms: Mapping[type[ast.expr], Any] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.BinOp: self.arithmetic,
            ast.UnaryOp: self.sign,
            ast.Compare: self.comparison,
            ast.Call: self.call,
            ast.Subscript: self.item,
        }
        if type(node) not in forms:
            raise refusal(node, f"{_name_of(node)} is not allowed. {ALLOWED}")
        translated: Node = forms[type(node)](node)
        return translated

    def constant(self, node: ast.Constant) -> Node:
        return Number(_at(node), number_of(node))

    def name(self, node: ast.Name) -> Node:
        if node.id not in self.names:
            known = ", ".join(self.names)
            hint = "K is called: `K.mean(…)`." if node.id == "K" else f"There are {known}, and K's functions."
            raise refusal(node, f"There is no value named {shown(node.id)}. {hint}")
        if node.id in self.lists:
            raise refusal(
                node,
                f"`{node.id}` is a list of tensors: take one, such as {node.id}[0], or all of them, such as "
                f"K.concatenate({node.id}).",
            )
        return self.names[node.id] or Variable(_at(node), node.id)

    def several(self, node: ast.expr) -> Node | tuple[Node, ...]:
        if isinstance(node, ast.Name) and node.id in self.lists:
            return Every(_at(node), node.id)
        if not isinstance(node, ast.List | ast.Tuple) or not node.elts:
            raise refusal(node, "Write a list of tensors.")
        return tuple(self.node(each) for each in node.elts)

    def number(self, node: ast.expr) -> float:
        """Translate what must be a constant."""
        value = self.node(node)
        if not isinstance(value, Number):
            raise refusal(node, "A default must be a number.")
        return value.number

    def element(self, node: ast.expr, name: str, index: tuple[Any, ...]) -> Node:
        if len(index) != 1 or not isinstance(index[0], int):
            raise refusal(node, f"`{name}` is a list of tensors: take one by its number, such as {name}[0].")
        return Element(_at(node), name, index[0])

    def arithmetic(self, node: ast.BinOp) -> Node:
        if type(node.op) not in SIGNS:
            raise refusal(node, f"This operator is not allowed; there are {', '.join(SIGNS.values())} and K.dot.")
        return self.combined(node, SIGNS[type(node.op)], self.node(node.left), self.node(node.right))

    def combined(self, node: ast.expr, sign: str, left: Node, right: Node) -> Node:
        """Compute what has constants only at once, in floats, so that it is as bounded as they are."""
        if not (isinstance(left, Number) and isinstance(right, Number)):
            return Arithmetic(_at(node), sign, left, right)
        try:
            value = ARITHMETIC[sign](left.number, right.number)
        except ArithmeticError:
            value = float("inf")
        return Number(_at(node), number_of(node, value))

    def sign(self, node: ast.UnaryOp) -> Node:
        operand = self.node(node.operand)
        if isinstance(node.op, ast.UAdd):
            return operand
        if not isinstance(node.op, ast.USub):
            raise refusal(node, "Only + and - may stand before a value.")
        return self.combined(node, "*", Number(_at(node), -1.0), operand)

    def comparison(self, node: ast.Compare) -> Node:
        if len(node.ops) != 1 or type(node.ops[0]) not in COMPARISONS:
            raise refusal(node, "Compare two values, with ==, !=, <, <=, > or >=.")
        x, y = self.node(node.left), self.node(node.comparators[0])
        return Call(_at(node), COMPARISONS[type(node.ops[0])], (("x", x),), (("y", y),), ())

    def call(self, node: ast.Call) -> Node:
        function = node.func
        if not isinstance(function, ast.Attribute) or not _is_k(function.value):
            raise refusal(node, "Only K's functions may be called, such as K.mean(y_pred).")
        if function.attr == "epsilon":
            if node.args or node.keywords:
                raise refusal(node, "K.epsilon() takes no arguments.")
            return Number(_at(node), EPSILON)
        try:
            FUNCTIONS[function.attr]
        except DefinitionError as error:
            raise refusal(node, error.message, type(error)) from None
        bound: Bound = bind(node, function.attr, self.node, self.several)
        return Call(_at(node), function.attr, *bound)

    def item(self, node: ast.Subscript) -> Node:
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        index = tuple(index_of(part) for part in parts)
        if not index or index.count(None) > 1:
            raise refusal(node, "A subscript has one `...` at most, and is not empty.")
        if isinstance(node.value, ast.Name) and node.value.id in self.lists:
            return self.element(node, node.value.id, index)
        of = self.node(node.value)
        if isinstance(of, Number):
            raise refusal(node, "A number has no parts.")
        return Item(_at(node), of, index)


def _parameters(function: Parsed, takes: str) -> tuple[list[str], list[ast.expr]]:
    """Name a function's parameters, and list the defaults of the last of them."""
    given = function.args
    every = [*given.posonlyargs, *given.args]
    names = [each.arg for each in every]
    extra = given.vararg or given.kwarg or given.kwonlyargs or given.kw_defaults
    if extra or len(set(names)) != len(names) or "K" in names or any(each.annotation for each in every):
        raise refusal(function, takes)
    return names, given.defaults


def _pair(function: Parsed) -> tuple[str, ...]:
    takes = "A custom function takes exactly (y_true, y_pred), without defaults, annotations, * or **."
    names, defaults = _parameters(function, takes)
    if len(names) != 2 or defaults:
        raise refusal(function, takes)
    return tuple(names)


def _with_constants(function: Parsed, arguments: Mapping[str, float]) -> tuple[str, dict[str, Number]]:
    """Name the first parameter, and give each of the others its constant."""
    takes = "This function takes its input, then constants with names of their own, without annotations, * or **."
    names, defaults = _parameters(function, takes)
    if not names or len(defaults) >= len(names):
        raise refusal(function, takes)
    reader = _Reader(function, ())
    constants = {}
    for name, node in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        constants[name] = Number(_at(node), reader.number(node))
    for name, value in arguments.items():
        if name not in names[1:]:
            raise refusal(function, f"`arguments` gives {shown(name)}, but this function takes ({', '.join(names)}).")
        constants[name] = Number(_at(function), float(value))
    for name in names[1:]:
        if name not in constants:
            raise refusal(function, f"`{name}` has no value: give it in `arguments`, or a default.")
    return names[0], constants


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_k(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "K"


def _at(node: ast.expr | Parsed) -> str:
    return f"line {node.lineno}, column {node.col_offset + 1}"


def _name_of(node: ast.expr) -> str:
    return {"JoinedStr": "An f-string", "NamedExpr": "`:=`", "Attribute": "An attribute other than a call of K's"}.get(
        type(node).__name__, f"A Python {type(node).__name__}"
    )
