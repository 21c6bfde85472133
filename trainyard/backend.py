"""Keras 1's backend, for use within losses, metrics and layers' functions: `import trainyard.backend as K`.

What it computes it computes where the model is trained: a function that calls it is sent as its text. Outside of such
functions there are only the settings, and a model's learning rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import UnknownName
from engine.expressions import callable_functions
from engine.expressions.table import FUNCTIONS
from engine.numbers import EPSILON
from trainyard.errors import TrainyardError

if TYPE_CHECKING:
    from trainyard.built import Built

#: What a function that is sent as its text calls this module, whatever it is called here.
__stands_for__ = "K"

_settings = {"image_dim_ordering": "tf"}


class _Remote:
    """A function of the backend, which only has its name here."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.__stands_for__ = f"K.{name}"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TrainyardError(
            f"K.{self.__name__} computes where the model is trained, not here. Call it within a loss, a metric, a "
            "Lambda layer or the mode of a Merge, which are sent as their text."
        )


class Rate(float):
    """A learning rate that knows whose it is: `model.optimizer.lr`."""

    model: Built

    @classmethod
    def of(cls, model: Built) -> Rate:
        """Take the one that a model now has."""
        rate = cls(model.learning_rate)
        rate.model = model
        return rate


def get_value(x: Any) -> float:
    """Return the number that a learning rate is."""
    return float(x)


def set_value(x: Any, value: Any) -> None:
    """Set the learning rate of a model: `K.set_value(model.optimizer.lr, 0.01)`.

    Raises:
        TrainyardError: It is not what `optimizer.lr` of a model gives.
    """
    if not isinstance(x, Rate):
        raise TrainyardError(f"K.set_value sets the learning rate of a model, `model.optimizer.lr`, but got {x!r}.")
    x.model.learning_rate = float(value)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        FUNCTIONS[name]
    except UnknownName as error:
        raise AttributeError(error.message) from None
    return _Remote(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *callable_functions()})


def image_dim_ordering() -> str:
    """Where images keep their channels unless a layer says otherwise: "th" first, "tf" last."""
    return _settings["image_dim_ordering"]


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set what `image_dim_ordering` returns, as `keras.json` did; models heed it when they are built.

    Raises:
        TrainyardError: It is neither "th" nor "tf".
    """
    if dim_ordering not in ("th", "tf"):
        raise TrainyardError(f'`dim_ordering` must be "th" or "tf", but got {dim_ordering!r}.')
    _settings["image_dim_ordering"] = dim_ordering


def floatx() -> str:
    """The type that models compute in."""
    return "float32"


def epsilon() -> float:
    """The small number that keeps logarithms and divisions finite."""
    return EPSILON
