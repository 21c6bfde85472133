"""A layer of a model, seen from the model: its shapes, its weights, whether they are trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.arguments import Json, Shape
from engine.layer import Layer
from engine.model import Placed
from trainyard import keeping, steps
from trainyard.arrays import Array
from trainyard.summaries import type_of

if TYPE_CHECKING:
    from trainyard.built import Built


class PlacedLayer:
    """What `model.layers` lists: the layer's arguments are attributes, and so is what follows from its place.

    Args:
        model: The model that it stands in.
        layer: Its description, as it was added.
    """

    def __init__(self, model: Built, layer: Layer) -> None:
        self._model, self._layer = model, layer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._layer, name)

    def __repr__(self) -> str:
        return f"<{type_of(self._layer)} {self.name} of {self._model.name}>"

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self._layer.name)

    def as_layer(self) -> Layer:
        """Return the description, so that it can be added to another model."""
        return self._layer

    @property
    def trainable(self) -> bool:
        """Whether its weights are trained; a change counts from the next `compile` on."""
        return self._layer.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._model.change_layer(self.name, trainable=value)
        self._layer = next(each.as_layer() for each in self._model.layers if each.name == self.name)

    @property
    def input_shape(self) -> Shape:
        """The shape of what comes in, batch axis included."""
        return self._place().input_shape

    @property
    def output_shape(self) -> Shape:
        """The shape of what goes out, batch axis included."""
        return self._place().output_shape

    def count_params(self) -> int:
        """Count the numbers it has, trained or not."""
        return self._place().parameters(True) + self._place().parameters(False)

    def get_config(self) -> Json:
        """Return all of its arguments in Keras 1's form."""
        return self._place().layer.get_config()

    def get_weights(self) -> list[Array]:
        """Return its weights, in Keras 1's order."""
        return keeping.in_order(self._model, self.name)

    def set_weights(self, weights: Iterable[Array]) -> None:
        """Set its weights, in Keras 1's order.

        Raises:
            TrainyardError: They are not as many, or not of the shapes, that there are.
        """
        keeping.put(self._model, weights, self.name)

    def reset_states(self) -> None:
        """Have it forget, where the other layers of the model go on from what they remember.

        Raises:
            TrainyardError: It is not stateful.
        """
        steps.forget(self._model, self.name)

    def _place(self) -> Placed:
        model = self._model.settled
        every = [*model.placed, *model.leaves()]
        return next(each for each in every if each.layer.name == self.name)
