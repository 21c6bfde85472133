"""Functions that strangers write, as Python source text that is read and never run: losses, metrics, parts of layers.

`reading` parses the text with `ast` and takes the few forms it knows into a tree of its own; `tree` computes such a
tree with tensors, and `shapes` tells without any what shape comes out; `table` holds all that a text can call. There is
no way from a text to anything else.
"""

from engine.expressions import arrangements, functions  # noqa: F401  # every function registers itself
from engine.expressions.arguments import callable_functions
from engine.expressions.reading import read_expression
from engine.expressions.tree import Expression

__all__ = ["Expression", "callable_functions", "read_expression"]
