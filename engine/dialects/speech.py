"""Which Keras a definition is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Keys of a layer's config that only Keras 2 and later have.
LATER = frozenset(
    {"units", "filters", "kernel_size", "use_bias", "kernel_initializer", "recurrent_initializer", "rate", "padding"}
    | {"embeddings_initializer", "data_format", "recurrent_activation", "stddev", "negative_slope", "dilation_rate"}
    | {"kernel_regularizer", "recurrent_dropout", "alpha_initializer", "time_major"}
)
#: Classes whose `padding` is Keras 1's too.
PADDED = frozenset({"ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"})
#: Classes that Keras 1 lacks.
LATER_CLASSES = frozenset({"InputLayer", "ReLU", "Softmax", "Conv2DTranspose", "Rescaling", "Functional"})


@dataclass(frozen=True)
class Spoken:
    """A version of Keras.

    Args:
        version: 1, 2 or 3.
        release: The whole number it gives of itself, such as (2, 3, 1); only the first where it gives none.
        tensorflow: Whether it is the Keras 2 that is part of TensorFlow.
    """

    version: int
    release: tuple[int, ...] = ()
    tensorflow: bool = True

    @property
    def name(self) -> str:
        """What people call it."""
        return "tf.keras" if self.version == 2 and self.tensorflow and self.release else f"Keras {self.version}"

    @property
    def by_sample(self) -> bool:
        """Whether penalties on outputs are divided by the number of samples."""
        return self.version == 3 or (self.version == 2 and self.tensorflow)

    @property
    def sigmoid_inside(self) -> bool:
        """Whether recurrent layers have a sigmoid inside unless told."""
        return self.version == 3 or not self.release or self.release >= (2, 3) or self.tensorflow

    @property
    def resets_after(self) -> bool:
        """Whether a GRU resets after the product unless told."""
        return self.version == 3 or self.tensorflow


def spoken(model: Any) -> Spoken:
    """Find out which Keras wrote a model: by what it says of itself, else by the words it uses."""
    told = model.get("keras_version") if isinstance(model, Mapping) else None
    if isinstance(told, str) and (found := re.match(r"([123])\.(\d+)(?:\.(\d+))?(-tf)?", told)):
        release = tuple(int(each) for each in found.groups()[:3] if each)
        return Spoken(release[0], release, bool(found[4]) or release >= (2, 4))
    words = {word for each in _objects(model) for word in _words(each)}
    if words & {"DTypePolicy", "batch_shape"}:
        return Spoken(3)
    if words & {"registered_name", "module"}:
        return Spoken(2 if "batch_input_shape" in words else 3)
    return Spoken(2 if "later" in words else 1)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping):
            yield each
            stack += each.values()
        elif isinstance(each, list):
            stack += each


def _words(item: Mapping[str, Any]) -> Iterator[Any]:
    """List the words of an object that tell a version."""
    name, config = item.get("class_name"), item.get("config")
    yield from set(item) & {"registered_name", "module", "batch_shape", "batch_input_shape"}
    if isinstance(name, str):
        yield name
        later = LATER - {"padding"} if name in PADDED else LATER
        words = isinstance(config, Mapping) and name != "Merge" and bool(later & set(config))
        if words or name in LATER_CLASSES or (name == "Sequential" and isinstance(config, Mapping)):
            yield "later"
