"""Everything the engine may refuse, and where in the definition the fault lies.

EngineError
├── DefinitionError      the caller's definition is wrong; nothing has run
│   ├── BadArgument      a value is not what its argument takes
│   ├── UnknownName      there is no layer, loss, … of that name
│   ├── BadModel         the layers do not make a model
│   ├── ShapeMismatch    shapes that meet do not fit
│   ├── BadReference     data that is not there, or cannot be used so
│   └── TooLarge         more than the limits allow
└── RunError             only the data, or the run itself, could show it
    ├── BadData          a value in the data is out of range
    ├── Diverged         the loss is no longer a number
    ├── BadFile          a weight file is damaged, or of another model
    ├── Unavailable      the worker lacks what the job needs
    └── NotExported      a trained model could not be written for another program
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class EngineError(Exception):
    """A refusal with a place.

    Args:
        message: What was passed, what was expected, how to fix it.
        where: JSON pointer below the value that was read; the readers above prepend theirs.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where

    def __str__(self) -> str:
        return self.message


class DefinitionError(EngineError):
    """The caller's definition is wrong."""


class BadArgument(DefinitionError):
    """A value is not what its argument takes."""


class UnknownName(DefinitionError):
    """There is nothing of that name."""


class BadModel(DefinitionError):
    """The layers do not make a model."""


class ShapeMismatch(DefinitionError):
    """Shapes that meet do not fit."""


class BadReference(DefinitionError):
    """Data that is not there, or cannot be used in this place."""


class TooLarge(DefinitionError):
    """More than the limits allow."""


class RunError(EngineError):
    """A failure that only the run could show.

    `class_` is its stable name, `who` can mend it ("user" or "system"), and `retryable` says
    whether the same job may succeed when tried again.
    """

    class_: ClassVar[str] = "internal"
    who: ClassVar[str] = "system"
    retryable: ClassVar[bool] = False


class BadData(RunError):
    """A value in the data is out of range."""

    class_ = "user_data"
    who = "user"


class Diverged(RunError):
    """The loss is no longer a number."""

    class_ = "numeric_divergence"
    who = "user"


class BadFile(RunError):
    """A weight file is damaged, hostile, or belongs to another model."""

    class_ = "user_data"
    who = "user"


class Unavailable(RunError):
    """The worker lacks what the job needs."""

    class_ = "unavailable"


class NotExported(RunError):
    """A trained model could not be written for another program."""


@contextmanager
def within(*parts: str | int) -> Iterator[None]:
    """Prepend `parts` to the pointer of any refusal that passes through."""
    try:
        yield
    except EngineError as error:
        error.where = pointer(*parts) + error.where
        raise


def pointer(*parts: str | int) -> str:
    """Write a JSON pointer (RFC 6901), such as `/config/3/config/output_dim`."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)
