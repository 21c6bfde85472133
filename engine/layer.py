"""What a layer is: its arguments, its shape arithmetic, its weights and its computation, in one frozen class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import wraps
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, cast, dataclass_transform

from numpy.typing import NDArray

from engine.arguments import Description, InputShape, Json, Kind, Name, PositiveInt, Shape, Wrong, default_of, one_of
from engine.constraints import Bound, check_axes
from engine.errors import BadArgument, BadModel, ShapeMismatch
from engine.registry import Registry
from engine.regularizers import EigenvalueRegularizer, Penalty
from engine.spreads import Start, check_start

if TYPE_CHECKING:
    from torch import Tensor

    from engine.run import Run

Weights = Mapping[str, "Tensor"]
#: Names a layer and gives it its place, where it gets an input of that shape; None where it declares its own.
Settle = Callable[["Layer", Shape | None], "Layer"]
DTYPES = ("float32", "int32", "float64", "int64", "float16", "uint8", "bool")
InputDtype = Annotated[str, one_of(*DTYPES)]


@dataclass(frozen=True)
class Weight:
    """One array a layer learns or keeps: what it is called, how large it is, how it starts.

    Args:
        name: Unique within the layer, as Keras 1 has it: `W`, `U`, `b`, …
        shape: Its axes.
        init: How it starts, or how each of several parts of the last axis does, alike in length.
        regularizer: A penalty on it.
        constraint: What is done to it after every update.
        trainable: Whether the optimizer moves it.
        dim_ordering: Where a kernel keeps its filters; only the initialisations ask.
        scale: What the start is multiplied by.
        flips: The axes along which Theano reads it backwards: those of a convolution's window.
        argument: The layer's argument that `init` comes from.
    """

    name: str
    shape: tuple[int, ...]
    init: Start | tuple[Start, ...]
    regularizer: Penalty | None = None
    constraint: Bound | None = None
    trainable: bool = True
    dim_ordering: str = "th"
    scale: float = 1.0
    flips: tuple[int, ...] = ()
    argument: str = "init"

    def __post_init__(self) -> None:
        for init, shape in self.parts():
            if wrong := check_start(init, shape):
                raise BadArgument(f"{wrong}, but {self.name} is {list(self.shape)}.", f"/{self.argument}")
        if isinstance(self.regularizer, EigenvalueRegularizer) and len(self.shape) != 2:
            raise BadArgument(
                f"EigenvalueRegularizer takes matrices only, but {self.name} is {list(self.shape)}.",
                f"/{self.name.partition('_')[0]}_regularizer",
            )
        if wrong := check_axes(self.constraint, len(self.shape)):
            raise BadArgument(f"The constraint on {self.name} does not fit: {wrong}.", f"/{self.name}_constraint")

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def filters_lead(self) -> bool:
        """Whether it is a kernel whose filters and channels come before its window."""
        return self.dim_ordering == "th" and len(self.shape) > 3 and 0 not in self.flips

    def parts(self) -> Iterator[tuple[Start, tuple[int, ...]]]:
        """List the parts of the last axis that start each in their own way, with their shapes."""
        inits = self.init if isinstance(self.init, tuple) else (self.init,)
        for init in inits:
            yield init, (*self.shape[:-1], self.shape[-1] // len(inits))


@dataclass(frozen=True)
class Memory:
    """One array that a stateful layer keeps from batch to batch; it begins with zeros, and `Run.update` sets it."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """One tensor that a model takes: its name, its shape with the batch axis, its type, and the layer it goes to."""

    name: str
    shape: Shape
    dtype: str
    layer: Layer | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Part:
    """A layer that another one is made of: what Keras 3 calls its place there, and what comes in."""

    role: str
    layer: Layer
    input_shape: Shape


@dataclass(frozen=True, kw_only=True)
class Layer(Description):
    """One step of a model: a frozen description that also knows its arithmetic.

    Weights and states live outside and are handed to `call`.

    Args:
        name: Unique in the model; made from the class's name when absent.
        trainable: Whether the optimizer moves its weights.
        input_shape: Shape of the input without the batch axis; for a first layer.
        batch_input_shape: Shape of the input with the batch axis; wins over `input_shape`.
        input_dtype: Type of the input; for a first layer.
    """

    name: Name | None = None
    trainable: bool = True
    input_shape: InputShape | None = None
    batch_input_shape: InputShape | None = None
    input_dtype: InputDtype | None = None

    #: How many axes an input must have, the batch axis included; None takes any.
    input_rank: ClassVar[int | None] = None
    #: The type a first layer takes unless told.
    natural_dtype: ClassVar[str] = "float32"
    #: Arguments that Keras 1 forgets to write; they are written where they differ from their default.
    unwritten: ClassVar[frozenset[str]] = frozenset()
    #: Whether a mask on the input stays on the output; a layer that neither passes masks on nor uses them refuses them.
    supports_masking: ClassVar[bool] = False
    #: Older names of arguments, and what they are called now.
    formerly: ClassVar[Mapping[str, str]] = {}
    #: Which arguments are layers themselves, or lists of them.
    holds: ClassVar[tuple[str, ...]] = ()
    #: Whether the layers it holds count as layers of the model it stands in, as a Merge's branches do.
    transparent: ClassVar[bool] = False

    def first_shape(self) -> Shape | None:
        """Return the batch input shape that the arguments of a first layer declare, if they do."""
        if self.batch_input_shape is not None:
            return self.batch_input_shape
        return None if self.input_shape is None else (None, *self.input_shape)

    def inputs(self) -> tuple[Input, ...]:
        """List what a model takes that begins with this layer; empty if it declares no shape."""
        shape = self.first_shape()
        if shape is None:
            return ()
        return (Input(f"{self.name}_input", shape, self.input_dtype or self.natural_dtype, self),)

    def check_values(self, rows: NDArray[Any]) -> None:
        """Refuse input data that a first layer cannot take; by default it takes any.

        Raises:
            BadData: A value is out of range.
        """

    def settled(self, input_shape: Shape) -> Layer:
        """Return the description with what only its place in a model tells, such as `input_dim`."""
        return self

    def ordered(self, dim_ordering: str) -> Layer:
        """Return the description with `dim_ordering` for its own, where it has one and leaves it at "default"."""
        whole: Any = self
        if getattr(self, "dim_ordering", None) == "default":
            return cast(Layer, replace(whole, dim_ordering=dim_ordering))
        return self

    def holding(self, input_shape: Shape | None, settle: Settle) -> Layer:
        """Return the description with every layer it holds settled in its place, given the shape there."""
        return self

    def as_first(self) -> Layer:
        """Return the description with its first shape in Keras 1's one normal form."""
        return replace(
            self,
            input_shape=None,
            batch_input_shape=self.first_shape(),
            input_dtype=self.input_dtype or self.natural_dtype,
        )

    def as_later(self) -> Layer:
        """Return the description without a first layer's shape."""
        return replace(self, input_shape=None, batch_input_shape=None, input_dtype=None)

    def check_rank(self, input_shape: Shape) -> None:
        """Refuse an input with the wrong number of axes.

        Raises:
            ShapeMismatch: The layer takes another rank.
        """
        if self.input_rank is not None and len(input_shape) != self.input_rank:
            raise ShapeMismatch(
                f"Layer {self.name} ({type(self).__name__}) takes an input of {self.input_rank} axes, batch "
                f"included, but gets {shape_text(input_shape)}."
            )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Infer the shape of the output, batch axis included; by default that of the input."""
        return input_shape

    def weights(self, input_shape: Shape) -> Iterator[Weight]:
        """List the weights in Keras 1's order; by default none."""
        return iter(())

    def memories(self, input_shape: Shape) -> Iterator[Memory]:
        """List what it keeps from one batch to the next; only a stateful layer keeps anything."""
        return iter(())

    def parts(self, input_shape: Shape) -> Iterator[Part]:
        """List the layers whose weights are its own, under `layer/weight`; by default there are none."""
        return iter(())

    def values(self, input_shape: Shape) -> int:
        """Count the values that it computes for one sample; an axis of any length counts as one."""
        return prod(axis or 1 for axis in self.output_shape(input_shape)[1:])

    def masked(self, incoming: bool) -> bool:
        """Tell whether the output comes with a mask, given whether the input does.

        Raises:
            BadModel: There is a mask, and the layer would lose it.
        """
        if incoming and not self.supports_masking:
            raise BadModel(
                f"Layer {self.name} ({type(self).__name__}) does not support masking, but its input has a mask, made "
                "by a Masking or an Embedding with `mask_zero` before it. Let a recurrent layer use the mask up first "
                "(with `return_sequences` false), or wrap this layer in TimeDistributed."
            )
        return incoming

    def call(self, x: Tensor, w: Weights, run: Run) -> Tensor:
        """Compute the output from the input, the weights and memories, and the input's mask in `run`."""
        raise NotImplementedError(f"{type(self).__name__} says how it computes")

    def to_json(self) -> Json:
        """Return `{"class_name", "config"}` as Keras 1 writes it."""
        return {"class_name": type(self).__name__, "config": self.get_config()}

    def get_config(self) -> dict[str, Json]:
        """Return the arguments in Keras 1's form; a first layer's hold `batch_input_shape`."""
        config = super().get_config()
        first = {key: config.pop(key) for key in ("name", "trainable", "batch_input_shape", "input_dtype")}
        if first["batch_input_shape"] is None:
            del first["batch_input_shape"], first["input_dtype"]
        del config["input_shape"]
        for key in self.unwritten:
            if getattr(self, key) == default_of(type(self), key):
                del config[key]
        return first | config


L = TypeVar("L", bound=Layer)
LAYERS: Registry[type[Layer]] = Registry("layer")


def _by_old_names(cls: type[L]) -> type[L]:
    """Let Python callers, too, write the names that arguments have in JSON."""
    names = {called: name for name, called in cls.called.items()} | dict(cls.formerly)
    if not names:
        return cls
    begin = cls.__init__

    @wraps(begin)
    def init(self: L, *args: Any, **given: Any) -> None:
        begin(self, *args, **{names.get(key, key): value for key, value in given.items()})

    cls.__init__ = init  # type: ignore[method-assign, assignment]
    return cls


@dataclass_transform(frozen_default=True)
def layer(*aliases: str) -> Callable[[type[L]], type[L]]:
    """Freeze a layer's class and register it under its own name and Keras 1's `aliases`."""

    def add(cls: type[L]) -> type[L]:
        frozen = _by_old_names(dataclass(frozen=True)(cls))
        LAYERS.register(cls.__name__, *aliases)(frozen)
        return frozen

    return add


@dataclass(frozen=True, kw_only=True)
class WithInputDim(Layer):
    """A layer whose first shape may be declared by `input_dim`, the width of its input.

    Args:
        input_dim: Width of the input; for a first layer. Loses against `batch_input_shape`, wins over `input_shape`.
    """

    input_dim: PositiveInt | None = None

    def first_shape(self) -> Shape | None:
        """Return the shape that `batch_input_shape`, `input_dim` or `input_shape` declares."""
        if self.batch_input_shape is None and self.input_dim is not None:
            return (None, self.input_dim)
        return super().first_shape()

    def settled(self, input_shape: Shape) -> Layer:
        """Fill `input_dim` with the real width, as Keras 1 does."""
        return replace(self, input_dim=input_shape[-1])


def _layers_of(value: Any) -> tuple[Layer, ...]:
    if not isinstance(value, list | tuple):
        raise Wrong
    return tuple(_layer_of(each) for each in value)


def _layer_of(value: Any) -> Layer:
    if hasattr(value, "as_layer"):  # a model that is still being built, as it now is
        value = value.as_layer()
    if not isinstance(value, Layer):
        raise Wrong
    return value


Layers = Annotated[
    tuple[Layer, ...], Kind("a list of layers", _layers_of, lambda layers: [each.to_json() for each in layers])
]
OneLayer = Annotated[Layer, Kind("a layer", _layer_of, lambda layer: layer.to_json())]


def by_layer(w: Weights) -> dict[str | None, dict[str, Tensor]]:
    """Sort weights by their layer, under their own names there: in one pass, for every step of a training asks it."""
    own: dict[str | None, dict[str, Tensor]] = {}
    for key, value in w.items():
        owner, _, name = key.partition("/")
        own.setdefault(owner, {})[name] = value
    return own


def shape_text(shape: Shape) -> str:
    """Write a shape as people do: `(None, 784)`."""
    return "(" + ", ".join(str(axis) for axis in shape) + ("," if len(shape) == 1 else "") + ")"


def known_axis(layer: Layer, input_shape: Shape, axis: int = -1) -> int:
    """Return the length of an axis that a layer must know to make its weights.

    Raises:
        ShapeMismatch: The axis may have any length.
    """
    length = input_shape[axis]
    if length is None:
        raise ShapeMismatch(
            f"Layer {layer.name} ({type(layer).__name__}) needs to know axis {axis} of its input, but gets "
            f"{shape_text(input_shape)}. Give that axis a length in `input_shape`."
        )
    return length
