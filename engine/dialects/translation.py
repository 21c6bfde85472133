"""What a translation gives: the Keras 1 form, and what is to be told of the way there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from engine.dialects.sent import pointer_in
from engine.errors import DefinitionError

Note = dict[str, str]


@dataclass(frozen=True)
class Translation:
    """A definition in the Keras 1 form, and what was done to it.

    Args:
        value: The definition.
        notes: What was translated, with pointers to where the client wrote it.
    """

    value: Any
    notes: list[Note] = field(default_factory=list)

    @contextmanager
    def pointing(self) -> Iterator[None]:
        """Point at what the client wrote, in refusals of the Keras 1 form."""
        try:
            yield
        except DefinitionError as error:
            error.where = pointer_in(self.value, error.where)
            raise

    def told(self, notes: list[Note]) -> list[Note]:
        """Return all notes, with those about the Keras 1 form."""
        return self.notes + [{**note, "pointer": pointer_in(self.value, note["pointer"])} for note in notes]
