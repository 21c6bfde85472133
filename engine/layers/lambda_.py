"""Lambda: a stranger's function as a layer."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from engine.arguments import Json, Shape
from engine.errors import within
from engine.expressions.forms import Arguments, OfTensor, OutputShape, agreed, with_types
from engine.expressions.shapes import infer
from engine.expressions.tree import Expression
from engine.layer import Layer, Weights, layer

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run


@layer()
class Lambda(Layer):
    """Applies a function that is given as Python source text, which is read and never run as Python.

    Numbers that the function computes with are float32, and so is what it gives.

    Args:
        function: The function, of a tensor and, by their names, of `arguments`: arithmetic, constant subscripts, and
            calls of the backend's functions, which `K` stands for.
        declared_shape: The shape of what it gives, without the batch axis, or a function of the whole input shape; it
            need not be given, and is only checked.
        arguments: Numbers for the function's other parameters.

    Shape:
        `(n, ...) -> (n, ...)`, as follows from the function, which keeps the batch axis and one more

    Raises:
        BadArgument: The text is no function, or does more than it may; the message has line and column.
        ShapeMismatch: The function cannot take its input, or does not give what was declared.
    """

    function: OfTensor
    declared_shape: OutputShape | None = None
    arguments: Arguments = None

    called = {"declared_shape": "output_shape"}
    ignored = frozenset({"function_type", "output_shape_type"})

    def check(self) -> None:
        with within("function"):
            self.expression  # noqa: B018  # refuses what it may not hold

    @cached_property
    def expression(self) -> Expression:
        """What the function computes."""
        return self.function.expression(self.arguments or ())

    def get_config(self) -> dict[str, Json]:
        return with_types(super().get_config(), self, "function", "output_shape")

    def output_shape(self, input_shape: Shape) -> Shape:
        with within("config"):
            with within("function", *self.function.place):
                inferred = infer(self.expression, input_shape)
            return agreed(inferred, self.declared_shape, input_shape, f"Layer {self.name} (Lambda)")

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        with within("config", "function", "source"):
            return self.expression.of(x)
