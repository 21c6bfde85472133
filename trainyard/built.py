"""A model in the making: what of a Sequential is told here, without the service."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from engine.arguments import Shape
from engine.compiled import Compile
from engine.definition import read_model
from engine.layer import Layer
from engine.model import Sequential as Described
from engine.optimizers import Optimizer
from trainyard import backend, building, keeping, session, summaries
from trainyard.building import Snapshot
from trainyard.calls import Json
from trainyard.history import History
from trainyard.http import Client
from trainyard.keeping import Kept
from trainyard.placed import PlacedLayer

if TYPE_CHECKING:
    from trainyard.steps import Steps


class Built:
    """A linear stack of layers that is being built and compiled.

    Args:
        layers: The layers, of which the first declares the shape of its input.
        name: What the model is called; made from a counter when absent.
        client: The service that trains it; the one of `trainyard.connect` when absent.
    """

    def __init__(
        self, layers: Iterable[Any] | None = None, name: str | None = None, client: Client | None = None
    ) -> None:
        self.name = name or building.numbered("sequential")
        self.trainable = True
        self.stop_training = False
        self.history: History | None = None
        #: Where every draw of its next job comes from; follows from `numpy.random.seed` unless it is set.
        self.seed = int(np.random.randint(2**32, dtype=np.uint64))  # as in Keras 1
        self.kept = Kept()
        self.fits = 0
        #: How often it was compiled: each time begins with a new optimizer.
        self.compilations = 0
        self.trained_compile: Json | None = None
        #: Its open session, or the last one that it had.
        self.steps: Steps | None = None
        self.described_layers: list[Layer] = []
        self._client = client
        self._compiled: Compile | None = None
        self._settled: Described | None = None
        for each in layers or ():
            self.add(each)

    # -- layers -------------------------------------------------------------------------------

    def add(self, layer: Any) -> None:
        """Add a layer, or a model in the place of one, at the end.

        Raises:
            TypeError: It is neither.
            DefinitionError: It does not fit there; `where` points at it.
        """
        if hasattr(layer, "as_layer"):
            layer = layer.as_layer()
        if not isinstance(layer, Layer):
            raise TypeError(f"A Sequential takes layers, such as Dense(32), but got {layer!r}.")
        named = building.named(layer).ordered(backend.image_dim_ordering())
        layers = [*self.described_layers, named if self.described_layers else building.first(named)]
        self._settled = building.settled(layers)
        self.described_layers = layers
        self._changed()

    def pop(self) -> None:
        """Remove the last layer; the model must be compiled again.

        Raises:
            TypeError: There is none.
        """
        if not self.described_layers:
            raise TypeError("There are no layers in the model.")
        self.described_layers = self.described_layers[:-1]
        self._settled = building.settled(self.described_layers) if self.described_layers else None
        self._compiled = None
        self._changed()

    def change_layer(self, name: str, **changes: Any) -> None:
        """Change arguments of a layer that stands in the model already."""
        self.described_layers = building.replaced(self.described_layers, name, **changes)
        self._settled = building.settled(self.described_layers)
        self._changed()

    def _changed(self) -> None:
        keeping.changed_shape(self)
        self.trained_compile = None

    @property
    def settled(self) -> Described:
        """The model's frozen description, every layer in its place.

        Raises:
            TypeError: It has no layers.
        """
        if self._settled is None:
            raise TypeError(f"Model {self.name} has no layers yet: add some first.")
        return self._settled

    def as_layer(self) -> Snapshot:
        """Take the model, as it now is, in the place of a layer: as a branch of a Merge, or within another model."""
        return building.snapshot(self, self.described_layers, self.name, self.trainable)

    @property
    def layers(self) -> list[PlacedLayer]:
        """The layers, in order."""
        return [PlacedLayer(self, each) for each in self.described_layers]

    def get_layer(self, name: str | None = None, index: int | None = None) -> PlacedLayer:
        """Find a layer by its name, or by its place.

        Raises:
            ValueError: There is none.
        """
        found = [
            each for place, each in enumerate(self.layers) if each.name == name or (name is None and place == index)
        ]
        if not found:
            names = ", ".join(each.name for each in self.layers)
            raise ValueError(f"Model {self.name} has no layer {name if name is not None else index!r}; it has {names}.")
        return found[0]

    @property
    def input_shape(self) -> Shape | list[Shape]:
        """The shape of the input, batch axis included; a list of them where there are several."""
        shapes: list[Shape] = [each.shape for each in self.settled.inputs()]
        return shapes if len(shapes) > 1 else shapes[0]

    @property
    def output_shape(self) -> Shape:
        """The shape of the output, batch axis included."""
        return self.settled.placed[-1].output_shape

    def count_params(self) -> int:
        """Count the numbers of all layers, trained or not."""
        return sum(each.size for each in self.settled.all_weights)

    def summary(self, line_length: int = 100, positions: Sequence[float] = (0.33, 0.55, 0.67, 1.0)) -> None:
        """Print the layers as a table."""
        sys.stdout.write(summaries.table(self.settled, line_length, positions) + "\n")

    def get_config(self) -> list[Json]:
        """Return the layers in Keras 1's form."""
        config: list[Json] = self.settled.definition()["config"]
        return config

    @classmethod
    def from_config(cls, config: Sequence[Mapping[str, Any]], client: Client | None = None) -> Self:
        """Make a model of what `get_config` returns.

        Raises:
            DefinitionError: It is no model; `where` points at what is wrong.
        """
        return cls.from_definition({"class_name": "Sequential", "config": list(config)}, client)

    @classmethod
    def from_definition(cls, definition: Mapping[str, Any], client: Client | None = None) -> Self:
        """Make a model of Keras's object, `{"class_name": "Sequential", "config": [...]}`.

        Raises:
            DefinitionError: It is no model; `where` points at what is wrong.
        """
        described, _ = read_model(definition, building.ANY_SIZE, backend.image_dim_ordering())
        return cls(described.layers, client=client)

    def to_json(self, **options: Any) -> str:
        """Write the model in Keras 1's JSON; `options` are those of `json.dumps`."""
        return json.dumps(self.settled.definition(), **options)

    # -- compile ------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Sequence[Any] | Mapping[str, Any] | None = None,
        sample_weight_mode: str | None = None,
    ) -> None:
        """Settle how the model learns and how it is judged.

        Args:
            optimizer: A name, or one of `trainyard.optimizers`.
            loss: A name, or a function of (y_true, y_pred) over `trainyard.backend`, which is sent as its text.
            metrics: Names and functions; a function may return a dict of several.
            sample_weight_mode: "temporal" where every step of a sequence has a weight of its own.

        Raises:
            DefinitionError: One of them is unknown or does more than it may.
        """
        if isinstance(metrics, str):
            raise TypeError(f"`metrics` is a list, such as [{metrics!r}], but got {metrics!r}.")
        if isinstance(metrics, Mapping):
            metrics = [each for given in metrics.values() for each in (given if isinstance(given, list) else [given])]
        given: Any = metrics or None
        self._compiled = Compile(optimizer, loss, given, sample_weight_mode)
        self.compilations += 1
        self.kept = replace(self.kept, optimizer=None)

    @property
    def is_compiled(self) -> bool:
        """Whether `compile` has been called."""
        return self._compiled is not None

    @property
    def compiled(self) -> Compile:
        """What `compile` has settled.

        Raises:
            RuntimeError: It has not been called.
        """
        if self._compiled is None:
            raise RuntimeError(f"Model {self.name} must be compiled first: model.compile(optimizer, loss).")
        return self._compiled

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer that the model was compiled with; `K.set_value` sets its `lr`."""
        optimizer = copy(self.compiled.optimizer)
        object.__setattr__(optimizer, "lr", backend.Rate.of(self))
        return optimizer

    @property
    def learning_rate(self) -> float:
        """The optimizer's rate; to set it leaves what the optimizer has gathered."""
        return float(self.compiled.optimizer.lr)  # type: ignore[attr-defined]

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        optimizer: Any = self.compiled.optimizer
        self._compiled = replace(self.compiled, optimizer=replace(optimizer, lr=rate))

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` returns, in order: the loss, then the metrics."""
        return self.compiled.metric_names()

    @property
    def client(self) -> Client:
        """The service that trains it: the first one that it was given, for its weights are there."""
        self._client = self._client or session.current()
        return self._client
