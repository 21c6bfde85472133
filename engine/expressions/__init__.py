"""Losses and metrics that strangers write, as Python source text that is read and never run.

`reading` parses the text with `ast` and takes the few forms it knows into a tree of its own; `tree` computes such a
tree with tensors; `functions` is the table of all that a text can call. There is no way from a text to anything else.
"""

from engine.expressions.arguments import callable_functions
from engine.expressions.reading import read_expression
from engine.expressions.tree import Expression

__all__ = ["Expression", "callable_functions", "read_expression"]
